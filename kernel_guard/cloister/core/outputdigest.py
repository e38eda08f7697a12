"""What an output is known by: digests that a gate, a client and a saved notebook agree on.

A client does not keep messages as they come. It joins the pieces of a stream and plays carriage
returns and backspaces as a terminal does; a notebook file splits texts into lines; JavaScript
writes ``1.0`` as ``1``. So digests are made of what a reader sees, and are the same for the message
that left the gate and for the notebook that was saved of it. The rules for streams are those of
JupyterLab (``@jupyterlab/outputarea``, ``processText``). Metadata is not part of a digest.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

STREAM: Final = "text/plain"
"""The type under which a stream's text is filed."""

ERROR: Final = "application/vnd.jupyter.error"
"""The type under which an error's name, text and traceback are filed."""

UNKNOWN: Final = ""
"""A digest that equals none, of content that cannot be digested."""

_CONTROL: Final = re.compile("[\n\b\r]")
_ASTRAL: Final = re.compile("[\U00010000-\U0010ffff]")
_UNIT: Final = re.compile("[\ud800-\udfff]")
_BLANKS: Final = re.compile(r"\s+")
_PIXELS: Final = ("image/", "audio/", "video/")
_LARGEST_EXACT: Final = 2**53  # JavaScript has no larger whole numbers


class StreamText:
    """The text of a stream as a client shows it, digested piece by piece."""

    __slots__ = ("_at", "_finished", "_line")

    def __init__(self) -> None:
        self._finished = hashlib.sha256()
        self._line = ""
        self._at = 0

    def add(self, text: str) -> None:
        """Takes the next piece, wherever it was cut."""
        text = _ASTRAL.sub(_as_units, text)
        if "\b" in text or "\r" in text:
            self._play(text)
            return
        head, newline, tail = text.rpartition("\n")
        if newline:
            self._write(head.partition("\n")[0])
            rest = head.partition("\n")[1:]
            self._finish("".join(rest) + newline)
        self._write(tail)

    def digest(self) -> str:
        """Returns the digest of all that is shown now, as hex."""
        whole = self._finished.copy()
        whole.update(_bytes(_as_characters(self._line)))
        return whole.hexdigest()

    def _play(self, text: str) -> None:
        start = 0
        for control in _CONTROL.finditer(text):
            self._write(text[start : control.start()])
            start = control.end()
            if control[0] == "\n":
                self._finish("\n")
            elif control[0] == "\r":
                self._at = 0
            elif self._at:
                # As JupyterLab does it, which takes what stands behind the cursor, too.
                self._line = self._line[: self._at - 1] + self._line[self._at + 1 :]
                self._at -= 1
        self._write(text[start:])

    def _write(self, text: str) -> None:
        if self._at == len(self._line):
            self._line += text
        else:
            self._line = self._line[: self._at] + text + self._line[self._at + len(text) :]
        self._at += len(text)

    def _finish(self, rest: str) -> None:
        self._finished.update(_bytes(_as_characters(self._line + rest)))
        self._line, self._at = "", 0


def _as_units(match: re.Match[str]) -> str:
    """Returns a character as the two units that JavaScript moves over."""
    number = ord(match[0]) - 0x10000
    return chr(0xD800 + (number >> 10)) + chr(0xDC00 + (number & 0x3FF))


def _as_characters(text: str) -> str:
    """Returns a text of units with the characters that pairs of them make."""
    if _UNIT.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def stream_digest(text: object) -> str:
    """Returns the digest of a whole stream, given as text or as lines."""
    stream = StreamText()
    stream.add(_joined(text))
    return stream.digest()


def form_digests(data: object) -> dict[str, str]:
    """Returns a digest for each form of an output, by media type.

    Args:
        data: ``data`` of a message or of an output in a notebook.
    """
    if not isinstance(data, dict):
        return {}
    return {str(mime): _form_digest(str(mime), value) for mime, value in sorted(data.items())}


def error_digest(content: Mapping[str, Any]) -> str:
    """Returns the digest of an error's name, text and traceback."""
    traceback = content.get("traceback")
    lines = [str(line) for line in traceback] if isinstance(traceback, list) else []
    parts = [str(content.get("ename", "")), str(content.get("evalue", "")), "\n".join(lines)]
    return _sha256(json.dumps(parts))


def _form_digest(mime: str, value: object) -> str:
    is_json = mime == "application/json" or mime.endswith("+json")
    is_text = isinstance(value, str) or (
        isinstance(value, list) and bool(value) and all(isinstance(line, str) for line in value)
    )
    if is_text and (not is_json or mime != "application/json"):
        text = _joined(value)
        if mime.startswith(_PIXELS) and mime != "image/svg+xml":
            text = _BLANKS.sub("", text)  # base64, which writers break as they like
        return _sha256(text)
    try:
        return _sha256(json.dumps(_as_javascript(value), sort_keys=True, separators=(",", ":")))
    except (RecursionError, TypeError, ValueError):
        return UNKNOWN


def _as_javascript(value: object) -> object:
    """Returns a JSON value whose numbers are those that JavaScript writes back."""
    if isinstance(value, dict):
        return {str(key): _as_javascript(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_javascript(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST_EXACT:
        return int(float(value)) if abs(value) < 10**300 else str(value)
    return value


def _joined(text: object) -> str:
    if isinstance(text, list):
        return "".join(str(line) for line in text)
    return text if isinstance(text, str) else ""


def _sha256(text: str) -> str:
    return hashlib.sha256(_bytes(text)).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
