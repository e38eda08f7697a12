"""Headers of messages: no place for data."""

from __future__ import annotations

import re
from typing import Any, Final

_MSG_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_HEADER: Final = {
    "msg_id": _MSG_ID,
    "msg_type": re.compile(r"[a-z_]{1,64}"),
    "session": _MSG_ID,
    "username": re.compile(r"[A-Za-z0-9_.@-]{0,64}"),
    "date": re.compile(r"[0-9T:.+Z-]{1,40}"),
    "version": re.compile(r"[0-9.]{1,10}"),
    "subshell_id": _MSG_ID,
}


def clean_header(header: dict[str, Any]) -> dict[str, Any]:
    """Returns the known fields of a kernel's header that have the shape they should have.

    What does not look like an identifier is dropped.
    """
    return {
        name: header[name]
        for name, pattern in _HEADER.items()
        if isinstance(header.get(name), str) and pattern.fullmatch(header[name])
    }
