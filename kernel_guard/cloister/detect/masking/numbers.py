"""Masks of numbers: bands, bounds, rounding and noise; of numbers that are written as text, too.

Each returns ``None`` for what it cannot read. Booleans and what is not finite are no numbers.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation
from typing import Final, TypeAlias

Number: TypeAlias = "int | float | Decimal"

_WRITTEN = re.compile(r"[+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][+-]?\d{1,3})?")
_BAND = re.compile(r"(-?\d{1,16})(?:-| to )(-?\d{1,16})")
_PAIR = re.compile(r"\(?\s*([+-]?\d{1,3}(?:\.\d+)?)\s*([,;])\s*([+-]?\d{1,3}(?:\.\d+)?)\s*\)?")
#: A larger number is an identifier, and its band would show nearly all of it.
_MOST_IN_BANDS: Final = 10**15
#: A number beyond it is no coordinate in degrees: rounding would show nearly all of it.
_MOST_DEGREES: Final = 180


def number_of(value: object) -> Number | None:
    """Returns a value as a number, ``None`` if it is none."""
    number: Number | None = None
    if isinstance(value, str):
        text = value.strip()
        if _WRITTEN.fullmatch(text):
            number = int(text) if text.lstrip("+-").isdecimal() else Decimal(text)
    elif isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        number = value
    if number is None or isinstance(number, int) or math.isfinite(number):
        return number
    return None


def band(value: object, width: int) -> str | None:
    """Returns the band of ``width`` numbers that a number lies in: ``30-39``."""
    if isinstance(value, str) and (known := _BAND.fullmatch(value)):
        low, high = int(known[1]), int(known[2])
        return value if low % width == 0 and high == low + width - 1 else None
    number = number_of(value)
    if number is None or not -_MOST_IN_BANDS < number < _MOST_IN_BANDS:
        return None
    low = math.floor(Decimal(str(number)) / width) * width
    return f"{low}{'-' if low >= 0 else ' to '}{low + width - 1}"


def bounded(value: object, low: float | None, high: float | None) -> Number | str | None:
    """Returns the number, or the bound where it lies beyond; text stays text."""
    number = number_of(value)
    if number is None:
        return None
    bound: Number = number
    if high is not None and number > high:
        bound = high
    elif low is not None and number < low:
        bound = low
    elif isinstance(value, str):
        return value
    if isinstance(number, int):
        inward = math.floor if bound is high else math.ceil
        bound = inward(bound)
    elif isinstance(number, Decimal):
        bound = Decimal(str(bound))
    return str(bound) if isinstance(value, str) else bound


def rounded(value: object, digits: int) -> Number | str | None:
    """Returns a coordinate in degrees with few digits; of a written pair, both."""
    if isinstance(value, str) and (pair := _PAIR.fullmatch(value)):
        parts = [_rounded(Decimal(part), digits) for part in (pair[1], pair[3])]
        return None if None in parts else f"{parts[0]}{pair[2]} {parts[1]}"
    number = number_of(value)
    if number is None:
        return None
    shown = _rounded(number, digits)
    return str(shown) if shown is not None and isinstance(value, str) else shown


def moved(value: object, amount: float, offset: float) -> Number | str | None:
    """Returns a number with noise; how many digits it has stays.

    Args:
        value: A number, or text.
        amount: The most that it is moved, in its own unit.
        offset: In [-1, 1), the same for equal numbers; see ``Tokenizer.offset``.
    """
    number = number_of(value)
    if number is None:
        return None
    if isinstance(number, int):
        shown: Number = number + round(amount * offset)
    elif isinstance(number, Decimal):
        step = Decimal(str(amount * offset))
        exponent = number.as_tuple().exponent
        places = exponent if isinstance(exponent, int) else 0
        try:
            shown = (number + step).quantize(Decimal(1).scaleb(min(places, 0)))
        except InvalidOperation:
            return None
    else:
        shown = number + amount * offset
    return str(shown) if isinstance(value, str) else shown


def number_key(value: object) -> str | None:
    """Returns the one text of a number for its offset: 5, 5.0 and ``"5"`` are equal."""
    try:
        number = number_of(value)
        return None if number is None else repr(float(number))
    except (OverflowError, ValueError):
        return None  # an integer of more than 308 digits, or a signalling NaN


def _rounded(number: Number, digits: int) -> Number | None:
    if not -_MOST_DEGREES <= number <= _MOST_DEGREES:
        return None
    if isinstance(number, Decimal):
        return number.quantize(Decimal(1).scaleb(-digits))
    return round(number, digits)
