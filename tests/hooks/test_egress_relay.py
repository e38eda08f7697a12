"""The relay copies bytes both ways, keeps half-closed connections and survives errors."""

from __future__ import annotations

import hashlib
import os
import socket
import socketserver
import threading
import time
from pathlib import Path

import pytest
from cloister.hooks.relay import Relay, start_from_environment


@pytest.fixture
def upstream(tmp_path):
    """A Unix server that answers with the digest of all it got, once the client has ended."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            data = self.rfile.read()
            self.wfile.write(hashlib.sha256(data).hexdigest().encode())

    path = str(tmp_path / "egress.sock")
    server = socketserver.ThreadingUnixStreamServer(path, Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield path
    server.shutdown()
    server.server_close()


@pytest.fixture
def relay(upstream):
    relay = Relay(upstream, 0)
    relay.start()
    yield relay
    relay.close()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def relay_threads() -> int:
    return sum(t.name == "cloister-relay" for t in threading.enumerate())


def ask(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while block := connection.recv(65536):
            answer += block
    return answer


def test_an_answer_after_the_client_has_ended_still_arrives(relay):
    data = os.urandom(3_000_000)
    assert ask(relay.port, data) == hashlib.sha256(data).hexdigest().encode()


def test_many_connections_at_once(relay):
    answers: dict[int, bytes] = {}

    def one(n: int) -> None:
        answers[n] = ask(relay.port, str(n).encode() * 1000)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert answers == {
        n: hashlib.sha256(str(n).encode() * 1000).hexdigest().encode() for n in range(24)
    }


def test_an_upstream_that_is_gone_ends_the_connection_and_not_the_relay(relay, upstream):
    Path(upstream).rename(upstream + ".away")
    with socket.create_connection(("127.0.0.1", relay.port), timeout=5) as connection:
        assert connection.recv(1) == b""
    Path(upstream + ".away").rename(upstream)
    assert ask(relay.port, b"x") == hashlib.sha256(b"x").hexdigest().encode()


def test_a_client_that_vanishes_does_not_stop_the_relay(relay):
    for _ in range(5):
        connection = socket.create_connection(("127.0.0.1", relay.port))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.send(b"x")
        connection.close()
    assert ask(relay.port, b"y") == hashlib.sha256(b"y").hexdigest().encode()


def test_threads_and_descriptors_are_given_back(relay):
    ask(relay.port, b"x")
    before = descriptors()
    for _ in range(30):
        ask(relay.port, b"x")
    deadline = time.monotonic() + 5
    while (descriptors() > before or relay_threads() > 2) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert descriptors() <= before
    assert relay_threads() <= 2


def test_only_loopback_is_bound(relay):
    assert relay._listener.getsockname()[0] == "127.0.0.1"


def test_no_relay_without_an_egress_socket(monkeypatch):
    monkeypatch.delenv("CLOISTER_EGRESS", raising=False)
    assert start_from_environment() is None
