"""Questions to the record over HTTP: who may ask, what is refused, and that nothing leaks."""

from __future__ import annotations

import json

import pytest
from cloister.store.keys import open_keyring
from cloister.store.lineage import LineageLog
from cloister.store.lineage_reader import LineageReader
from cloister_lab import routes
from cloister_lab.questions import QUESTIONS
from labserver import Execution, append

QUERIES = {
    "lineage/timeline": {"notebook": "a.ipynb"},
    "lineage/touched": {"dataset": "patients"},
    "lineage/left": {},
    "lineage/viewers": {"since": "2020-01-01T00:00:00Z"},
}
SSN = "219-09-9871"


@pytest.fixture(scope="module")
def asked(server):
    append(server.home, Execution("k1", count=1), Execution("k1", count=2))
    with LineageReader(server.home) as reader:
        newest, oldest = reader.executions(2)
    return newest, oldest


def ask(server, name, **query):
    return server.request("GET", f"{routes.API_ROOT}/{name}", params=query)


def post(server, name, body, **more):
    return server.request("POST", f"{routes.API_ROOT}/{name}", json=body, **more)


def test_every_question_is_in_the_table():
    assert {name for name, _ in QUESTIONS} == {
        *QUERIES, "lineage/graph", "lineage/diff", "lineage/match",
    }  # fmt: skip


@pytest.mark.parametrize("name", [name for name, _ in QUESTIONS])
def test_nobody_asks_without_a_token(server, name):
    method = "POST" if name == "lineage/match" else "GET"
    response = server.request(method, f"{routes.API_ROOT}/{name}", token="wrong")
    assert response.status_code == 403
    assert set(response.json()) == {"code", "message", "remedy", "id"}


@pytest.mark.parametrize("name", QUERIES)
def test_answers_are_json(server, asked, name):
    response = ask(server, name, **QUERIES[name])
    assert response.status_code == 200
    assert isinstance(response.json(), dict)


def test_a_notebook_is_named_from_the_root_of_the_server(server):
    from cloister.core.records import Record

    path = server.root.resolve() / "analysis.ipynb"
    body = {"execution_id": "n-1", "kernel_id": "k", "user": "ann", "notebook": str(path)}
    with LineageLog(server.home, open_keyring(server.home)) as log:
        log.append([Record("cell.intent", body)])
    for name in ("analysis.ipynb", str(path)):
        rows = ask(server, "lineage/timeline", notebook=name).json()["executions"]
        assert [row["id"] for row in rows] == ["n-1"]


def test_graphs_and_differences_begin_with_an_id(server, asked):
    newest, oldest = asked
    found = ask(server, "lineage/graph", of=newest["id"]).json()
    assert [node["id"] for node in found["nodes"]] == [f"execution:{newest['id']}"]
    drawn = ask(server, "lineage/graph", of=newest["id"], format="mermaid").json()
    assert drawn["text"].startswith("flowchart LR")
    answer = ask(server, "lineage/diff", before=oldest["id"], after=newest["id"])
    assert [cell["change"] for cell in answer.json()["cells"]] != []


@pytest.mark.parametrize(
    ("name", "query", "status", "code"),
    [
        ("lineage/timeline", {}, 400, "CLO-LAB-001"),
        ("lineage/timeline", {"notebook": "a", "limit": "x"}, 400, "CLO-LAB-001"),
        ("lineage/touched", {}, 400, "CLO-LAB-001"),
        ("lineage/touched", {"person": SSN}, 400, "CLO-LAB-001"),  # never in an address
        ("lineage/graph", {"of": "nothing-like-it"}, 404, "CLO-LINEAGE-002"),
        ("lineage/graph", {"of": "x", "way": "up"}, 400, "CLO-LAB-001"),
        ("lineage/diff", {"before": "x", "after": "y"}, 404, "CLO-LINEAGE-002"),
        ("lineage/viewers", {"since": "yesterday"}, 400, "CLO-LAB-001"),
    ],
)
def test_what_cannot_be_answered_says_why(server, name, query, status, code):
    response = ask(server, name, **query)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert SSN not in response.text


def test_a_notebook_is_compared_and_nonsense_refused(server):
    notebook = {"cells": [{"cell_type": "code", "source": "1", "outputs": [], "id": "a"}]}
    answer = post(server, "lineage/match", {"notebook": notebook})
    assert answer.json()["cells"][0]["verdict"] == "not run"
    assert post(server, "lineage/match", {"notebook": 1}).json()["code"] == "CLO-LINEAGE-001"
    assert post(server, "lineage/match", [1]).json()["code"] == "CLO-LAB-001"


def test_a_person_is_asked_for_in_the_body_and_never_told(server):
    from cloister.core.records import Record
    from cloister.detect.pseudonyms import pseudonym
    from cloister.detect.tokens import Tokenizer

    home = server.home
    keyring = open_keyring(home)
    token = Tokenizer(keyring.token_key, keyring.reversible_key).token("US_SSN", SSN)
    intent = {"execution_id": "person-1", "kernel_id": "k", "user": "ann", "code_sha256": "0" * 64}
    result = {"execution_id": "person-1", "subjects": [{"subject": pseudonym(token)}]}
    with LineageLog(home, keyring) as log:
        log.append([Record("cell.intent", intent), Record("cell.result", result)])
    answer = post(server, "lineage/touched", {"person": f" {SSN}"})
    assert [row["id"] for row in answer.json()["executions"]] == ["person-1"]
    assert SSN not in json.dumps(answer.json())
    assert post(server, "lineage/touched", {"person": "219-09-9872"}).json()["executions"] == []
