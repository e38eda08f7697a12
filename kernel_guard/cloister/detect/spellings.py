"""In which spellings a value is indexed, and which values are too common to be indexed at all.

A value has the fingerprint of its letters and digits, and of the other ways in which the same thing
is usually written: a name with the last name first, a number without the zeros that a spreadsheet
takes off, a telephone number without its country. Works on a whole batch at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from cloister.detect.fingerprint import Fingerprints, fold_case, tokenise
from cloister.detect.plausible import Form
from cloister.detect.words import COMMON_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cloister.detect.fingerprint import Places, Tokens, Words

SHORTEST_CHARS: Final = 5
SHORTEST_NAME_CHARS: Final = 3
SHORTEST_NUMBER_DIGITS: Final = 6
SHORTEST_WEAK_CHARS: Final = 3
LONGEST_CHARS: Final = 256
MOST_TOKENS: Final = 8
ADULT_YEARS: Final = 16
# Numbers of six to eight digits are dense where a batch holds one in so many of all that there are.
_LONGEST_DENSE_DIGITS: Final = 8
_DENSE_ONE_IN: Final = 5_000
_MOST_WINDOWS: Final = 16
_YEAR_DAYS: Final = 365.25
# What stands in a column where there is no value.
_NO_VALUES: Final = frozenset(
    ("blank", "missing", "null", "unbekannt", "undefined", "unknown", "unspecified", "withheld")
)
_FLAGS: Final = frozenset(("false", "nan", "nat", "none", "not", "true", "yes"))
_ZERO: Final = ord("0")
_ISO_DATE = re.compile(r"\s*(\d{4}-\d{2}-\d{2})(?:[T ].*)?\s*", re.DOTALL)
_YEAR = re.compile(r"(?<!\d)(?:18|19|20)\d\d(?!\d)")


def spellings(
    prints: Fingerprints, entity_type: str, values: Sequence[str], today: date
) -> Iterator[tuple[Form, Words]]:
    """Yields fingerprints of ``values`` with the form in which they may be met.

    Args:
        prints: Makes the fingerprints.
        entity_type: Presidio's name; names of people, telephone numbers and birth dates have
            spellings of their own.
        values: Any strings.
        today: A birth date less than 16 years before it is left out.
    """
    if entity_type == "DOB":
        dates = _dates(values, today)
        if dates:
            yield Form.DATE, _Batch(prints, dates).whole()
        return
    batch = _Batch(prints, values)
    if not len(batch.tokens):
        return
    is_name = entity_type == "PERSON"
    kept = batch.telling(SHORTEST_NAME_CHARS if is_name else SHORTEST_CHARS)
    words = kept & (batch.counts == 1) & (batch.digits == 0)
    dense = kept & batch.dense()
    if is_name:
        yield Form.NAME_WORD, batch.whole(words)
        yield Form.WHOLE, batch.whole(kept & ~words & ~dense)
        yield from ((Form.WHOLE, turned) for turned in batch.turned(kept))
    else:
        yield Form.WHOLE, batch.whole(kept & ~dense)
    yield Form.DENSE, batch.whole(dense)
    for digits, shorter in batch.without_leading_zeros(kept):
        yield Form.WHOLE, shorter[digits > _LONGEST_DENSE_DIGITS]
        yield Form.DENSE, shorter[digits <= _LONGEST_DENSE_DIGITS]
    if entity_type == "PHONE_NUMBER":
        yield Form.WHOLE, batch.without_country(kept)
    long = batch.windows()
    if len(long):
        yield Form.WHOLE, long


@dataclass(frozen=True, slots=True)
class Alone:
    """Which of some values can stand for themselves.

    Attributes:
        prints: The fingerprint of each value.
        held: Whether it has one.
        is_weak: Whether it says too little by itself, and is no mere filler.
    """

    prints: Words
    held: NDArray[np.bool_]
    is_weak: NDArray[np.bool_]


def alone(prints: Fingerprints, entity_type: str, values: Sequence[str], today: date) -> Alone:
    """Returns the fingerprints of ``values`` as they are, and which of them need company."""
    is_name = entity_type == "PERSON"
    if entity_type == "DOB":
        values = [_day(value) for value in values]
    batch = _Batch(prints, values)
    found = np.zeros(len(values), np.uint64)
    held, is_weak = np.zeros((2, len(values)), np.bool_)
    if len(batch.tokens):
        found[batch.positions] = batch.whole()
        held[batch.positions] = True
        telling = batch.telling(SHORTEST_NAME_CHARS if is_name else SHORTEST_CHARS)
        is_weak[batch.positions] = ~telling & batch.may_need_company()
        if entity_type == "DOB":
            is_weak[batch.positions] = [not _dates([values[i]], today) for i in batch.positions]
    return Alone(found, held, is_weak)


class _Batch:
    """Values side by side, each with its range of tokens and of characters."""

    def __init__(self, prints: Fingerprints, values: Sequence[str]) -> None:
        texts = [v if v.isascii() else _plain(v) for v in values]
        self.prints = prints
        self.tokens: Tokens = tokenise("\n".join(texts))
        lengths = np.fromiter((len(t) + 1 for t in texts), np.int64, len(texts))
        ends = lengths.cumsum()
        start = self.tokens.places[self.tokens.first]
        low, high = start.searchsorted(ends - lengths), start.searchsorted(ends)
        held = high > low  # values without a letter or digit have no tokens
        self.positions: Places = held.nonzero()[0]
        self.low, self.high = low[held], high[held]
        self.counts = self.high - self.low
        self.first: Places = self.tokens.first[self.low]
        self.last: Places = self.tokens.last[self.high - 1]
        self.chars = self.last - self.first
        codes = self.tokens.codes
        total = np.zeros(len(codes) + 1, np.int64)
        np.cumsum((codes >= _ZERO) & (codes <= _ZERO + 9), out=total[1:])
        self.digits = total[self.last] - total[self.first]
        self.sums = prints.sums(self.tokens)

    def telling(self, shortest_word: int) -> NDArray[np.bool_]:
        """Returns which values are long and rare enough to stand for themselves."""
        is_number = self.digits == self.chars
        is_word = (self.digits == 0) & (self.counts == 1)
        shortest = np.where(is_word, shortest_word, SHORTEST_CHARS)
        shortest[is_number] = SHORTEST_NUMBER_DIGITS
        kept: NDArray[np.bool_] = (self.chars >= shortest) & (self.counts <= MOST_TOKENS)
        kept &= self.chars <= LONGEST_CHARS
        if is_word.any():
            kept &= ~(is_word & np.isin(self._runs(self.first, self.last), _common(self.prints)))
        return kept

    def dense(self) -> NDArray[np.bool_]:
        """Returns which values are numbers of which there are so many that one may be chance."""
        is_number = self.digits == self.chars
        found = np.zeros(len(self.chars), np.bool_)
        for digits in range(SHORTEST_NUMBER_DIGITS, _LONGEST_DENSE_DIGITS + 1):
            chosen = is_number & (self.chars == digits)
            fewest = 10**digits // _DENSE_ONE_IN
            if chosen.sum() >= fewest and len(np.unique(self.whole(chosen))) >= fewest:
                found |= chosen
        return found

    def may_need_company(self) -> NDArray[np.bool_]:
        """Returns which values are no fillers and long enough to be told from a flag."""
        kept: NDArray[np.bool_] = (self.chars >= SHORTEST_WEAK_CHARS) & (self.counts <= MOST_TOKENS)
        return kept & ~np.isin(self._runs(self.first, self.last), _fillers(self.prints))

    def whole(self, kept: NDArray[np.bool_] | None = None) -> Words:
        """Returns the fingerprints of the values as they are."""
        chosen = slice(None) if kept is None else kept
        return self._runs(self.first[chosen], self.last[chosen])

    def turned(self, kept: NDArray[np.bool_]) -> Iterator[Words]:
        """Yields names of two to four words with the last word first, and with the first last."""
        for cut in ("last", "first"):
            chosen = kept & (self.counts >= 2) & (self.counts <= 4)
            if cut == "first":
                chosen &= self.counts > 2  # with two words both are the same
            low, high = self.low[chosen], self.high[chosen]
            middle = self.tokens.first[high - 1 if cut == "last" else low + 1]
            yield self._joined(middle, self.last[chosen], self.first[chosen], middle)
        # An initial in the middle is often left out.
        chosen = kept & (self.counts == 3)
        chosen[chosen] = (self.tokens.last - self.tokens.first)[self.low[chosen] + 1] == 1
        low = self.low[chosen]
        ends = self.tokens.last[low]
        tails = self.tokens.first[low + 2]
        yield self._joined(self.first[chosen], ends, tails, self.last[chosen])
        yield self._joined(tails, self.last[chosen], self.first[chosen], ends)

    def without_leading_zeros(self, kept: NDArray[np.bool_]) -> Iterator[tuple[Places, Words]]:
        """Yields numbers without one, two or three leading zeros, and how many digits they have."""
        first, last = self.first, self.last
        chosen = kept & (self.digits == self.chars)
        for _ in range(3):
            chosen = chosen & (last - first > SHORTEST_NUMBER_DIGITS)
            chosen[chosen] = self.tokens.codes[first[chosen]] == _ZERO
            if not chosen.any():
                return
            first = first + chosen
            yield (last - first)[chosen], self._runs(first[chosen], last[chosen])

    def without_country(self, kept: NDArray[np.bool_]) -> Words:
        """Returns North American numbers of eleven digits without the leading 1."""
        chosen = kept & (self.digits == self.chars) & (self.chars == 11)
        chosen[chosen] = self.tokens.codes[self.first[chosen]] == _ZERO + 1
        return self._runs(self.first[chosen] + 1, self.last[chosen])

    def windows(self) -> Words:
        """Returns pieces of eight words of the values that have more."""
        starts = [
            place
            for low, high in zip(
                self.low[self.counts > MOST_TOKENS].tolist(),
                self.high[self.counts > MOST_TOKENS].tolist(),
                strict=True,
            )
            for place in [
                *range(low, high - MOST_TOKENS, MOST_TOKENS)[:_MOST_WINDOWS],
                high - MOST_TOKENS,
            ]
        ]
        low = np.array(starts, np.int64)
        first, last = self.tokens.first[low], self.tokens.last[low + MOST_TOKENS - 1]
        kept = (last - first >= 2 * MOST_TOKENS) & (last - first <= LONGEST_CHARS)
        return self._runs(first[kept], last[kept])

    def _runs(self, first: Places, last: Places) -> Words:
        return self.prints.runs(self.sums, first, last)

    def _joined(self, a: Places, b: Places, c: Places, d: Places) -> Words:
        return self.prints.joined(self._runs(a, b), b - a, self._runs(c, d))


def _plain(value: str) -> str:
    # Folded before joining, so that a batch with one accented name stays a fast one.
    return fold_case(value)


@lru_cache(maxsize=8)
def _fillers(prints: Fingerprints) -> Words:
    return _Batch(prints, sorted(_NO_VALUES | _FLAGS)).whole()


@lru_cache(maxsize=8)
def _common(prints: Fingerprints) -> Words:
    plurals = {f"{word}s" for word in COMMON_WORDS}  # Walls, Woods, Banks
    return _Batch(prints, sorted(COMMON_WORDS | plurals | _NO_VALUES)).whole()


def _day(value: str) -> str:
    """Returns a date without its time, as an output has it."""
    iso = _ISO_DATE.fullmatch(value)
    return value if iso is None else iso[1]


def _dates(values: Sequence[str], today: date) -> list[str]:
    """Returns the spellings of birth dates of people of 16 and over."""
    found: list[str] = []
    for value in dict.fromkeys(values):
        iso = _ISO_DATE.fullmatch(value)
        if iso is None:
            year = _YEAR.search(value)
            if year is not None and today.year - int(year[0]) > ADULT_YEARS:
                found.append(value)
            continue
        try:
            born = date.fromisoformat(iso[1])
        except ValueError:
            continue
        if (today - born).days >= ADULT_YEARS * _YEAR_DAYS:
            # "1984-03-12T00:00:00" has the token "12t00".
            found += [iso[1], f"{iso[1]}t00"]
    return found
