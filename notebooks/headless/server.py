"""A JupyterLab server in a process of its own, and the few REST calls that the demo makes to it.

The server is the one that ``make demo`` opens in a browser: the same extensions, the same kernel
spec, the same sandbox. It listens on loopback, asks for a token, and keeps its runtime files in a
private temporary directory.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

START_TIMEOUT_S = 90.0
REQUEST_TIMEOUT_S = 90.0


class DemoFailed(Exception):
    """The demo cannot go on; the message says what to do."""


class JupyterServer:
    """Starts a server on entry and ends it on exit.

    Args:
        root: Directory that the server shows, and the workspace of its kernels.
        environ: Environment of the server, ``CLOISTER_HOME`` included.
        is_guarded: Whether Cloister's extension is loaded; with it, only guarded kernels start.
    """

    def __init__(self, root: Path, environ: Mapping[str, str], *, is_guarded: bool = True) -> None:
        self._root = root
        self._environ = dict(environ)
        self._is_guarded = is_guarded
        self.token = secrets.token_hex(24)
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    @property
    def url(self) -> str:
        """Address without the token."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> JupyterServer:
        self._scratch = tempfile.TemporaryDirectory(prefix="cloister-demo-")
        scratch = Path(self._scratch.name)
        environ = self._environ | {
            "JUPYTER_RUNTIME_DIR": str(scratch / "runtime"),
            "JUPYTER_TOKEN": self.token,  # not on the command line, where every process can read it
        }
        command = [sys.executable, "-m", "jupyterlab", "--no-browser"]
        command += [
            f"--ServerApp.port={self.port}",
            "--ServerApp.port_retries=0",
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.root_dir={self._root}",
        ]
        if not self._is_guarded:
            command.append("--ServerApp.jpserver_extensions={'cloister_lab': False}")
        if os.geteuid() == 0:
            command.append("--allow-root")  # containers; Jupyter refuses otherwise
        self.log = scratch / "server.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, env=environ, cwd=self._root, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._scratch is not None:
            self._scratch.cleanup()

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Calls the REST API and returns the JSON answer, or ``None`` for an empty one.

        Raises:
            DemoFailed: The server refused; the message is the server's.
        """
        request = urllib.request.Request(
            f"{self.url}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self.token}", "Content-Type": "application/json"},
            method=method,
        )
        # A proxy in the environment must not get to see requests to this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=REQUEST_TIMEOUT_S) as response:
                content = response.read()
        except urllib.error.HTTPError as refusal:
            raise DemoFailed(_said_by_server(refusal)) from None
        return json.loads(content) if content else None

    def start_session(self, notebook: str, kernel: str) -> tuple[str, str]:
        """Starts a kernel for a notebook, as JupyterLab does; returns session and kernel id."""
        session = self.request(
            "POST",
            "/api/sessions",
            {"path": notebook, "name": notebook, "type": "notebook", "kernel": {"name": kernel}},
        )
        return session["id"], session["kernel"]["id"]

    def end_session(self, session: str) -> None:
        """Ends a session and its kernel, unless the kernel's death has ended it already."""
        with contextlib.suppress(DemoFailed):
            self.request("DELETE", f"/api/sessions/{session}")

    def log_tail(self, lines: int = 15) -> str:
        """Returns the last lines that the server logged."""
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-lines:])

    def _wait_until_it_answers(self) -> None:
        end = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < end:
            if self._process is not None and self._process.poll() is not None:
                break
            try:
                self.request("GET", "/api/status")
            except (OSError, DemoFailed):
                time.sleep(0.2)
            else:
                return
        raise DemoFailed(f"JupyterLab did not start. Its last words:\n{self.log_tail()}")


def _said_by_server(refusal: urllib.error.HTTPError) -> str:
    try:
        answer = json.loads(refusal.read())
        said = answer.get("message") or answer.get("reason") or refusal.reason
    except (ValueError, AttributeError):
        said = refusal.reason
    return f"The server answered {refusal.code}: {said}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
