"""What was learned of a column, and what people declared of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloister.core.labels import Level
    from cloister.core.policy import ColumnRule


@dataclass(frozen=True, slots=True)
class ColumnFinding:
    """What a column holds.

    Attributes:
        name: The column's name, as text.
        entity_type: Presidio's name, or ``None`` when its kind is not known.
        level: How sensitive it is.
        free_text: Whether it is prose that may hold identifiers.
        confidence: 0 to 1.
        evidence: What it was learned from: ``values``, ``name``, ``declared``, ``lowered``,
            ``cardinality``, ``prose``, ``masked``, ``nested``, ``unreadable``.
    """

    name: str
    entity_type: str | None
    level: Level
    free_text: bool
    confidence: float
    evidence: tuple[str, ...]


def declare(finding: ColumnFinding, rules: Sequence[ColumnRule]) -> ColumnFinding:
    """Returns a finding with the first declared label that matches its name.

    Levels only rise, unless an owner of the dataset lowered the column in the catalogue.
    """
    for rule in rules:
        if rule.matches(finding.name):
            said = ("declared", "lowered") if rule.lowers else ("declared",)
            return replace(
                finding,
                entity_type=rule.entity_type or finding.entity_type,
                level=rule.level if rule.lowers else max(rule.level, finding.level),
                confidence=1.0,
                evidence=(*said, *finding.evidence),
            )
    return finding
