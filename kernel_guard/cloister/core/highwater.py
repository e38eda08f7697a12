"""What a kernel of each level may still do, as the policy states it under ``high_water``.

A kernel carries the highest level that it has read, and that never falls while it lives. A rule
that is stated for a level holds for the levels above it, too: of the rules at or below a kernel's
level the strictest counts. What no rule names is allowed here; the other rules of the policy hold
all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from cloister.core.labels import Level

if TYPE_CHECKING:
    from collections.abc import Mapping


class Destination(Enum):
    """Where something of a kernel goes."""

    DISPLAY = "display"
    PICTURES = "pictures"
    COMM = "comm"
    EGRESS = "egress"
    FILE = "file"
    TERMINAL = "terminal"


class Outcome(Enum):
    """What happens to it, mildest first.

    Attributes:
        ALLOW: The other rules decide alone.
        MASK: Values in it are masked as the section ``display`` says.
        WITHHOLD: It does not leave.
        ENCLAVE: It is treated as in a workspace whose mode is ``enclave``.
    """

    ALLOW = "allow"
    MASK = "mask"
    WITHHOLD = "withhold"
    ENCLAVE = "enclave"


_STRICTNESS: Final = tuple(Outcome)


@dataclass(frozen=True, slots=True)
class HighWaterRule:
    """One rule: what happens at a destination from a level on."""

    level: Level
    destination: Destination
    outcome: Outcome

    @property
    def id(self) -> str:
        """The rule's id, ``high_water.restricted.egress``."""
        return f"high_water.{self.level}.{self.destination.value}"


@dataclass(frozen=True, slots=True)
class HighWaterRules:
    """All rules of the section."""

    rules: tuple[HighWaterRule, ...] = ()

    def strictest(self, level: Level, destination: Destination) -> HighWaterRule | None:
        """Returns the rule that counts for a kernel of ``level``, ``None`` when none is stated.

        Of equally strict ones it is that of the highest level.
        """
        stated = [r for r in self.rules if r.level <= level and r.destination is destination]
        return max(stated, key=lambda r: (_STRICTNESS.index(r.outcome), r.level), default=None)


def high_water_from_dict(section: Mapping[str, Any]) -> HighWaterRules:
    """Builds the rules of the section ``high_water``, which the schema has accepted."""
    return HighWaterRules(
        tuple(
            HighWaterRule(Level.parse(level), Destination(destination), Outcome(outcome))
            for level, stated in section.items()
            for destination, outcome in stated.items()
        )
    )
