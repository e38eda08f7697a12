"""What happens to each kind of message on its way from the kernel to a client.

One rule: every text of every message is masked, whatever the message is. The functions here only
say where text is not text (pictures), and what else has to be true.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cloister.sidecar.textguard import Tally

if TYPE_CHECKING:
    from cloister.sidecar.textguard import TextGuard
    from cloister.sidecar.wire import Message

_MSG_TYPE = re.compile(r"[a-z_]{1,64}")
_MSG_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_DATE = re.compile(r"[0-9T:.+Z-]{1,40}")
_VERSION = re.compile(r"[0-9.]{1,10}")
_USERNAME = re.compile(r"[A-Za-z0-9_.@-]{0,64}")
_HEADER = {
    "msg_id": _MSG_ID,
    "msg_type": _MSG_TYPE,
    "session": _MSG_ID,
    "username": _USERNAME,
    "date": _DATE,
    "version": _VERSION,
    "subshell_id": _MSG_ID,
}
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")
_PICTURES = {
    "image/png": ("iVBORw0KGgo",),
    "image/jpeg": ("/9j/",),
    "image/gif": ("R0lGOD",),
    "image/webp": ("UklGR",),
}
_STATES = frozenset({"busy", "idle", "starting"})
_DISPLAYS = frozenset({"display_data", "update_display_data", "execute_result"})


def clean_header(header: dict[str, Any]) -> dict[str, Any]:
    """Returns the known fields of a kernel's header that have the shape they should have.

    A header is no place for data: what does not look like an identifier is dropped.
    """
    return {
        name: header[name]
        for name, pattern in _HEADER.items()
        if isinstance(header.get(name), str) and pattern.fullmatch(header[name])
    }


def mask_message(message: Message, guard: TextGuard) -> Tally:
    """Masks a message from the kernel in place and returns what was masked.

    Args:
        message: Parsed and verified; its parent header is replaced by the gate, not here.
        guard: Decides what is masked.
    """
    tally = Tally()
    message.header = clean_header(message.header)
    if message.msg_type == "status":
        state = message.content.get("execution_state")
        message.content = {"execution_state": state if state in _STATES else "busy"}
        message.metadata, message.buffers = {}, []
        return tally
    if message.metadata:
        message.metadata = _as_object(guard.mask_json(message.metadata, tally))
    content = message.content
    if message.msg_type in _DISPLAYS:
        data = content.pop("data", None)
        pictures, rest = _split_pictures(data if isinstance(data, dict) else {})
        content = _as_object(guard.mask_json(content, tally))
        content["data"] = {**_as_object(guard.mask_json(rest, tally)), **pictures}
    else:
        content = _as_object(guard.mask_json(content, tally))
    message.content = content
    message.buffers = [guard.mask_bytes(data, tally) for data in message.buffers]
    return tally


def _split_pictures(data: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Separates real base64 pictures, which a text scan cannot read, from everything else."""
    pictures: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for mime, value in data.items():
        target = pictures if _is_picture(mime, value) else rest
        target[mime] = value
    return pictures, rest


def _is_picture(mime: str, value: object) -> bool:
    starts = _PICTURES.get(mime)
    return (
        starts is not None
        and isinstance(value, str)
        and value.startswith(starts)
        and _BASE64.fullmatch(value) is not None
    )


def _as_object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
