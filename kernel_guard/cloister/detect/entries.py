"""The entries of an exact-match index: eight bytes each, sorted, and a filter in front of them.

A word of 64 bits holds the upper 53 bits of a fingerprint and, in the lower 11, what kind of value
it is of. With a million entries a text of 100 kB meets one of them by chance once in fifty thousand
texts. New entries go into a short run of their own, which is joined with the long one when it has
grown to an eighth of it, so that adding to a large index costs what is added.

A filter of eight to sixteen bits an entry, two of which are set for each (Bloom 1970), says for
nearly all of a text that it is not known. Its bits are only ever set, so that a reader of an older
snapshot may share it. Works on whole batches at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from cloister.detect.plausible import Form

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cloister.detect.fingerprint import Places, Words

Kind: TypeAlias = tuple[str, Form]

_KIND_BITS: Final = 11
_MOST_KINDS: Final = 1 << _KIND_BITS
_KIND: Final = np.uint64(_MOST_KINDS - 1)
_PRINT: Final = ~_KIND
# What a kind is called when there are more kinds than have a number.
_ANY_TYPE: Final = "RESTRICTED"
_STRENGTHS: Final = {Form.WEAK: 0, Form.DENSE: 1}  # all others are stronger
_SHORTEST_RUN: Final = 1 << 16
_RUN_SHARE: Final = 8
_LEAST_FILTER_BITS: Final = 12
_FEWEST_BITS: Final = 8  # of the filter for an entry
_OTHER: Final = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Entries:
    """A snapshot that a writer replaces whole.

    Attributes:
        old: Most entries, sorted.
        new: Those added last, sorted; none of them is in ``old``.
        kinds: Entity types and the forms in which their values may be met.
        present: A bit for each beginning of a fingerprint, set if any begins so.
        shift: How many bits of a fingerprint ``present`` leaves out.
        clean: Short texts in which nothing was found, so that JSON keys cost nothing.
    """

    old: Words
    new: Words
    kinds: tuple[Kind, ...]
    present: NDArray[np.uint8]
    shift: np.uint64
    clean: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.old) + len(self.new)

    @property
    def nbytes(self) -> int:
        """Memory that the entries take, in bytes."""
        return int(self.old.nbytes + self.new.nbytes + self.present.nbytes)

    def sorted(self) -> Words:
        """Returns all entries in one run."""
        return _joined(self.old, self.new)

    def with_prints(self, prints: Words, kind: Kind) -> Entries:
        """Returns the entries and some fingerprints of one kind."""
        kinds = self.kinds if kind in self.kinds else _with_kind(self.kinds, kind)
        return self._with(np.unique(_packed(prints, _number_of(kinds, kind))), kinds)

    def with_entries(self, other: Entries) -> Entries:
        """Returns the entries and those of another index."""
        kinds = self.kinds
        for kind in other.kinds:
            kinds = kinds if kind in kinds else _with_kind(kinds, kind)
        numbers = np.array([_number_of(kinds, kind) for kind in other.kinds], np.uint64)
        words = other.sorted()
        words = (words & _PRINT) | numbers[(words & _KIND).astype(np.intp)]
        return self._with(words, kinds)

    def may_hold(self, prints: Words) -> Places:
        """Returns the places of the fingerprints that may be among the entries."""
        places: Places = _are_set(self.present, prints >> self.shift).nonzero()[0]
        # The second bit is asked for the few that are left.
        seconds = _second(prints[places]) >> self.shift
        return places[_are_set(self.present, seconds).nonzero()[0]]

    def look_up(self, prints: Words, places: Places) -> Iterator[tuple[int, int, int]]:
        """Yields (place, kind, fingerprint) of the fingerprints at ``places`` that are known."""
        if not len(places):
            return
        wanted = prints[places]
        # In order they are found several times as fast; mostly nothing is.
        ordered = np.sort(wanted & _PRINT)
        for run in (self.old, self.new):
            if not _find(run, ordered)[1].any():
                continue
            at, is_known = _find(run, wanted & _PRINT)
            for i in is_known.nonzero()[0].tolist():
                yield int(places[i]), int(run[at[i]] & _KIND), int(wanted[i])

    def _with(self, words: Words, kinds: tuple[Kind, ...]) -> Entries:
        """Returns the entries and some words, which are sorted and differ."""
        strengths = np.array([_STRENGTHS.get(form, len(_STRENGTHS)) for _, form in kinds])
        old, words = _strengthened(self.old, words, strengths)
        new, words = _strengthened(self.new, words, strengths)
        new = _joined(new, words)
        if len(new) > max(_SHORTEST_RUN, len(old) // _RUN_SHARE):
            old, new = _joined(old, new), new[:0]
        count = len(old) + len(new)
        present, shift = self.present, self.shift
        if _FEWEST_BITS * count > 8 * len(present):
            present, shift = _filter(count)
            _set(present, shift, old)
            _set(present, shift, new)
        else:
            _set(present, shift, words)
        return Entries(old, new, kinds, present, shift)


def no_entries() -> Entries:
    """Returns an index of nothing."""
    nothing = np.zeros(0, np.uint64)
    return Entries(nothing, nothing, (), *_filter(0))


def entries_of(words: Words, kinds: Sequence[Kind]) -> Entries:
    """Returns the entries that :meth:`Entries.sorted` gave, with their kinds."""
    present, shift = _filter(len(words))
    _set(present, shift, words)
    return Entries(words, words[:0], tuple(kinds), present, shift)


def _packed(prints: Words, number: int) -> Words:
    packed: Words = (prints & _PRINT) | np.uint64(number)
    return packed


def _with_kind(kinds: tuple[Kind, ...], kind: Kind) -> tuple[Kind, ...]:
    if len(kinds) < _MOST_KINDS - len(Form):
        return (*kinds, kind)
    spare = (_ANY_TYPE, kind[1])
    return kinds if spare in kinds else (*kinds, spare)


def _number_of(kinds: tuple[Kind, ...], kind: Kind) -> int:
    return kinds.index(kind if kind in kinds else (_ANY_TYPE, kind[1]))


def _find(run: Words, prints: Words) -> tuple[Places, NDArray[np.bool_]]:
    """Returns where in a run each fingerprint would stand, and whether it does."""
    if not len(run):
        return np.zeros(len(prints), np.int64), np.zeros(len(prints), np.bool_)
    at = run.searchsorted(prints)
    at[at == len(run)] = 0
    return at, (run[at] & _PRINT) == prints


def _strengthened(run: Words, words: Words, strengths: NDArray[np.int64]) -> tuple[Words, Words]:
    """Lets what needed company or its like count alone where new words say so.

    Returns:
        The run, and the words that are not in it.
    """
    at, is_known = _find(run, words & _PRINT)
    if is_known.any():
        places, said = at[is_known], words[is_known]
        before = strengths[(run[places] & _KIND).astype(np.intp)]
        better = before < strengths[(said & _KIND).astype(np.intp)]
        if better.any():
            run = run.copy()  # a reader may hold it
            run[places[better]] = said[better]
    return run, words[~is_known]


def _joined(run: Words, words: Words) -> Words:
    if not len(run) or not len(words):
        return run if len(run) else words
    joined = np.concatenate([run, words])
    joined.sort(kind="stable")  # two sorted runs are merged in one pass
    return joined


def _filter(count: int) -> tuple[NDArray[np.uint8], np.uint64]:
    """Returns an empty filter for ``count`` entries."""
    bits = max(_LEAST_FILTER_BITS, (_FEWEST_BITS * count).bit_length())
    return np.zeros(1 << (bits - 3), np.uint8), np.uint64(64 - bits)


def _set(present: NDArray[np.uint8], shift: np.uint64, words: Words) -> None:
    if not len(words):
        return
    _set_bits(present, (words >> shift).astype(np.int64))
    _set_bits(present, np.sort((_second(words) >> shift).astype(np.int64)))


def _second(words: Words) -> Words:
    """Returns another number of each fingerprint, by the bits of it that an entry keeps."""
    other: Words = (words & _PRINT) * _OTHER
    return other


def _are_set(present: NDArray[np.uint8], bits: Words) -> NDArray[np.bool_]:
    at = bits.view("i8")
    found: NDArray[np.uint8] = present[at >> 3] >> (at & 7).astype("u1") & 1
    return found.view(np.bool_)


def _set_bits(present: NDArray[np.uint8], begins: Places) -> None:
    # Sorted, so that entries of one byte are side by side and are joined in one step.
    first = np.flatnonzero(np.r_[True, np.diff(begins >> 3) > 0])
    present[begins[first] >> 3] |= np.bitwise_or.reduceat(
        np.left_shift(1, begins & 7).astype(np.uint8), first
    )
