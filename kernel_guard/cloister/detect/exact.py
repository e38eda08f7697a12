"""Exact match: recognises the values of loaded data in any text, by keyed fingerprints only.

A value is its letters and digits, case folded, so ``219-09-9871``, ``219 09 9871`` and
``219099871`` are one value. Every run of one to eight tokens of a text is looked up
(:mod:`cloister.detect.fingerprint`); what is found still has to read like the value and not like a
row of numbers (:mod:`cloister.detect.plausible`), or to fill the cells of a table
(:mod:`cloister.detect.splits`). What says little alone needs another value of its row nearby
(:mod:`cloister.detect.company`). Values in encoded pieces of a text are found too
(:mod:`cloister.detect.decoded`).

A stored index is sealed with AES-256-GCM, so a file says nothing without the key, and a changed one
is refused. Sidecars share the file and not its memory: a mapped file would lie open, and whoever
reads fingerprints and knows some of the values can solve for the key that made them.

Values that begin or end inside a word are looked up as well (:mod:`cloister.detect.glued`).

Not matched: common values without company, pieces of a value, values glued to letters of the same
case. It stops accidents, not an author who is determined.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import threading
from dataclasses import dataclass, replace
from datetime import date
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

from cloister.core.errors import CloisterError
from cloister.detect.decoded import decode
from cloister.detect.plausible import Form, among_their_like, is_plausible
from cloister.detect.series import in_series
from cloister.detect.splits import FEWEST_LINES, in_columns
from cloister.detect.text import Span, without_overlaps
from cloister.detect.tokens import TOKEN_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from cloister.detect.company import RowColumn
    from cloister.detect.entries import Entries, Kind
    from cloister.detect.fingerprint import Fingerprints, Tokens
    from cloister.detect.views import Decoded

MOST_TOKENS: Final = 8
_SHORTEST_TEXT: Final = 3
_MAGIC: Final = b"CLXM4\n"
_NONCE_BYTES: Final = 12
_SMALL_TEXT_CHARS: Final = 8_192  # a longer text is looked at for what needs no search
_PIECE_CHARS: Final = 100_000  # a longer text is searched in pieces of this size
_OVERLAP_CHARS: Final = 1_024  # more than the longest value with its gaps
_SMALL_TOKENS: Final = 96
_REMEMBERED_CHARS: Final = 80
_REMEMBERED_TEXTS: Final = 10_000
_BATCH: Final = 50_000


class IndexDamaged(CloisterError):
    """A stored index that is not what this key wrote."""

    default_code = "CLO-DETECT-004"


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
        self._entries: Entries | None = None
        self._prints: Fingerprints | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return 0 if self._entries is None else len(self._entries)

    def add(self, entity_type: str, values: Iterable[str]) -> int:
        """Adds values and returns how many entries were new; a value may have several spellings."""
        from cloister.detect.spellings import spellings

        before = len(self)
        with self._lock:
            for batch in _batches(values):
                for form, prints in spellings(
                    self._fingerprints(), entity_type, batch, self._today
                ):
                    self._insert(prints, (entity_type, form))
        return len(self) - before

    def add_rows(self, columns: Sequence[RowColumn]) -> int:
        """Adds what says too little alone, with the company it keeps in its rows.

        Args:
            columns: Sensitive columns of the same rows. What can stand for itself is for
                :meth:`add`.

        Returns:
            How many entries were new, pairs included.
        """
        from cloister.detect.company import weak_values

        before = len(self)
        with self._lock:
            weak, pairs = weak_values(self._fingerprints(), columns, self._today)
            for entity_type, prints in weak:
                self._insert(prints, (entity_type, Form.WEAK))
            self._insert(pairs, ("", Form.PAIR))
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
            self._fingerprints()
            mine = self._entries
            self._entries = theirs if mine is None else mine.with_entries(theirs)

    def move(self, place: Callable[[NDArray[Any]], NDArray[Any]]) -> Entries | None:
        """Keeps each array where ``place`` puts it, and returns the entries now held.

        For :mod:`cloister.detect.sharedindex`.
        """
        with self._lock:
            entries = self._entries
            if entries is not None:
                arrays = [place(a) for a in (entries.old, entries.new, entries.present)]
                is_moved = any(
                    a is not b
                    for a, b in zip(
                        arrays, (entries.old, entries.new, entries.present), strict=True
                    )
                )
                if is_moved:
                    old, new, present = arrays
                    entries = self._entries = replace(entries, old=old, new=new, present=present)
            return entries

    def take(self, entries: Entries) -> None:
        """Holds exactly these entries, of an index with the same key."""
        with self._lock:
            self._fingerprints()
            self._entries = entries

    def find(self, text: str, decoded: Decoded | None = None) -> list[Span]:
        """Returns known values in ``text``, in order and without overlaps; the longest wins.

        Args:
            text: Any text.
            decoded: What its encoded pieces say, if the caller has that already.
        """
        entries = self._entries
        if entries is None or len(text) < _SHORTEST_TEXT:
            return []
        if len(text) <= _REMEMBERED_CHARS and text in entries.clean:
            return []
        if decoded is None:
            decoded = decode(text)
        if decoded.missing is None:
            found = self._claims(entries, text)
        else:
            found = [s for words in decoded.missing for s in self._around(entries, text, words)]
        if decoded:
            found += decoded.find(partial(self._claims, entries))
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

    def holds(self, text: str) -> bool:
        """Returns whether a known value stands in ``text`` as it is; nothing is decoded."""
        return self._entries is not None and bool(self._claims(self._entries, text))

    def save(self, path: Path) -> None:
        """Writes the index sealed, replacing ``path`` at once; mode 0600."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        entries = self._entries
        names: list[list[str]] = []
        words = b""
        if entries is not None:
            names = [[name, form.value] for name, form in entries.kinds]
            words = entries.sorted().astype("<u8").tobytes()
        header = json.dumps({"kinds": names, "entries": len(self)}).encode()
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(_storage_key(self._key)).encrypt(
            nonce, struct.pack("<I", len(header)) + header + words, _MAGIC
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

        header, words = _unseal(path.read_bytes(), key)
        index = cls(key)
        if header["entries"]:
            from cloister.detect.entries import entries_of

            index._fingerprints()
            index._entries = entries_of(
                np.frombuffer(words, "<u8", header["entries"]).astype(np.uint64),
                [(str(name), Form(form)) for name, form in header["kinds"]],
            )
        return index

    def _fingerprints(self) -> Fingerprints:
        if self._prints is None:
            from cloister.detect.fingerprint import Fingerprints

            self._prints = Fingerprints(self._key)
        return self._prints

    def _insert(self, prints: NDArray[np.uint64], kind: Kind) -> None:
        if len(prints):
            from cloister.detect.entries import no_entries

            entries = no_entries() if self._entries is None else self._entries
            self._entries = entries.with_prints(prints, kind)

    def _claims(self, entries: Entries, text: str) -> list[Span]:
        if len(text) <= _SMALL_TEXT_CHARS:
            return self._search(entries, text)
        from cloister.detect.decimals import stretches_with_more

        pieces = (
            (start + offset, piece)
            for start, end in stretches_with_more(text)
            for offset, piece in _pieces(text[start:end])
        )
        return list({s: None for piece in pieces for s in self._shifted(entries, *piece)})

    def _shifted(self, entries: Entries, offset: int, piece: str) -> list[Span]:
        return [
            Span(s.start + offset, s.end + offset, s.entity_type, s.score)
            for s in self._search(entries, piece)
        ]

    def _around(self, entries: Entries, text: str, words: tuple[int, int]) -> Iterator[Span]:
        """Yields the values that some words of a text have a part in."""
        begin, end = words
        first = max(0, begin - _OVERLAP_CHARS)
        for span in self._shifted(entries, first, text[first : end + _OVERLAP_CHARS]):
            if span.start < end and begin < span.end:
                yield span

    def _search(self, entries: Entries, text: str) -> list[Span]:
        from cloister.detect.fingerprint import tokenise

        tokens = tokenise(text)
        if not len(tokens):
            return []
        hits: list[_Hit] = []
        apart: list[Span] = []
        dense: list[Span] = []
        for first, width, kind, value in self._hits(entries, text, tokens):
            entity_type, form = entries.kinds[kind]
            start, end = tokens.range_of(first, first + width - 1)
            if form is Form.DATE and in_series(text, start, end):
                continue
            if is_plausible(text, start, end, form, width):
                if text[start - 1 : start] == "(" and ")" in text[start:end]:
                    start -= 1  # the bracket belongs to what it closes: (620) 555-0166
                span = Span(start, end, entity_type, 1.0)
                if form is Form.DENSE:
                    dense.append(span)
                else:
                    hits.append(_Hit(span, value, is_weak=form is Form.WEAK))
            elif form is Form.WHOLE and width > 1:
                apart.append(Span(start, end, entity_type, 1.0))
        weak = [hit for hit in hits if hit.is_weak]
        spans = [hit.span for hit in hits if not hit.is_weak]
        spans += self._glued(entries, text, tokens)
        if dense:
            spans += [dense[i] for i in among_their_like(text, [(s.start, s.end) for s in dense])]
        if len(apart) >= FEWEST_LINES:
            spans += [apart[i] for i in in_columns(text, [(s.start, s.end) for s in apart])]
        return spans + self._in_company(entries, hits) if weak else spans

    def _glued(self, entries: Entries, text: str, tokens: Tokens) -> Iterator[Span]:
        """Yields known values that begin or end inside a word."""
        from cloister.detect.glued import glued_runs, is_telling

        runs = glued_runs(text, tokens)
        if runs is None:
            return
        prints = self._fingerprints()
        found = prints.runs(prints.sums(tokens), runs.first, runs.last)
        for place, kind, _value in entries.look_up(found, entries.may_hold(found)):
            entity_type, form = entries.kinds[kind]
            start, end = tokens.range_between(int(runs.first[place]), int(runs.last[place]))
            if not is_telling(text[start:end], form):
                continue
            if form is Form.DATE and in_series(text, start, end):
                continue
            if is_plausible(text, start, end, form, int(runs.tokens[place])):
                yield Span(start, end, entity_type, 1.0)

    def _in_company(self, entries: Entries, hits: list[_Hit]) -> list[Span]:
        """Returns the weak hits that stand near another value of one of their rows."""
        import numpy as np

        from cloister.detect.company import near_pairs, paired

        hits = sorted(hits, key=lambda hit: hit.span.start)
        starts = np.array([hit.span.start for hit in hits], np.int64)
        ends = np.array([hit.span.end for hit in hits], np.int64)
        values = np.array([hit.fingerprint for hit in hits], np.uint64)
        left, right = near_pairs(starts, ends)
        pairs = paired(self._fingerprints(), values[left], values[right])
        places = entries.may_hold(pairs)
        supported: dict[Span, None] = {}
        for place, kind, _value in entries.look_up(pairs, places):
            if entries.kinds[kind][1] is Form.PAIR:
                for hit in (hits[int(left[place])], hits[int(right[place])]):
                    if hit.is_weak:
                        supported[hit.span] = None
        return list(supported)

    def _hits(
        self, entries: Entries, text: str, tokens: Tokens
    ) -> Iterator[tuple[int, int, int, int]]:
        """Yields (first token, tokens, kind, fingerprint) of every run that is known."""
        from cloister.detect.decimals import of_decimals, tokens_to_other

        prints = self._fingerprints()
        count = len(tokens)
        if count <= _SMALL_TOKENS:
            # One matrix: row = first token, column = how many more. Rows at the end repeat runs.
            flat = prints.grid(tokens, _reach(count)).ravel()
            places = entries.may_hold(flat)
            for place, kind, value in entries.look_up(flat, places):
                first, more = divmod(place, MOST_TOKENS)
                if first + more < count:
                    yield first, more + 1, kind, value
            return
        # Asking which tokens are halves of decimals pays where many are.
        is_worth_it = 4 * text.count(".") > count
        is_decimal = of_decimals(text, tokens) if is_worth_it else None
        to_other = None if is_decimal is None else tokens_to_other(is_decimal)
        ladder = prints.ladder(tokens)
        for more in range(min(MOST_TOKENS, count)):
            runs = ladder.runs(more)
            starts = None
            if to_other is not None:
                starts = (to_other[: count - more] <= more).nonzero()[0]
                runs = runs[starts]
            places = entries.may_hold(runs)
            for place, kind, value in entries.look_up(runs, places):
                first = place if starts is None else int(starts[place])
                yield first, more + 1, kind, value


@cache
def _reach(count: int) -> Any:
    """Returns for each of ``count`` tokens the numbers of the tokens after its runs."""
    import numpy as np

    return np.minimum(np.arange(count)[:, None] + np.arange(1, MOST_TOKENS + 1), count)


@dataclass(frozen=True, slots=True)
class _Hit:
    """A known run in a text."""

    span: Span
    fingerprint: int
    is_weak: bool


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
