"""The gate: relays every message between clients and one kernel, and lets nothing by unseen.

One thread, one poll loop. Clients talk to the front sockets (outer key), the kernel to the back
sockets (inner key); neither knows the other's key. The order of work is the guarantee:

1. A request that runs code reaches the kernel only after its intent is durable.
2. What the kernel says reaches a client only after it was parsed and masked.
3. The reply and the idle status of an execution leave only after its result is durable.

A reply goes to the client that asked, known by the request's ``msg_id``; the kernel cannot choose.
The parent header of what goes out is the one that the client sent, not the one that the kernel
says. The gate makes no policy and no text decision itself: it asks :class:`TextGuard`. While a
large message is checked elsewhere (:mod:`.checks`), its channel waits and the others go on
(:mod:`.lanes`).
"""

from __future__ import annotations

import logging
import os
import select
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import zmq

from cloister.core.errors import CloisterError
from cloister.sidecar import channels, wire
from cloister.sidecar.checks.weight import LIGHT_BYTES
from cloister.sidecar.lanes import Lanes
from cloister.sidecar.outgoing.inspection import TOO_MUCH, UNREADABLE
from cloister.sidecar.outputs import Outputs
from cloister.sidecar.textguard import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister.sidecar.bounds import Bounds
    from cloister.sidecar.channels import Endpoints
    from cloister.sidecar.checks.checker import Checker
    from cloister.sidecar.lanes import Work
    from cloister.sidecar.outgoing.withheld import Reason
    from cloister.sidecar.recorder import Recorder
    from cloister.sidecar.textguard import TextGuard

logger = logging.getLogger(__name__)

CHANNELS = ("shell", "control", "stdin")
REMEMBERED_REQUESTS = 10_000
IDLE_TICK_S = 1.0
QUIET_AFTER_EXIT_MS = 20
FRONT_LINGER_MS = 200
#: While a check goes on, what comes behind it waits, up to so many bytes; more is withheld unread.
MOST_WAITING_BYTES = 256 * 1024 * 1024
_A_STATUS_BYTES = 4096
_CODE_IN_DEBUGGER = frozenset({"evaluate", "setVariable", "setExpression", "dumpCell"})


_Handler: TypeAlias = "Callable[[list[bytes], str], None]"


def _ends_execution(frames: list[bytes]) -> bool:
    """Returns whether a message is the reply to an execution.

    It waits for all outputs anyway, and it may go on with them, so it comes behind them.
    """
    if wire.DELIMITER not in frames:
        return False
    header = frames.index(wire.DELIMITER) + 2
    return b'"execute_reply"' in b"".join(frames[header : header + 1])


@dataclass(slots=True)
class _Request:
    """A client's request: where its answer goes."""

    channel: str
    idents: list[bytes]
    header: dict[str, Any]
    reply: list[bytes] | None = None
    idle: list[bytes] | None = None
    status: str = "ok"
    execution_count: int | None = None


class Gate:
    """Relays one kernel's messages.

    Args:
        front: Where clients connect; the gate binds these.
        back: Where the kernel listens; the gate connects to these.
        guard: Masks text.
        checker: Checks what is large or has to be unpacked.
        recorder: Makes intents and results durable.
        before_execute: Called before each request that runs code; raises a
            :class:`CloisterError` when nothing may run now (policy unreadable, index not ready).
        journal: Takes a line for each new client and each begin and end of an execution, so that
            somebody else can speak for this gate when it is gone (:mod:`.farewell`).
        notice: Said once on stderr, with the first execution.
        on_ready: Called when the kernel's sockets are there and before it hears a first message.
        bounds: What the kernel has read and its user has seen, where that matters.
    """

    def __init__(
        self,
        *,
        front: Endpoints,
        back: Endpoints,
        guard: TextGuard,
        checker: Checker,
        recorder: Recorder,
        before_execute: Callable[[], None],
        journal: Callable[[str], None],
        on_ready: Callable[[], None] = lambda: None,
        notice: str = "",
        bounds: Bounds | None = None,
    ) -> None:
        self._front_key, self._back_key = front.key, back.key
        self._guard, self._recorder = guard, recorder
        self._checker, self._lanes = checker, Lanes(checker)
        self._before_execute = before_execute
        self._journal = journal
        self._on_ready = on_ready
        self._notice = notice
        self._requests: OrderedDict[str, _Request] = OrderedDict()
        self._clients: set[tuple[str, bytes]] = set()
        self._outputs = Outputs(guard, recorder, self._publish, self._header_of, bounds)
        self._stopping = False
        self._context = zmq.Context()
        self._front = channels.bind_front(self._context, front)
        self._back_addresses = back.addresses
        self._back: dict[str, zmq.Socket[bytes]] = {}

    def run(
        self, kernel_exited: Callable[[], bool], exit_fd: int, log_fd: int | None = None
    ) -> None:
        """Relays until the kernel has exited and everything that it said is delivered.

        Args:
            kernel_exited: Returns whether the kernel's process is gone.
            exit_fd: Becomes readable when it is.
            log_fd: Read end of the pipe that the kernel's own stdout and stderr go to.
        """
        connected = channels.connect_back(self._context, self._back_addresses, kernel_exited)
        if connected is None:
            logger.error("CLO-GATE-005: the kernel ended before it was ready")
            if log_fd is not None:
                self._copy_log(log_fd, logging.ERROR)
            return
        self._back = connected
        self._on_ready()
        handlers = self._handlers()
        poller = zmq.Poller()
        for socket in handlers:
            poller.register(socket, zmq.POLLIN)
        poller.register(exit_fd, select.POLLIN)
        poller.register(self._checker.fileno(), select.POLLIN)
        if log_fd is not None:
            poller.register(log_fd, select.POLLIN)
        exiting = False
        while True:
            events = dict(poller.poll(self._poll_timeout_ms(exiting=exiting)))
            self._handle(events, handlers)
            if log_fd is not None and log_fd in events and not self._copy_log(log_fd):
                poller.unregister(log_fd)
                log_fd = None
            if exiting and not events and self._lanes.is_idle:
                break  # one quiet round: nothing is on its way any more
            if not exiting and kernel_exited():
                exiting = True
                poller.unregister(exit_fd)
        for parent_id in list(self._requests):
            self._outputs.flush(parent_id)
        self._recorder.finish_all("killed")
        self._recorder.flush_late(float("inf"))

    def _handle(
        self, events: dict[Any, int], handlers: dict[zmq.Socket[bytes], tuple[_Handler, str]]
    ) -> None:
        for socket, (handle, channel) in handlers.items():
            if socket in events:
                self._drain(socket, handle, channel)
        if self._checker.fileno() in events:
            self._checker.hear(time.monotonic())
        self._checker.expire(time.monotonic())
        self._outputs.settle()
        self._recorder.flush_late(time.monotonic())

    def _handlers(self) -> dict[zmq.Socket[bytes], tuple[_Handler, str]]:
        """Returns who takes what arrives on which socket."""
        handlers: dict[zmq.Socket[bytes], tuple[_Handler, str]] = {}
        for channel in CHANNELS:
            handlers[self._front[channel]] = (self._from_client, channel)
            handlers[self._back[channel]] = (self._arrived, channel)
        handlers[self._back["iopub"]] = (self._arrived, "iopub")
        handlers[self._front["iopub"]] = (self._subscription, "iopub")
        handlers[self._front["hb"]] = (self._heartbeat, "hb")
        return handlers

    def close(self) -> None:
        """Closes all sockets; what was sent to clients is still delivered for a moment."""
        for socket in self._back.values():
            socket.close(linger=0)  # the kernel is gone
        for socket in self._front.values():
            socket.close(linger=FRONT_LINGER_MS)
        self._context.term()

    # --- client to kernel ---------------------------------------------------------------

    def _from_client(self, frames: list[bytes], channel: str) -> None:
        try:
            message = wire.parse(frames, self._front_key)
        except wire.BadMessage as error:
            logger.warning(
                "CLO-GATE-001: dropped a message from a client on %s: %s", channel, error
            )
            return
        if message.idents:
            client = (channel, message.idents[0])
            if client not in self._clients:
                self._clients.add(client)
                self._journal(f"client {channel} {message.idents[0].hex()}")
        if channel == "stdin":
            self._send_back(channel, message)
            return
        self._remember(message, channel)
        if message.msg_type == "execute_request" and not self._admit(message, channel):
            return
        if message.msg_type == "debug_request" and not self._admit_debugger(message, channel):
            return
        if message.msg_type == "comm_msg":
            self._recorder.started(message.msg_id)
        self._send_back(channel, message)
        if message.msg_type == "execute_request":
            self._recorder.understand(message.msg_id)  # the kernel is at work already

    def _remember(self, message: wire.Message, channel: str) -> None:
        self._requests[message.msg_id] = _Request(channel, message.idents, message.header)
        if len(self._requests) > REMEMBERED_REQUESTS:
            for msg_id in self._requests:  # oldest first
                if self._recorder.running(msg_id) is None:
                    del self._requests[msg_id]
                    break

    def _admit(self, message: wire.Message, channel: str) -> bool:
        """Makes the intent durable, or answers the request with the reason why not."""
        code = message.content.get("code")
        try:
            if not isinstance(code, str):
                raise CloisterError("The request holds no code.", code="CLO-GATE-002")
            self._before_execute()
            self._recorder.begin(
                message.msg_id,
                message.header,
                code,
                message.metadata,
                silent=bool(message.content.get("silent")),
            )
        except CloisterError as error:
            self._recorder.refused(code if isinstance(code, str) else "", error)
            self._refuse(message, channel, error)
            return False
        self._checker.prepare()
        self._journal(f"begin {message.msg_id}")
        if self._notice:
            said, self._notice = f"The kernel before this one ended. {self._notice}\n", ""
            content = {"name": "stderr", "text": said}
            self._recorder.said(message.msg_id, said)
            self._publish(wire.make_message("stream", content, parent=message.header))
        return True

    def _admit_debugger(self, message: wire.Message, channel: str) -> bool:
        """Records debugger requests that run code or carry it; refuses them unrecorded."""
        command = str(message.content.get("command", ""))
        if command not in _CODE_IN_DEBUGGER:
            return True
        arguments = message.content.get("arguments")
        text = arguments if isinstance(arguments, dict) else {}
        code = str(text.get("expression") or text.get("code") or text.get("value") or "")
        try:
            self._before_execute()
            self._recorder.debugger(message.msg_id, command, code)
        except CloisterError as error:
            content = {
                "type": "response",
                "request_seq": message.content.get("seq", 0),
                "success": False,
                "command": command,
                "message": str(error),
            }
            self._reply(message, channel, "debug_reply", content)
            return False
        return True

    def _refuse(self, message: wire.Message, channel: str, error: CloisterError) -> None:
        """Answers an execution that never reached the kernel, on iopub and on its channel."""
        content = {
            "ename": type(error).__name__,
            "evalue": str(error),
            "traceback": [f"\x1b[31m{type(error).__name__}\x1b[0m: {error}"],
        }
        parent = message.header
        for msg_type, body in (
            ("status", {"execution_state": "busy"}),
            ("error", content),
            ("status", {"execution_state": "idle"}),
        ):
            if msg_type == "status" and body["execution_state"] == "idle":
                reply = {
                    "status": "error",
                    "execution_count": 0,
                    "user_expressions": {},
                    "payload": [],
                    **content,
                }
                self._reply(message, channel, "execute_reply", reply)
            self._publish(wire.make_message(msg_type, body, parent=parent))
        self._requests.pop(message.msg_id, None)

    def _reply(
        self, request: wire.Message, channel: str, msg_type: str, content: dict[str, Any]
    ) -> None:
        answer = wire.make_message(msg_type, content, parent=request.header, idents=request.idents)
        self._front[channel].send_multipart(wire.serialize(answer, self._front_key))

    def _send_back(self, channel: str, message: wire.Message) -> None:
        message.idents = []
        self._back[channel].send_multipart(wire.serialize(message, self._back_key))

    def _subscription(self, frames: list[bytes], _channel: str) -> None:
        if frames[0][:1] == b"\x01":
            topic = frames[0][1:]
            welcome = wire.make_message(
                "iopub_welcome",
                {"subscription": topic.decode("utf-8", "replace")},
                idents=[topic] if topic else [],
            )
            self._front["iopub"].send_multipart(wire.serialize(welcome, self._front_key))

    def _heartbeat(self, frames: list[bytes], _channel: str) -> None:
        self._front["hb"].send_multipart(frames)

    # --- kernel to client ---------------------------------------------------------------

    def _arrived(self, frames: list[bytes], channel: str) -> None:
        """Handles what the kernel says, in its order on the channel."""
        size = sum(map(len, frames))
        if self._lanes.waiting_bytes + size > MOST_WAITING_BYTES and size > _A_STATUS_BYTES:
            work, size = partial(self._unread, self._head(frames), channel), 0
        else:
            work = partial(self._read, frames, channel, size)
        self._lanes.put("iopub" if _ends_execution(frames) else channel, size, work)

    def _read(self, frames: list[bytes], channel: str, size: int) -> Work[None]:
        most = self._guard.policy.output.message_bytes
        try:
            message = wire.parse(frames, self._back_key, most, LIGHT_BYTES)
        except wire.UnreadableMessage as error:
            yield from self._withheld(error.message, channel, UNREADABLE)
        except wire.BadMessage as error:
            logger.warning(
                "CLO-GATE-004: dropped a message from the kernel on %s: %s", channel, error
            )
        else:
            yield from self._take(message, channel, size)

    def _head(self, frames: list[bytes]) -> wire.Message | None:
        """Returns the headers of a message whose bulk nobody will read."""
        try:
            return wire.parse(frames, self._back_key, 0)
        except wire.UnreadableMessage as error:
            return error.message
        except wire.BadMessage:
            return None

    def _unread(self, message: wire.Message | None, channel: str) -> Work[None]:
        if message is not None:
            yield from self._withheld(message, channel, TOO_MUCH)

    def _withheld(self, message: wire.Message, channel: str, reason: Reason) -> Work[None]:
        if self._outputs.unreadable(message, message.parent_id, reason):
            yield from self._take(message, channel, len(str(reason)))

    def _take(self, message: wire.Message, channel: str, size: int) -> Work[None]:
        if channel == "iopub":
            return self._from_iopub(message, size)
        return self._from_kernel(message, channel, size)

    def _from_kernel(self, message: wire.Message, channel: str, size: int) -> Work[None]:
        parent_id = message.parent_id
        request = self._requests.get(parent_id)
        if request is None or (channel not in {"stdin", request.channel}):
            logger.warning("CLO-GATE-003: dropped an answer that nobody asked for on %s", channel)
            return
        checked = yield from self._outputs.reply(message, parent_id, size)
        passage = checked.passage
        if not passage.is_sent:
            return
        message.parent = request.header
        message.idents = request.idents
        frames = wire.serialize(message, self._front_key)
        execution = self._recorder.running(parent_id)
        if execution is not None and message.msg_type == "execute_reply":
            if passage.tally or passage.reason or passage.is_observed:
                self._recorder.output(
                    parent_id,
                    checked.outline,
                    passage.tally,
                    is_observed=passage.is_observed,
                    withheld=passage.reason,
                )
            status = message.content.get("status")
            request.status = status if status in {"ok", "error", "aborted"} else "error"
            count = message.content.get("execution_count")
            request.execution_count = count if isinstance(count, int) else None
            request.reply = frames
            self._finish_if_complete(parent_id, request)
            return
        if passage.is_observed:
            self._recorder.observed(parent_id, passage.tally)
        self._front[channel].send_multipart(frames)

    def _from_iopub(self, message: wire.Message, size: int) -> Work[None]:
        if message.msg_type == "iopub_welcome":
            return
        request = self._requests.get(message.parent_id)
        # What answers no request has a parent that the kernel made up: it may be a value, and is
        # neither sent nor recorded.
        parent_id = message.parent_id if request else ""
        message.parent = request.header if request else {}
        if message.msg_type == "stream":
            yield from self._outputs.stream(message, parent_id, size)
            return
        if not (yield from self._outputs.show(message, parent_id, size)):
            return
        if message.msg_type == "status" and request is not None:
            state = message.content["execution_state"]
            if state == "busy":
                self._recorder.started(parent_id)
            elif state == "idle" and self._recorder.running(parent_id) is not None:
                request.idle = self._frames(message)
                self._finish_if_complete(parent_id, request)
                return
        self._publish(message)

    def _header_of(self, msg_id: str) -> dict[str, Any]:
        request = self._requests.get(msg_id)
        return request.header if request else {}

    def _finish_if_complete(self, msg_id: str, request: _Request) -> None:
        """Once reply and idle are both here: record the result, then let them go."""
        if request.reply is None or request.idle is None:
            return
        try:
            self._recorder.finish(msg_id, request.status, request.execution_count)
        except CloisterError as error:
            # The code has run and its outputs are shown; its intent is recorded, its result is
            # not. Say so at the cell. The next execution is refused until the log works again.
            self._publish(
                wire.make_message(
                    "stream",
                    {"name": "stderr", "text": f"{error}\n"},
                    parent=request.header,
                )
            )
        self._front[request.channel].send_multipart(request.reply)
        self._front["iopub"].send_multipart(request.idle)
        request.reply = request.idle = None
        self._journal(f"end {msg_id}")
        self._outputs.forget(msg_id)

    def _frames(self, message: wire.Message) -> list[bytes]:
        message.idents = [f"kernel.cloister.{message.msg_type}".encode("ascii", "replace")]
        return wire.serialize(message, self._front_key)

    def _publish(self, message: wire.Message) -> None:
        self._front["iopub"].send_multipart(self._frames(message))

    # --- plumbing -----------------------------------------------------------------------

    def _drain(
        self, socket: zmq.Socket[bytes], handle: Callable[[list[bytes], str], None], channel: str
    ) -> None:
        """Handles what is waiting on one socket, at most a batch, so that no channel starves."""
        for _ in range(100):
            try:
                frames = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            handle(frames, channel)

    def _poll_timeout_ms(self, *, exiting: bool) -> int:
        if exiting:
            return QUIET_AFTER_EXIT_MS
        deadlines = (self._outputs.next_deadline_s(), self._checker.deadline_s())
        deadline = min((d for d in deadlines if d is not None), default=None)
        if deadline is None:
            return int(IDLE_TICK_S * 1000)
        return max(0, int((deadline - time.monotonic()) * 1000) + 1)

    def _copy_log(self, fd: int, level: int = logging.INFO) -> bool:
        """Copies the kernel's raw output to the server's log, masked; returns False at its end."""
        data = os.read(fd, 65536)
        try:
            text = self._guard.mask(data.decode("utf-8", "replace"), Tally())
        except Exception as error:  # noqa: BLE001 - its text may hold what was looked at
            text = f"[{len(data)} bytes that could not be checked: {type(error).__name__}]"
        if text.strip():
            logger.log(level, "kernel: %s", text.rstrip())
        return bool(data)
