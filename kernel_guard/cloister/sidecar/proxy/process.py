"""The proxy's process, seen from the sidecar: started when it is needed, answered, watched.

The listening socket is made and kept here and inherited by the process, so a proxy that dies
leaves connections waiting and not a way around: the next connection starts another one. After
``_MOST_STARTS`` in ``_WINDOW_S`` the socket is closed, and the kernel has no way out at all.
The process ends with the sidecar: its link ends, and the system kills it with the thread that
started it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import socket
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from cloister.core.errors import EgressDenied
from cloister.sidecar.proxy.desk import Ask
from cloister.sidecar.proxy.filters import Reply
from cloister.sidecar.proxy.link import (
    LENGTHS,
    BrokenLinkError,
    leaving_as_dict,
    pack,
    refusal_as_dict,
    unpack_lengths,
)
from cloister.sidecar.proxy.refusal import Refusal, filter_failed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloister.sidecar.proxy.decider import Decider

_LOG = logging.getLogger(__name__)

_MOST_STARTS: Final = 5
_WINDOW_S: Final = 60.0
_WORKERS: Final = 4
_INLINE_BYTES: Final = 16_384
_INBOUND_WAIT_S: Final = 5.0
_ENVIRONMENT: Final = frozenset({"PATH", "LANG", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"})


def private_socket(path: Path) -> socket.socket:
    """Makes a unix socket that only this user can open, and listens on it.

    Args:
        path: Where, at most 107 bytes. A socket that was left there is replaced.

    Raises:
        EgressDenied: The directory is open to others.
        OSError: The socket cannot be made.
    """
    if path.parent.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise EgressDenied(
            "The directory of the egress socket is open to other users.",
            code="CLO-EGRESS-007",
            remedy="Make it private (mode 0700).",
        )
    if path.is_socket():
        path.unlink()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(sock.fileno(), 0o600)  # before bind: the file never exists with another mode
        sock.bind(os.fspath(path))
        sock.listen(128)
    except BaseException:
        sock.close()
        raise
    return sock


class ProxyProcess:
    """Keeps the proxy of one kernel.

    Args:
        path: Where kernels connect.
        decider: Answers it.
        settings: Sent to each new process first: what it needs to open TLS.
        on_end: Told that a process ended without being asked to, and whether another may start.
    """

    def __init__(
        self,
        path: Path,
        decider: Decider,
        settings: dict[str, Any],
        on_end: Callable[[bool], None] = lambda _again: None,
    ) -> None:
        self._listener = private_socket(path)
        self._desk = _DeskOfSidecar(decider)
        self._decider = decider
        self._settings = settings
        self._on_end = on_end
        self._stopping = threading.Event()
        self._wake, self._woken = os.pipe2(os.O_CLOEXEC)
        self._link: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="egress", daemon=True)
        self.pid: int | None = None

    def start(self) -> None:
        """Waits for a first connection, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the process and waits for the ends of its uses to be recorded."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        os.close(self._woken)
        link = self._link
        if link is not None:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)

    def _run(self) -> None:
        starts: list[float] = []
        try:
            while not self._stopping.is_set():
                ready, _, _ = select.select([self._listener.fileno(), self._wake], [], [])
                if self._stopping.is_set() or self._wake in ready:
                    return
                starts = [at for at in starts if at > time.monotonic() - _WINDOW_S]
                if len(starts) >= _MOST_STARTS:
                    _LOG.error("CLO-EGRESS-015: the egress proxy ends again and again; it is off")
                    self._on_end(False)  # noqa: FBT003 - a callback's only argument
                    return
                starts.append(time.monotonic())
                self._run_once()
                if not self._stopping.is_set():
                    _LOG.error(
                        "CLO-EGRESS-015: the egress proxy ended; it starts again when needed"
                    )
                    self._on_end(True)  # noqa: FBT003 - a callback's only argument
        finally:
            self._listener.close()
            os.close(self._wake)

    def _run_once(self) -> None:
        ours, theirs = socket.socketpair()
        fds = (theirs.fileno(), self._listener.fileno())
        command = [sys.executable, "-P", "-m", "cloister.sidecar.proxy", *map(str, fds)]
        environment = {k: v for k, v in os.environ.items() if k in _ENVIRONMENT}
        with ours, ThreadPoolExecutor(_WORKERS, "egress") as workers:
            with theirs:
                process = subprocess.Popen(
                    command, pass_fds=fds, env=environment, cwd="/", stdin=subprocess.DEVNULL
                )
            self.pid = process.pid
            self._link = ours
            try:
                ours.sendall(pack({}, json.dumps(self._settings).encode()))
                self._desk.serve(ours, workers)
            except OSError:  # BrokenLinkError is one
                pass
            finally:
                process.kill()
                process.wait()
                self._link = None
                self._decider.abandon()


class _DeskOfSidecar:
    """Answers the frames of one proxy process."""

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self._sending = threading.Lock()
        self._inbound = threading.Condition()
        self._unseen = 0

    def serve(self, link: socket.socket, workers: ThreadPoolExecutor) -> None:
        """Reads frames until the process is gone; long work goes to other threads.

        Raises:
            OSError: It is gone.
        """
        self._unseen = 0
        stream = link.makefile("rb", buffering=262_144)
        while True:
            head_length, body_length = unpack_lengths(_exactly(stream, LENGTHS.size))
            head = json.loads(_exactly(stream, head_length))
            body = _exactly(stream, body_length) if body_length else b""
            op = head.pop("op")
            if op == "inbound":
                with self._inbound:
                    self._unseen += 1
                workers.submit(self._look_at_inbound, head, body)
            elif op == "close":
                self._decider.close(
                    Ask.from_dict(head["ask"]),
                    head["bytes_out"],
                    head["bytes_in"],
                    head["denied_by"],
                )
            elif len(body) > _INLINE_BYTES or op in {"submit", "reply", "feed", "finish"}:
                workers.submit(self._answer, link, op, head, body)
            else:
                self._answer(link, op, head, body)

    def _answer(self, link: socket.socket, op: str, head: dict[str, Any], body: bytes) -> None:
        try:
            fields, answer = self._carry_out(op, head, body)
        except Refusal as refusal:
            fields, answer = {"refusal": refusal_as_dict(refusal)}, b""
        except Exception as error:  # noqa: BLE001 - what cannot be answered is refused
            _LOG.error("CLO-EGRESS-014: %s in %s", type(error).__name__, op)
            fields, answer = {"refusal": refusal_as_dict(filter_failed("its host", "egress"))}, b""
        frame = pack({"id": head["id"], **fields}, answer)
        with self._sending, contextlib.suppress(OSError):  # its end shows where frames are read
            link.sendall(frame)

    def _carry_out(  # noqa: PLR0911 - one for each operation
        self, op: str, head: dict[str, Any], body: bytes
    ) -> tuple[dict[str, Any], bytes]:
        decider = self._decider
        match op:
            case "admit":
                self._wait_for_inbound()
                shown = body if head["is_here"] else None
                grant, leaving = decider.admit(Ask.from_dict(head["ask"]), shown)
                fields = {"grant": grant.as_dict(), "leaving": leaving_as_dict(leaving)}
                return fields, leaving.body or b""
            case "look":
                self._wait_for_inbound()
                return {"grant": decider.look(Ask.from_dict(head["ask"])).as_dict()}, b""
            case "submit":
                leaving = decider.submit(head["use"], body)
                return {"leaving": leaving_as_dict(leaving)}, leaving.body or b""
            case "reply":
                decider.reply(head["use"], _reply(head))
                return {}, b""
            case "feed":
                return {}, decider.feed(head["use"], body)
            case "finish":
                return {}, decider.finish(head["use"], body)
            case "may_reach":
                return {"may": decider.may_reach(head["address"], head["port"])}, b""
            case "progress":
                ask = Ask.from_dict(head["ask"])
                decider.progress(ask, head["bytes_out"], head["bytes_in"])
                return {}, b""
        raise BrokenLinkError

    def _look_at_inbound(self, head: dict[str, Any], body: bytes) -> None:
        try:
            self._decider.inbound(head["use"], _reply(head), body)
        except Exception as error:  # noqa: BLE001 - its text may hold data
            _LOG.error("CLO-EGRESS-014: %s while an answer was looked at", type(error).__name__)
        finally:
            with self._inbound:
                self._unseen -= 1
                self._inbound.notify_all()

    def _wait_for_inbound(self) -> None:
        """What came in counts for what goes out next."""
        with self._inbound:
            self._inbound.wait_for(lambda: self._unseen <= 0, _INBOUND_WAIT_S)


def _reply(head: dict[str, Any]) -> Reply:
    return Reply(head["status"], tuple((name, value) for name, value in head["headers"]))


def _exactly(stream: Any, size: int) -> bytes:
    data: bytes = stream.read(size)
    if len(data) < size:
        raise BrokenLinkError
    return data
