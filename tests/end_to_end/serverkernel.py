"""A kernel as a browser has it: through the Jupyter server, over WebSockets of both protocols.

It answers to the calls of ``jupyter_client``'s blocking client that the drill's client makes, so
that the same cases run through it.
"""

from __future__ import annotations

import json
import queue
import secrets
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import websocket
from cloister.cli.drill.clients import KernelClient
from jupyter_server.services.kernels.connection.base import (  # noqa: TID251 - it is what is tried
    deserialize_binary_message,
    deserialize_msg_from_ws_v1,
    serialize_msg_to_ws_v1,
)

V1 = "v1.kernel.websocket.jupyter.org"
LEGACY = ""


class KernelThroughServer(KernelClient):
    """The drill's client on a kernel that a Jupyter server has started.

    Args:
        server: A running server.
        protocol: :data:`V1` or :data:`LEGACY`.
        kernel_id: Of a kernel that is there already; a new session if left out.
        path: The notebook that the session is for.
    """

    def __init__(
        self, server: Any, protocol: str, kernel_id: str = "", path: str = "leaky.ipynb"
    ) -> None:
        if not kernel_id:
            session = {"name": path, "path": path, "type": "notebook"}
            asked = {**session, "kernel": {"name": "cloister"}}
            made = server.request("POST", "api/sessions", json=asked)
            made.raise_for_status()
            kernel_id = made.json()["kernel"]["id"]
        self._kernel_id = kernel_id
        self._manager = self
        self._client = _Connection(server, kernel_id, protocol)
        assert self.run("pass")

    @property
    def kernel_id(self) -> str:
        """What the server calls it."""
        return self._kernel_id

    def is_alive(self) -> bool:
        """The server restarts kernels by itself."""
        return True

    def close(self) -> None:
        """Closes the connection; the kernel is the server's."""
        self._client.socket.close()


class _Connection:
    def __init__(self, server: Any, kernel_id: str, protocol: str) -> None:
        self._protocol = protocol
        self._session = secrets.token_hex(16)
        address = server.url.replace("http", "ws", 1)
        self.socket = websocket.create_connection(
            f"{address}api/kernels/{kernel_id}/channels?session_id={self._session}",
            header=[f"Authorization: token {server.token}"],
            subprotocols=[protocol] if protocol else None,
        )
        assert (self.socket.getsubprotocol() or "") == protocol
        self._arrived: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.session = self
        self.shell_channel, self.control_channel = (
            _Channel(self, "shell"),
            _Channel(self, "control"),
        )

    def msg(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        header = {"msg_id": secrets.token_hex(16), "msg_type": kind, "version": "5.4"}
        header |= {"session": self._session, "username": "", "date": datetime.now(UTC).isoformat()}
        return {"header": header, "parent_header": {}, "metadata": {}, "content": content}

    def execute(self, code: str, **extra: Any) -> str:
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}}
        message = self.msg("execute_request", {**content, "stop_on_error": False, **extra})
        self.send("shell", message)
        return message["header"]["msg_id"]

    def input(self, text: str) -> None:
        self.send("stdin", self.msg("input_reply", {"value": text}))

    def send(self, channel: str, message: dict[str, Any]) -> None:
        if self._protocol == V1:
            data = serialize_msg_to_ws_v1(message, channel, lambda o: json.dumps(o).encode())
            self.socket.send_binary(data)
        else:
            self.socket.send(json.dumps({**message, "channel": channel, "buffers": []}))

    def get_iopub_msg(self, timeout: float) -> dict[str, Any]:
        return self._next("iopub", timeout)

    def get_shell_msg(self, timeout: float) -> dict[str, Any]:
        return self._next("shell", timeout)

    def get_control_msg(self, timeout: float) -> dict[str, Any]:
        return self._next("control", timeout)

    def get_stdin_msg(self, timeout: float) -> dict[str, Any]:
        return self._next("stdin", timeout)

    def _next(self, channel: str, timeout: float) -> dict[str, Any]:
        self.socket.settimeout(max(timeout, 0.001))
        while not self._arrived[channel]:
            try:
                arrived, message = self._read(self.socket.recv())
            except websocket.WebSocketTimeoutException:
                raise queue.Empty from None
            self._arrived[arrived].append(message)
        return self._arrived[channel].pop(0)

    def _read(self, data: Any) -> tuple[str, dict[str, Any]]:
        if self._protocol == V1:
            channel, parts = deserialize_msg_from_ws_v1(data)
            names = ("header", "parent_header", "metadata", "content")
            message = {n: json.loads(p) for n, p in zip(names, parts, strict=False)}
            return channel, {**message, "buffers": parts[4:]}
        message = json.loads(data) if isinstance(data, str) else deserialize_binary_message(data)
        return message.pop("channel"), message


class _Channel:
    def __init__(self, connection: _Connection, name: str) -> None:
        self._connection, self._name = connection, name

    def send(self, message: dict[str, Any]) -> None:
        self._connection.send(self._name, message)
