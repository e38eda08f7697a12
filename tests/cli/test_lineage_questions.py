"""A reviewer's questions by the command line, about notebooks that really ran."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import nbformat
import pytest
from cloister.cli.main import run
from cloister.store.home import Home
from cloister.store.lineage_reader import LineageReader
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

SSN = "219-09-9871"
PATIENTS = f"ssn,age\n{SSN},41\n536-22-8812,52\n"
CELLS = [
    "import pandas as pd\npd.DataFrame({'ssn': ['219-09-9871', '536-22-8812'],"
    " 'age': [41, 52]}).to_csv('patients.csv', index=False)",
    "df = pd.read_csv('patients.csv')\ndf",
    "import sys\nprint('one')\nprint('two', file=sys.stderr)\nfor i in range(30):\n"
    "    print(f'\\r{i}', end='', flush=True)",
    "from IPython.display import display, clear_output\nh = display('waits', display_id=True)\n"
    "print('gone')\nclear_output(wait=True)\nh2 = display({'a': 1.0}, display_id='d2')",
    "h2.update({'a': 2})\nlen(df)",
    "%matplotlib inline\nimport matplotlib.pyplot as plt\nfig, ax = plt.subplots(figsize=(1, 1))\n"
    "ax.plot(df['age'])\nplt.show()",
]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A notebook that nbclient has run and saved, with its workspace and home."""
    root = tmp_path_factory.mktemp("questions")
    (root / "workspace").mkdir()
    notebook = new_notebook(cells=[new_code_cell(code) for code in CELLS])
    notebook.metadata.kernelspec = {"name": "cloister", "display_name": "c", "language": "python"}
    path = root / "workspace" / "a.ipynb"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOISTER_HOME", str(root / "home"))
        patch.setenv("JPY_SESSION_NAME", str(path))
        resources = {"metadata": {"path": str(path.parent)}}
        NotebookClient(notebook, resources=resources, timeout=120).execute()
    nbformat.write(notebook, path)
    return root


@pytest.fixture
def ask(ran, monkeypatch, capsys):
    monkeypatch.setenv("CLOISTER_HOME", str(ran / "home"))
    monkeypatch.chdir(ran / "workspace")
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)

    def ask(*words, code=0):
        assert run(["lineage", *words, "--json"]) == code
        said = capsys.readouterr().out
        assert SSN not in said
        return json.loads(said)

    return ask


def change(ran, how):
    content = json.loads((ran / "workspace" / "a.ipynb").read_text("utf-8"))
    how(content["cells"])
    path = ran / "workspace" / "changed.ipynb"
    path.write_text(json.dumps(content), "utf-8")
    return str(path)


def test_the_timeline_is_what_ran(ask):
    rows = ask("timeline", "a.ipynb")
    assert [row["execution_count"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[1]["parents"] == [rows[0]["id"]]
    assert "df" in rows[1]["names_defined"]


def test_a_saved_notebook_matches(ask):
    answer = ask("match", "a.ipynb")
    assert answer["verdicts"] == {"matches": 6}
    assert (answer["ok"], answer["in_order"], answer["one_kernel"]) == (True, True, True)


@pytest.mark.parametrize(
    ("place", "edit"),
    [
        (2, lambda cell: cell["outputs"][0].update(text=["one!\n"])),
        (1, lambda cell: cell["outputs"][0]["data"].update({"text/plain": ["nothing masked"]})),
        (4, lambda cell: cell["outputs"][0]["data"].update({"text/plain": ["3"]})),
        (5, lambda cell: cell["outputs"][0]["data"].update(
            {"image/png": base64.b64encode(b"\x89PNG another").decode()})),
        (3, lambda cell: cell["outputs"].append(
            {"output_type": "stream", "name": "stdout", "text": "made up"})),
    ],
)  # fmt: skip
def test_a_forged_output_is_found(ran, ask, place, edit):
    path = change(ran, lambda cells: edit(cells[place]))
    answer = ask("match", path, code=1)
    wrong = [line["cell"] for line in answer["cells"] if line["verdict"] != "matches"]
    assert wrong == [place + 1]


def test_a_figure_goes_back_to_its_file(ran, ask):
    content = json.loads((ran / "workspace" / "a.ipynb").read_text("utf-8"))
    png = ran / "workspace" / "figure.png"
    png.write_bytes(base64.b64decode(content["cells"][5]["outputs"][0]["data"]["image/png"]))
    answer = ask("origin", str(png))
    assert f"file:{ran / 'workspace' / 'patients.csv'}" in {node["id"] for node in answer["nodes"]}
    counts = {
        node["label"].split("]")[0] for node in answer["nodes"] if node["kind"] == "execution"
    }
    assert {"[1", "[2", "[6"} <= counts
    assert "[3" not in counts


def test_graphs_are_drawn(ran, ask, capsys):
    rows = ask("timeline", "a.ipynb")
    assert run(["lineage", "graph", rows[4]["id"]]) == 0
    assert capsys.readouterr().out.startswith("flowchart LR\n")
    whole = ask("graph", "a.ipynb")
    assert sum(node["kind"] == "execution" for node in whole["nodes"]) == 6
    assert run(["lineage", "graph", rows[0]["id"], "--on", "--format", "dot"]) == 0
    assert "digraph" in capsys.readouterr().out


def test_a_column_a_file_and_a_person(ran, ask):
    path = str(Path("patients.csv").resolve())
    by_path = {row["execution_count"]: row["how"] for row in
               ask("touched", "--path", "patients.csv")["executions"]}  # fmt: skip
    assert (by_path[1], by_path[2], by_path[6]) == (["wrote"], ["read"], ["derived"])
    by_column = {row["execution_count"]: row["how"] for row in
                 ask("touched", "--column", "ssn", "--path", path)["executions"]}  # fmt: skip
    assert "read" in by_column[2]
    by_person = ask("touched", "--person", SSN)["executions"]
    assert [(row["execution_count"], row["how"]) for row in by_person] == [(2, ["showed"])]
    assert ask("touched", "--person", "219-09-9872")["executions"] == []


def test_who_saw_the_most_and_what_left(ran, ask):
    lines = ask("viewers")
    table = next(line for line in lines if (line["source"] or "").endswith("patients.csv"))
    assert table["cells"] >= 4
    assert table["masked"] >= 1
    assert ask("left") == []


def test_a_run_is_compared_with_another(ran, ask):
    again = ask("rerun", "a.ipynb", "-o", str(ran / "workspace" / "again.ipynb"), code=0)
    assert (again["same"], again["error"]) == (True, None)
    assert {line["verdict"] for line in again["cells"]} == {"same"}
    first = ask("timeline", "a.ipynb", "--limit", "1", "--before", "40")
    answer = ask("diff", first[0]["kernel_id"], again["kernel_id"])
    assert answer["same"]
    path = change(ran, lambda cells: cells[2].update(source="print('other')"))
    changed = ask("rerun", path, code=1)
    assert [c["verdict"] for c in changed["cells"]] == ["same", "same", "differs", *["same"] * 3]
    answer = ask("diff", again["kernel_id"], changed["kernel_id"], code=1)
    assert ["code", "outputs"] in [cell["what"][:2] for cell in answer["cells"]]
    told = ask("diff", again["kernel_id"], changed["kernel_id"], "--code", code=1)
    (code,) = [cell["code_diff"] for cell in told["cells"] if "code_diff" in cell]
    assert "+print('other')" in code
    with LineageReader(Home(ran / "home")) as reader:
        read = [e.body for e in reader.entries(limit=10_000) if e.type == "lineage.read"]
    assert [body["how"] for body in read] == ["diff"]


def test_questions_about_nothing_say_so(ask):
    assert ask("timeline", "none.ipynb") == []
    assert ask("origin", "nothing-like-it", code=2)["error"]["code"] == "CLO-LINEAGE-002"
    assert ask("match", "patients.csv", code=2)["error"]["code"] == "CLO-LINEAGE-001"
    assert ask("diff", "nothing", "nothing", code=2)["error"]["code"] == "CLO-LINEAGE-002"
