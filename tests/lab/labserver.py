"""Real servers and real records for the tests of the server extension and of the browser.

Nothing here imitates: the home is made by the store, the record is appended by the lineage log
with the bodies that the sidecar writes, and the server is a separate process on loopback.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import requests
from cloister.core.records import Record
from cloister.store.home import Home, ensure_home
from cloister.store.keys import open_keyring
from cloister.store.lineage import LineageLog
from cloister.store.lineage_reader import LineageReader

if TYPE_CHECKING:
    from pathlib import Path

START_LIMIT_S = 60


def make_home(root: Path) -> Home:
    return ensure_home(Home(root))


@dataclass
class Execution:
    """One execution as the sidecar would record it: an intent and a result."""

    kernel_id: str
    notebook: str | None = "analysis.ipynb"
    status: str = "ok"
    count: int | None = 1
    duration_us: int = 12_000
    shown: int = 1
    masked: int = 0
    blocked: int = 0
    reads: list[dict] = field(default_factory=list)
    egress: list[dict] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    user: str = "maya"
    is_finished: bool = True

    def records(self) -> list[Record]:
        execution_id = f"{secrets.token_hex(16)}_1_1"
        code = f"df.head({self.count})"
        intent = {
            "execution_id": execution_id,
            "kernel_id": self.kernel_id,
            "session": "s1",
            "user": self.user,
            "client_user": "",
            "notebook": self.notebook,
            "cell_id": "c1",
            "code_sha256": hashlib.sha256(code.encode()).hexdigest(),
            "policy_digest": "0" * 64,
            "trace_id": secrets.token_hex(16),
            "silent": False,
            "attested_by": "sidecar",
        }
        records = [Record("cell.intent", intent, json.dumps({"code": code}).encode())]
        if self.is_finished:
            result = {
                "execution_id": execution_id,
                "kernel_id": self.kernel_id,
                "status": self.status,
                "execution_count": self.count,
                "duration_us": self.duration_us,
                "outputs": {"shown": self.shown, "masked": self.masked, "blocked": self.blocked},
                "output_digests": [],
                "reads": self.reads,
                "egress": self.egress,
                "labels": self.labels,
                "attested_by": "sidecar",
            }
            records.append(Record("cell.result", result, b'{"outputs":[]}'))
        return records


def append(home: Home, *executions: Execution) -> None:
    with LineageLog(home, open_keyring(home)) as log:
        for execution in executions:
            log.append(execution.records())


def write_state(home: Home, kernel_id: str, /, **changes) -> None:
    """Writes what a sidecar would write; by default that of a guarded kernel that is alive."""
    state = {
        "kernel_id": kernel_id,
        "pid": os.getpid(),
        "started_us": time.time_ns() // 1000,
        "sandbox": "bubblewrap",
        "policy_digest": "0" * 64,
        "user": "maya",
        "notebook": "analysis.ipynb",
        "guarantees": [
            {"id": "gate", "holds": True, "why": "every message is scanned", "fix": ""},
            {"id": "sandbox", "holds": True, "why": "own namespaces", "fix": ""},
        ],
        **changes,
    }
    directory = home.run_dir / kernel_id
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    (directory / "state.json").write_text(json.dumps(state), "utf-8")


@dataclass(frozen=True)
class LabServer:
    """A running server."""

    url: str
    token: str
    home: Home
    root: Path
    log_path: Path

    def request(self, method: str, path: str, *, token: str | None = None, **kwargs):
        headers = {"Authorization": f"token {self.token if token is None else token}"}
        if token == "":
            headers = {}
        return requests.request(
            method,
            f"{self.url}{path}",
            headers=headers,
            timeout=30,
            allow_redirects=False,
            **kwargs,
        )

    def settle(self):
        """Makes a first request and waits until it is on record, which is off its way."""
        self.get("status")
        deadline = time.monotonic() + 20
        with LineageReader(self.home) as reader:
            while time.monotonic() < deadline:
                if any(e.type == "server.session" for e in reader.entries()):
                    return
                time.sleep(0.05)
        raise RuntimeError("the first session is not on record")

    def get(self, path: str, **params):
        return self.request("GET", f"cloister/api/v1/{path}", params=params)

    def post(self, path: str, **params):
        return self.request("POST", f"cloister/api/v1/{path}", params=params)


@contextlib.contextmanager
def run_server(
    base: Path,
    home: Home,
    *,
    app: str = "jupyter_server",
    config: str = "",
    environ: dict[str, str] | None = None,
    python: str | Path = sys.executable,
):
    """Runs a server in its own configuration, data and runtime directories.

    Args:
        base: A fresh directory.
        home: The workspace; need not exist.
        app: Module that serves: ``jupyter_server`` or ``jupyterlab``.
        config: Python text of ``jupyter_server_config.py``.
        environ: More variables.
        python: The interpreter, and with it the packages, of the server.
    """
    root = base / "work"
    config_dir = base / "config"
    for path in (root, config_dir, base / "runtime"):
        path.mkdir(parents=True, exist_ok=True)
    (config_dir / "jupyter_server_config.py").write_text(config or "c = get_config()\n")
    # JupyterLab asks for news from the network otherwise, with a notice over the page.
    notices = base / "settings" / "@jupyterlab" / "apputils-extension"
    notices.mkdir(parents=True)
    (notices / "notification.jupyterlab-settings").write_text(
        json.dumps({"fetchNews": "false", "checkForUpdates": False})
    )
    token = secrets.token_hex(16)
    log_path = base / "server.log"
    variables = {
        **os.environ,
        "CLOISTER_HOME": str(home.root),
        "CLOISTER_USER": "maya",
        "JUPYTER_CONFIG_DIR": str(config_dir),
        "JUPYTER_DATA_DIR": str(base / "data"),
        "JUPYTER_RUNTIME_DIR": str(base / "runtime"),
        "JUPYTER_TOKEN": token,
        "JUPYTERLAB_SETTINGS_DIR": str(base / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(base / "workspaces"),
        "IPYTHONDIR": str(base / "ipython"),
        **(environ or {}),
    }
    arguments = ["--ip=127.0.0.1", "--port=0", "--no-browser", f"--ServerApp.root_dir={root}"]
    if os.geteuid() == 0:
        arguments.append("--allow-root")
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [python, "-m", app, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=variables,
            cwd=root,
        )
    try:
        url = _wait(process, base / "runtime", log_path)
        yield LabServer(url, token, home, root, log_path)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen, runtime: Path, log_path: Path) -> str:
    info = runtime / f"jpserver-{process.pid}.json"
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError, ValueError, requests.RequestException):
            # The file appears before the loop runs.
            url = json.loads(info.read_text())["url"]
            if requests.get(f"{url}api", timeout=5).ok:
                return url
        time.sleep(0.1)
    raise AssertionError(f"the server did not start:\n{log_path.read_text()[-3000:]}")
