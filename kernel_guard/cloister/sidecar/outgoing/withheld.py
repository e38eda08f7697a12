"""What a client gets in place of something that does not leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from cloister.sidecar.wire import Message


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something was withheld; no part of it is a value.

    Attributes:
        code: Stable, see ``docs/reference/errors.md``.
        what: What it was and why it stays, one sentence without a full stop.
        rule: The policy's rule.
        remedy: What to do.
    """

    code: str
    what: str
    rule: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.code}: {self.what}. Rule: {self.rule}. {self.remedy}"


class Withheld(Exception):
    """Something that does not leave."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(str(reason))
        self.reason = reason


_EMPTY_REPLIES: Final[dict[str, dict[str, Any]]] = {
    "complete_reply": {"matches": [], "cursor_start": 0, "cursor_end": 0, "metadata": {}},
    "inspect_reply": {"found": False, "data": {}, "metadata": {}},
    "history_reply": {"history": []},
    "comm_info_reply": {"comms": {}},
    "is_complete_reply": {"status": "unknown"},
}
_OUTPUTS: Final = frozenset({"display_data", "execute_result"})


def stand_in(message: Message, reason: Reason) -> bool:
    """Makes a message say that it was withheld, in the shape that its type has.

    Args:
        message: Changed in place: nothing of what the kernel put into it stays.
        reason: Why.

    Returns:
        Whether it can be sent. Where a type has no room for words it cannot, and the caller says
        it in another place.
    """
    instead = _instead(message.msg_type, message.content, reason)
    message.metadata, message.buffers, message.content = {}, [], instead or {}
    return instead is not None


def _instead(kind: str, content: dict[str, Any], reason: Reason) -> dict[str, Any] | None:
    """Returns content for a kind of message, ``None`` where it has no room for words."""
    count = content.get("execution_count")
    numbered = {"execution_count": count} if isinstance(count, int) else {}
    instead: dict[str, Any] | None = None
    if kind in _OUTPUTS:
        instead = {"data": {"text/plain": str(reason)}, "metadata": {}, **numbered}
    elif kind == "stream":
        instead = {"name": "stderr", "text": f"{reason}\n"}
    elif kind == "error":
        instead = _as_error(reason)
    elif kind in _EMPTY_REPLIES:
        instead = {"status": "ok", **_EMPTY_REPLIES[kind]}
    elif kind.endswith("_reply"):
        instead = {"status": "error", "execution_count": 0, **_as_error(reason), **numbered}
    elif kind == "input_request":
        instead = {"prompt": f"{reason} ", "password": bool(content.get("password"))}
    return instead


def _as_error(reason: Reason) -> dict[str, Any]:
    return {"ename": "OutputWithheld", "evalue": str(reason), "traceback": [str(reason)]}
