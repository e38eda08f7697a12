"""Stand-ins for values: equal values of one type get equal tokens, and nothing else can be told.

A token is ``ENTITY~`` and ten characters of base32 (50 bits) of a keyed BLAKE2b digest (RFC 7693).
The key is the workspace's; each entity type has a key of its own derived from it, so that a phone
number and a record number with the same digits have tokens that cannot be compared. Without the
key a token says nothing, even about a value from a small set such as social security numbers.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

TOKEN_PATTERN: re.Pattern[str] = re.compile(r"[A-Z][A-Z0-9_]*~[a-z2-7]{10}")

_DIGEST_BYTES = 10  # 80 bits, of which the first 50 are shown
_SHOWN = 10
_MIN_KEY_BYTES = 16

# Written with many separators, and in any case, for the same thing.
_IDENTIFIERS = frozenset(
    {
        "BANK_ACCOUNT",
        "CREDIT_CARD",
        "CVV",
        "DRIVER_LICENSE",
        "IBAN_CODE",
        "MEDICAL_RECORD",
        "NATIONAL_ID",
        "PASSPORT",
        "PERSON_ID",
        "PHONE_NUMBER",
        "POSTCODE",
        "TAX_ID",
        "US_SSN",
    }
)
# Written with any case and spacing for the same thing; punctuation counts.
_WORDS = frozenset({"CITY", "EMAIL_ADDRESS", "IP_ADDRESS", "PERSON", "STREET_ADDRESS", "USERNAME"})

_INTEGRAL_FLOAT = re.compile(r"[+-]?\d+\.0+")
_MIDNIGHT = re.compile(r"(\d{4}-\d{2}-\d{2})[T ]00:00(?::00(?:\.0+)?)?")


class Tokenizer:
    """Makes tokens with one key. Safe to share between threads.

    Args:
        key: At least 16 bytes; the same key gives the same tokens.

    Raises:
        ValueError: The key is too short.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < _MIN_KEY_BYTES:
            raise ValueError(f"a token key has at least {_MIN_KEY_BYTES} bytes")
        self._key = hashlib.blake2b(key, person=b"cloister-tok-key").digest()
        self._domain_keys: dict[str, bytes] = {}

    def token(self, entity_type: str, value: str) -> str:
        """Returns the token of ``value``; a value that is a token already stays as it is."""
        if TOKEN_PATTERN.fullmatch(value):
            return value
        data = canonical_value(entity_type, value).encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(
            data,
            key=self._domain_key(entity_type),
            digest_size=_DIGEST_BYTES,
            person=b"cloister-token",
        ).digest()
        return f"{entity_type}~{base64.b32encode(digest)[:_SHOWN].decode('ascii').lower()}"

    def tokens(self, entity_type: str, values: Iterable[str]) -> list[str]:
        """Returns the tokens of ``values``, in order."""
        return [self.token(entity_type, value) for value in values]

    def _domain_key(self, entity_type: str) -> bytes:
        key = self._domain_keys.get(entity_type)
        if key is None:
            key = hashlib.blake2b(
                entity_type.encode("utf-8"), key=self._key, person=b"cloister-domain"
            ).digest()
            self._domain_keys[entity_type] = key
        return key


def canonical_value(entity_type: str, value: str) -> str:
    """Returns the one text that stands for all spellings of a value of this type.

    Identifiers keep letters and digits only; words lose case and extra spaces; a type that is not
    known keeps everything but outer spaces, because there ``1.5`` and ``15`` are different values.
    """
    if entity_type in _IDENTIFIERS:
        if _INTEGRAL_FLOAT.fullmatch(value.strip()):  # what a null makes of a column of integers
            value = value.strip().partition(".")[0]
        text = "".join(c for c in unicodedata.normalize("NFKC", value).casefold() if c.isalnum())
        # Spreadsheets and integer columns eat leading zeros.
        return text.zfill(9) if entity_type == "US_SSN" and text.isdecimal() else text
    if entity_type in _WORDS:
        return " ".join(unicodedata.normalize("NFKC", value).casefold().split())
    text = unicodedata.normalize("NFC", value).strip()
    if entity_type == "DATE_OF_BIRTH":
        midnight = _MIDNIGHT.fullmatch(text)
        return midnight[1] if midnight else text
    return text
