"""Addresses of wallets: their checksums tell them from any other string of the same letters.

Sources: Base58Check as in Bitcoin's wiki; bech32 and bech32m of BIP 173 and BIP 350.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_BASE58: Final = {
    letter: value
    for value, letter in enumerate("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz")
}
_BECH32: Final = {letter: value for value, letter in enumerate("qpzry9x8gf2tvdw0s3jn54khce6mua7l")}
_GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32_ENDS: Final = frozenset({1, 0x2BC830A3})  # bech32 of version 0, bech32m of later ones
_ADDRESS_BYTES: Final = 25


def is_base58_address(text: str) -> bool:
    """Returns whether a text is a version, a hash of 20 bytes, and the checksum of both."""
    number = 0
    for letter in text:
        value = _BASE58.get(letter)
        if value is None:
            return False
        number = number * 58 + value
    if number.bit_length() > 8 * _ADDRESS_BYTES:
        return False
    raw = number.to_bytes(_ADDRESS_BYTES, "big")
    # Each zero byte in front is written as one 1.
    if len(raw) - len(raw.lstrip(b"\0")) != len(text) - len(text.lstrip("1")):
        return False
    return sha256(sha256(raw[:-4]).digest()).digest()[:4] == raw[-4:]


def is_bech32_address(text: str) -> bool:
    """Returns whether a text is a segregated witness address, in one case, with its checksum."""
    if text != text.lower() and text != text.upper():
        return False
    human, separator, data = text.lower().rpartition("1")
    if not separator or human != "bc" or len(data) < 6:
        return False
    values = [_BECH32.get(letter, -1) for letter in data]
    if min(values) < 0:
        return False
    state = 1
    for value in (*(ord(c) >> 5 for c in human), 0, *(ord(c) & 31 for c in human), *values):
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            if top >> bit & 1:
                state ^= generator
    return state in _BECH32_ENDS


def count_addresses(values: Iterable[str]) -> int:
    """Returns how many values are addresses: of bitcoin with its checksum, or of Ethereum's form.

    Ethereum's checksum is in the case of its letters, and most programs write one case only.
    """
    return sum(
        value[:2] == "0x"
        or (is_bech32_address(value) if value[:3].lower() == "bc1" else is_base58_address(value))
        for value in values
    )
