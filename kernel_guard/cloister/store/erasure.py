"""Destroys payloads of the record so that the record stays provable.

Destroying a payload is destroying its data key (crypto-shredding). The sealed payload stays, since
the event's hash covers it, and nobody can open it any more. A payload from before there were data
keys is taken out of the database instead; its digest stays in the header. Either way an event
``payload.erased`` in the tree, the tombstone, says which payloads, when, by whom and by which rule,
in the same transaction; and verification compares.

Refused, typed: payloads that are younger than their class allows (``CLO-ERASE-003``), and those of
a subject on legal hold (``CLO-ERASE-004``). Then nothing is erased, unless the rest is asked for.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cloister.core.errors import CloisterError
from cloister.core.records import Record
from cloister.store.lineage_request import Change
from cloister.store.tombstones import ERASED, ranges_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from cloister.core.records import Json
    from cloister.core.retention import RetentionRules
    from cloister.store.erasure_reader import ErasureReader, Kept
    from cloister.store.lineage import LineageLog
    from cloister.store.lineage_store import LineageStore

BY_SUBJECT: Final = "erase.subject"
BY_PERSON: Final = "erase.person"
BY_AGE: Final = "erase.before"
_AT_ONCE: Final = 2_000  # payloads of one tombstone and transaction


class ErasureRefused(CloisterError):
    """Payloads that were to be erased must be kept; nothing was erased."""

    default_code = "CLO-ERASE-003"


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be erased, and what must stay.

    Attributes:
        erased: The payloads to erase, by the rule that demands it.
        young: Payloads that are younger than their class allows, counted by rule.
        held: Payloads on legal hold, counted by rule.
    """

    erased: dict[str, list[Kept]] = field(default_factory=dict)
    young: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        """How many payloads would be erased."""
        return sum(len(some) for some in self.erased.values())

    def refusal(self) -> ErasureRefused | None:
        """Returns why not all of it may be erased, ``None`` when it may."""
        if self.held:
            rule = min(self.held)
            return ErasureRefused(
                f"{self.held.total()} of these payloads are on legal hold; nothing was erased.",
                code="CLO-ERASE-004",
                rule=rule,
                remedy="Take the hold out of the policy when it has ended, or erase the others "
                "with --skip-kept.",
            )
        if self.young:
            rule = min(self.young)
            return ErasureRefused(
                f"{self.young.total()} of these payloads are younger than the policy lets them be "
                "erased; nothing was erased.",
                rule=rule,
                remedy="Wait, ask for older ones with --before, or erase the others with "
                "--skip-kept.",
            )
        return None


def plan_erasure(
    reader: ErasureReader,
    rules: RetentionRules,
    now_us: int,
    rule: str,
    *,
    among: Collection[int] | None = None,
    before_us: int | None = None,
) -> Plan:
    """Decides which payloads to erase.

    Args:
        reader: The record.
        rules: The policy's classes and holds.
        now_us: The time, microseconds since 1970.
        rule: What demands it.
        among: Only payloads of these events; ``None`` for all.
        before_us: Only payloads that were recorded before.
    """
    wanted = (
        (rule, kept)
        for kept in reader.kept()
        if (among is None or kept.seq in among) and (before_us is None or kept.time_us < before_us)
    )
    return _planned(wanted, reader, rules, now_us)


def plan_expiry(reader: ErasureReader, rules: RetentionRules, now_us: int) -> Plan:
    """Decides which payloads are older than their class allows."""
    wanted = []
    for kept in reader.kept():
        its = rules.class_of(kept.type)
        if its.is_expired(now_us - kept.time_us):
            wanted.append((f"{its.id}.maximum_days", kept))
    return _planned(wanted, reader, rules, now_us)


def _planned(
    wanted: Iterable[tuple[str, Kept]], reader: ErasureReader, rules: RetentionRules, now_us: int
) -> Plan:
    plan = Plan()
    holds = [(hold.id, reader.reached(hold.subject)) for hold in rules.holds]
    for rule, kept in wanted:
        hold = next((name for name, reached in holds if kept.seq in reached), None)
        its = rules.class_of(kept.type)
        if hold is not None:
            plan.held[hold] += 1
        elif its.is_too_young(now_us - kept.time_us):
            plan.young[f"{its.id}.minimum_days"] += 1
        else:
            plan.erased.setdefault(rule, []).append(kept)
    return plan


def erase(log: LineageLog, plan: Plan, facts: dict[str, Json], reason: str = "") -> list[int]:
    """Erases what a plan says; each some thousand payloads together, with their tombstone.

    Killed in between, what has a tombstone is erased and the rest is not; erase again.

    Args:
        log: The record.
        plan: What to erase.
        facts: Who does it, and for which subject, for the tombstones.
        reason: Why, in words; kept encrypted like any payload.

    Returns:
        The numbers of the tombstones.

    Raises:
        StoreUnavailable: The record cannot be written; nothing is erased unrecorded.
    """
    payload = json.dumps({"reason": reason}).encode() if reason else b""
    tombstones = []
    for rule, some in plan.erased.items():
        for part in _in_parts(some):
            ranges: list[Json] = [[*pair] for pair in ranges_of(kept.seq for kept in part)]
            body = {**facts, "rule": rule, "events": ranges, "count": len(part)}
            tombstones.append(log.change(_destruction(Record(ERASED, body, payload), part)).seq)
    if tombstones:
        log.forget_pages()
    return tombstones


def _destruction(record: Record, part: list[Kept]) -> Change:
    def apply(store: LineageStore, tombstone: int) -> None:
        store.execute_many(
            "DELETE FROM data_key WHERE seq = :seq", [{"seq": kept.seq} for kept in part]
        )
        store.execute_many(
            "UPDATE event SET payload = NULL WHERE seq = :seq",
            [{"seq": kept.seq} for kept in part if not kept.has_key],
        )
        store.execute_many(
            "INSERT INTO erased (seq, tombstone) VALUES (:seq, :tombstone)"
            " ON CONFLICT (seq) DO NOTHING",
            [{"seq": kept.seq, "tombstone": tombstone} for kept in part],
        )

    return Change(lambda _: record, apply)


def _in_parts(some: list[Kept]) -> Iterator[list[Kept]]:
    for start in range(0, len(some), _AT_ONCE):
        yield some[start : start + _AT_ONCE]
