"""Check digits and number ranges: what tells a card or an account number from any other number.

Pure functions of digits. The scalar forms serve text, where candidates are few; the ``*_mask``
forms serve columns and work on all values at once with numpy, which is imported on first use.

Sources: ISO/IEC 7812-1 (Luhn), ISO 13616 and ISO 7064 MOD 97-10 (IBAN), and the Social Security
Administration's rules for area, group and serial numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

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

_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)  # digit sums of twice each digit
# Printed in advertising or used as samples for so long that nobody holds them.


def is_luhn(digits: str) -> bool:
    """Returns whether the last digit is right by Luhn's rule.

    Args:
        digits: ASCII digits only.
    """
    total = 0
    for position, character in enumerate(reversed(digits)):
        digit = ord(character) - 48
        total += _DOUBLED[digit] if position % 2 else digit
    return total % 10 == 0 and len(digits) > 1


def is_card_prefix(digits: str) -> bool:
    """Returns whether the first digits and the length are those of an issuer of payment cards.

    Covers Visa (13, 16, 19), Mastercard with the 2-series (16), American Express (15), Diners Club
    (14), Discover, UnionPay and Maestro (16 to 19), and JCB (16 to 19).

    Args:
        digits: ASCII digits only, at least six.
    """
    length = len(digits)
    two, four = int(digits[:2]), int(digits[:4])
    if digits[0] == "4":
        return length in {13, 16, 19}
    if 51 <= two <= 55 or 2221 <= four <= 2720:
        return length == 16
    if two in {34, 37}:
        return length == 15
    if two in {36, 38, 39} or 300 <= int(digits[:3]) <= 305:
        return 14 <= length <= 19
    if four == 6011 or two in {65, 62, 60} or 644 <= int(digits[:3]) <= 649 or 3528 <= four <= 3589:
        return 16 <= length <= 19
    return two in {50, 56, 57, 58, 63, 67} and 13 <= length <= 19


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


def digit_matrix(numbers: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns digits aligned to the right, zero filled, and the length of each number.

    Args:
        numbers: ASCII digits only.

    Returns:
        A matrix of shape (numbers, longest) and a vector of lengths.
    """
    import numpy as np

    lengths = np.fromiter((len(n) for n in numbers), np.int64, len(numbers))
    width = int(lengths.max()) if len(numbers) else 0
    text = "".join(n.rjust(width, "0") for n in numbers)
    matrix = np.frombuffer(text.encode("ascii"), np.uint8).reshape(len(numbers), width)
    return matrix.astype(np.int64) - 48, lengths


def luhn_mask(numbers: Sequence[str]) -> NDArray[np.bool_]:
    """Returns for each number whether its last digit is right by Luhn's rule."""
    import numpy as np

    if not numbers:
        return np.zeros(0, np.bool_)
    digits, lengths = digit_matrix(numbers)
    # Zeros on the left add nothing, so rows of different lengths share one matrix.
    from_right = digits[:, ::-1]
    total = from_right[:, ::2].sum(1) + np.array(_DOUBLED)[from_right[:, 1::2]].sum(1)
    valid: NDArray[np.bool_] = (total % 10 == 0) & (lengths > 1)
    return valid


def card_mask(numbers: Sequence[str]) -> NDArray[np.bool_]:
    """Returns for each number whether it is a payment card number."""
    import numpy as np

    plausible = np.fromiter(
        (
            CARD_MIN_DIGITS <= len(n) <= CARD_MAX_DIGITS and is_card_prefix(n) and len(set(n)) > 1
            for n in numbers
        ),
        np.bool_,
        len(numbers),
    )
    return plausible & luhn_mask(numbers)


def iban_mask(compact: Sequence[str]) -> NDArray[np.bool_]:
    """Returns for each text whether it is an IBAN; upper case, no separators."""
    import numpy as np

    return np.fromiter((is_iban(c) for c in compact), np.bool_, len(compact))
