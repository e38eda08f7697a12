"""Exact match: recognises the values of loaded data in any text, by keyed digests only.

A value becomes its letters and digits, case folded. Its fingerprint is that byte string, behind a
secret salt, as a number modulo a secret prime (Rabin 1981); a text is searched for every run of one
to eight tokens whose joined form has a known fingerprint. So ``219-09-9871``, ``219 09 9871`` and
``219099871`` are one value, in any case and punctuation. Fingerprints are fast, not strong: they
stay in the memory of a process outside the kernel, and a stored index is encrypted (AES-256-GCM).

What is not matched: values shorter than :data:`SHORTEST_CHARS`, short numbers, common words, digits
joined over a decimal point or a column gap, pieces of a value, ciphered values.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import threading
import unicodedata
from array import array
from datetime import date
from typing import TYPE_CHECKING, Final

from cloister.core.errors import CloisterError
from cloister.detect.text import Span
from cloister.detect.tokens import TOKEN_PATTERN
from cloister.detect.words import COMMON_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SHORTEST_CHARS: Final = 5
SHORTEST_NAME_CHARS: Final = 3
SHORTEST_NUMBER_DIGITS: Final = 6
MOST_TOKENS: Final = 8
ADULT_YEARS: Final = 16
_PREFIX_CHARS: Final = 3
_LONGEST_CHARS: Final = 200
_MAGIC: Final = b"CLXM1\n"
_NONCE_BYTES: Final = 12
_TOKEN: Final = re.compile(r"[^\W_]+")
_GAP: Final = re.compile(r"\s{2,}|[\n\r\t|,;]")
_DECIMAL: Final = re.compile(r"(?<![\d.])\d*\.\d+\Z")
_PERSON: Final = "PERSON"
_BIRTH: Final = "DATE_OF_BIRTH"


class IndexDamaged(CloisterError):
    """A stored index that is not what this key wrote."""

    default_code = "CLO-DETECT-004"


class ExactIndex:
    """Fingerprints of sensitive values with their entity types.

    One writer and any number of readers may use it at once.

    Args:
        key: The workspace's index key; without it the fingerprints say nothing.
        today: What "today" is for birth dates; a date younger than 16 years is not indexed, since
            it would hit every recent date in an output.
    """

    def __init__(self, key: bytes, *, today: date | None = None) -> None:
        self._key = key
        self._prime = _secret_prime(key)
        self._salt = hashlib.blake2b(key=key[:64], person=b"cloister-salt", digest_size=16).digest()
        self._today = today or date.today()  # noqa: DTZ011 - a birth date has no time zone
        self._types: list[str] = []
        self._entries: dict[int, int] = {}
        self._prefixes: set[str] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entity_type: str, values: Iterable[str]) -> int:
        """Adds values and returns how many entries were new."""
        with self._lock:
            type_number = self._type_number(entity_type)
            before = len(self._entries)
            for value in values:
                for tokens in _forms(entity_type, value, self._today):
                    text = "".join(tokens)
                    self._entries.setdefault(self._fingerprint(text), type_number)
                    self._prefixes.add(text[:_PREFIX_CHARS])
            return len(self._entries) - before

    def merge(self, other: ExactIndex) -> None:
        """Adds all entries of an index with the same key."""
        with self._lock:
            numbers = [self._type_number(name) for name in other._types]
            for fingerprint, number in other._entries.items():
                self._entries.setdefault(fingerprint, numbers[number])
            self._prefixes |= other._prefixes

    def find(self, text: str) -> list[Span]:
        """Returns known values in ``text``, in order and without overlaps; the longest wins."""
        if not self._entries or len(text) < SHORTEST_NAME_CHARS:
            return []
        tokens = _tokens_of(text)
        spans: list[Span] = []
        position = 0
        while position < len(tokens):
            last, entity_type = self._longest(text, tokens, position)
            if entity_type is None or _is_fraction(text, tokens[position]):
                position += 1
                continue
            spans.append(Span(tokens[position][0], tokens[last][1], entity_type, 1.0))
            position = last + 1
        if spans and "~" in text:
            taken = [m.span() for m in TOKEN_PATTERN.finditer(text)]
            spans = [s for s in spans if all(s.end <= a or s.start >= b for a, b in taken)]
        return spans

    def save(self, path: Path) -> None:
        """Writes the index encrypted, replacing ``path`` at once; mode 0600."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        names = "\n".join(self._types).encode()
        prefixes = "\n".join(sorted(self._prefixes)).encode("utf-8", "surrogatepass")
        fingerprints = array("Q", self._entries.keys())
        numbers = array("B", (n & 0xFF for n in self._entries.values()))
        body = struct.pack("<III", len(names), len(prefixes), len(numbers))
        body += names + prefixes + fingerprints.tobytes() + numbers.tobytes()
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(_storage_key(self._key)).encrypt(nonce, body, _MAGIC)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(_MAGIC + nonce + sealed)
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path, key: bytes) -> ExactIndex:
        """Reads what :meth:`save` wrote.

        Raises:
            IndexDamaged: The file was written with another key, or changed.
            OSError: It cannot be read.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        data = path.read_bytes()
        start = len(_MAGIC) + _NONCE_BYTES
        nonce = data[len(_MAGIC) : start]
        try:
            if data[: len(_MAGIC)] != _MAGIC or len(nonce) != _NONCE_BYTES:
                raise InvalidTag
            body = AESGCM(_storage_key(key)).decrypt(nonce, data[start:], _MAGIC)
        except InvalidTag:
            raise IndexDamaged(
                "A stored exact-match index is damaged or belongs to another workspace.",
                remedy="Remove it; it is made again from the data.",
            ) from None
        index = cls(key)
        names, prefixes, count = struct.unpack_from("<III", body)
        offset = 12
        index._types = body[offset : offset + names].decode().split("\n") if names else []
        offset += names
        text = body[offset : offset + prefixes].decode("utf-8", "surrogatepass")
        index._prefixes = set(text.split("\n")) if text else set()
        offset += prefixes
        fingerprints = array("Q")
        fingerprints.frombytes(body[offset : offset + 8 * count])
        index._entries = dict(zip(fingerprints, body[offset + 8 * count :], strict=True))
        return index

    def _longest(
        self, text: str, tokens: list[tuple[int, int, str]], first: int
    ) -> tuple[int, str | None]:
        """Returns the last token and type of the longest known value that starts at ``first``."""
        joined = ""
        best, best_type = first, None
        for last in range(first, min(first + MOST_TOKENS, len(tokens))):
            token = tokens[last][2]
            if last > first and _is_gap(text, tokens[last - 1], tokens[last]):
                break
            joined += token
            if len(joined) > _LONGEST_CHARS:
                break
            if len(joined) < SHORTEST_NAME_CHARS:
                continue
            if joined[:_PREFIX_CHARS] not in self._prefixes:
                break
            number = self._entries.get(self._fingerprint(joined))
            if number is not None:
                best, best_type = last, self._types[number]
        return best, best_type

    def _fingerprint(self, text: str) -> int:
        return (
            int.from_bytes(self._salt + text.encode("utf-8", "surrogatepass"), "big") % self._prime
        )

    def _type_number(self, entity_type: str) -> int:
        if entity_type not in self._types:
            self._types.append(entity_type)
        return self._types.index(entity_type)


def _is_gap(text: str, before: tuple[int, int, str], after: tuple[int, int, str]) -> bool:
    """Returns whether two tokens are too far apart, or two numbers in a table or a decimal."""
    between = text[before[1] : after[0]]
    if len(between) > 4:
        return True
    if not (before[2].isdigit() and after[2].isdigit()):
        return False
    return _is_fraction(text, after) or _GAP.search(between) is not None


def _is_fraction(text: str, token: tuple[int, int, str]) -> bool:
    """Returns whether a token is what follows a decimal point: ``0.5``, but not ``10.20.30``."""
    match = _DECIMAL.search(text, max(0, token[0] - 40), token[1])
    return match is not None and text[token[1] : token[1] + 1] != "."


def _tokens_of(text: str) -> list[tuple[int, int, str]]:
    """Returns start, end and canonical form of every run of letters and digits."""
    if text.isascii():
        lowered = text.lower()
        return [(*m.span(), lowered[m.start() : m.end()]) for m in _TOKEN.finditer(text)]
    return [(*m.span(), _fold(m.group())) for m in _TOKEN.finditer(text)]


def _fold(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if c.isalnum())


def _forms(entity_type: str, value: str, today: date) -> list[list[str]]:
    """Returns the token lists under which a value is indexed; none if it is too common."""
    if entity_type == _BIRTH:
        value = value[:10]
        try:
            born = date.fromisoformat(value)
        except ValueError:
            pass
        else:
            if (today - born).days < ADULT_YEARS * 365.25:
                return []
    tokens = [folded for m in _TOKEN.finditer(value) if (folded := _fold(m.group()))]
    if not tokens or len(tokens) > MOST_TOKENS or not _is_telling(entity_type, tokens):
        return []
    forms = [tokens]
    if entity_type == _PERSON and 2 <= len(tokens) <= 4:
        forms.append([tokens[-1], *tokens[:-1]])  # "Lindqvist, Maria"
    return forms


def _is_telling(entity_type: str, tokens: list[str]) -> bool:
    joined = "".join(tokens)
    if joined.isdigit():
        return len(joined) >= SHORTEST_NUMBER_DIGITS
    if len(tokens) == 1 and joined.isalpha():
        shortest = SHORTEST_NAME_CHARS if entity_type == _PERSON else SHORTEST_CHARS
        return len(joined) >= shortest and joined not in COMMON_WORDS
    return len(joined) >= SHORTEST_CHARS


def _storage_key(key: bytes) -> bytes:
    return hashlib.blake2b(key=key[:64], person=b"cloister-store", digest_size=32).digest()


def _secret_prime(key: bytes) -> int:
    """Returns a prime of 61 bits that depends on the key."""
    counter = 0
    while True:
        digest = hashlib.blake2b(
            counter.to_bytes(4, "big"), key=key[:64], person=b"cloister-prime", digest_size=8
        ).digest()
        candidate = (int.from_bytes(digest, "big") >> 3) | (1 << 60) | 1
        if _is_prime(candidate):
            return candidate
        counter += 1


def _is_prime(number: int) -> bool:
    """Miller-Rabin with the bases that decide every number below 2^64 (Sorenson, Webster 2015)."""
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):
        x = pow(base, odd, number)
        if x in {1, number - 1}:
            continue
        for _ in range(twos - 1):
            x = x * x % number
            if x == number - 1:
                break
        else:
            return False
    return True
