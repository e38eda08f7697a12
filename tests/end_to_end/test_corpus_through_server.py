"""The leak corpus through a real server: its kernels' WebSockets, and what it saves.

Both protocols of the WebSocket listen to one kernel: v1, which JupyterLab and Notebook speak, and
the older one. What came is saved through the contents API as a browser would.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nbformat
import pytest
from cloister.cli.drill.canaries import fresh_canaries
from cloister.cli.drill.cases import Carries, Outcome, load_corpus
from cloister.cli.drill.evidence import Evidence
from cloister.cli.drill.outcomes import decide
from cloister.core.modes import Mode

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "lab"), str(Path(__file__).parent)]

import leakynotebook as leaky  # noqa: E402 - found through the line above
from labserver import make_home, run_server  # noqa: E402
from serverkernel import LEGACY, V1, KernelThroughServer  # noqa: E402

pytestmark = pytest.mark.timeout(300)

#: What a client asks beside the cells: completions, inspections, the debugger, prompts.
ASKED = [
    case
    for case in load_corpus()
    if (case.requests or case.answer or case.expressions)
    and case.carries is Carries.VALUES
    and not (case.visits or case.missing())
    and case.expect[Mode.GUARD] in {Outcome.MASKED, Outcome.BLOCKED}
]
KEPT = {"stream", "execute_result", "display_data", "update_display_data", "error"}


@pytest.fixture(scope="module")
def canaries():
    return fresh_canaries()


@pytest.fixture(scope="module")
def server(tmp_path_factory, canaries):
    base = tmp_path_factory.mktemp("server")
    with (
        pytest.MonkeyPatch.context() as patch,
        run_server(base, make_home(base / "home"), app="jupyterlab") as running,
    ):
        patch.setenv("CLOISTER_HOME", str(running.home.root))
        leaky.write_corpus(running.root, canaries)
        yield running


@pytest.fixture(scope="module")
def clients(server):
    first = KernelThroughServer(server, V1)
    second = KernelThroughServer(server, LEGACY, first.kernel_id)
    yield first, second
    first.close()
    second.close()


def as_outputs(evidence: Evidence) -> list[dict]:
    """Returns what a front end keeps of the messages that came to it."""
    outputs = []
    for message in evidence.messages:
        kind, content = message["type"], message["content"]
        if kind not in KEPT:
            continue
        output = nbformat.v4.output_from_msg(
            {**message, "header": {"msg_type": kind.replace("update_", "")}}
        )
        is_more = kind == "stream" and outputs and outputs[-1].get("name") == content["name"]
        if is_more:
            outputs[-1]["text"] += output["text"]
        else:
            outputs.append(output)
    return outputs


def test_neither_protocol_shows_or_saves_a_canary(server, clients, canaries):
    speaks, listens = clients
    ran, overheard = Evidence(), Evidence()
    for source in leaky.notebook_cells():
        speaks._execute(ran, source)
        listens._drain(overheard, 0.05)
        # Each protocol carries requests in turn.
        speaks, listens, ran, overheard = listens, speaks, overheard, ran
    for evidence in (ran, overheard):
        leaky.must_hold_everywhere(leaky.read_outputs(as_outputs(evidence), canaries))
        others = [json.dumps(m["content"]) for m in evidence.messages if m["type"] not in KEPT]
        leaky.must_hold_none(others, canaries)

    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(leaky.THE_END, outputs=as_outputs(ran))]
    )
    # A browser knows no numbers that JSON does not have.
    content = json.loads(json.dumps(book), parse_constant=lambda _: None)
    asked = {"type": "notebook", "format": "json", "content": content}
    server.request("PUT", "api/contents/leaky.ipynb", json=asked).raise_for_status()
    server.request("POST", "api/contents/leaky.ipynb/checkpoints").raise_for_status()
    for path in (
        "api/contents/leaky.ipynb",
        "files/leaky.ipynb",
        "files/.ipynb_checkpoints/leaky-checkpoint.ipynb",
        "nbconvert/html/leaky.ipynb",
    ):
        answer = server.request("GET", path)
        leaky.must_hold_none([answer.text], canaries)
    saved = (server.root / "leaky.ipynb").read_text("utf-8")
    assert "the end" in saved
    leaky.must_hold_none([saved], canaries)


@pytest.mark.parametrize("number", [0, 1], ids=["v1", "legacy"])
def test_no_answer_holds_a_canary(clients, canaries, number):
    client = clients[number]
    assert client.run("row = df.iloc[0].to_dict()")
    results = [decide(c, client.attempt(c), canaries, {}) for c in ASKED[number::2]]
    assert len(results) > 10
    assert {r.case.id: r.why for r in results if not r.holds(Mode.GUARD)} == {}
