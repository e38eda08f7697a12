"""Check digits and number ranges: what tells a card or an account number from any other number.

Pure functions of digits. The scalar forms serve text, where candidates are few; the ``*_mask``
forms serve columns and work on all values at once with numpy, which is imported on first use.

Sources: ISO/IEC 7812-1 (Luhn), ISO 13616 and ISO 7064 MOD 97-10 (IBAN), and the Social Security
Administration's rules for area, group and serial numbers.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from cloister.detect.guards import character_matrix
from cloister.detect.laws import Luhn

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy as np
    from numpy.typing import NDArray

CARD_MIN_DIGITS = 13
CARD_MAX_DIGITS = 19

_IBAN_LENGTHS = """
    AD:24 AE:23 AL:28 AT:20 AZ:28 BA:20 BE:16 BG:22 BH:22 BI:27 BR:29 BY:28 CH:21 CR:22 CY:28
    CZ:24 DE:22 DJ:27 DK:18 DO:28 EE:20 EG:29 ES:24 FI:18 FK:18 FO:18 FR:27 GB:22 GE:22 GI:23
    GL:18 GR:27 GT:28 HR:21 HU:28 IE:22 IL:23 IQ:23 IS:26 IT:27 JO:30 KW:30 KZ:20 LB:28 LC:32
    LI:21 LT:20 LU:20 LV:21 LY:25 MC:27 MD:24 ME:22 MK:19 MN:20 MR:27 MT:31 MU:30 NI:28 NL:18
    NO:15 OM:23 PK:24 PL:28 PS:29 PT:25 QA:29 RO:24 RS:22 RU:33 SA:24 SC:31 SD:18 SE:24 SI:19
    SK:24 SM:27 SO:23 ST:25 SV:28 TL:23 TN:24 TR:26 UA:29 VA:22 VG:24 XK:20 YE:30
"""
#: Total length of an IBAN by country.
IBAN_LENGTH: dict[str, int] = {entry[:2]: int(entry[3:]) for entry in _IBAN_LENGTHS.split()}

_ANY_LENGTH = range(CARD_MIN_DIGITS, CARD_MAX_DIGITS + 1)
#: First four digits, from and to, and how many digits there are.
_ISSUERS: tuple[tuple[int, int, Collection[int]], ...] = (
    (4000, 4999, (13, 16, 19)),  # Visa
    (5100, 5599, (16,)),  # Mastercard
    (2221, 2720, (16,)),  # Mastercard, 2-series
    (3400, 3499, (15,)),  # American Express
    (3700, 3799, (15,)),
    (3000, 3059, range(14, 20)),  # Diners Club
    (3600, 3699, range(14, 20)),
    (3800, 3999, range(14, 20)),
    (3528, 3589, range(16, 20)),  # JCB
    (6000, 6099, range(16, 20)),  # Discover, RuPay
    (6200, 6299, range(16, 20)),  # UnionPay
    (6440, 6599, range(16, 20)),  # Discover
    (5000, 5099, _ANY_LENGTH),  # Maestro
    (5600, 5899, _ANY_LENGTH),
    (6300, 6399, _ANY_LENGTH),
    (6700, 6799, _ANY_LENGTH),
)
# From a digit's code to the digit sum of twice the digit, and to the digit.
_TWICE = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))
_ONCE = bytes.maketrans(b"0123456789", bytes(range(10)))
_LETTER_A = 65


def is_luhn(digits: str) -> bool:
    """Returns whether the last digit is right by Luhn's rule.

    Args:
        digits: ASCII digits only.
    """
    if not digits.isdecimal() or not digits.isascii() or len(digits) < 2:
        return False
    codes = digits.encode("ascii")
    doubled = sum(codes[-2::-2].translate(_TWICE))
    return (sum(codes[::-2].translate(_ONCE)) + doubled) % 10 == 0


def is_card_prefix(digits: str) -> bool:
    """Returns whether the first digits and the length are those of an issuer of payment cards.

    Covers Visa (13, 16, 19), Mastercard with the 2-series (16), American Express (15), Diners Club
    (14), Discover, UnionPay and Maestro (16 to 19), and JCB (16 to 19).

    Args:
        digits: ASCII digits only, at least six.
    """
    prefix, length = int(digits[:4]), len(digits)
    return any(low <= prefix <= high and length in lengths for low, high, lengths in _ISSUERS)


def is_card(digits: str) -> bool:
    """Returns whether the digits are a payment card number: length, issuer, check digit."""
    return (
        CARD_MIN_DIGITS <= len(digits) <= CARD_MAX_DIGITS
        and is_card_prefix(digits)
        and is_luhn(digits)
        and len(set(digits)) > 1
    )


def is_iban(compact: str) -> bool:
    """Returns whether the text is an IBAN: country, length, remainder of 97 equal to 1.

    Args:
        compact: Upper case, no separators.
    """
    if IBAN_LENGTH.get(compact[:2]) != len(compact) or not compact.isascii():
        return False
    rearranged = compact[4:] + compact[:4]
    if not rearranged.isalnum():
        return False
    return int("".join(str(int(c, 36)) for c in rearranged)) % 97 == 1


def is_ssn(digits: str) -> bool:
    """Returns whether nine digits could have been issued as a US social security number."""
    return (
        len(digits) == 9
        and digits[:3] not in {"000", "666"}
        and digits[0] != "9"
        and digits[3:5] != "00"
        and digits[5:] != "0000"
    )


def luhn_mask(numbers: Sequence[str]) -> NDArray[np.bool_]:
    """Returns for each number whether its last digit is right by Luhn's rule."""
    import numpy as np

    if not numbers:
        return np.zeros(0, np.bool_)
    codes, lengths = _left_filled(numbers)
    # Zeros on the left add nothing, so numbers of different lengths share one matrix.
    valid: NDArray[np.bool_] = Luhn()(codes) & (lengths > 1)
    return valid


def card_mask(numbers: Sequence[str]) -> NDArray[np.bool_]:
    """Returns for each number whether it is a payment card number."""
    import numpy as np

    if not numbers:
        return np.zeros(0, np.bool_)
    valid: NDArray[np.bool_] = issuer_mask(numbers) & luhn_mask(numbers)
    return valid


def issuer_mask(numbers: Sequence[str]) -> NDArray[np.bool_]:
    """Returns for each number whether it has an issuer's prefix and length, and varied digits."""
    import numpy as np

    if not numbers:
        return np.zeros(0, np.bool_)
    codes, lengths = _left_filled(numbers)
    # The issuer is in the first four digits, wherever the number begins in its row.
    first = np.arange(4) + np.maximum(codes.shape[1] - lengths, 0)[:, None]
    head = np.take_along_axis(codes, np.minimum(first, codes.shape[1] - 1), 1).astype(np.int64) - 48
    prefixes = head @ np.array((1000, 100, 10, 1))
    issued = _card_lengths()[prefixes.clip(0, 9999), lengths.clip(0, CARD_MAX_DIGITS + 1)]
    first_digit = np.take_along_axis(codes, first[:, :1].clip(0, codes.shape[1] - 1), 1)
    is_padding = np.arange(codes.shape[1]) < codes.shape[1] - lengths[:, None]
    is_varied = ((codes != first_digit) & ~is_padding).any(1)
    plausible: NDArray[np.bool_] = issued & is_varied
    return plausible


def iban_mask(compact: Sequence[str]) -> NDArray[np.bool_]:
    """Returns for each text whether it is an IBAN; upper case, no separators."""
    import numpy as np

    valid = np.zeros(len(compact), np.bool_)
    by_length: dict[int, list[int]] = {}
    for index, text in enumerate(compact):
        if IBAN_LENGTH.get(text[:2]) == len(text) and text.isascii() and text.isalnum():
            by_length.setdefault(len(text), []).append(index)
    for length, indices in by_length.items():
        codes = character_matrix([compact[i] for i in indices], length).astype(np.int64)
        values = np.where(codes >= _LETTER_A, codes - _LETTER_A + 10, codes - 48)
        remainder = np.zeros(len(indices), np.int64)
        for place in (*range(4, length), 0, 1, 2, 3):
            value = values[:, place]
            remainder = (remainder * np.where(value > 9, 100, 10) + value) % 97
        valid[indices] = remainder == 1
    return valid


def _left_filled(numbers: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Returns digits aligned to the right, zero filled, and the length of each number."""
    import numpy as np

    lengths = np.fromiter(map(len, numbers), np.int64, len(numbers))
    width = int(lengths.max())
    filled = numbers if int(lengths.min()) == width else [n.rjust(width, "0") for n in numbers]
    return character_matrix(filled, width), lengths


@cache
def _card_lengths() -> NDArray[np.bool_]:
    """Returns for each prefix of four digits the lengths that its issuer's cards can have."""
    import numpy as np

    table = np.zeros((10_000, CARD_MAX_DIGITS + 2), np.bool_)
    for low, high, lengths in _ISSUERS:
        table[low : high + 1, list(lengths)] = True
    return table
