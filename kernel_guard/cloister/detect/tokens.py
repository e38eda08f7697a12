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
    from collections.abc import Callable, Iterable

    from cloister.detect.masking.sealed import Sealer

#: A token, or one that the broker can undo (``~~``, see ``cloister.detect.masking.sealed``).
TOKEN_PATTERN: re.Pattern[str] = re.compile(r"[A-Z][A-Z0-9_]*~(?:~[a-z2-7]{52,154}|[a-z2-7]{10})")

_DIGEST_BYTES = 10  # 80 bits, of which the first 50 are shown
_SHOWN = 10
_MIN_KEY_BYTES = 16
_FEW = 32  # below, setting up arrays costs more than it saves
_ALPHABET = b"abcdefghijklmnopqrstuvwxyz234567"  # RFC 4648

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

# What is deleted from an identifier in ASCII: everything but letters and digits.
_PUNCTUATION = {code: None for code in range(128) if not chr(code).isalnum()}
_INTEGRAL_FLOAT = re.compile(r"[+-]?\d+\.0+")
_MIDNIGHT = re.compile(r"(\d{4}-\d{2}-\d{2})[T ]00:00(?::00(?:\.0+)?)?")


class Tokenizer:
    """Makes tokens with one key. Safe to share between threads.

    Args:
        key: At least 16 bytes; the same key gives the same tokens.
        reversible_key: 32 bytes for tokens that can be undone; without it there are none, and
            plain ones stand in for them.

    Raises:
        ValueError: A key has a wrong length.
    """

    def __init__(self, key: bytes, reversible_key: bytes | None = None) -> None:
        if len(key) < _MIN_KEY_BYTES:
            raise ValueError(f"a token key has at least {_MIN_KEY_BYTES} bytes")
        self._key = hashlib.blake2b(key, person=b"cloister-tok-key").digest()
        self._hashes: dict[tuple[str, bytes], hashlib.blake2b] = {}
        self._sealer: Sealer | None = None
        if reversible_key is not None:
            from cloister.detect.masking.sealed import Sealer

            self._sealer = Sealer(reversible_key)

    def token(self, entity_type: str, value: str) -> str:
        """Returns the token of ``value``; a value that is a token already stays as it is."""
        return self.tokens(entity_type, (value,))[0]

    def tokens(self, entity_type: str, values: Iterable[str]) -> list[str]:
        """Returns the tokens of ``values``, in order."""
        start = self._hash(entity_type, b"cloister-token").copy
        canonical = _canonical(entity_type)
        values = list(values)
        digests: list[bytes] = []
        for value in values:
            digest = start()
            digest.update(canonical(value).encode("utf-8", "surrogatepass"))
            digests.append(digest.digest())
        shown = _base32_many(digests)
        return [
            value if "~" in value and TOKEN_PATTERN.fullmatch(value) else f"{entity_type}~{text}"
            for value, text in zip(values, shown, strict=True)
        ]

    def reversible_tokens(self, entity_type: str, values: Iterable[str]) -> list[str]:
        """Returns tokens that the broker can undo; plain ones for long values or without a key."""
        values = list(values)
        if self._sealer is None:
            return self.tokens(entity_type, values)
        canonical, seal = _canonical(entity_type), self._sealer.seal
        sealed = [
            value if "~" in value and TOKEN_PATTERN.fullmatch(value) else seal(entity_type, text)
            for value, text in ((value, canonical(value)) for value in values)
        ]
        return [
            self.token(entity_type, value) if token is None else token
            for value, token in zip(values, sealed, strict=True)
        ]

    def reveal(self, token: str) -> str | None:
        """Returns what a reversible token stands for, ``None`` when this key did not make it."""
        return None if self._sealer is None else self._sealer.reveal(token)

    def offset(self, entity_type: str, text: str) -> float:
        """Returns a number in [-1, 1) that nobody can tell without the key; equal for equal texts.

        It moves numbers and dates. It is no token's digest: neither says anything of the other.
        """
        digest = self._hash(entity_type, b"cloister-offset").copy()
        digest.update(text.encode("utf-8", "surrogatepass"))
        return int.from_bytes(digest.digest()[:6], "big") / 2**47 - 1.0

    def offsets(self, entity_type: str, values: Iterable[str]) -> list[float]:
        """Returns the offset of each text, in order."""
        return [self.offset(entity_type, value) for value in values]

    def _hash(self, entity_type: str, purpose: bytes) -> hashlib.blake2b:
        """Returns the keyed hash of a type, to be copied: setting the key costs as much as both."""
        known = self._hashes.get((entity_type, purpose))
        if known is None:
            key = hashlib.blake2b(
                entity_type.encode("utf-8"), key=self._key, person=b"cloister-domain"
            ).digest()
            known = hashlib.blake2b(key=key, digest_size=_DIGEST_BYTES, person=purpose)
            self._hashes[entity_type, purpose] = known
        return known


def _base32_many(digests: list[bytes]) -> list[str]:
    """Returns the first ten characters of the base32 of each digest, in lower case."""
    if len(digests) < _FEW:
        return [base64.b32encode(digest)[:_SHOWN].decode("ascii").lower() for digest in digests]
    import numpy as np

    data = np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, _DIGEST_BYTES)
    bits = np.zeros(len(digests), dtype=np.uint64)
    for column in range(7):  # 56 bits, of which the first 50 count
        bits = (bits << np.uint64(8)) | data[:, column]
    shifts = np.arange(51, 1, -5, dtype=np.uint64)
    letters = np.frombuffer(_ALPHABET, dtype=np.uint8)
    codes = letters[((bits[:, None] >> shifts) & np.uint64(31)).astype(np.intp)]
    text = codes.tobytes().decode("ascii")
    return [text[i : i + _SHOWN] for i in range(0, len(text), _SHOWN)]


def _canonical(entity_type: str) -> Callable[[str], str]:
    """Returns what makes the canonical text of values of a type, quick for plain ASCII."""

    def slow(value: str) -> str:
        return canonical_value(entity_type, value)

    if entity_type in _IDENTIFIERS:

        def identifier(value: str) -> str:
            if not value.isascii() or "." in value:
                return slow(value)
            text = value.lower().translate(_PUNCTUATION)
            return text.zfill(9) if entity_type == "US_SSN" and text.isdecimal() else text

        return identifier
    if entity_type in _WORDS:
        return lambda value: " ".join(value.lower().split()) if value.isascii() else slow(value)
    return slow


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
    if entity_type == "DOB":
        midnight = _MIDNIGHT.fullmatch(text)
        return midnight[1] if midnight else text
    return text
