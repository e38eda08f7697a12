"""Labels: how sensitive a value is, what it is, and where that was learned.

Labels form a join semilattice: :meth:`Label.join` is associative, commutative and idempotent, and
the level of a join is never below either side. That is law 1 of the design: a value derived from a
restricted value is restricted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum


class Level(IntEnum):
    """Sensitivity, least first; ``max`` of two levels is their join."""

    PUBLIC = 0
    INTERNAL = 1
    CONFIDENTIAL = 2
    RESTRICTED = 3

    @classmethod
    def parse(cls, name: str) -> Level:
        """Returns the level called ``name`` in any case.

        Raises:
            ValueError: There is no such level.
        """
        try:
            return cls[name.upper()]
        except KeyError:
            raise ValueError(
                f"unknown level {name!r}; use public, internal, confidential or restricted"
            ) from None

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Label:
    """What is known about a column or a value.

    Attributes:
        level: How sensitive it is.
        entity_types: Presidio's names for what it holds, for instance ``US_SSN``.
        sources: Where the label comes from: ``detected``, ``declared``, ``catalog:patients``.
    """

    level: Level = Level.PUBLIC
    entity_types: frozenset[str] = field(default_factory=frozenset)
    sources: frozenset[str] = field(default_factory=frozenset)

    def join(self, other: Label) -> Label:
        """Returns the least label that is at least as strict as both."""
        return Label(
            max(self.level, other.level),
            self.entity_types | other.entity_types,
            self.sources | other.sources,
        )
