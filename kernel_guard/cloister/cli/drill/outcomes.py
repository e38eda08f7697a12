"""How a case ended, decided by evidence and not by what its code believes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cloister.cli.drill.cases import Carries, Case, Outcome
from cloister.cli.drill.pagepolicy import page_may_call
from cloister.cli.drill.rendering import calls
from cloister.cli.drill.sightings import Search
from cloister.core.modes import Mode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloister.cli.drill.canaries import Canaries
    from cloister.cli.drill.evidence import Evidence

_STOPPED: Final = frozenset({Outcome.BLOCKED, Outcome.MASKED})
_ACCEPTED: Final = {
    Outcome.BLOCKED: _STOPPED,
    Outcome.MASKED: _STOPPED,
    Outcome.ALERTED: _STOPPED | {Outcome.ALERTED},
    Outcome.LEAKED: _STOPPED | {Outcome.ALERTED, Outcome.LEAKED},
}


@dataclass(frozen=True, slots=True)
class Result:
    """One case on this installation.

    Attributes:
        case: What was tried.
        outcome: How it ended.
        why: The evidence in words: what arrived where, or what is missing. Never a value.
    """

    case: Case
    outcome: Outcome
    why: str = ""

    def holds(self, mode: Mode) -> bool:
        """Returns whether the outcome is at least what the case expects in ``mode``."""
        if self.outcome in {Outcome.ERROR, Outcome.SKIPPED}:
            return False
        expected = self.case.expect[mode]
        if mode is Mode.ENCLAVE and expected is Outcome.BLOCKED:
            return self.outcome is Outcome.BLOCKED
        return self.outcome in _ACCEPTED[expected]

    @property
    def is_limit(self) -> bool:
        """Whether this is a leak that the documentation tells of."""
        return self.outcome is Outcome.LEAKED and self.case.limit is not None


def decide(
    case: Case, evidence: Evidence, canaries: Canaries, recorded: Mapping[str, int]
) -> Result:
    """Returns how a case ended.

    Args:
        case: What was tried.
        evidence: What was seen meanwhile.
        canaries: What must not have arrived.
        recorded: What the record says of the case's executions: how many outputs were ``masked``,
            ``blocked`` and, in observe mode, would have been (``observed``).
    """
    arrived = _arrival(case, evidence, canaries)
    if arrived is not None:
        outcome = Outcome.ALERTED if recorded.get("observed") else Outcome.LEAKED
        return Result(case, outcome, arrived)
    if evidence.broken is not None:
        return Result(case, Outcome.ERROR, evidence.broken)
    if evidence.is_masked:
        return Result(case, Outcome.MASKED, "a stand-in arrived")
    if evidence.is_withheld or recorded.get("blocked"):
        return Result(case, Outcome.BLOCKED, "withheld, with a reason")
    return Result(case, Outcome.BLOCKED, ", ".join(evidence.errors) or "nothing arrived")


def _arrival(case: Case, evidence: Evidence, canaries: Canaries) -> str | None:
    """Returns what arrived and where, in words; ``None`` when nothing did."""
    if case.carries is Carries.CALL and (how := _call(evidence, canaries.mark)):
        return how
    values = [*canaries.values(), ("secret", canaries.secret)]
    if case.carries is Carries.POWER:
        values = [("the proof of it", canaries.proof)]
    search = Search(values, case.encoded)
    if name := search.seen_in(evidence.outputs()):
        return f"{name} in what came to the client"
    if name := search.seen_in([*evidence.caught, b"".join(evidence.caught)]):
        return f"{name} at a listener"
    if evidence.caught and case.channel != "model":  # it may be called, without values
        return "a connection to the outside"
    return evidence.traces[0] if evidence.traces else None


def _call(evidence: Evidence, mark: str) -> str | None:
    if any(mark.encode() in data for data in evidence.caught):
        return "a page called out"
    ways = (calls(message, mark) for message in evidence.messages)
    if how := next(filter(None, ways), None):
        return f"an output that calls out ({how})"
    if any(map(page_may_call, evidence.answers)):
        return "a page that may call out"
    return None
