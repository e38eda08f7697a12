"""The leak corpus through the clients that run whole notebooks: nbclient and papermill.

Every case that is a cell becomes one, in one notebook, and what the client saves is searched.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from cloister.cli.drill.canaries import fresh_canaries
from cloister.cli.drill.cases import Carries, Outcome, load_corpus
from cloister.cli.drill.sightings import Search
from cloister.core.modes import Mode

sys.path.insert(0, str(Path(__file__).parents[1]))

from overlay import make_overlay

FAMILIES = {"comm", "display", "encodings", "errors", "mime", "processes", "splits", "text"}
CASES = [
    case
    for case in load_corpus()
    if case.family in FAMILIES
    and case.carries is Carries.VALUES
    and case.expect[Mode.GUARD] in {Outcome.MASKED, Outcome.BLOCKED}
    and not (case.answer or case.requests or case.visits or case.ends_kernel or case.pending)
    and case.missing() is None
]
SETUP = (
    "import pandas as pd\n"
    "from IPython.display import display\n"
    "df = pd.read_csv('patients.csv', dtype=str)\n"
    "row = df.iloc[0].to_dict()"
)


def leaky_notebook() -> nbformat.NotebookNode:
    """Returns a notebook with the corpus in it; an error of one cell does not stop the next."""
    tagged = {"tags": ["raises-exception"]}
    cells = [nbformat.v4.new_code_cell(SETUP)]
    for case in CASES:
        cells += [
            nbformat.v4.new_code_cell(code, metadata={**tagged, "case": case.id})
            for code in case.cells
        ]
    cells.append(nbformat.v4.new_code_cell("print('the', 'end')"))
    return nbformat.v4.new_notebook(
        cells=cells,
        metadata={
            "kernelspec": {"name": "cloister", "display_name": "Cloister", "language": "python"}
        },
    )


def run_with_nbclient(source: Path, target: Path) -> str:
    from nbclient import NotebookClient

    book = nbformat.read(source, as_version=4)
    resources = {"metadata": {"path": str(source.parent)}}
    NotebookClient(book, kernel_name="cloister", resources=resources).execute()
    nbformat.write(book, target)
    return ""


def run_with_papermill(source: Path, target: Path) -> str:
    python = make_overlay(source.parent.with_name("papermill"), "papermill>=2.6,<3")
    done = subprocess.run(
        [python, "-m", "papermill", source, target, "--kernel", "cloister", "--no-progress-bar"],
        cwd=source.parent,
        env={**os.environ, "JUPYTER_PATH": f"{sys.prefix}/share/jupyter"},
        capture_output=True,
        text=True,
        check=False,
    )
    # It runs every cell and saves them all; that some have failed is what it ends with.
    assert "PapermillExecutionError" in done.stderr
    return done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("run", [run_with_nbclient, run_with_papermill])
def test_no_saved_notebook_holds_a_canary(home, workspace, run):
    from cloister.store.catalog import Catalog
    from cloister.store.home import ensure_home, locate_home

    canaries = fresh_canaries()
    canaries.write(workspace / "patients.csv")
    Catalog(ensure_home(locate_home(os.environ))).add("patients", str(workspace / "patients.csv"))
    source, target = workspace / "leaky.ipynb", workspace / "run.ipynb"
    nbformat.write(leaky_notebook(), source)
    said = run(source, target)
    assert Search(canaries.values()).seen_in([said]) is None
    cells = [c for c in nbformat.read(target, as_version=4).cells if c.cell_type == "code"]
    assert cells[-1].outputs[0].text == "the end\n"
    leaked = {}
    by_id = {case.id: case for case in CASES}
    for cell in cells[1:-1]:
        search = Search(canaries.values(), by_id[cell.metadata.case].encoded)
        if seen := search.seen_in([json.dumps(cell.outputs), *texts(cell.outputs)]):
            leaked[cell.metadata.case] = seen
    assert not leaked
    assert sum(bool(cell.outputs) for cell in cells) > len(cells) / 2
    held = json.dumps(nbformat.read(target, as_version=4).metadata)
    assert Search(canaries.values()).seen_in([held]) is None


def texts(outputs) -> list[str]:
    """Returns what a reader sees, one output after the other, and all of it together."""
    seen = [str(output.get("text") or output.get("data") or output) for output in outputs]
    return [*seen, "".join(seen)]
