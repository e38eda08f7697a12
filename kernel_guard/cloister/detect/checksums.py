"""Check digits: what tells an identifier from a number of the same length."""

from __future__ import annotations


def is_luhn(digits: str) -> bool:
    """Returns whether a string of ASCII digits passes the Luhn check (ISO/IEC 7812-1)."""
    total = 0
    for position, character in enumerate(reversed(digits)):
        digit = ord(character) - 48
        if position % 2:
            digit *= 2
            if digit > 9:
                digit -= 9
        total += digit
    return total % 10 == 0


def is_card(digits: str) -> bool:
    """Returns whether digits are a payment card number: known prefix and length, and Luhn."""
    length = len(digits)
    if not 13 <= length <= 19 or len(set(digits)) == 1:
        return False
    two, four = int(digits[:2]), int(digits[:4])
    known = (
        (digits[0] == "4" and length in {13, 16, 19})
        or (length == 16 and (51 <= two <= 55 or 2221 <= four <= 2720))
        or (length == 15 and two in {34, 37})
        or (16 <= length <= 19 and (four == 6011 or two == 65 or 644 <= int(digits[:3]) <= 649))
        or (14 <= length <= 19 and (two in {36, 38, 39} or 300 <= int(digits[:3]) <= 305))
        or (16 <= length <= 19 and (3528 <= four <= 3589 or two == 62))
    )
    return known and is_luhn(digits)


def is_iban(text: str) -> bool:
    """Returns whether text without spaces is an IBAN by length and modulus 97 (ISO 13616)."""
    if not 15 <= len(text) <= 34 or not text.isascii() or not text.isalnum():
        return False
    rearranged = text[4:] + text[:4]
    return int("".join(str(int(c, 36)) for c in rearranged)) % 97 == 1


def is_ssn(area: int, group: int, serial: int) -> bool:
    """Returns whether the parts can be a US Social Security number that was ever issued."""
    return 0 < area < 900 and area != 666 and group > 0 and serial > 0
