"""Tokens that can be undone: AES-SIV (RFC 5297) in the dress of a token, with nothing to remember.

``US_SSN~~`` and base32 of the synthetic IV and the ciphertext. The encryption is deterministic, so
equal values have equal tokens; the type is associated data, so that a token cannot be passed off
as one of another type; and nobody can make one without the key. What is sealed is the canonical
text of a value (``219099871`` for ``219-09-9871``), because all its spellings have one token. It
is padded to whole blocks of 16 bytes: the token's length says the length of the value no closer
than that.

The key is not the one that makes the other tokens: who masks a file needs both, who reveals has to
have this one, and no kernel has either.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

SEALED_PATTERN: re.Pattern[str] = re.compile(r"([A-Z][A-Z0-9_]*)~~([a-z2-7]{52,154})")

_BLOCK: Final = 16
_MOST_BYTES: Final = 79
_KEY_BYTES: Final = 32
_CONTEXT: Final = b"cloister/sealed/v1"


class Sealer:
    """Makes and undoes reversible tokens with one key. Safe to share between threads.

    Args:
        key: 32 bytes, from which the two AES-256 keys of AES-SIV are derived.

    Raises:
        ValueError: The key has another length.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise ValueError(f"the key of reversible tokens has {_KEY_BYTES} bytes")
        import hashlib

        self._key = hashlib.blake2b(key, person=b"cloister-sealed").digest()
        self._cipher: AESSIV | None = None

    def seal(self, entity_type: str, text: str) -> str | None:
        """Returns the token of a canonical text, ``None`` when it is longer than 79 bytes."""
        data = text.encode("utf-8", "surrogatepass")
        if len(data) > _MOST_BYTES:
            return None
        padded = bytes([len(data)]) + data
        padded += bytes(-len(padded) % _BLOCK)
        sealed = self._aes().encrypt(padded, [_CONTEXT, entity_type.encode()])
        return f"{entity_type}~~{_base32(sealed)}"

    def reveal(self, token: str) -> str | None:
        """Returns the canonical text of a token, ``None`` when this key did not make it."""
        from cryptography.exceptions import InvalidTag

        found = SEALED_PATTERN.fullmatch(token)
        if found is None:
            return None
        try:
            sealed = base64.b32decode(found[2].upper() + "=" * (-len(found[2]) % 8))
            padded = self._aes().decrypt(sealed, [_CONTEXT, found[1].encode()])
        except (binascii.Error, InvalidTag, ValueError):
            return None
        if _base32(sealed) != found[2]:
            return None  # bits after the last byte were changed: one value has one token
        return padded[1 : 1 + padded[0]].decode("utf-8", "surrogatepass")

    def _aes(self) -> AESSIV:
        if self._cipher is None:  # cryptography is loaded when the first token is made
            from cryptography.hazmat.primitives.ciphers.aead import AESSIV

            self._cipher = AESSIV(self._key)
        return self._cipher


def _base32(data: bytes) -> str:
    return base64.b32encode(data).rstrip(b"=").decode().lower()


def entity_of(token: str) -> str | None:
    """Returns the type that a reversible token names, ``None`` when the text is none."""
    found = SEALED_PATTERN.fullmatch(token)
    return None if found is None else found[1]
