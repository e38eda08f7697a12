"""The same guard for every client: nbclient, the console, and several kernels on one home."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

SSN = "219-09-9871"
BIN = Path(sys.executable).parent


def notebook(*cells):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])


def verify(home):
    done = subprocess.run(
        [BIN / "cloister", "lineage", "verify", "--json"],
        env={**os.environ, "CLOISTER_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_nbclient_gets_masked_outputs_and_the_run_is_recorded(home, workspace):
    nb = notebook("x = 1", f"print('{SSN}')", "x + 1")
    NotebookClient(
        nb, kernel_name="cloister", resources={"metadata": {"path": str(workspace)}}
    ).execute()
    assert SSN not in nbformat.writes(nb).replace(f"print('{SSN}')", "")
    assert nb.cells[1].outputs[0].text.startswith("US_SSN~")
    assert nb.cells[2].outputs[0].data["text/plain"] == "2"
    code, out = verify(home)
    assert code == 0, out


def test_nbclient_is_told_when_the_guard_dies(home, workspace):
    # The kernel cannot reach its sidecar, so the test ends it from outside while the cell runs.
    nb = notebook("import time; time.sleep(60)")
    client = NotebookClient(
        nb, kernel_name="cloister", resources={"metadata": {"path": str(workspace)}}, timeout=60
    )

    def kill_soon(**_):
        threading.Timer(2, lambda: client.km.provisioner.process.kill()).start()

    client.on_cell_execute = kill_soon
    with pytest.raises(CellExecutionError, match="CLO-SIDECAR-001"):
        client.execute()
    assert nb.cells[0].outputs[0].ename == "GuardStopped"


def test_console_runs_cells_masked(home, workspace):
    done = subprocess.run(
        [BIN / "jupyter-console", "--kernel", "cloister", "--simple-prompt"],
        input=f"print('{SSN[:5]}' + '{SSN[5:]}')\nprint(6 * 7)\nexit\n",
        cwd=workspace,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert "US_SSN~" in done.stdout
    assert SSN not in done.stdout
    assert "42" in done.stdout


def test_two_kernels_share_one_home_and_one_record(start_kernel, home):
    first, second = start_kernel(), start_kernel()
    for _ in range(5):
        assert first.run("1").text == "1"
        assert second.run("2").text == "2"
    code, out = verify(home)
    assert code == 0, out


def test_kernels_do_not_see_each_other(start_kernel):
    first, second = start_kernel(), start_kernel()
    first.run("import os; open('/tmp/mine', 'w').write('x')")
    assert second.run("import os; os.path.exists('/tmp/mine')").text == "False"
    assert second.run("len([p for p in os.listdir('/proc') if p.isdigit()]) < 6").text == "True"


def test_a_missing_kernelspec_says_which(workspace):
    with pytest.raises(Exception, match="no-such-kernel"):
        NotebookClient(notebook("1"), kernel_name="no-such-kernel").execute()
