"""What one column holds: names propose, values decide, and what is not known is not public.

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
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from cloister.core.labels import Level
from cloister.detect.categories import is_flag, known_words
from cloister.detect.evidence import DECIDING_SHARE, STRONG_Z, choose, wilson_lower
from cloister.detect.finding import ColumnFinding
from cloister.detect.looks.goods import GOODS
from cloister.detect.moments import are_dates
from cloister.detect.namerules import DATE_WORDS, NOT_PEOPLE
from cloister.detect.names import proposals, words_of
from cloister.detect.objections import agreed
from cloister.detect.sampling import sample_column
from cloister.detect.text import find_spans
from cloister.detect.values import (
    ENTITY_LOOKS,
    LOOSE_PHONE,
    NUMBER,
    SPACELESS,
    STAND_IN,
    TIME,
    Look,
    count_looks,
    looks_called,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister.detect.namerules import NameRule
    from cloister.detect.recognizers import Recognizers
    from cloister.detect.sampling import Sample

logger = logging.getLogger(__name__)

_SOME_SHARE: Final = 0.05
_PROSE_WORDS: Final = 5
_PROSE_CHARS: Final = 32
_PROSE_CELLS: Final = 48
_PROSE_CELL_CHARS: Final = 400
_HIGH_CARDINALITY: Final = 0.5
_FEW_VALUES: Final = 12
# Keys differ in (nearly) every row.
_KEYS: Final = 0.95
# Kinds that are often written as one digit or letter.
_CODED: Final = frozenset({"GENDER", "MARITAL_STATUS", "RACE_ETHNICITY", "RELIGION", "AGE"})


class ColumnClassifier:
    """Classifies one column, first by itself and then in the light of its table."""

    def __init__(
        self, name: str, level_of: Callable[[str], Level], recognizers: Recognizers | None
    ) -> None:
        self._name = name
        self._words = words_of(name)
        self._level_of = level_of
        self._recognizers = recognizers
        self._proposals = [rule for rule in proposals(name) if not rule.person_only]
        self._of_people = [rule for rule in proposals(name) if rule.person_only]
        self._sample: Sample | None = None

    def classify(self, values: Any) -> ColumnFinding:
        """Returns what the column holds by its own name and values."""
        try:
            self._sample = sample = self._without_allowed(sample_column(values))
            return self._decide(sample)
        except Exception as error:  # noqa: BLE001 - whatever a column holds, it must get a label
            logger.debug("a column could not be classified: %s", type(error).__name__)
            return ColumnFinding(
                self._name,
                None,
                Level.CONFIDENTIAL,
                free_text=False,
                confidence=0.0,
                evidence=("unreadable",),
            )

    def reconsider(self, finding: ColumnFinding, *, may_be_key: bool) -> ColumnFinding:
        """Returns what the column holds in a table whose rows belong to people.

        Args:
            finding: What it holds by itself.
            may_be_key: Whether rows are people, so that what differs in each is somebody's key.
        """
        sample = self._sample
        if sample is None or finding.entity_type is not None or not sample.gate:
            return finding
        for rule in self._of_people:
            is_key = rule.entity_type == "PERSON_ID"
            if is_key and not (may_be_key and len(sample.texts) >= _KEYS * sample.values):
                continue
            found = self._by_rule(rule, sample)
            if found is not None:
                return found
        return finding

    def _without_allowed(self, sample: Sample) -> Sample:
        """Returns a sample without the values that an admin says are never sensitive."""
        if self._recognizers is None or not sample.is_text:
            return sample
        allowed = self._recognizers.is_allowed
        return replace(
            sample,
            texts=[text for text in sample.texts if not allowed(text)],
            gate=[text for text in sample.gate if not allowed(text)],
        )

    def _decide(self, sample: Sample) -> ColumnFinding:
        if not sample.gate:
            return self._by_name_alone(sample)
        called = looks_called(self._words)
        looks = count_looks(sample.gate, called)
        if looks.get(STAND_IN) == len(sample.gate):
            return self._plain(Level.PUBLIC, 0.9, "masked")
        shares = _confirmed(looks, sample, called)
        return (
            self._by_recognizers(sample)
            or self._by_flag(sample)
            or self._by_values(sample, shares)
            or self._by_name(sample)
            or self._by_date(sample)
            or self._by_some_values(sample, shares)
            or self._by_words(sample)
            or self._otherwise(sample, looks)
        )

    def _by_recognizers(self, sample: Sample) -> ColumnFinding | None:
        """An admin's own type wins."""
        if self._recognizers is None:
            return None
        counts = self._recognizers.count(sample.gate, name=self._name)
        for entity_type, hits in sorted(counts.items(), key=lambda item: -item[1]):
            bound = wilson_lower(hits, len(sample.gate), STRONG_Z)
            if bound >= DECIDING_SHARE:
                return self._found(entity_type, bound, "values", "recognizer")
        return None

    def _by_flag(self, sample: Sample) -> ColumnFinding | None:
        """Yes and no are nobody's name or number, but they can be somebody's illness."""
        if not is_flag(sample.gate):
            return None
        for rule in self._proposals:
            if rule.is_flag:
                return self._found(rule.entity_type, 0.7, "name")
        if any(rule.entity_type in _CODED for rule in self._proposals):
            return None  # 0 and 1, M and F
        return self._plain(Level.PUBLIC, 0.7)

    def _by_name_alone(self, sample: Sample) -> ColumnFinding:
        """A column without values has only its name; nothing speaks against it."""
        if self._proposals and not sample.values:
            return self._found(self._proposals[0].entity_type, 0.5, "name")
        return self._plain(Level.INTERNAL if sample.is_nested else Level.PUBLIC, 0.0)

    def _by_values(
        self, sample: Sample, shares: dict[Look, tuple[int, int]]
    ) -> ColumnFinding | None:
        choice = choose(
            {look: hits for look, (hits, _) in shares.items()},
            max((total for _, total in shares.values()), default=0),
            self._words,
            {rule.entity_type for rule in self._proposals},
        )
        if choice is None or not (sample.is_text or sample.is_whole or choice.is_named):
            return None
        said = ("values", "name") if choice.is_named else ("values",)
        return self._found(choice.look.name, choice.bound, *said)

    def _by_name(self, sample: Sample) -> ColumnFinding | None:
        for rule in self._proposals:
            found = self._by_rule(rule, sample)
            if found is not None:
                return found
        return None

    def _by_rule(self, rule: NameRule, sample: Sample) -> ColumnFinding | None:
        found = agreed(rule, sample)
        return None if found is None else self._found(*found, "name")

    def _by_date(self, sample: Sample) -> ColumnFinding | None:
        is_named = DATE_WORDS.search(self._words) is not None
        if sample.is_time or (
            (sample.is_text or (sample.is_whole and is_named))
            and are_dates(sample.gate, is_named=is_named)
        ):
            return self._found("DATE_TIME", 0.9, "values")
        return None

    def _by_words(self, sample: Sample) -> ColumnFinding | None:
        """Dictionaries decide where neither the name nor a pattern does."""
        if not sample.is_text or sample.is_nested or _is_prose(sample):
            return None
        known = known_words(sample.gate, are_things=NOT_PEOPLE.search(self._words) is not None)
        return None if known is None else self._found(*known, "values")

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
        is_phone = wilson_lower(looks.get(LOOSE_PHONE, 0), count) >= DECIDING_SHARE
        if is_phone and not NOT_PEOPLE.search(self._words):
            return self._found("PHONE_NUMBER", 0.6, "values")
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
            spans = find_spans(text[:_PROSE_CELL_CHARS], self._recognizers)
            if len(spans) != 1 or spans[0].end - spans[0].start < len(text.strip()):
                return None
            kinds.add(spans[0].entity_type)
        return kinds.pop() if len(kinds) == 1 else None

    def _highest_span(self, sample: Sample) -> Level:
        """Returns the highest level of what patterns find in some of the values."""
        highest = Level.PUBLIC
        for text in sample.gate[:_PROSE_CELLS]:
            for span in find_spans(text[:_PROSE_CELL_CHARS], self._recognizers):
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


def _confirmed(
    looks: dict[Look, int], sample: Sample, called: tuple[Look, ...]
) -> dict[Look, tuple[int, int]]:
    """Returns hits and values looked at for each kind; what hit in the gate meets all values."""
    hit = [look for look in (*ENTITY_LOOKS, *GOODS, *called) if look in looks]
    total = len(sample.gate)
    if hit and len(sample.texts) > total:
        looks, total = count_looks(sample.texts, called), len(sample.texts)
    return {look: (looks.get(look, 0), total) for look in hit}


def _is_prose(sample: Sample, spaceless: int = 0) -> bool:
    """Returns whether values are sentences: many characters, and many words where words show."""
    count = len(sample.gate)
    if sum(map(len, sample.gate)) < _PROSE_CHARS * count:
        return False
    words = sum(len(text.split()) for text in sample.gate)
    return words >= _PROSE_WORDS * count or spaceless > count / 2
