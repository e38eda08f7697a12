"""Which attackers on the record are noticed on this installation, by whom, and which are not.

Nothing here looks at the record. It says what the witnesses that the policy names make visible as
long as they work; the table in ``docs/explanation/what-the-record-proves.md`` has the attacks, and
its test carries out each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloister.core.recordrules import WitnessKind
from cloister.store.evidence.standing import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloister.store.evidence.standing import Standing

_HOW = "Name one under record.witnesses in the policy: docs/how-to/witness-the-record.md"


@dataclass(frozen=True, slots=True)
class Covered:
    """One attack on the record.

    Attributes:
        id: The guarantee in ``cloister doctor``.
        holds: Whether it would be noticed.
        why: By whom, or why not.
        fix: What would make it noticed; empty when it is.
    """

    id: str
    holds: bool
    why: str
    fix: str = ""


def coverage(standings: Sequence[Standing]) -> list[Covered]:
    """Returns what is noticed and what is not, given how the witnesses stand."""
    files, cosigners, authorities = (
        [s.rule.name for s in standings if s.rule.kind is kind and s.is_good and s.size]
        for kind in (WitnessKind.FILE, WitnessKind.COSIGNER, WitnessKind.TIMESTAMP)
    )
    return [_witnesses(standings), _rollback(files + cosigners), _forgery(files, cosigners),
            _backdating(authorities)]  # fmt: skip


def _witnesses(standings: Sequence[Standing]) -> Covered:
    name = "witness"
    if not standings:
        return Covered(name, holds=False, why="no witness outside this machine is named", fix=_HOW)
    texts = [_told(standing) for standing in standings]
    if all(standing.is_good for standing in standings):
        return Covered(name, holds=True, why="; ".join(texts))
    if any(standing.state is State.CONFLICT for standing in standings):
        fix = "Keep all files as evidence and find out which of the two is right."
    else:
        fix = "Run: cloister witness push"
    return Covered(name, holds=False, why="; ".join(texts), fix=fix)


def _told(standing: Standing) -> str:
    name, state = standing.rule.name, standing.state
    if state is State.CONFLICT:
        return f"{name} CONTRADICTS the record: {standing.reason}"
    if state is State.CURRENT:
        return f"{name} knows all {standing.size} events"
    reason = f" ({standing.reason})" if standing.reason else ""
    late = "is late" if state is State.LATE else "lags"
    return f"{name} {late} by {standing.missing} events and {standing.lag_s} s{reason}"


def _rollback(names: list[str]) -> Covered:
    if names:
        why = f"an older copy of the whole home that is put back is noticed by {', '.join(names)}"
        return Covered("record-rollback", holds=True, why=why)
    why = "an older copy of the whole home that is put back looks whole"
    return Covered("record-rollback", holds=False, why=why, fix=_HOW)


def _forgery(files: list[str], cosigners: list[str]) -> Covered:
    name, who = "record-forgery", "a history rewritten by who has the signing key"
    if cosigners:
        return Covered(name, holds=True, why=f"{who} is noticed by {', '.join(cosigners)}")
    if files:
        why = f"{who} is noticed by {', '.join(files)}, unless they can write there, too"
        return Covered(name, holds=True, why=why)
    return Covered(name, holds=False, why=f"{who} looks whole", fix=_HOW)


def _backdating(names: list[str]) -> Covered:
    if names:
        why = f"a history made later has no time stamps of {', '.join(names)} from before"
        return Covered("record-backdating", holds=True, why=why)
    why = "times in the record are this machine's own word"
    return Covered("record-backdating", holds=False, why=why, fix=_HOW)
