"""The door: connections to the broker for a kernel that may make none itself."""

from __future__ import annotations

import os
import socket

import pytest
from cloister.hooks.client import BrokerClient
from cloister.hooks.door import DOOR_VARIABLE, connection_through, door
from cloister.sidecar.door import serve_door


@pytest.fixture
def broker(tmp_path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "b"))
    listener.listen()
    yield listener
    listener.close()


@pytest.fixture
def inner(broker):
    outer, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    serve_door(outer, broker.getsockname())
    yield inner
    inner.close()


def test_each_question_is_answered_with_a_connection_of_its_own(broker, inner):
    for word in (b"one", b"two"):
        with connection_through(inner.fileno(), 5) as connection:
            there, _ = broker.accept()
            with there:
                connection.sendall(word)
                assert there.recv(10) == word


def test_a_forked_child_gets_its_own(broker, inner):
    child = os.fork()
    if not child:
        try:
            connection_through(inner.fileno(), 5).sendall(b"child")
        finally:
            os._exit(0)
    there, _ = broker.accept()
    with there:
        assert there.recv(10) == b"child"
    os.waitpid(child, 0)


def test_without_a_broker_it_says_so(broker, inner):
    broker.close()
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            connection_through(inner.fileno(), 5)


def test_the_client_goes_through_it(broker, inner, monkeypatch):
    monkeypatch.setenv(DOOR_VARIABLE, str(inner.fileno()))
    assert door() == inner.fileno()
    client = BrokerClient("/nowhere", "token")
    child = os.fork()
    if not child:
        there, _ = broker.accept()
        there.recv(1000)
        there.sendall(b'{"id": 1, "ok": true, "result": {"tokens": ["t"]}}\n')
        os._exit(0)
    assert client.call("tokenise", timeout_s=5) == {"tokens": ["t"]}
    os.waitpid(child, 0)
    client.close()


def test_no_door_where_the_kernel_connects_itself(monkeypatch):
    monkeypatch.delenv(DOOR_VARIABLE, raising=False)
    assert door() is None
