"""The broker answers its own kernel only, and never trusts what it is sent."""

from __future__ import annotations

import json

import pytest
from cloister.core.policy import policy_from_dict
from cloister.core.records import canonical_bytes
from cloister.detect.exact import ExactIndex
from cloister.detect.tokens import Tokenizer
from cloister.sidecar.broker import Broker
from cloister.sidecar.budgets import Budgets
from cloister.sidecar.recorder import KernelFacts, Recorder
from cloister.sidecar.scan import Scanner
from cloister.store.budget import BudgetLedger
from cloister.store.catalog import Catalog
from cloister.store.home import Home, ensure_home

POLICY = policy_from_dict({"version": 1}, "0" * 64)


@pytest.fixture
def broker(home, workspace):
    real_home = ensure_home(Home(home))
    records = []

    def append(batch):
        records.extend(batch)
        for record in batch:
            canonical_bytes(record.body)  # what the log itself would refuse must not come here

    recorder = Recorder(append, KernelFacts("k1", "ann", None, "s"), lambda: "d", lambda t: t)
    index = ExactIndex(b"i" * 32)
    made = Broker(
        token="secret-token",
        policy=lambda: POLICY,
        tokenizer=Tokenizer(b"t" * 32),
        scanner=Scanner(real_home, b"i" * 32, POLICY, Catalog(real_home), index),
        recorder=recorder,
        budgets=Budgets(lambda: BudgetLedger(real_home), lambda: POLICY, recorder, "ann"),
        workspace=workspace.resolve(),
        hello={"user": "ann", "sandbox": "bubblewrap"},
    )
    made.records, made.index = records, index
    return made


def ask(broker, op, token="secret-token", **fields):
    line = json.dumps({"id": 1, "token": token, "op": op, **fields}).encode()
    answer = json.loads(broker.answer(line))
    return answer["result"] if answer["ok"] else answer["error"]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b'{"op":"hello"}',
        b'{"op":"hello","token":1}',
        b'{"op":"hello","token":"wrong"}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_refuses_what_is_not_a_request_of_its_kernel(broker, line):
    answer = json.loads(broker.answer(line))
    assert answer["ok"] is False
    assert answer["error"]["code"] == "CLO-BROKER-002"


@pytest.mark.parametrize(
    ("op", "fields"),
    [
        ("nothing", {}),
        ("tokenise", {"entity_type": "US_SSN", "values": "abc"}),
        ("tokenise", {"entity_type": "../x", "values": []}),
        ("tokenise", {"entity_type": "US_SSN", "values": ["x"] * 10_001}),
        ("observe_values", {"values": []}),
        ("observe_read", {"path": "relative.csv"}),
        ("observe_read", {"path": "/etc/shadow"}),
        ("observe_read", {"path": "/a\0b"}),
        ("reserve", {"dataset": "d", "epsilon": "1", "delta": 0, "event": {}}),
        ("reserve", {"dataset": "d", "epsilon": -1, "delta": 0, "event": {}}),
        ("reserve", {"dataset": "", "epsilon": 1, "delta": 0, "event": {}}),
        ("commit", {"reservation": "none", "epsilon": float("1e400"), "delta": 0}),
        ("checkpoint", {"reservation": "none", "steps_done": -1}),
    ],
)
def test_bad_fields_are_refused_with_a_code(broker, op, fields):
    assert ask(broker, op, **fields)["code"].startswith("CLO-")


def test_tokens_are_the_same_for_equal_values(broker):
    tokens = ask(broker, "tokenise", entity_type="US_SSN", values=["219-09-9871", "219099871"])[
        "tokens"
    ]
    assert tokens[0] == tokens[1]
    assert tokens[0].startswith("US_SSN~")


def test_a_kernel_cannot_ask_how_far_masked_files_are_moved(broker):
    asked = {"entity_type": "SUBJECT", "values": ["p1", "p2", "p1"]}
    first, second, again = ask(broker, "offsets", **asked)["offsets"]
    assert first == again != second
    assert all(-1 <= offset < 1 for offset in (first, second))
    assert first != Tokenizer(b"t" * 32).offset("SUBJECT", "p1")


def test_hello_states_the_policy_and_no_key(broker):
    hello = ask(broker, "hello")
    assert hello["policy"]["display"]["restricted"] == "token"
    assert hello["user"] == "ann"
    assert "tttt" not in json.dumps(hello)


def test_a_read_labels_the_columns_and_fills_the_index(broker, workspace):
    path = workspace / "people.csv"
    path.write_text("name,age\nMaria Lindqvist,3\nZebulon Quartermain,4\n")
    answer = ask(broker, "observe_read", path=str(path), format="csv")
    assert answer["labels"]["name"]["entity_type"] == "PERSON"
    assert broker.index.find("hello zebulon QUARTERMAIN")


def test_a_link_out_of_the_workspace_is_not_followed(broker, workspace, tmp_path):
    (tmp_path / "outside.csv").write_text("name\nMaria Lindqvist\n")
    (workspace / "link.csv").symlink_to(tmp_path / "outside.csv")
    assert ask(broker, "observe_read", path=str(workspace / "link.csv"))["code"] == (
        "CLO-BROKER-002"
    )


def test_an_error_of_unknown_kind_says_nothing_of_the_data(broker, monkeypatch):
    def explode(_request):
        raise KeyError("219-09-9871")

    monkeypatch.setitem(broker._operations, "hello", explode)
    error = ask(broker, "hello")
    assert error["code"] == "CLO-BROKER-003"
    assert "219" not in json.dumps(error)


def test_a_denied_connection_is_recorded(broker):
    error = ask(broker, "egress_denied", host="evil.example", port=443, via="socket")
    assert error["code"] == "CLO-EGRESS-001"
    assert error["rule"] == "egress.default"
    assert broker.records[-1].type == "egress.denied"
    assert broker.records[-1].body["host"] == "evil.example"


def test_a_budget_is_reserved_committed_and_recorded(broker):
    reservation = ask(
        broker,
        "reserve",
        dataset="patients",
        epsilon=1.0,
        delta=1e-6,
        event={"mechanism": "laplace"},
        idempotency_key="k",
    )["reservation"]
    ask(broker, "checkpoint", reservation=reservation, steps_done=1)
    row = ask(broker, "commit", reservation=reservation, epsilon=0.5, delta=0.0)["row"]
    assert row["epsilon_spent"] == pytest.approx(0.5)
    assert [r.type for r in broker.records] == ["budget.reserved", "budget.committed"]
    over = ask(
        broker,
        "reserve",
        dataset="patients",
        epsilon=2.6,
        delta=0.0,
        event={},
        idempotency_key="k2",
    )
    assert over["code"] == "CLO-DP-001"
