"""Keyed fingerprints of every short run of tokens in a text, all at once with numpy.

A text becomes its letters and digits, NFKC and case folded; a token is a run of them. The
fingerprint of characters ``c0 c1 ...`` is ``sum(T(c_i) * B**i) mod 2**64`` with a secret odd ``B``
and a secret table ``T`` (Karp and Rabin 1987, with random tables). Prefix sums give the fingerprint
of any run in two operations, and the fingerprint of two runs joined follows from theirs. Two values
that differ collide with a chance of about 2**-58 for a key that neither was chosen for.

It is fast, not strong: with enough known pairs the key can be solved for. So fingerprints stay in
the memory of a process outside the kernel, and a stored index is sealed.
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]
    Places = NDArray[np.int64]

_MASK = (1 << 64) - 1
_ASCII = 128
_FIRST_POWERS = 4_096


@dataclass(frozen=True, slots=True)
class Tokens:
    """The letters and digits of a text, without what stands between them.

    Attributes:
        codes: Code point of each character, folded.
        bounds: Index in ``codes`` of the first character of each token, and the number of codes.
        places: Offset in the text of each character.
        ends: Offset after each character, or ``None`` where that is one more than its place.
    """

    codes: NDArray[np.integer]
    bounds: Places
    places: Places
    ends: Places | None = None

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @property
    def first(self) -> Places:
        """Index in ``codes`` of the first character of each token."""
        return self.bounds[:-1]

    @property
    def last(self) -> Places:
        """Index in ``codes`` after the last character of each token."""
        return self.bounds[1:]

    def range_of(self, first: int, last: int) -> tuple[int, int]:
        """Returns the offsets in the text of the tokens from ``first`` to ``last``, inclusive."""
        return self.range_between(int(self.bounds[first]), int(self.bounds[last + 1]))

    def range_between(self, first: int, last: int) -> tuple[int, int]:
        """Returns the offsets in the text of the characters from ``first`` to before ``last``."""
        stop = self.places[last - 1] + 1 if self.ends is None else self.ends[last - 1]
        return int(self.places[first]), int(stop)


def _ascii_table() -> NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    for code in range(_ASCII):
        if chr(code).isalnum():
            table[code] = ord(chr(code).lower())
    return table


_FOLDED = _ascii_table()  # 0 for what is neither letter nor digit
_FOLDED_BYTES = _FOLDED.tobytes()
_IS_KEPT = (_FOLDED > 0).tobytes()
_LEFT_OUT = bytes((_FOLDED == 0).nonzero()[0].tolist())


def tokenise(text: str) -> Tokens:
    """Returns the tokens of ``text``."""
    if text.isascii():
        data = text.encode("ascii")
        is_kept = np.frombuffer(data.translate(_IS_KEPT), np.bool_)
        kept = is_kept.nonzero()[0]
        return _cut(np.frombuffer(data.translate(_FOLDED_BYTES, _LEFT_OUT), np.uint8), kept, kept)
    canonical = fold_case(text)
    if len(canonical) == len(text) and unicodedata.is_normalized("NFKC", text):
        # Nothing composed, nothing decomposed, and no character folds to fewer than one.
        codes = np.frombuffer(canonical.encode("utf-32-le", "surrogatepass"), np.uint32)
        kept = _is_alphanumeric(codes).nonzero()[0]
        return _cut(codes[kept], kept, kept)
    return _tokenise_moved(text)


class _Digits(dict[int, str]):
    """Code point to the ASCII digit that it stands for in some script, else to itself."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        digit = unicodedata.decimal(character, None)
        self[code] = plain = character if digit is None else str(digit)
        return plain


_DIGITS = _Digits()


def fold_case(text: str) -> str:
    """Returns the canonical spelling of ``text``: compatible characters joined, no case.

    A number is the same number in the digits of any script.
    """
    return unicodedata.normalize("NFKC", text).casefold().translate(_DIGITS)


def _tokenise_moved(text: str) -> Tokens:
    """Tokens of a text whose canonical form has another length: piece by piece, keeping offsets."""
    characters: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    position = 0
    while position < len(text):
        stop = position + 1
        # Marks belong to the character before them.
        while stop < len(text) and unicodedata.combining(text[stop]):
            stop += 1
        for character in fold_case(text[position:stop]):
            characters.append(character)
            starts.append(position)
            ends.append(stop)
        position = stop
    codes = np.frombuffer("".join(characters).encode("utf-32-le", "surrogatepass"), np.uint32)
    kept = _is_alphanumeric(codes).nonzero()[0]
    return _cut(codes[kept], kept, np.array(starts, np.int64)[kept], np.array(ends, np.int64)[kept])


def _is_alphanumeric(codes: NDArray[np.uint32]) -> NDArray[np.bool_]:
    known: NDArray[np.bool_] = _FOLDED[np.minimum(codes, 255)] > 0
    for code in np.unique(codes[codes >= _ASCII]):
        if chr(code).isalnum():
            known |= codes == code
    return known


def _cut(
    codes: NDArray[np.integer], kept: Places, places: Places, ends: Places | None = None
) -> Tokens:
    """Cuts kept characters into tokens where characters between them were left out."""
    if not len(codes):
        return Tokens(codes, np.zeros(1, np.int64), places, ends)
    breaks = (kept[1:] - kept[:-1] > 1).nonzero()[0]
    bounds = np.empty(len(breaks) + 2, np.int64)
    bounds[0] = 0
    np.add(breaks, 1, out=bounds[1:-1])
    bounds[-1] = len(codes)
    return Tokens(codes, bounds, places, ends)


@dataclass(frozen=True, slots=True)
class Ladder:
    """Fingerprints of the runs of a text, by how many tokens they have.

    Attributes:
        sums: Prefix sums at the beginning of each token and at the end.
        inverses: What moves a run that begins with each token to the front.
    """

    sums: Words
    inverses: Words

    def runs(self, more: int) -> Words:
        """Returns the fingerprints of all runs of ``more`` tokens besides the first."""
        count = len(self.inverses) - more
        found: Words = (self.sums[more + 1 :] - self.sums[:count]) * self.inverses[:count]
        return found


class Fingerprints:
    """Makes fingerprints with one key.

    Args:
        key: The index key of the workspace.
    """

    def __init__(self, key: bytes) -> None:
        digest = hashlib.blake2b(key=key[:64], person=b"cloister-index", digest_size=24).digest()
        self._seed = int.from_bytes(digest[:8], "big")
        self._step = int.from_bytes(digest[8:16], "big") | 1
        # 5 modulo 8 has the longest period that a power can have modulo 2**64.
        self._base = int.from_bytes(digest[16:], "big") & ~7 | 5
        self._powers = self._inverses = np.zeros(0, np.uint64)
        self._ascii = self._mix(np.arange(_ASCII, dtype=np.uint64))
        self._grow(_FIRST_POWERS)

    def sums(self, tokens: Tokens) -> Words:
        """Returns prefix sums over the characters, one more than there are characters."""
        count = len(tokens.codes)
        if count > len(self._powers):
            self._grow(count)
        codes = tokens.codes
        terms = (
            self._ascii[codes] if codes.dtype == np.uint8 else self._mix(codes.astype(np.uint64))
        )
        out = np.empty(count + 1, np.uint64)
        out[0] = 0
        np.cumsum(terms * self._powers[:count], out=out[1:])
        return out

    def runs(self, sums: Words, first: Places, last: Places) -> Words:
        """Returns the fingerprints of the characters from ``first`` to before ``last``."""
        found: Words = (sums[last] - sums[first]) * self._inverses[first]
        return found

    def ladder(self, tokens: Tokens) -> Ladder:
        """Returns what gives the fingerprints of all runs of equally many tokens at once."""
        at = self.sums(tokens)[tokens.bounds]
        return Ladder(at, self._inverses[tokens.first])

    def grid(self, tokens: Tokens, reach: Places) -> Words:
        """Returns for each token the fingerprints of the runs that begin with it.

        Args:
            tokens: Few tokens: all runs are made at once.
            reach: For each token a row of the numbers of the tokens after its runs.
        """
        sums = self.sums(tokens)[tokens.bounds]
        found: Words = (sums[reach] - sums[:-1, None]) * self._inverses[tokens.first][:, None]
        return found

    def joined(self, left: Words, left_chars: Places, right: Words) -> Words:
        """Returns the fingerprints of runs ``left`` followed by runs ``right``."""
        found: Words = left + right * self._powers[left_chars]
        return found

    def mixed(self, left: Words, right: Words) -> Words:
        """Returns secret numbers of pairs of fingerprints; the order of a pair counts."""
        return self._mix(self._mix(left) + right)

    def _mix(self, codes: Words) -> Words:
        """Returns the secret number of each code point (the finaliser of SplitMix64, keyed)."""
        x = codes * np.uint64(self._step) + np.uint64(self._seed)
        x ^= x >> np.uint64(30)
        x *= np.uint64(0xBF58476D1CE4E5B9)
        x ^= x >> np.uint64(27)
        x *= np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
        return x

    def _grow(self, count: int) -> None:
        size = max(count, 2 * len(self._powers))
        inverse = pow(self._base, -1, 1 << 64)
        self._inverses = _geometric(inverse, size)
        self._powers = _geometric(self._base, size)


def _geometric(base: int, size: int) -> Words:
    powers = np.full(size, base & _MASK, np.uint64)
    powers[0] = 1
    out: Words = np.multiply.accumulate(powers)
    return out
