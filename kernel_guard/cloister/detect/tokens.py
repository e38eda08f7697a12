"""Tokens: stable stand-ins for values, the same for equal values in one workspace.

``US_SSN~k3f9x2abqd`` is the entity type, ``~`` and ten base32 characters (50 bits) of a keyed
BLAKE2b digest (RFC 7693) of the value in canonical form, one domain for each entity type. Without
the key a token cannot be turned back by trying values; with a few million values two may share one.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

TOKEN_PATTERN: Final = re.compile(r"[A-Z][A-Z0-9_]*~[a-z2-7]{10}")
TOKEN_CHARS: Final = 10
_DIGEST_BYTES: Final = 7


def canonical(value: str) -> str:
    """Returns the form in which ``219-09-9871`` and ``219099871`` are one value.

    NFKC, case folded, letters and digits only. A value without any keeps its other characters.
    """
    folded = unicodedata.normalize("NFKC", value).casefold()
    kept = "".join(c for c in folded if c.isalnum())
    return kept or folded


class Tokenizer:
    """Makes tokens with one workspace's key.

    Args:
        key: 16 to 64 bytes; it never leaves the sidecar.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def token(self, entity_type: str, value: str) -> str:
        """Returns the token of a value; a value that is a token already stays as it is."""
        if TOKEN_PATTERN.fullmatch(value):
            return value
        text = canonical(value).encode("utf-8", "surrogatepass")
        digest = blake2b(
            entity_type.encode() + b"\0" + text,
            key=self._key,
            person=b"cloister-token",
            digest_size=_DIGEST_BYTES,
        ).digest()
        encoded = base64.b32encode(digest).decode("ascii").lower()
        return f"{entity_type}~{encoded[:TOKEN_CHARS]}"

    def tokens(self, entity_type: str, values: Iterable[str]) -> list[str]:
        """Returns the tokens of many values, in their order."""
        return [self.token(entity_type, value) for value in values]
