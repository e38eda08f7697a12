"""Check digits by table: a law is data, and numpy applies it to a whole column at once.

Nearly every national number is guarded in one of five ways: a weighted sum, Luhn's rule, Verhoeff's
dihedral group (Verhoeff 1969), ISO 7064 MOD 11,10, or two of them. Each is a :class:`Law` here: a
pure function from a matrix of characters to the rows that keep it.

Source of the weights: python-stdnum, against which the tests compare every law.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    #: One row for each number, one column for each character, ASCII codes.
    Codes: TypeAlias = NDArray[np.uint8]
    Rows: TypeAlias = NDArray[np.bool_]

DIGITS: Final = "0123456789"
LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Law(Protocol):
    """Tells which numbers have the right check digits."""

    def __call__(self, codes: Codes) -> Rows:
        """Returns for each row whether it keeps the law."""


@dataclass(frozen=True, slots=True)
class Weighted:
    """A weighted sum: every national number of this kind differs in its weights only.

    Attributes:
        weights: One for each character, from the left.
        modulus: What the sum is divided by.
        checks: The right check character for each remainder, ``-`` where there is none; it stands
            directly behind the weighted characters. Without it, all characters are weighted and the
            remainder itself decides.
        remainders: The right remainders of the sum when there are no ``checks``.
        values: Characters in the order of their value; an item may hold several characters.
        start: How many characters come before the first weighted one.
        sums_digits: Whether the digits of each product are added, and not the product.
    """

    weights: tuple[int, ...]
    modulus: int
    checks: str = ""
    remainders: tuple[int, ...] = (0,)
    values: str | tuple[str, ...] = DIGITS
    start: int = 0
    sums_digits: bool = False

    def __call__(self, codes: Codes) -> Rows:
        """Returns for each row whether its sum leaves the right remainder."""
        import numpy as np

        if not self.checks:
            return np.isin(self._remainder(codes), self.remainders)
        right: Rows = self.expected(codes) == codes[:, self.start + len(self.weights)]
        return right

    def expected(self, codes: Codes) -> NDArray[np.uint8]:
        """Returns the right check character of each row; ``-`` where there is none."""
        import numpy as np

        return np.frombuffer(self.checks.encode("ascii"), np.uint8)[self._remainder(codes)]

    def _remainder(self, codes: Codes) -> NDArray[np.int64]:
        import numpy as np

        weighted = codes[:, self.start : self.start + len(self.weights)]
        # Sums stay far below 2**24, where 32-bit floats are exact, and multiplying them is fast.
        weights = np.array(self.weights, np.float32)
        worth = _worth(self.values)[weighted]
        if self.sums_digits:
            products = worth * weights
            worth, weights = products // 10 + products % 10, np.ones_like(weights)
        remainder: NDArray[np.int64] = (worth @ weights).astype(np.int64) % self.modulus
        return remainder


@dataclass(frozen=True, slots=True)
class Followed:
    """A weighted sum with a second one for numbers that the first leaves without a check digit.

    Attributes:
        first: Has ``-`` where the second decides.
        second: As long as the first.
    """

    first: Weighted
    second: Weighted

    def __call__(self, codes: Codes) -> Rows:
        """Returns for each row whether its check character is right."""
        import numpy as np

        first = self.first.expected(codes)
        expected = np.where(first == ord("-"), self.second.expected(codes), first)
        right: Rows = expected == codes[:, self.first.start + len(self.first.weights)]
        return right


@dataclass(frozen=True, slots=True)
class Spelled:
    """A law of digits over a number with a letter, which counts as two digits.

    Attributes:
        at: Where the letter stands.
        law: What the digits must keep, the letter's two in its place.
        ordinals: Letters from the one that counts as ``first``.
        first: What the first of them counts as.
    """

    at: int
    law: Law
    ordinals: str = LETTERS
    first: int = 1

    def __call__(self, codes: Codes) -> Rows:
        """Returns for each row whether it keeps the law once its letter is written as digits."""
        import numpy as np

        table = np.zeros(128, np.int64)
        for place, letter in enumerate(self.ordinals):
            table[ord(letter)] = self.first + place
        number = table[codes[:, self.at : self.at + 1]]
        spelled = np.hstack(
            [codes[:, : self.at], number // 10 + 48, number % 10 + 48, codes[:, self.at + 1 :]]
        )
        return self.law(spelled.astype(np.uint8))


@dataclass(frozen=True, slots=True)
class OneRepeated:
    """Exactly one of the first digits occurs twice or three times, all others at most once.

    Attributes:
        digits: How many digits that is about.
    """

    digits: int

    def __call__(self, codes: Codes) -> Rows:
        """Returns for each row whether one digit, and one only, is repeated."""
        import numpy as np

        head = codes[:, : self.digits]
        counts = np.stack([(head == code).sum(1, dtype=np.uint8) for code in range(48, 58)])
        right: Rows = ((counts > 1).sum(0) == 1) & (counts.max(0) <= 3)
        return right


@dataclass(frozen=True, slots=True)
class Luhn:
    """Luhn's rule (ISO/IEC 7812-1), optionally with digits that are not written.

    Attributes:
        prefix: Digits that count but are not part of the number (80840 for US NPI).
        start: How many characters come before the first digit that counts.
        stop: Where the digits that count end; ``None`` for the end of the number.
    """

    prefix: str = ""
    start: int = 0
    stop: int | None = None

    def __call__(self, codes: Codes) -> Rows:
        """Returns for each row whether the digit sum with every second digit doubled ends in 0."""
        import numpy as np

        doubled = np.array((0, 2, 4, 6, 8, 1, 3, 5, 7, 9), np.uint8)
        # What is below the code of 0 becomes large: it is no digit either.
        digits = codes[:, self.start : self.stop] - np.uint8(48)
        if self.prefix:
            ahead = np.array([int(d) for d in self.prefix], np.uint8)
            digits = np.hstack([np.broadcast_to(ahead, (len(digits), len(ahead))), digits])
        is_digit = (digits <= 9).all(1)
        from_right = np.minimum(digits[:, ::-1], 9)
        total = from_right[:, ::2].sum(1, dtype=np.int32)
        total += doubled[from_right[:, 1::2]].sum(1, dtype=np.int32)
        right: Rows = (total % 10 == 0) & is_digit
        return right


class Verhoeff:
    """Verhoeff's rule over the dihedral group of order ten (Verhoeff 1969)."""

    __slots__ = ()

    def __call__(self, codes: Codes) -> Rows:
        """Returns for each row whether its permuted digits multiply to the neutral element."""
        import numpy as np

        product, permutation = _dihedral()
        digits = np.minimum(codes - np.uint8(48), 9)
        state = np.zeros(len(codes), np.uint8)
        for position in range(codes.shape[1]):
            digit = digits[:, codes.shape[1] - 1 - position]
            state = product[state, permutation[position % 8][digit]]
        right: Rows = state == 0
        return right


class Mod11And10:
    """ISO 7064 MOD 11,10, as in German tax numbers and Croatian personal numbers."""

    __slots__ = ()

    def __call__(self, codes: Codes) -> Rows:
        """Returns for each row whether the hybrid system ends in 1."""
        import numpy as np

        digits = codes.astype(np.int64) - 48
        state = np.full(len(codes), 5, np.int64)
        for position in range(codes.shape[1]):
            state = ((np.where(state == 0, 10, state) * 2) % 11 + digits[:, position]) % 10
        right: Rows = state == 1
        return right


@dataclass(frozen=True, slots=True)
class Either:
    """Any of several laws, for numbers whose law changed or differs by series."""

    laws: tuple[Law, ...]

    def __call__(self, codes: Codes) -> Rows:
        """Returns for each row whether it keeps one of the laws."""
        import numpy as np

        right: Rows = np.logical_or.reduce([law(codes) for law in self.laws])
        return right


@dataclass(frozen=True, slots=True)
class Series:
    """A law of the numbers that begin with one of some letters.

    Attributes:
        letters: The letters.
        law: What their numbers must keep.
    """

    letters: str
    law: Law

    def __call__(self, codes: Codes) -> Rows:
        """Returns for each row whether it belongs to the series and keeps its law."""
        import numpy as np

        mine: Rows = np.isin(codes[:, 0], [ord(letter) for letter in self.letters])
        return mine & self.law(codes)


def powers(base: int, count: int, modulus: int) -> tuple[int, ...]:
    """Returns the weights that make a weighted sum the remainder of the whole number."""
    return tuple(pow(base, count - 1 - place, modulus) for place in range(count))


@lru_cache(maxsize=64)
def _worth(values: str | tuple[str, ...]) -> NDArray[np.float32]:
    """Returns the value of each ASCII code; 0 for characters without one."""
    import numpy as np

    table = np.zeros(128, np.float32)
    for value, characters in enumerate(values):
        for character in characters:
            table[ord(character)] = value
    return table


@cache
def _dihedral() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Returns the multiplication table of D5 and Verhoeff's eight permutations."""
    import numpy as np

    product = np.zeros((10, 10), np.uint8)
    for a in range(10):
        for b in range(10):
            turned = (a + b) % 5 if a < 5 else (a - b) % 5
            product[a, b] = turned + (5 if (a < 5) != (b < 5) else 0)
    permutation = [list(range(10)), [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]]
    while len(permutation) < 8:
        permutation.append([permutation[-1][p] for p in permutation[1]])
    return product, np.array(permutation, np.uint8)
