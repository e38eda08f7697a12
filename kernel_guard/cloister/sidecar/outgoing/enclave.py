"""Enclave: nothing that a kernel chose leaves, unless one of the four gates has passed it.

What passed is decided in one place, :class:`Gates`. It is asked outside the kernel, about a whole
message, and today it says no to all: a mask alone is not enough where nobody may take data away,
and what a kernel says of itself (that a number is an aggregate, that noise was added, that somebody
agreed) proves nothing, since the code that says it is the code that is guarded against. A gate can
open here for what was made or seen outside the kernel, such as a release that somebody approved,
known by its digest. A stream is no whole, so streams stay in any case.

The session goes on: status, numbers of executions, names of errors, empty replies.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Final, Protocol

from cloister.sidecar.outgoing.passage import Passage
from cloister.sidecar.outgoing.withheld import Reason, stand_in

if TYPE_CHECKING:
    from cloister.sidecar.wire import Message

#: What a client needs to work at all; in enclave mode it passes without what a kernel chose.
_PLUMBING: Final = frozenset({"status", "clear_output", "execute_input", "iopub_welcome"})
_ERRORS: Final = frozenset(
    name for name, value in vars(builtins).items() if isinstance(value, type)
)


class Gates(Protocol):
    """Says what one of the four gates of law 1 has let out."""

    def has_passed(self, message: Message) -> bool:
        """Returns whether exactly this output may leave an enclave."""


class _Closed:
    """No gate is open: approvals, and noise that is drawn outside the kernel, are still to come."""

    def has_passed(self, message: Message) -> bool:
        del message
        return False


NOTHING_PASSED: Final[Gates] = _Closed()


def enclosed(message: Message, gates: Gates) -> Passage:
    """Leaves of a message what is no kernel's choice: its kind, numbers, names of errors."""
    if gates.has_passed(message):
        return Passage()
    kind, content = message.msg_type, message.content
    if kind in _PLUMBING:
        count, wait = content.get("execution_count"), content.get("wait")
        message.content = {}
        if kind == "execute_input":
            message.content = {"code": "", "execution_count": count if _is_count(count) else 0}
        elif kind == "clear_output":
            message.content = {"wait": wait is True}
        message.metadata, message.buffers = {}, []
        return Passage()
    name = content.get("ename")
    count = content.get("execution_count")
    is_sent = stand_in(message, ENCLAVE)
    passage = Passage(reason=ENCLAVE, is_sent=is_sent)
    if kind == "execute_reply" and name is None:
        message.content = {"status": "ok", "user_expressions": {}, "payload": []}
        passage.reason = None
    elif kind == "kernel_info_reply":
        message.content = dict(_KERNEL_INFO)
        passage.reason = None
    elif name in _ERRORS and "ename" in message.content:
        message.content["ename"] = name
    if kind == "execute_reply":
        message.content["execution_count"] = count if _is_count(count) else 0
    return passage


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**6


ENCLAVE: Final = Reason(
    "CLO-OUTPUT-007",
    "An output was withheld: this workspace is an enclave, and no gate has passed it",
    "mode",
    "Ask an admin whether guard mode is enough for this data.",
)
_KERNEL_INFO: Final = {
    "status": "ok",
    "protocol_version": "5.4",
    "implementation": "ipython",
    "implementation_version": "",
    "language_info": {
        "name": "python",
        "version": "",
        "mimetype": "text/x-python",
        "file_extension": ".py",
        "pygments_lexer": "ipython3",
        "codemirror_mode": {"name": "ipython", "version": 3},
        "nbconvert_exporter": "python",
    },
    "banner": "",
    "help_links": [],
    "debugger": False,
    "supported_features": [],
}
