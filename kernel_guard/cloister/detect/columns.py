"""What a column holds: names propose, values decide, and what is not known is not public.

A spread sample is looked at, never the whole column. At most 256 unique values meet every pattern;
patterns that hit meet all unique values of the sample, and check digits are computed for what
matches. The lower end of the Wilson interval (Wilson 1927) of the share that matches must reach
:data:`DECIDING_SHARE`. The name of a column decides where values have no pattern (names of people),
and only where values do not speak against it.

No hit in 256 values bounds the share of hidden values at 1.2 % (95 %), no more: a first look is no
proof that a column is clean.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from cloister.core.entities import default_level
from cloister.core.labels import Level
from cloister.detect.names import proposals
from cloister.detect.sampling import sample_column
from cloister.detect.text import find_spans
from cloister.detect.values import (
    ENTITY_LOOKS,
    LOOSE_PHONE,
    NAME_SHAPE,
    NUMBER,
    SPACELESS,
    STAND_IN,
    TIME,
    Look,
    count_looks,
    count_matches,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from cloister.core.policy import ColumnRule
    from cloister.detect.names import NameRule
    from cloister.detect.sampling import Sample

logger = logging.getLogger(__name__)

DECIDING_SHARE: Final = 0.55
_SOME_SHARE: Final = 0.05
_STRONG_Z: Final = 0.8
_Z: Final = 1.96
_PROSE_WORDS: Final = 5
_PROSE_CHARS: Final = 32
_PROSE_CELLS: Final = 48
_PROSE_CELL_CHARS: Final = 400
_HIGH_CARDINALITY: Final = 0.5
_FEW_VALUES: Final = 12
# One of these in a table says that its rows are people.
_PERSONAL: Final = frozenset(
    {
        "AGE",
        "DATE_OF_BIRTH",
        "EMAIL_ADDRESS",
        "GENDER",
        "MARITAL_STATUS",
        "MEDICAL_RECORD",
        "NATIONAL_ID",
        "PERSON",
        "PHONE_NUMBER",
        "US_SSN",
        "USERNAME",
    }
)


@dataclass(frozen=True, slots=True)
class ColumnFinding:
    """What a column holds.

    Attributes:
        name: The column's name, as text.
        entity_type: Presidio's name, or ``None`` when its kind is not known.
        level: How sensitive it is.
        free_text: Whether it is prose that may hold identifiers.
        confidence: 0 to 1.
        evidence: What it was learned from: ``values``, ``name``, ``declared``, ``cardinality``,
            ``prose``, ``masked``, ``nested``, ``unreadable``.
    """

    name: str
    entity_type: str | None
    level: Level
    free_text: bool
    confidence: float
    evidence: tuple[str, ...]


def classify_table(
    table: pa.Table,
    *,
    declared: Sequence[ColumnRule] = (),
    level_of: Callable[[str], Level] = default_level,
) -> list[ColumnFinding]:
    """Returns one finding for each column of a table, in order.

    Args:
        table: Any Arrow table; names may repeat.
        declared: The policy's column rules; the first that matches counts, upward.
        level_of: The policy's level of an entity type.
    """
    columns = [(str(n), c) for n, c in zip(table.column_names, table.columns, strict=True)]
    findings = [classify_column(name, column, level_of=level_of) for name, column in columns]
    if any(f.entity_type in _PERSONAL for f in findings):
        for i, (name, column) in enumerate(columns):
            if findings[i].entity_type is None and any(r.person_only for r in proposals(name)):
                findings[i] = _guarded(name, column, level_of, about_people=True)
    return [declare(finding, declared) for finding in findings]


def classify_column(
    name: str,
    values: pa.Array | pa.ChunkedArray,
    *,
    level_of: Callable[[str], Level] = default_level,
) -> ColumnFinding:
    """Returns what a column holds; never raises for what is in it.

    Args:
        name: The column's name.
        values: Its values; only a spread sample is looked at.
        level_of: The policy's level of an entity type.
    """
    return _guarded(name, values, level_of, about_people=False)


def declare(finding: ColumnFinding, rules: Sequence[ColumnRule]) -> ColumnFinding:
    """Returns a finding with the first declared label that matches its name; levels only rise."""
    for rule in rules:
        if rule.matches(finding.name):
            return replace(
                finding,
                entity_type=rule.entity_type or finding.entity_type,
                level=max(rule.level, finding.level),
                confidence=1.0,
                evidence=("declared", *finding.evidence),
            )
    return finding


def wilson_lower(hits: int, total: int, z: float = _Z) -> float:
    """Returns the lower end of the Wilson score interval for ``hits`` of ``total``."""
    if hits == 0:
        return 0.0
    share = hits / total
    centre = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(0.0, (centre - spread) / (1 + z * z / total))


def _guarded(
    name: str, values: Any, level_of: Callable[[str], Level], *, about_people: bool
) -> ColumnFinding:
    try:
        return _Classifier(name, level_of, about_people=about_people).classify(values)
    except Exception as error:  # noqa: BLE001 - whatever a column holds, it must get a label
        logger.debug("a column could not be classified: %s", type(error).__name__)
        return ColumnFinding(
            name,
            None,
            Level.CONFIDENTIAL,
            free_text=False,
            confidence=0.0,
            evidence=("unreadable",),
        )


class _Classifier:
    """Classifies one column."""

    def __init__(self, name: str, level_of: Callable[[str], Level], *, about_people: bool) -> None:
        self._name = name
        self._level_of = level_of
        self._proposals: list[NameRule] = [
            rule for rule in proposals(name) if about_people or not rule.person_only
        ]
        self._is_ambiguous = len(self._proposals) < len(proposals(name))

    def classify(self, values: Any) -> ColumnFinding:
        sample = sample_column(values)
        if not sample.texts:
            return self._by_name_alone(sample)
        looks = count_looks(sample.gate)
        if looks.get(STAND_IN) == len(sample.gate):
            return self._plain(Level.PUBLIC, 0.9, "masked")
        shares = _confirmed(looks, sample)
        return (
            self._by_values(sample, shares)
            or self._by_name(sample)
            or self._by_some_values(sample, shares)
            or self._otherwise(sample, looks)
        )

    def _by_name_alone(self, sample: Sample) -> ColumnFinding:
        """A column without values has only its name; nothing speaks against it."""
        if self._proposals:
            return self._found(self._proposals[0].entity_type, 0.5, "name")
        return self._plain(Level.INTERNAL if sample.is_nested else Level.PUBLIC, 0.0)

    def _by_values(
        self, sample: Sample, shares: dict[Look, tuple[int, int]]
    ) -> ColumnFinding | None:
        if not (sample.is_text or sample.is_whole):
            return None
        proposed = {rule.entity_type for rule in self._proposals}
        for look, (hits, total) in shares.items():
            is_proposed = look.name in proposed
            bound = wilson_lower(hits, total, _STRONG_Z if look.is_strong or is_proposed else _Z)
            if bound >= DECIDING_SHARE:
                return self._found(look.name, bound, "values", *(["name"] if is_proposed else []))
        return None

    def _by_name(self, sample: Sample) -> ColumnFinding | None:
        for rule in self._proposals:
            if sample.is_time:
                agree = 1.0 if rule.entity_type == "DATE_OF_BIRTH" else 0.0
            else:
                agree = count_matches(sample.gate, rule.values) / len(sample.gate)
            if agree >= rule.share:
                return self._found(rule.entity_type, 0.5 + 0.4 * agree, "name")
        return None

    def _by_some_values(
        self, sample: Sample, shares: dict[Look, tuple[int, int]]
    ) -> ColumnFinding | None:
        """A column of several kinds, some of them sensitive, goes by those."""
        if not sample.is_text or _is_prose(sample):
            return None
        for look, (hits, total) in shares.items():
            if look.is_strong and hits > 1 and wilson_lower(hits, total) >= _SOME_SHARE:
                return self._found(look.name, hits / total, "values")
        return None

    def _otherwise(self, sample: Sample, looks: dict[Look, int]) -> ColumnFinding:  # noqa: PLR0911 - one return for each kind of answer reads best
        floor = Level.INTERNAL if sample.is_nested else Level.PUBLIC
        count = len(sample.gate)
        if not sample.is_text:
            return self._plain(floor, 0.5)
        if _is_prose(sample, looks.get(SPACELESS, 0)):
            return self._prose(sample)
        if looks.get(NUMBER, 0) + looks.get(TIME, 0) >= 0.95 * count:
            return self._plain(floor, 0.5)
        if wilson_lower(looks.get(LOOSE_PHONE, 0), count) >= DECIDING_SHARE:
            return self._found("PHONE_NUMBER", 0.6, "values")
        if self._is_ambiguous and looks.get(NAME_SHAPE, 0) >= DECIDING_SHARE * count:
            return self._found("PERSON", 0.6, "name", "values")
        whole = self._one_kind_of_span(sample)
        if whole is not None:
            return self._found(whole, 0.5, "values")
        # What patterns find inside longer values counts, for instance in JSON kept as text.
        floor = max(floor, self._highest_span(sample))
        if sample.is_nested:
            return self._plain(floor, 0.5, "nested")
        if len(sample.texts) / sample.values > _HIGH_CARDINALITY and sample.values >= _FEW_VALUES:
            return self._plain(max(floor, Level.INTERNAL), 0.5, "cardinality")
        return self._plain(floor, 0.5)

    def _prose(self, sample: Sample) -> ColumnFinding:
        level = max(self._level_of("FREE_TEXT"), Level.CONFIDENTIAL, self._highest_span(sample))
        return ColumnFinding(
            self._name, None, level, free_text=True, confidence=0.7, evidence=("prose",)
        )

    def _one_kind_of_span(self, sample: Sample) -> str | None:
        """Returns the type if every value of a short column is, as a whole, a span of that type.

        A handful of values is too few for a bound, but nothing else speaks in such a column.
        """
        kinds = set()
        for text in sample.gate[:_PROSE_CELLS]:
            spans = find_spans(text[:_PROSE_CELL_CHARS])
            if len(spans) != 1 or spans[0].end - spans[0].start < len(text.strip()):
                return None
            kinds.add(spans[0].entity_type)
        return kinds.pop() if len(kinds) == 1 else None

    def _highest_span(self, sample: Sample) -> Level:
        """Returns the highest level of what patterns find in some of the values."""
        highest = Level.PUBLIC
        for text in sample.gate[:_PROSE_CELLS]:
            for span in find_spans(text[:_PROSE_CELL_CHARS]):
                highest = max(highest, self._level_of(span.entity_type))
        return highest

    def _found(self, entity_type: str, confidence: float, *evidence: str) -> ColumnFinding:
        return ColumnFinding(
            self._name,
            entity_type,
            self._level_of(entity_type),
            free_text=False,
            confidence=min(1.0, confidence),
            evidence=evidence,
        )

    def _plain(self, level: Level, confidence: float, *evidence: str) -> ColumnFinding:
        return ColumnFinding(
            self._name, None, level, free_text=False, confidence=confidence, evidence=evidence
        )


def _confirmed(looks: dict[Look, int], sample: Sample) -> dict[Look, tuple[int, int]]:
    """Returns hits and values looked at for each kind; what hit in the gate meets all values."""
    hit = [look for look in ENTITY_LOOKS if look in looks]
    total = len(sample.gate)
    if hit and len(sample.texts) > total:
        looks, total = count_looks(sample.texts), len(sample.texts)
    return {look: (looks.get(look, 0), total) for look in hit}


def _is_prose(sample: Sample, spaceless: int = 0) -> bool:
    """Returns whether values are sentences: many characters, and many words where words show."""
    count = len(sample.gate)
    if sum(map(len, sample.gate)) < _PROSE_CHARS * count:
        return False
    words = sum(len(text.split()) for text in sample.gate)
    return words >= _PROSE_WORDS * count or spaceless > count / 2
