"""The leak corpus through the clients that run whole notebooks, and through the console."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from cloister.cli.drill.canaries import fresh_canaries
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

sys.path.insert(0, str(Path(__file__).parents[1]))

import leakynotebook as leaky

pytestmark = pytest.mark.timeout(300)
BIN = Path(sys.executable).parent


def run_with_nbclient(source: Path, target: Path) -> str:
    book = nbformat.read(source, as_version=4)
    resources = {"metadata": {"path": str(source.parent)}}
    client = NotebookClient(book, resources=resources, timeout=120)
    with pytest.raises(CellExecutionError) as failed:  # the last cell raises
        client.execute()
    nbformat.write(book, target)
    return str(failed.value)


def run_with_papermill(source: Path, target: Path) -> str:
    done = subprocess.run(
        [BIN / "papermill", source, target, "--log-output", "--no-progress-bar"],
        cwd=source.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "PapermillExecutionError" in done.stderr
    return done.stdout + done.stderr


def outputs_of(path: Path) -> list[dict]:
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert any(output.get("text") == "the end\n" for output in cells[-2].outputs)
    return [output for cell in cells for output in cell.outputs]


@pytest.mark.parametrize("run", [run_with_nbclient, run_with_papermill])
def test_no_saved_notebook_holds_a_canary(home, workspace, run):
    canaries = fresh_canaries()
    leaky.write_corpus(workspace, canaries)
    source, target = workspace / "leaky.ipynb", workspace / "run.ipynb"
    leaky.write_notebook(source)
    said = run(source, target)
    leaky.must_hold_everywhere(leaky.read_outputs(outputs_of(target), canaries))
    assert "ValueError" in said
    saved = target.read_text("utf-8")  # the source of its cells and its metadata, too
    leaky.must_hold_none([said, saved], canaries)
    kept = {path.name: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    told = [name for name, data in kept.items() for _, v in canaries.values() if v.encode() in data]
    assert told == [], "values in what the guard keeps"


def test_the_console_shows_no_canary(home, workspace):
    canaries = fresh_canaries()
    leaky.write_corpus(workspace, canaries)
    (workspace / "setup.py").write_text(leaky.SETUP)
    typed = ["exec(open('setup.py').read())", *leaky.notebook_cells()[1:], "exit"]
    done = subprocess.run(
        [BIN / "jupyter-console", "--kernel", "cloister", "--simple-prompt"],
        input="\n".join(typed) + "\n",
        cwd=workspace,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    # It shows text, and of displays what they say in text.
    leaky.must_hold_everywhere(leaky.read_text(done.stdout, canaries), stopped=0.5)
    assert "the end" in done.stdout
    leaky.must_hold_none([done.stdout + done.stderr], canaries)


def test_without_a_guard_the_same_notebook_holds_them(home, workspace, monkeypatch):
    # ipykernel does not capture file descriptors where it believes that it is tested itself.
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)
    canaries = fresh_canaries()
    # nbclient gives up where a message is not signed as it should be.
    cases = [case for case in leaky.CASES if case.family != "messages"]
    leaky.write_corpus(workspace, canaries, cases)
    source, target = workspace / "leaky.ipynb", workspace / "run.ipynb"
    leaky.write_notebook(source, "python3", cases)
    run_with_nbclient(source, target)
    leaky.must_leak_nearly_all(leaky.read_outputs(outputs_of(target), canaries))
