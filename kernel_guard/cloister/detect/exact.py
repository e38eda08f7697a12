"""Exact match: recognises the values of loaded data in any text, by keyed fingerprints only.

A value is its letters and digits, case folded, so ``219-09-9871``, ``219 09 9871`` and
``219099871`` are one value. Every run of one to eight tokens of a text is looked up
(:mod:`cloister.detect.fingerprint`); what is found still has to read like the value and not like a
row of numbers (:mod:`cloister.detect.plausible`). A stored index is sealed with AES-256-GCM, so a
file says nothing without the key, and a changed one is refused.

Not matched: short or common values, pieces of a value, values glued to other letters or digits,
encoded values. It stops accidents, not an author who is determined.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import threading
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from cloister.core.errors import CloisterError
from cloister.detect.plausible import Form, is_plausible
from cloister.detect.text import Span, without_overlaps
from cloister.detect.tokens import TOKEN_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from cloister.detect.fingerprint import Fingerprints, Tokens

MOST_TOKENS: Final = 8
_SHORTEST_TEXT: Final = 3
_MAGIC: Final = b"CLXM2\n"
_NONCE_BYTES: Final = 12
_PIECE_CHARS: Final = 100_000  # a longer text is searched in pieces of this size
_OVERLAP_CHARS: Final = 1_024  # more than the longest value with its gaps
_SMALL_TOKENS: Final = 96
_REMEMBERED_CHARS: Final = 80
_REMEMBERED_TEXTS: Final = 10_000
_BATCH: Final = 50_000


class IndexDamaged(CloisterError):
    """A stored index that is not what this key wrote."""

    default_code = "CLO-DETECT-004"


@dataclass(frozen=True, slots=True)
class _Entries:
    """A snapshot that never changes; a writer replaces it whole.

    Attributes:
        fingerprints: Sorted.
        kinds: Index in ``types`` for each fingerprint.
        types: Entity types and the forms in which their values may be met.
        present: Whether any fingerprint begins with these bits; most of a text stops here.
        shift: How many bits of a fingerprint ``present`` leaves out.
        clean: Short texts in which nothing was found, so that JSON keys cost nothing.
    """

    fingerprints: NDArray[np.uint64]
    kinds: NDArray[np.uint16]
    types: tuple[tuple[str, Form], ...]
    present: NDArray[np.bool_]
    shift: np.uint64
    clean: set[str] = field(default_factory=set)


class ExactIndex:
    """Fingerprints of sensitive values with their entity types.

    One writer and any number of readers may use it at once. numpy loads with the first value.

    Args:
        key: The workspace's index key; without it the fingerprints say nothing.
        today: What "today" is for birth dates; a date younger than 16 years is not indexed, since
            it would hit every recent date in an output.
    """

    def __init__(self, key: bytes, *, today: date | None = None) -> None:
        self._key = key
        self._today = today or date.today()  # noqa: DTZ011 - a birth date has no time zone
        self._entries: _Entries | None = None
        self._prints: Fingerprints | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return 0 if self._entries is None else len(self._entries.fingerprints)

    def add(self, entity_type: str, values: Iterable[str]) -> int:
        """Adds values and returns how many entries were new; a value may have several spellings."""
        from cloister.detect.spellings import spellings

        before = len(self)
        with self._lock:
            for batch in _batches(values):
                for form, prints in spellings(
                    self._fingerprints(), entity_type, batch, self._today
                ):
                    self._insert(prints, [((entity_type, form), len(prints))])
        return len(self) - before

    def merge(self, other: ExactIndex) -> None:
        """Adds all entries of an index with the same key.

        Raises:
            ValueError: The other index has another key.
        """
        if other._key != self._key:
            raise ValueError("indexes of different keys cannot be merged")
        theirs = other._entries
        if theirs is None:
            return
        with self._lock:
            import numpy as np

            self._fingerprints()
            order = np.argsort(theirs.kinds, kind="stable")
            counts = np.bincount(theirs.kinds, minlength=len(theirs.types))
            self._insert(
                theirs.fingerprints[order], list(zip(theirs.types, counts.tolist(), strict=True))
            )

    def find(self, text: str) -> list[Span]:
        """Returns known values in ``text``, in order and without overlaps; the longest wins."""
        entries = self._entries
        if entries is None or len(text) < _SHORTEST_TEXT or text in entries.clean:
            return []
        if len(text) <= _PIECE_CHARS:
            found = self._search(entries, text)
        else:
            found = list(
                {s: None for piece in _pieces(text) for s in self._shifted(entries, *piece)}
            )
        if not found:
            if len(text) <= _REMEMBERED_CHARS:
                if len(entries.clean) >= _REMEMBERED_TEXTS:
                    entries.clean.clear()
                entries.clean.add(text)
            return []
        if "~" in text:
            taken = [m.span() for m in TOKEN_PATTERN.finditer(text)]
            found = [s for s in found if all(s.end <= a or s.start >= b for a, b in taken)]
        return without_overlaps(found)

    def save(self, path: Path) -> None:
        """Writes the index sealed, replacing ``path`` at once; mode 0600."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        entries = self._entries
        names: list[list[str]] = []
        arrays = b""
        if entries is not None:
            names = [[name, form.value] for name, form in entries.types]
            arrays = entries.fingerprints.astype("<u8").tobytes()
            arrays += entries.kinds.astype("<u2").tobytes()
        header = json.dumps({"types": names, "entries": len(self)}).encode()
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(_storage_key(self._key)).encrypt(
            nonce, struct.pack("<I", len(header)) + header + arrays, _MAGIC
        )
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
        import numpy as np

        header, arrays = _unseal(path.read_bytes(), key)
        index = cls(key)
        count = header["entries"]
        if count:
            prints = np.frombuffer(arrays, "<u8", count).astype(np.uint64)
            kinds = np.frombuffer(arrays, "<u2", count, 8 * count).astype(np.uint16)
            types = tuple((str(name), Form(form)) for name, form in header["types"])
            index._fingerprints()
            index._entries = _snapshot(prints, kinds, types)
        return index

    def _fingerprints(self) -> Fingerprints:
        if self._prints is None:
            from cloister.detect.fingerprint import Fingerprints

            self._prints = Fingerprints(self._key)
        return self._prints

    def _insert(
        self, prints: NDArray[np.uint64], parts: list[tuple[tuple[str, Form], int]]
    ) -> None:
        """Adds fingerprints; ``parts`` names the types of consecutive stretches of them."""
        import numpy as np

        old = self._entries
        types = list(old.types) if old else []
        for name, _count in parts:
            if name not in types:
                types.append(name)
        kinds = np.repeat(
            np.array([types.index(name) for name, _ in parts], np.uint16), [n for _, n in parts]
        )
        prints, chosen = np.unique(prints, return_index=True)
        kinds = kinds[chosen]
        if old is not None and len(prints):
            places = np.searchsorted(old.fingerprints, prints)
            at = np.minimum(places, len(old.fingerprints) - 1)
            fresh = old.fingerprints[at] != prints
            prints, kinds, places = prints[fresh], kinds[fresh], places[fresh]
            if not len(prints):
                return
            prints = np.insert(old.fingerprints, places, prints)
            kinds = np.insert(old.kinds, places, kinds)
        if len(prints):
            self._entries = _snapshot(prints, kinds, tuple(types))

    def _shifted(self, entries: _Entries, offset: int, piece: str) -> list[Span]:
        return [
            Span(s.start + offset, s.end + offset, s.entity_type, s.score)
            for s in self._search(entries, piece)
        ]

    def _search(self, entries: _Entries, text: str) -> list[Span]:
        from cloister.detect.fingerprint import tokenise

        tokens = tokenise(text)
        if not len(tokens):
            return []
        spans: list[Span] = []
        for first, width, kind in self._hits(entries, tokens):
            entity_type, form = entries.types[kind]
            start, end = tokens.range_of(first, first + width - 1)
            if is_plausible(text, start, end, form, width):
                if text[start - 1 : start] == "(" and ")" in text[start:end]:
                    start -= 1  # the bracket belongs to what it closes: (620) 555-0166
                spans.append(Span(start, end, entity_type, 1.0))
        return spans

    def _hits(self, entries: _Entries, tokens: Tokens) -> Iterator[tuple[int, int, int]]:
        """Yields (first token, number of tokens, kind) of every run with a known fingerprint."""
        prints = self._fingerprints()
        count = len(tokens)
        if count <= _SMALL_TOKENS:
            # One matrix: row = first token, column = how many more. Rows at the end repeat runs.
            flat = prints.grid(tokens, _reach(count)).ravel()
            places = entries.present[(flat >> entries.shift).view("i8")].nonzero()[0]
            for place, kind in _look_up(entries, flat, places):
                first, more = divmod(place, MOST_TOKENS)
                if first + more < count:
                    yield first, more + 1, kind
            return
        sums = prints.sums(tokens)
        for more in range(min(MOST_TOKENS, count)):
            runs = prints.runs(sums, tokens.first[: count - more], tokens.last[more:])
            places = entries.present[(runs >> entries.shift).view("i8")].nonzero()[0]
            for place, kind in _look_up(entries, runs, places):
                yield place, more + 1, kind


@cache
def _reach(count: int) -> Any:
    """Returns for each of ``count`` tokens the numbers of the tokens after its runs."""
    import numpy as np

    return np.minimum(np.arange(count)[:, None] + np.arange(1, MOST_TOKENS + 1), count)


def _look_up(entries: _Entries, runs: Any, places: Any) -> Iterator[tuple[int, int]]:
    if not len(places):
        return
    wanted = runs[places]
    at = entries.fingerprints.searchsorted(wanted)
    at[at == len(entries.fingerprints)] = 0
    hit = (entries.fingerprints[at] == wanted).nonzero()[0]
    for i in hit.tolist():
        yield int(places[i]), int(entries.kinds[at[i]])


def _snapshot(
    prints: NDArray[np.uint64], kinds: NDArray[np.uint16], types: tuple[tuple[str, Form], ...]
) -> _Entries:
    import numpy as np

    # Eight to sixteen places for each entry: of a clean text one run in twelve goes on.
    bits = max(12, len(prints).bit_length() + 3)
    shift = np.uint64(64 - bits)
    present = np.zeros(1 << bits, np.bool_)
    present[(prints >> shift).astype(np.int64)] = True
    return _Entries(prints, kinds, types, present, shift)


def _batches(values: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for value in values:
        batch.append(value)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Yields overlapping pieces of a long text with their offsets; no piece cuts a token."""
    start = 0
    while start < len(text):
        end = min(len(text), start + _PIECE_CHARS)
        while end < len(text) and text[end - 1].isalnum() and text[end].isalnum():
            end += 1
        yield start, text[start:end]
        if end == len(text):
            return
        start = max(start + 1, end - _OVERLAP_CHARS)
        while start < end and text[start - 1].isalnum() and text[start].isalnum():
            start += 1


def _storage_key(key: bytes) -> bytes:
    return hashlib.blake2b(key=key[:64], person=b"cloister-store", digest_size=32).digest()


def _unseal(data: bytes, key: bytes) -> tuple[dict[str, Any], bytes]:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

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
    (length,) = struct.unpack_from("<I", body)
    header: dict[str, Any] = json.loads(body[4 : 4 + length])
    return header, body[4 + length :]
