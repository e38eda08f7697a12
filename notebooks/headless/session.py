"""Executes the cells of a notebook over the kernel's websocket and keeps all that came back.

This is the road that JupyterLab takes, so what is kept here is what a browser would have received.
"""

from __future__ import annotations

import asyncio
import json
import struct
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headless.server import DemoFailed

if TYPE_CHECKING:
    from headless.server import JupyterServer

CELL_TIMEOUT_S = 240.0
START_TIMEOUT_S = 90.0


@dataclass(slots=True)
class CellRun:
    """One executed cell.

    Attributes:
        number: Position among the code cells, from 1.
        may_raise: The cell is tagged ``raises-exception``: it must end in an error.
        status: ``ok``, ``error`` or ``aborted``.
        error: Name of the exception, or ``""``.
        outputs: Streams, results, displays and errors, as received.
        messages: Every message that arrived meanwhile, on every channel, as text.
        duration_s: From sending the request to the idle status.
    """

    number: int
    may_raise: bool
    status: str = "lost"
    error: str = ""
    outputs: list[dict[str, Any]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    duration_s: float = 0.0

    @property
    def is_as_expected(self) -> bool:
        """Whether the cell ended in the way that its notebook says."""
        return self.status == ("error" if self.may_raise else "ok")

    def text(self) -> str:
        """Returns what a reader sees: streams, plain text of results, errors."""
        parts: list[str] = []
        for output in self.outputs:
            content = output["content"]
            if output["type"] == "stream":
                parts.append(content["text"])
            elif output["type"] == "error":
                parts.append("\n".join(content["traceback"]))
            else:
                parts.append(str(content["data"].get("text/plain", "")))
        return "\n".join(parts)


async def run_notebook(
    server: JupyterServer, notebook: str, cells: list[dict[str, Any]], kernel: str
) -> list[CellRun]:
    """Starts a session, runs every code cell and ends the session.

    Args:
        server: A running server.
        notebook: Path of the notebook below the server's root.
        cells: The notebook's cells, as in its file.
        kernel: Name of the kernel spec.

    Raises:
        DemoFailed: The kernel does not start or falls silent.
    """
    from tornado.httpclient import HTTPRequest
    from tornado.websocket import websocket_connect

    loop = asyncio.get_running_loop()
    session, kernel_id = await loop.run_in_executor(None, server.start_session, notebook, kernel)
    try:
        client = uuid.uuid4().hex
        url = f"{server.url}/api/kernels/{kernel_id}/channels?session_id={client}"
        request = HTTPRequest(
            url.replace("http", "ws", 1),
            headers={"Authorization": f"token {server.token}"},
            connect_timeout=START_TIMEOUT_S,  # the server answers when the kernel does
            request_timeout=START_TIMEOUT_S,
        )
        try:
            socket = await websocket_connect(request, max_message_size=256 * 1024 * 1024)
        except OSError as error:
            raise DemoFailed(_never_came(error, server)) from None
        try:
            kernel_side = _KernelSide(socket, client)
            await kernel_side.wait_until_ready()
            return await _run_cells(kernel_side, cells)
        except DemoFailed as failure:
            raise DemoFailed(_never_came(failure, server)) from None
        finally:
            socket.close()
    finally:
        await loop.run_in_executor(None, server.end_session, session)


def _never_came(error: Exception, server: JupyterServer) -> str:
    """Returns what to print when a kernel does not start or ends too soon."""
    what = str(error) if isinstance(error, DemoFailed) else "The kernel did not start in time."
    return f"{what} Run: cloister doctor. The server's last words:\n{server.log_tail()}"


async def _run_cells(kernel: _KernelSide, cells: list[dict[str, Any]]) -> list[CellRun]:
    runs: list[CellRun] = []
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] != "code" or not source.strip():
            continue
        tags = cell.get("metadata", {}).get("tags", [])
        run = CellRun(len(runs) + 1, "raises-exception" in tags)
        await kernel.execute(source, run)
        runs.append(run)
        if not run.is_as_expected:
            break  # later cells would only fail for the same reason
    return runs


class _KernelSide:
    """Speaks the Jupyter protocol over one websocket (the JSON form, one message a frame)."""

    def __init__(self, socket: Any, client: str) -> None:
        self._socket = socket
        self._client = client

    async def wait_until_ready(self) -> None:
        """Asks for kernel info until it answers."""
        end = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < end:
            asked = self._send("kernel_info_request", {})
            while True:
                try:
                    message, _ = await asyncio.wait_for(self._read(), 5)
                except TimeoutError:
                    break  # the kernel was not connected yet: ask again
                answers = message.get("parent_header", {}).get("msg_id") == asked
                if message["msg_type"] == "kernel_info_reply" and answers:
                    return
        raise DemoFailed("The kernel did not answer.")

    async def execute(self, source: str, run: CellRun) -> None:
        """Runs one cell and fills ``run`` until the kernel is idle and has replied."""
        begin = time.monotonic()
        asked = self._send(
            "execute_request",
            {
                "code": source,
                "silent": False,
                "store_history": True,
                "user_expressions": {},
                "allow_stdin": False,
                "stop_on_error": True,
            },
        )
        replied = idle = False
        while not (replied and idle):
            left = begin + CELL_TIMEOUT_S - time.monotonic()
            try:
                message, raw = await asyncio.wait_for(self._read(), max(left, 0))
            except TimeoutError:
                run.status = "timeout"
                break
            run.messages.append(raw)
            if message.get("parent_header", {}).get("msg_id") != asked:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "execute_reply":
                replied, run.status = True, content["status"]
                run.error = content.get("ename", "")
            elif kind == "status":
                idle = content["execution_state"] == "idle"
            elif kind in {"stream", "display_data", "execute_result", "error", "update_display_data"}:
                run.outputs.append({"type": kind, "content": content})
        run.duration_s = time.monotonic() - begin

    def _send(self, kind: str, content: dict[str, Any]) -> str:
        identity = uuid.uuid4().hex
        header = {
            "msg_id": identity,
            "msg_type": kind,
            "username": "demo",
            "session": self._client,
            "version": "5.4",
        }
        message = {
            "header": header,
            "parent_header": {},
            "metadata": {},
            "content": content,
            "channel": "shell",
            "buffers": [],
        }
        self._socket.write_message(json.dumps(message))
        return identity

    async def _read(self) -> tuple[dict[str, Any], str]:
        frame = await self._socket.read_message()
        if frame is None:
            raise DemoFailed("The kernel's connection was closed by the server.")
        if isinstance(frame, str):
            return json.loads(frame), frame
        # Messages with buffers: a count, the offsets, then the JSON and each buffer.
        count = struct.unpack_from("!I", frame)[0]
        offsets = struct.unpack_from(f"!{count}I", frame, 4)
        end = offsets[1] if count > 1 else len(frame)
        text = frame[offsets[0] : end].decode("utf-8")
        return json.loads(text), text + frame[end:].decode("latin-1")
