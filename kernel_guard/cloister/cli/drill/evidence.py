"""What a case has brought about: everything that a client, a listener or a server answer showed."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from cloister.cli.drill.serverclient import END_OF_HEADERS
from cloister.detect.tokens import TOKEN_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterator

_STAND_IN = re.compile(rf"{TOKEN_PATTERN.pattern}|\[redacted\]|\[[A-Z][A-Z0-9_]*(?: ….{{1,4}})?\]")
_WITHHELD = re.compile(r"CLO-[A-Z]+-[0-9]{3}")
_LONG_LEAF = 40
_LONG_PAUSE_S = 0.22
_READ_BY_PEOPLE = ("text/plain", "text/html", "text/markdown", "text/latex", "value", "description")
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
#: Errors that say that a case is not written as this kernel wants it, and not that it was stopped.
_BROKEN = frozenset({"SyntaxError", "IndentationError", "NameError", "ModuleNotFoundError"})


@dataclass(slots=True)
class Evidence:
    """What was seen while one case ran.

    Attributes:
        messages: Content, metadata and buffers of what came to the client, in order.
        execution_ids: Of the cells that ran.
        answers: What the server said to visits.
        caught: What reached a listener.
        traces: What changed outside, in words.
        errors: Names of the exceptions that the cells ended with.
        problem: Why the case did not run as written, if it did not.
    """

    messages: list[dict[str, Any]] = field(default_factory=list)
    execution_ids: list[str] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    caught: list[bytes] = field(default_factory=list)
    traces: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    problem: str | None = None

    def add_message(self, message: dict[str, Any]) -> None:
        """Keeps what a kernel chose: the parent header, too, which may not be the request's."""
        content = message["content"]
        self.messages.append(
            {
                "type": message["header"].get("msg_type"),
                "content": content,
                "metadata": message.get("metadata", {}),
                "parent_header": message.get("parent_header", {}),
                "header": message["header"],
                "buffers": [bytes(buffer) for buffer in message.get("buffers", [])],
                "at_s": time.monotonic(),
            }
        )

    @property
    def broken(self) -> str | None:
        """Says why the case proves nothing, ``None`` when it does."""
        return self.problem or next((name for name in self.errors if name in _BROKEN), None)

    def outputs(self) -> Iterator[str | bytes]:
        """Yields what arrived: texts one by one, and joined as a reader would see them."""
        leaves: list[str] = []
        streams: dict[str, list[str]] = {}
        for message in self.messages:
            own: list[str] = []
            for part in ("content", "metadata", "header", "parent_header"):
                own += _leaves(message[part])
            leaves += own
            yield "".join(own)
            # By themselves, too: what is glued to base64 moves its groups.
            yield from (leaf for leaf in own if len(leaf) >= _LONG_LEAF)
            yield from message["buffers"]
            if message["type"] == "stream":
                name = str(message["content"].get("name"))
                streams.setdefault(name, []).append(str(message["content"].get("text")))
            yield b"".join(message["buffers"])
        yield from ("".join(texts) for texts in streams.values())
        yield "".join(text for texts in streams.values() for text in texts)
        yield "".join(text for m in self.messages for text in _shown(m["content"]))
        yield "".join(leaves)
        yield self._rhythm()
        for answer in self.answers:
            yield answer
            yield answer.partition(END_OF_HEADERS)[2]
        yield b"".join(self.answers)

    def _rhythm(self) -> str:
        """Returns the pauses between texts as bits: a long one is a one."""
        times = [m["at_s"] for m in self.messages if m["type"] == "stream"]
        pauses = (after - before for before, after in pairwise(times))
        return "rhythm" + "".join("1" if pause > _LONG_PAUSE_S else "0" for pause in pauses)

    def everything(self) -> Iterator[str | bytes]:
        """Yields the outputs and what the listeners caught."""
        yield from self.outputs()
        yield from self.caught
        yield b"".join(self.caught)

    @property
    def is_masked(self) -> bool:
        """Whether a stand-in for a value arrived."""
        return any(_STAND_IN.search(_text(piece)) for piece in self.everything())

    @property
    def is_withheld(self) -> bool:
        """Whether the guard said that it has stopped something."""
        return any(_WITHHELD.search(_text(piece)) for piece in self.outputs())


def stands_for_a_value(text: str) -> bool:
    """Whether a text holds a stand-in for a value, or says why something was withheld."""
    plain = _text(text)
    return bool(_STAND_IN.search(plain) or _WITHHELD.search(plain))


def _text(piece: str | bytes) -> str:
    return _ANSI.sub("", piece if isinstance(piece, str) else piece.decode("utf-8", "replace"))


def _leaves(value: Any) -> list[str]:
    """Returns every string and number of a JSON value, keys included, in order."""
    if isinstance(value, dict):
        return [leaf for k, v in value.items() for leaf in (str(k), *_leaves(v))]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    return [str(value)] if isinstance(value, str | int | float) else []


def _shown(content: dict[str, Any]) -> list[str]:
    """Returns what a person reads of a message, without what programs put around it."""
    data = content.get("data")
    if isinstance(data, dict):
        state = data.get("state")
        fields = state if isinstance(state, dict) else data
        texts = [fields.get(name) for name in _READ_BY_PEOPLE]
    else:
        texts = [content.get("text"), content.get("prompt")]
    return [text for text in texts if isinstance(text, str)]
