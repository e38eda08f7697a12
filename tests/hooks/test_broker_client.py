"""The broker client: one line out, one line back, and clear refusals when there is no answer."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from cloister.core.errors import BrokerUnavailable, BudgetExceeded
from cloister.hooks.client import BrokerClient, client


def test_returns_the_result_of_the_answer(broker):
    assert client().call("echo", text="grüße\n{}")["echo"] == "grüße\n{}"


def test_raises_the_error_that_the_broker_described(broker, monkeypatch):
    error = {"code": "CLO-DP-001", "message": "Spent.", "rule": "budgets.x", "remedy": "Wait."}
    monkeypatch.setattr(broker, "answer", lambda _: {"ok": False, "error": error})
    with pytest.raises(BudgetExceeded) as caught:
        client().call("reserve")
    assert caught.value.as_dict() == error


def test_wrong_token_is_refused(broker):
    with pytest.raises(BrokerUnavailable, match="CLO-BROKER-002"):
        BrokerClient(broker.path, "another").call("hello")


def test_outside_a_guarded_kernel_says_which_kernel_to_select(monkeypatch):
    monkeypatch.delenv("CLOISTER_BROKER", raising=False)
    monkeypatch.delenv("CLOISTER_TOKEN", raising=False)
    with pytest.raises(BrokerUnavailable, match=r"Python 3 \(Cloister\)"):
        client()


def test_missing_socket_is_broker_unavailable(tmp_path):
    with pytest.raises(BrokerUnavailable):
        BrokerClient(str(tmp_path / "none"), "t").call("hello")


def test_reconnects_after_the_connection_went_stale(broker):
    assert client().call("echo", text="1")
    broker.drop_connections()
    assert client().call("echo", text="2")["echo"] == "2"


def test_timeout_is_broker_unavailable_and_the_next_call_gets_its_own_answer(broker):
    broker.delay_s = 0.4
    with pytest.raises(BrokerUnavailable, match="did not answer"):
        client().call("echo", text="late", timeout_s=0.1)
    broker.delay_s = 0.0
    assert client().call("echo", text="mine")["echo"] == "mine"


def test_a_stopped_broker_is_broker_unavailable(broker):
    client().call("hello")
    broker.stop()
    Path(broker.path).unlink()
    with pytest.raises(BrokerUnavailable):
        client().call("hello")


def test_threads_get_their_own_answers(broker):
    wrong: list[str] = []

    def ask(name: str) -> None:
        for i in range(30):
            text = f"{name}-{i}"
            if client().call("echo", text=text)["echo"] != text:
                wrong.append(text)

    threads = [threading.Thread(target=ask, args=(str(n),)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_forked_child_opens_its_own_connection(broker):
    client().call("echo", text="parent")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        answer = client().call("echo", text="child")["echo"]
        os.write(writer, answer.encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100) == b"child"
    assert client().call("echo", text="parent again")["echo"] == "parent again"
    assert len(broker.connections) == 2
