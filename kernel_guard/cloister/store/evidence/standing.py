"""How far each witness is: up to date, behind, late, or in contradiction. Asks nobody."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloister.core.recordrules import RecordRules, WitnessRule
    from cloister.store.evidence.memory import Memories, Memory
    from cloister.store.evidence.reader import EvidenceReader


class State(Enum):
    """How a witness stands to the log."""

    CURRENT = "current"
    BEHIND = "behind"
    LATE = "late"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Standing:
    """One witness.

    Attributes:
        rule: Which.
        state: How it stands.
        size: Events that it has taken note of.
        missing: Events that it has not.
        lag_s: For how long the oldest of them has been waiting.
        reason: Why, where something is wrong; in words for people.
    """

    rule: WitnessRule
    state: State
    size: int
    missing: int
    lag_s: int
    reason: str

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.state in {State.CURRENT, State.BEHIND}

    def as_dict(self) -> dict[str, Any]:
        """Returns it in the shape of ``cloister witness status --json``."""
        return {
            "name": self.rule.name,
            "kind": self.rule.kind.value,
            "state": self.state.value,
            "size": self.size,
            "missing": self.missing,
            "lag_s": self.lag_s,
            "reason": self.reason,
        }


def standings(
    rules: RecordRules, memories: Memories, reader: EvidenceReader, now_s: float
) -> list[Standing]:
    """Returns how all witnesses stand.

    Args:
        rules: The policy's.
        memories: What they have said.
        reader: The log.
        now_s: The time, seconds since 1970.

    Raises:
        StoreUnavailable: The log cannot be read.
    """
    # What they know first: then the log may only be the longer one.
    known = [(rule, memories.of(rule)) for rule in rules.witnesses]
    head = reader.head()
    size = 0 if head is None else head.size
    found = []
    for rule, memory in known:
        since_us = reader.time_of(memory.size) if memory.size < size else None
        # An event that cannot be read has waited for ever: then nothing vouches for it.
        lag_s = max(0, int(now_s - (since_us or 0) / 1e6)) if memory.size < size else 0
        found.append(_standing(rule, memory, size, lag_s, rule.every_s + rules.lag_s))
    return found


def _standing(
    rule: WitnessRule, memory: Memory, size: int, lag_s: int, patience_s: int
) -> Standing:
    missing, reason, state = max(0, size - memory.size), memory.problem, State.CURRENT
    if memory.conflict:
        state, reason = State.CONFLICT, memory.conflict
    elif memory.size > size:
        state, reason = State.CONFLICT, f"it knows {memory.size} events, and the log has {size}"
    elif missing:
        state = State.LATE if lag_s > patience_s else State.BEHIND
    return Standing(rule, state, memory.size, missing, lag_s, reason)
