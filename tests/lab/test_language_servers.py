"""Language servers run outside all walls: none starts, and nothing looks for one."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import time

import pytest
import websocket
from labserver import make_home, run_server

pytest.importorskip("jupyter_lsp")

SPY = "import pathlib, sys; pathlib.Path(sys.argv[1]).touch()"
NAMES = ["spy", "pyright"] if shutil.which("node") else ["spy"]


@pytest.fixture
def ran(tmp_path):
    """What ran outside the walls leaves its name here."""
    directory = tmp_path / "ran"
    directory.mkdir()
    return directory


def serve(base, ran, policy):
    """A server whose admin has a language server, in a workspace where a kernel planted more."""
    workspace, programs = base / "work", base / "programs"
    module = workspace / "node_modules" / "pyright" / "langserver.index.js"
    module.parent.mkdir(parents=True)
    module.write_text(f"require('fs').writeFileSync({str(ran / 'pyright')!r}, '')")
    programs.mkdir()
    asked = programs / "Rscript"  # as it does, this reads .Rprofile of the directory it starts in
    asked.write_text("#!/bin/sh\n. ./.Rprofile\n")
    asked.chmod(asked.stat().st_mode | stat.S_IXUSR)
    (workspace / ".Rprofile").write_text(f"touch '{ran}/asked'\n")
    spy = {
        "version": 2,
        "argv": [sys.executable, "-c", SPY, str(ran / "spy")],
        "languages": ["python"],
        "mime_types": ["text/x-python"],
    }
    config = f"c = get_config()\nc.LanguageServerManager.language_servers = {{'spy': {spy}}}\n"
    home = make_home(base / "home")
    home.policy_path.write_text(policy)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return run_server(base, home, config=config, environ={"PATH": path})


def open_language_server(server, name):
    """Opens a language server as JupyterLab would."""
    address = server.url.replace("http", "ws", 1) + f"lsp/ws/{name}"
    header = {"Authorization": f"token {server.token}"}
    return websocket.create_connection(address, timeout=10, header=header)


@pytest.mark.parametrize("policy", ["version: 1\n", "version: 1\nserver: {typo: 1}\n"])
def test_no_language_server_starts(tmp_path, ran, policy):
    with serve(tmp_path, ran, policy) as server:
        answer = server.request("GET", "lsp/status")
        assert answer.json()["sessions"] == {}
        refused = server.request("GET", "lsp/ws/spy")
        assert refused.status_code == 403
        assert "CLO-LAB-011" in refused.json()["message"]
        for name in NAMES:
            with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
                open_language_server(server, name)
        time.sleep(2)
    assert list(ran.iterdir()) == []


def test_a_policy_may_allow_them(tmp_path, ran):
    """The same programs run then, what a kernel planted among them: the test above can fail."""
    allowed = "version: 1\nserver: {language_servers: true}\n"
    with serve(tmp_path, ran, allowed) as server:
        opened = [open_language_server(server, name) for name in NAMES]
        deadline = time.monotonic() + 20
        while len(list(ran.iterdir())) <= len(NAMES) and time.monotonic() < deadline:
            time.sleep(0.1)
        for connection in opened:
            connection.close()
    assert {path.name for path in ran.iterdir()} == {"asked", *NAMES}
