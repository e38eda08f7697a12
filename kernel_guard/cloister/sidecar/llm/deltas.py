"""Restores the documents of an answer, of which some say only the next piece of a text.

A model that streams sends a text in pieces, and a token may be cut anywhere: so each text that
goes on from event to event has a restorer of its own, recognised by its place in the events. The
pieces are told from whole texts by the words of the protocols: ``delta`` (OpenAI, Anthropic),
``choices[].text`` (completions), ``message.content`` and ``response`` in lines (Ollama). A piece
that is held back when its text ends is sent as an event of its own, before the one that ends it.

Source: OpenAI API reference (chat, completions, responses), Anthropic Messages API (streaming).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from cloister.sidecar.llm.restoring import Restorer

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from cloister.sidecar.llm.documents import Json
    from cloister.sidecar.llm.memory import Known

_Path: TypeAlias = "tuple[str | int, ...]"

_OPAQUE: Final = frozenset({"signature", "encrypted_content", "thought_signature"})
"""Texts that only the provider reads: changed, they would not be taken back."""

_FEWEST_OPAQUE_CHARS: Final = 16
_WHOLE: Final = frozenset({"role", "type", "name", "finish_reason", "stop_reason", "stop_sequence"})
_NAMES_OF_PLACE: Final = ("index", "output_index", "content_index", "summary_index", "item_id")
_ENDS: Final = ("finish_reason", "stop_reason", "done_reason")
_LAST: Final = frozenset(
    {"message_delta", "message_stop", "error"}
    | {"response.completed", "response.incomplete", "response.failed"}
)
_MOST_TEXTS: Final = 10_000


@dataclass(slots=True)
class _Running:
    """A text that goes on."""

    restorer: Restorer
    event: dict[str, Any]
    path: _Path
    group: tuple[object, ...]


class Deltas:
    """Restores the documents of one answer.

    Args:
        known: The tokens that it may say.
        restored: Counts what was restored.
        on_opaque: Told the texts that only the provider can read.
    """

    def __init__(
        self, known: Known, restored: Counter[str], on_opaque: Callable[[str], None]
    ) -> None:
        self.words = (known, restored)
        self._on_opaque = on_opaque
        self._running: dict[_Path, _Running] = {}
        self._opaque: dict[_Path, str] = {}

    def whole(self, document: Json) -> Json:
        """Returns a document with its texts restored; the identical object where nothing was."""
        made: Json = self._walk(document, (), (), None)
        return made

    def next(self, event: Json) -> tuple[list[Json], Json]:
        """Restores the next event; returns what is to be sent before it, and what in its place."""
        if not isinstance(event, dict):
            return [], self.whole(event)
        made: Json = self._walk(event, (), (), event)
        ended = self._ended(event)
        for running in [self._running[k] for k in ended if self._running[k].event is event]:
            # Its last piece is in the event that ends it: there the rest goes, too.
            rest = running.restorer.finish()
            if rest:
                made = _with_more(made, running.path, rest)
        return self._flushed(ended), made

    def rest(self) -> list[Json]:
        """Returns events with everything that is held back; the stream has ended."""
        return self._flushed(list(self._running))

    def _walk(
        self,
        value: Any,
        path: _Path,
        key: _Path,
        event: dict[str, Any] | None,
        *,
        is_sealed: bool = False,
    ) -> Any:
        """Restores a value.

        Args:
            value: What stands at the path.
            path: Keys and positions.
            key: The same with the numbers that items of lists give themselves.
            event: The event, when its pieces go on; ``None`` when every text is whole.
            is_sealed: Whether only the provider can read it.
        """
        if isinstance(value, str):
            if is_sealed or (path[-1:] and path[-1] in _OPAQUE):
                self._keep_opaque(value, key, is_piece=event is not None and "delta" in path)
                return value
            return self._text(value, path, key, event)
        if isinstance(value, dict):
            return self._object(value, path, key, event)
        if isinstance(value, list):
            items = [
                self._walk(v, (*path, i), (*key, "" if _has_number(v) else i), event)
                for i, v in enumerate(value)
            ]
            return value if all(a is b for a, b in zip(value, items, strict=True)) else items
        return value

    def _object(
        self, value: dict[str, Any], path: _Path, key: _Path, event: dict[str, Any] | None
    ) -> dict[str, Any]:
        named = [value[name] for name in _NAMES_OF_PLACE if name in value]
        inner = (*key, *(n for n in named if isinstance(n, (int, str)))) if named else key
        is_sealed = value.get("type") == "redacted_thinking"
        made: dict[str, Any] = {}
        is_same = True
        for name, item in value.items():
            said = item
            if isinstance(item, (str, dict, list)):
                sealed = is_sealed and name == "data"
                said = self._walk(item, (*path, name), (*inner, name), event, is_sealed=sealed)
            other = self._key(name)
            is_same &= said is item and other is name
            made[other] = said
        return value if is_same else made

    def _key(self, key: str) -> str:
        if "~" not in key:
            return key
        restored = Restorer(*self.words).finish(key)
        return key if restored == key else restored

    def _text(self, text: str, path: _Path, key: _Path, event: dict[str, Any] | None) -> str:
        name = path[-1] if path else ""
        if event is None or name in _WHOLE or not _is_piece(path, event):
            restored = Restorer(*self.words).finish(text)
            if restored != text:
                return restored
            if str(name).endswith("id"):  # a name that the provider gave; it comes back, too
                self._keep_opaque(text, key, is_piece=False)
            return text
        running = self._running.get(key)
        if running is None:
            if len(self._running) >= _MOST_TEXTS:
                return Restorer(*self.words).finish(text)
            running = self._running[key] = _Running(Restorer(*self.words), event, path, ())
        running.event, running.path, running.group = event, path, _group(event, path)
        restored = running.restorer.feed(text)
        return text if restored == text else restored

    def _keep_opaque(self, text: str, key: _Path, *, is_piece: bool) -> None:
        if is_piece:
            text = self._opaque[key] = self._opaque.get(key, "") + text
        if len(text) >= _FEWEST_OPAQUE_CHARS:
            self._on_opaque(text)

    def _ended(self, event: dict[str, Any]) -> list[_Path]:
        """Returns the texts that this event ends."""
        ended = _groups_ended(event)
        return [
            key
            for key, running in self._running.items()
            if any(running.group[: len(group)] == group for group in ended)
        ]

    def _flushed(self, keys: list[_Path]) -> list[Json]:
        held: list[Json] = []
        for key in keys:
            running = self._running.pop(key)
            text = running.restorer.finish()
            if text:
                held.append(_only(running.event, running.path, text))
        return held


def _has_number(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("index"), int)


def _is_piece(path: _Path, event: dict[str, Any]) -> bool:
    """Whether a text of an event is a piece of a longer one."""
    if "delta" in path:
        return True
    if path[0] == "choices" and path[-1] == "text":
        return True
    is_line = "done" in event
    return is_line and (
        path[0] == "response" or path[:2] in {("message", "content"), ("message", "thinking")}
    )


def _group(event: dict[str, Any], path: _Path) -> tuple[object, ...]:
    """Returns what a text ends with: its choice, its block or its item."""
    if path[0] == "choices" and len(path) > 1:
        choice = event["choices"][path[1]]
        return ("choice", choice.get("index", path[1]))
    if "item_id" in event or "output_index" in event:
        return ("item", event.get("output_index"), event.get("content_index"))
    return ("block", event.get("index"))


def _groups_ended(event: dict[str, Any]) -> list[tuple[object, ...]]:
    """Returns what an event ends; an empty group is everything."""
    choices = event.get("choices")
    if isinstance(choices, list):
        return [
            ("choice", choice.get("index", i))
            for i, choice in enumerate(choices)
            if isinstance(choice, dict) and any(choice.get(word) for word in _ENDS)
        ]
    kind = str(event.get("type", ""))
    if event.get("done") is True or event.get("error") or kind in _LAST:
        return [()]
    if kind == "content_block_stop":
        return [("block", event.get("index"))]
    if kind.endswith(".done") and "output_index" in event:
        content = event.get("content_index")
        group = ("item", event["output_index"])
        return [group if content is None else (*group, content)]
    return []


def _with_more(value: Any, path: _Path, more: str) -> Any:
    """Returns a copy of a document in which the text at a path goes on with ``more``."""
    if not path:
        return value + more
    made = list(value) if isinstance(value, list) else dict(value)
    step: Any = path[0]
    made[step] = _with_more(made[step], path[1:], more)
    return made


def _only(event: dict[str, Any], path: _Path, text: str) -> dict[str, Any]:
    """Returns an event that says nothing but ``text`` at ``path``.

    What accumulates in clients (names, roles, usage) is left out; what says where it belongs stays.
    """
    made: dict[str, Any] = {
        key: copy.deepcopy(value) for key, value in event.items() if key not in {"usage", path[0]}
    }
    for word in (*_ENDS, "done"):
        if made.get(word):
            made[word] = False if word == "done" else None
    made[str(path[0])] = _pruned(event[str(path[0])], path[1:], text)
    return made


def _pruned(value: Any, path: _Path, text: str) -> Any:
    if not path:
        return text
    step = path[0]
    if isinstance(value, list):
        return [_pruned(value[int(step)], path[1:], text)]
    kept = {k: v for k, v in value.items() if k in {"index", "type"}}
    if "finish_reason" in value:
        kept["finish_reason"] = None
    kept[step] = _pruned(value[step], path[1:], text)
    return kept
