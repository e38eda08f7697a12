"""Which messages are checked in the gate's own thread, and which in a process that may be ended.

Light is what no library can make much of: a short text. Heavy is what is long, and what has to be
unpacked before it says anything, since a short one may say anything then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cloister.sidecar.wire import Message

#: A message with more bytes is not even parsed in the gate.
LIGHT_BYTES: Final = 48 * 1024
_UNPACKED: Final = ("image/", "audio/", "video/", "application/pdf")
_PACKED_DATA: Final = (b"\x78", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\xff\xff\xff\xff", b"ARROW1")
_PACKED_ALIKE: Final = (
    *_PACKED_DATA,
    b"PAR1",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"RIFF",
    b"BM",
)


def is_light(message: Message) -> bool:
    """Returns whether a message may be checked in the gate's own thread."""
    if message.sealed is not None:
        return False
    forms = message.content.get("data")
    if isinstance(forms, dict):
        for name, form in forms.items():
            if str(name).lower().lstrip().startswith(_UNPACKED) and "svg" not in name:
                return False
            if isinstance(form, str) and "base64," in form:
                return False
    return not any(bytes(data[:8]).startswith(_PACKED_ALIKE) for data in message.buffers)
