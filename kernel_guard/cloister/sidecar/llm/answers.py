"""Restores what comes back: a document, a stream of events or of lines, or plain text.

What an answer is, its first bytes say; its content type may be wrong. A document is restored text
by text once it is whole (a model that does not stream has nothing to send before), events and
lines one by one as they come. What is no text passes.

Source: WHATWG HTML section 9.2 (server-sent events).
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Any, Final, Protocol

from cloister.sidecar.llm.deltas import Deltas
from cloister.sidecar.llm.documents import AmbiguousError, read, write
from cloister.sidecar.llm.restoring import Restorer

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from cloister.sidecar.llm.memory import Known

MOST_DOCUMENT_BYTES: Final = 33_554_432
"""A longer document is restored as a text that goes by, in which escapes hide a token."""

MOST_EVENT_BYTES: Final = 16_777_216
_SNIFFED: Final = 64
_BINARY: Final = ("audio/", "image/", "video/", "application/octet-stream", "application/pdf")
_EVENTS: Final = re.compile(rb"\s*(?:data|event|id|retry)?:")
_BLANK: Final = re.compile(r"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")
_LINE_END: Final = re.compile(r"\r\n|\n|\r")


class TooLongError(Exception):
    """An event that does not end."""


class Part(Protocol):
    """One way to restore."""

    def feed(self, text: str) -> str:
        """Takes text and returns what is sure."""
        ...

    def finish(self) -> str:
        """Returns the rest."""
        ...


class Answer:
    """Restores one answer.

    Args:
        known: The tokens that it may say.
        restored: Counts what was restored.
        content_type: Value of its header.
        on_opaque: Told the texts that only the provider can read, as they come.
    """

    def __init__(
        self,
        known: Known,
        restored: Counter[str],
        content_type: str,
        on_opaque: Callable[[str], None],
    ) -> None:
        self._known = known
        self._restored = restored
        self._kind = content_type.partition(";")[0].strip().lower()
        self._on_opaque = on_opaque
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._begun = b""
        self._part: Part | None = None

    def feed(self, data: bytes) -> bytes:
        """Takes bytes and returns those that go on now."""
        if self._kind.startswith(_BINARY):
            return data
        if self._part is None:
            self._begun += data
            if len(self._begun.lstrip()) < 1 or self._may_be_events():
                return b""
            self._part, data, self._begun = self._chosen(), self._begun, b""
        return _bytes(self._part.feed(self._decoder.decode(data)))

    def finish(self) -> bytes:
        """Returns the rest."""
        if self._kind.startswith(_BINARY):
            return b""
        part = self._part or self._chosen()
        text = part.feed(self._decoder.decode(self._begun, final=True))
        return _bytes(text + part.finish())

    def _may_be_events(self) -> bool:
        """Whether more bytes are needed to tell events from other text."""
        begun = self._begun.lstrip()[:8]
        return any(word.startswith(begun) for word in (b"data:", b"event:", b"id:", b"retry:"))

    def _chosen(self) -> Part:
        begun = self._begun[:_SNIFFED].lstrip()
        if self._kind == "text/event-stream" or _EVENTS.match(begun):
            return _Events(Deltas(self._known, self._restored, self._on_opaque))
        if begun[:1] in (b"{", b"["):
            deltas = Deltas(self._known, self._restored, self._on_opaque)
            if "ndjson" in self._kind or "jsonl" in self._kind or "json-lines" in self._kind:
                return _Lines(deltas)
            return _Document(deltas, Restorer(self._known, self._restored))
        return _Text(Restorer(self._known, self._restored))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


class _Text:
    def __init__(self, restorer: Restorer) -> None:
        self._restorer = restorer

    def feed(self, text: str) -> str:
        return self._restorer.feed(text)

    def finish(self) -> str:
        return self._restorer.finish()


class _Document:
    """JSON as a whole; a very long one, and one that is broken, as text."""

    def __init__(self, deltas: Deltas, restorer: Restorer) -> None:
        self._deltas = deltas
        self._restorer = restorer
        self._pieces: list[str] = []
        self._size = 0
        self._is_text = False

    def feed(self, text: str) -> str:
        if self._is_text:
            return self._restorer.feed(text)
        self._pieces.append(text)
        self._size += len(text)
        if self._size <= MOST_DOCUMENT_BYTES:
            return ""
        self._is_text = True
        whole, self._pieces = "".join(self._pieces), []
        return self._restorer.feed(whole)

    def finish(self) -> str:
        if self._is_text:
            return self._restorer.finish()
        text = "".join(self._pieces)
        try:
            document = read(text)
        except AmbiguousError:
            return "".join(map(self._line, text.splitlines(keepends=True)))
        restored = self._deltas.whole(document)
        return text if restored is document else write(restored, like=text)

    def _line(self, line: str) -> str:
        """Restores a line of what is no document: results of a batch are one in each line."""
        try:
            document = read(line)
        except AmbiguousError:
            return Restorer(*self._deltas.words).finish(line)
        restored = self._deltas.whole(document)
        end = line[len(line.rstrip("\r\n")) :]
        return line if restored is document else write(restored, like=line) + end


class _Lines:
    """A document in each line, as Ollama streams."""

    def __init__(self, deltas: Deltas) -> None:
        self._deltas = deltas
        self._rest = ""

    def feed(self, text: str) -> str:
        *lines, self._rest = (self._rest + text).split("\n")
        _require_short(self._rest)
        return "".join(self._line(line) + "\n" for line in lines)

    def finish(self) -> str:
        last = self._line(self._rest) if self._rest else ""
        return last + "".join(f"{write(held)}\n" for held in self._deltas.rest())

    def _line(self, line: str) -> str:
        try:
            document = read(line)
        except AmbiguousError:
            return Restorer(*self._deltas.words).finish(line)
        held, restored = self._deltas.next(document)
        before = "".join(f"{write(h, like=line)}\n" for h in held)
        return before + (line if restored is document else write(restored, like=line))


class _Events:
    """Server-sent events."""

    def __init__(self, deltas: Deltas) -> None:
        self._deltas = deltas
        self._rest = ""
        self._searched = 0

    def feed(self, text: str) -> str:
        self._rest += text
        out: list[str] = []
        while (end := _BLANK.search(self._rest, max(0, self._searched - 4))) is not None:
            out.append(self._event(self._rest[: end.start()], end[0]))
            self._rest, self._searched = self._rest[end.end() :], 0
        self._searched = len(self._rest)
        _require_short(self._rest)
        return "".join(out)

    def finish(self) -> str:
        last = self._event(self._rest, "") if self._rest else ""
        return last + "".join(_said(held, [], "\n\n") for held in self._deltas.rest())

    def _event(self, block: str, end: str) -> str:
        lines = _LINE_END.split(block)
        data = [line[5:].removeprefix(" ") for line in lines if line.startswith("data:")]
        others = [line for line in lines if not line.startswith("data:")]
        text = "\n".join(data)
        if text.strip() == "[DONE]":
            return "".join(_said(h, [], "\n\n") for h in self._deltas.rest()) + block + end
        if not data:
            return block + end
        try:
            document = read(text)
        except AmbiguousError:
            restored = Restorer(*self._deltas.words).finish(text)
            return block + end if restored == text else _written(restored, others, end)
        held, made = self._deltas.next(document)
        before = "".join(_said(h, others_of(h, others), "\n\n") for h in held)
        if made is document:
            return before + block + end
        return before + _said(made, others, end)


def others_of(held: Any, others: list[str]) -> list[str]:
    """Returns the line that names the kind of an event which is sent in between."""
    kind = held.get("type") if isinstance(held, dict) else None
    has_names = any(line.startswith("event:") for line in others)
    return [f"event: {kind}"] if has_names and isinstance(kind, str) else []


def _said(document: Any, others: list[str], end: str) -> str:
    return _written(write(document), others, end)


def _written(text: str, others: list[str], end: str) -> str:
    data = [f"data: {line}" for line in _LINE_END.split(text)]
    newline = "\r\n" if end.startswith("\r\n") else "\n"
    return newline.join([*others, *data]) + end


def _require_short(text: str) -> None:
    if len(text) > MOST_EVENT_BYTES:
        raise TooLongError
