"""Guarded kernels of an account without rights, behind either walls, and what doctor says there."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="every other test runs as this account")

_spec = importlib.util.spec_from_file_location(
    "ordinary", Path(__file__).resolve().parents[1] / "ordinary.py"
)
ordinary = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(ordinary)

PROGRAM = Path(__file__).with_name("ordinary_kernel.py")


@pytest.fixture
def place():
    """A directory that others may pass; pytest's own are for root only."""
    with tempfile.TemporaryDirectory(prefix="cloister-ordinary-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def run_kernel(place, policy, *cells, has_namespaces=True):
    program = place / "program.py"
    shutil.copy(PROGRAM, program)
    done = ordinary.run_as_ordinary(
        place / "home",
        [sys.executable, "-P", str(program), policy, json.dumps(cells)],
        has_namespaces=has_namespaces,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def broken(seen):
    return [g["id"] for g in seen["guarantees"] if not g["holds"]]


def test_a_kernel_behind_bubblewrap(place):
    seen = run_kernel(place, "version: 1\n", "import os; print(os.getuid())", "print(6 * 7)")
    assert seen["texts"] == ["1000\n", "42\n"]
    assert seen["sandbox"] == "bubblewrap"
    assert broken(seen) == []


def test_without_namespaces_a_kernel_behind_landlock(place):
    tries = [
        "print(6 * 7)",
        "open('/etc/passwd')",
        "import socket; socket.socket()",
        "import socket; socket.socket(socket.AF_UNIX).connect('/run/x')",
        "import os; os.kill(os.getppid(), 0)",
        "import pandas as pd; pd.DataFrame({'ssn': ['219-09-9871']})",
    ]
    seen = run_kernel(place, "version: 1\nsandbox: reduced\n", *tries, has_namespaces=False)
    assert seen["sandbox"] == "landlock"
    assert broken(seen) == ["sandbox", "names"]
    computed, *refused, shown = seen["texts"]
    assert computed == "42\n"
    assert [next((words for words in _REFUSALS if words in text), text) for text in refused] == [
        "Permission denied",
        "not supported",
        "not permitted",
        "not permitted",
    ]
    assert "US_SSN~" in shown


_REFUSALS = ("Permission denied", "not supported", "not permitted")


def test_without_namespaces_no_kernel_where_they_are_required(place):
    with pytest.raises(AssertionError, match="CLO-SANDBOX-001"):
        run_kernel(place, "version: 1\n", has_namespaces=False)


def test_too_many_processes_end_a_kernel_where_no_control_group_can_be_made(place):
    forks = "import os, time\nfor _ in range(80):\n    os.fork() or time.sleep(30)\ntime.sleep(30)"
    seen = run_kernel(place, "version: 1\nresources: {processes: 60}\n", forks)
    assert "CLO-RESOURCE-002" in seen["texts"][0]
    assert "resources.processes" in seen["texts"][0]


def test_doctor_tries_the_walls_and_finds_no_root(place):
    doctor = [str(Path(sys.executable).with_name("cloister")), "doctor", "--json"]
    rows = {}
    for has_namespaces in (True, False):
        done = ordinary.run_as_ordinary(
            place / "home", [sys.executable, *doctor], has_namespaces=has_namespaces
        )
        report = json.loads(done.stdout)
        rows[has_namespaces] = {g["id"]: g for g in report["guarantees"]}
    for name in ("sandbox", "files", "network", "processes", "system-calls", "rights", "account"):
        assert rows[True][name]["holds"], rows[True][name]
        assert rows[False][name]["holds"] == (name != "sandbox"), rows[False][name]
    assert "tried inside" in rows[True]["files"]["why"]
    assert "names" in {name for name, row in rows[False].items() if not row["holds"]}
