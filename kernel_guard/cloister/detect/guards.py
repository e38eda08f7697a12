"""From written numbers to laws: separators go, lost zeros come back, check digits are computed.

A law sees a matrix of characters; people write groups, programs lose zeros on the left. What is
common to several laws is worked out once for each list of values (:class:`Written`).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from cloister.detect.laws import Codes, Law, Rows

#: What people write between the groups of a number.
SEPARATORS: Final = " -./+()\u00a0\u2010\u2011\u2013"
_DELETE: Final = str.maketrans("", "", SEPARATORS)


@dataclass(frozen=True, slots=True)
class Guard:
    """Counts written numbers whose check digits are right.

    Attributes:
        width: How many characters a whole number has; shorter ones have lost zeros on the left,
            as columns of integers do.
        laws: All must hold.
        prefix: What a number begins with that is often left away (``CHE``): removed when present.
    """

    width: int
    laws: tuple[Law, ...]
    prefix: str = ""

    def mask(self, values: Sequence[str]) -> Rows:
        """Returns for each value whether it is such a number.

        Args:
            values: As they are written, with or without separators, in any case.
        """
        import numpy as np

        written = values if isinstance(values, Written) else Written(values)
        numbers = written.numbers
        if self.prefix:
            numbers = [n.removeprefix(self.prefix) for n in numbers]
        right = np.zeros(len(numbers), np.bool_)
        places, codes = (
            written.matrix(self.width) if not self.prefix else _matrix(numbers, self.width)
        )
        if not len(places):
            return right
        # One digit over and over keeps many laws, and stands for no number at all.
        passing = (codes != codes[:, :1]).any(1)
        for law in self.laws:
            passing &= law(codes)
        right[places] = passing
        return right

    def __call__(self, values: Sequence[str]) -> int:
        """Returns how many values are such numbers."""
        return int(self.mask(values).sum())


class Written(list[str]):
    """Numbers as they are written, with what several laws need of them worked out once."""

    __slots__ = ("_array", "_matrices", "_numbers")

    def __init__(self, values: Iterable[str] = ()) -> None:
        super().__init__(values)
        self._array: pa.StringArray | None = None
        self._numbers: list[str] | None = None
        self._matrices: dict[int, tuple[NDArray[np.intp], Codes]] = {}

    @property
    def array(self) -> pa.StringArray:
        """The values as an Arrow array."""
        if self._array is None:
            import pyarrow as pa

            self._array = pa.array(self, pa.string())
        return self._array

    @property
    def numbers(self) -> list[str]:
        """The numbers without separators, in upper case."""
        if self._numbers is None:
            self._numbers = compact(self)
        return self._numbers

    def matrix(self, width: int) -> tuple[NDArray[np.intp], Codes]:
        """Returns which numbers have at most ``width`` characters, and their characters."""
        if width not in self._matrices:
            self._matrices[width] = _matrix(self.numbers, width)
        return self._matrices[width]


def _matrix(numbers: Sequence[str], width: int) -> tuple[NDArray[np.intp], Codes]:
    import numpy as np

    lengths = np.fromiter(map(len, numbers), np.int64, len(numbers))
    places = np.flatnonzero((lengths <= width) & (lengths > 1))
    whole = numbers if len(places) == len(numbers) else [numbers[i] for i in places.tolist()]
    if len(places) and int(lengths[places].min()) < width:
        whole = [n.rjust(width, "0") for n in whole]
    return places, character_matrix(whole, width)


@dataclass(frozen=True, slots=True)
class AnyLength:
    """Counts written numbers of any length whose check digits are right.

    Attributes:
        law: What must hold; zeros on the left would matter to it.
    """

    law: Law

    def __call__(self, values: Sequence[str]) -> int:
        """Returns how many values keep the law."""
        by_length: dict[int, list[str]] = {}
        for number in values.numbers if isinstance(values, Written) else compact(values):
            by_length.setdefault(len(number), []).append(number)
        return sum(
            int(self.law(character_matrix(numbers, length)).sum())
            for length, numbers in by_length.items()
            if length > 1
        )


@dataclass(frozen=True, slots=True)
class Stdnum:
    """Counts numbers that python-stdnum takes for valid: for numbers that are met seldom.

    Attributes:
        module: Its module below ``stdnum``.
    """

    module: str

    def __call__(self, values: Sequence[str]) -> int:
        """Returns how many values are valid."""
        is_valid: Any = import_module(f"stdnum.{self.module}").is_valid
        return sum(is_valid(value) for value in values)


def guarded(width: int, *laws: Law, prefix: str = "") -> Guard:
    """Returns a guard of numbers of ``width`` characters that keep all laws."""
    return Guard(width, laws, prefix)


def compact(values: Sequence[str]) -> list[str]:
    """Returns numbers without what separates their groups, in upper case."""
    # One pass over one long text is several times faster than a pass over each value.
    joined = "\n".join(values).translate(_DELETE).upper()
    numbers = joined.split("\n")
    if len(numbers) == len(values):
        return numbers
    return [value.translate(_DELETE).upper().replace("\n", "") for value in values]


def character_matrix(numbers: Sequence[str], width: int) -> Codes:
    """Returns the ASCII codes of numbers of equal width, one row each; 0 for what is not ASCII."""
    import numpy as np

    text = "".join(numbers)
    if not text.isascii():
        text = "".join(c if c.isascii() else "\0" for c in text)
    return np.frombuffer(text.encode("ascii"), np.uint8).reshape(len(numbers), width)
