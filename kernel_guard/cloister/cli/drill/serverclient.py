"""The Jupyter server beside the kernel: other ways to what the kernel has written.

A real JupyterLab with the settings of ``cloister lab``, on loopback, for one worker's workspace.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from cloister.core.errors import CloisterError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from pathlib import Path

#: Stands between the headers and the body of an answer.
END_OF_HEADERS: Final = b"\r\n\r\n"
_HOST: Final = "127.0.0.1"
_START_LIMIT_S: Final = 60.0
_ANSWER_LIMIT_S: Final = 30.0
_TERMINAL_LIMIT_S: Final = 10.0
_SILENCE_S: Final = 1.5
_MOST_BYTES: Final = 5_000_000


class JupyterServer:
    """A server of its own.

    Args:
        workspace: What it shows, and where its kernels start.
        guarded: Whether it has the settings of ``cloister lab``.

    Raises:
        CloisterError: It did not start.
    """

    def __init__(self, workspace: Path, *, guarded: bool = True) -> None:
        from cloister.cli.setup import LAB_SETTINGS

        self._workspace = workspace
        self._token = secrets.token_hex(16)
        with socket.socket() as probe:
            probe.bind((_HOST, 0))
            self._port = probe.getsockname()[1]
        command = [sys.executable, "-P", "-m", "jupyterlab", "--no-browser"]
        command += [f"--ServerApp.port={self._port}", "--ServerApp.port_retries=0"]
        command += [f"--ServerApp.ip={_HOST}", f"--ServerApp.root_dir={workspace}"]
        command += ["--allow-root"] if os.geteuid() == 0 else []
        if guarded:
            command += [f"{option}={value}" for option, value in LAB_SETTINGS.items()]
        else:
            command += ["--LabApp.extension_manager=readonly"]
            command += ["--ServerApp.jpserver_extensions={'cloister_lab': False}"]
        self._process = subprocess.Popen(
            command,
            env={**os.environ, "JUPYTER_TOKEN": self._token},
            cwd=workspace,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START_LIMIT_S
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.close()
                raise CloisterError(
                    "The drill's Jupyter server did not start.",
                    code="CLO-DRILL-003",
                    remedy="Run: cloister lab --no-browser, and look at what it says.",
                )
            time.sleep(0.1)

    def visit(self, visit: Mapping[str, Any]) -> bytes:
        """Makes one visit of a case and returns all that came back, headers included."""
        if "terminal" in visit:
            return _run(self._terminal(str(visit["terminal"])))
        if "kernel" in visit:
            return _run(self._kernel(str(visit["kernel"]), str(visit["code"])))
        if "websocket" in visit:
            return _run(self._listen(str(visit["websocket"])))
        method, path = next((m, visit[m]) for m in ("get", "post", "put", "patch") if m in visit)
        body = visit.get("json")
        if "body" in visit:
            body = json.loads((self._workspace / str(visit["body"])).read_bytes())
        return self._ask(method.upper(), str(path), body)

    def close(self) -> None:
        """Ends the server and its kernels."""
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return b"version" in self._ask("GET", "/api", None)
        return False

    def _ask(self, method: str, path: str, body: object) -> bytes:
        connection = http.client.HTTPConnection(_HOST, self._port, timeout=_ANSWER_LIMIT_S)
        try:
            connection.request(
                method,
                path,
                body=None if body is None else json.dumps(body),
                headers={
                    "Authorization": f"token {self._token}",
                    "Content-Type": "application/json",
                },
            )
            response = connection.getresponse()
            headers = "".join(f"{name}: {value}\n" for name, value in response.getheaders())
            return headers.encode() + END_OF_HEADERS + response.read(_MOST_BYTES)
        finally:
            connection.close()

    async def _terminal(self, line: str) -> bytes:
        """Types a line into a new terminal and returns what it shows until it falls silent."""
        try:
            made = self._ask("POST", "/api/terminals", None)
            name = json.loads(made[made.index(b'{"name"') :])["name"]
        except (ValueError, KeyError):
            return b""  # there are no terminals
        path = f"/terminals/websocket/{name}"
        return await self._listen(path, [json.dumps(["stdin", f"{line}\r"])], _TERMINAL_LIMIT_S)

    async def _kernel(self, name: str, code: str) -> bytes:
        """Runs code in a new kernel as JupyterLab would, and returns what it was told."""
        try:
            made = self._ask("POST", "/api/kernels", {"name": name})
            kernel_id = json.loads(made[made.index(b'{"id"') :])["id"]
        except (ValueError, KeyError):
            return b""  # no such kernel may be started
        header = {"msg_id": secrets.token_hex(8), "msg_type": "execute_request", "version": "5.3"}
        header |= {"session": secrets.token_hex(8), "username": "", "date": "2000-01-01T00:00:00Z"}
        content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
        request = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        said = json.dumps({**request, "channel": "shell", "buffers": []})
        heard = await self._listen(f"/api/kernels/{kernel_id}/channels", [said], silence_s=4.0)
        self._ask("DELETE", f"/api/kernels/{kernel_id}", None)
        return heard.replace(json.dumps(code)[1:-1].encode(), b"")  # what the client has typed

    async def _listen(
        self,
        path: str,
        say: list[str] | None = None,
        limit_s: float = _ANSWER_LIMIT_S,
        silence_s: float = _SILENCE_S,
    ) -> bytes:
        from tornado.httpclient import HTTPError, HTTPRequest
        from tornado.websocket import websocket_connect

        request = HTTPRequest(
            f"ws://{_HOST}:{self._port}{path}", headers={"Authorization": f"token {self._token}"}
        )
        try:
            connection = await websocket_connect(request)
        except (HTTPError, OSError):
            return b""  # refused
        heard: list[bytes] = []
        for text in say or []:
            await connection.write_message(text)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while True:
                    wait_s = silence_s if heard else limit_s
                    message = await asyncio.wait_for(connection.read_message(), wait_s)
                    if message is None:
                        break
                    heard.append(message.encode() if isinstance(message, str) else message)
        connection.close()
        return b"".join(heard)


def _run(said: Coroutine[None, None, bytes]) -> bytes:
    """Runs it in a thread of its own: the caller's may have a loop already."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, said).result()
