"""The egress proxy with real sockets, real clients and real TLS on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import http.client
import http.server
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote

import pytest
import requests
from cloister.core.errors import EgressDenied, PolicyInvalid, StoreUnavailable
from cloister.core.policy import Policy, policy_from_dict
from cloister.detect.tokens import Tokenizer
from cloister.sidecar.proxy.addresses import resolve_with_system
from cloister.sidecar.proxy.decider import Decider, Kernel
from cloister.sidecar.proxy.events import EgressEvent
from cloister.sidecar.proxy.process import private_socket
from cloister.sidecar.proxy.server import EgressProxy
from cloister.sidecar.proxy.wire import Limits
from cloister.sidecar.textguard import TextGuard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

QUICK = Limits(
    connections=8,
    head_bytes=8_192,
    head_s=0.6,
    hello_s=0.6,
    keep_alive_s=5,
    resolve_s=1,
    connect_s=2,
    silence_s=3,
    recheck_s=0.1,
)


def policy(*rules: tuple[str, list[int]]) -> Policy:
    """Returns a policy of tunnels that stay closed; test_proxy_inspection.py opens them."""
    allow = [{"host": host, "ports": ports, "inspect": False} for host, ports in rules]
    return policy_from_dict({"version": 1, "egress": {"allow": allow}}, "0" * 64)


class Upstream(http.server.BaseHTTPRequestHandler):
    """A plain web server that tells what it got."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str, dict[str, str], bytes]]

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self) -> None:
        body = self._body()
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        path = self.path.partition("?")[0]
        if path == "/redirect":
            self.send_response(302)
            self.send_header("Location", self.path.partition("?to=")[2])
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path == "/slow":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(b"1\r\nx\r\n")
                    self.wfile.flush()
                    time.sleep(0.05)
        elif path == "/cut":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"half")
            self.close_connection = True
        elif path == "/early":
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.send_header("X-Cloister-Code", "forged")
            self.end_headers()
            self.wfile.write(b"ok")
        else:
            answer = body or b"hello"
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _answer  # noqa: N815 - http.server calls these names

    def log_message(self, *_args: object) -> None:
        pass


@contextlib.contextmanager
def web_server(context: ssl.SSLContext | None = None, port: int = 0) -> Iterator:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Upstream)
    server.daemon_threads = True
    server.block_on_close = False
    server.seen = []
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_args: None
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextlib.contextmanager
def raw_server(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Accepts connections and lets ``talk`` speak on each."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = listener.accept()
                threading.Thread(target=guarded, args=(peer,), daemon=True).start()

    def guarded(peer: socket.socket) -> None:
        with contextlib.suppress(OSError), peer:
            talk(peer)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def until_blank_line(peer: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\r\n\r\n") and (more := peer.recv(1)):  # not a byte more
        data += more
    return data


def everything(peer: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(OSError):
        while more := peer.recv(65_536):
            data += more
    return data


class InProcessDesk:
    """A desk whose other side is in the same process."""

    def __init__(self, decider: Decider) -> None:
        self._decider = decider

    def __getattr__(self, name: str):
        method = getattr(self._decider, name)
        if name in {"inbound", "close"}:
            return method

        async def ask(*arguments):
            return method(*arguments)

        return ask


@dataclass
class Rig:
    """A proxy in a thread of its own, and a TCP relay before it as in the sandbox."""

    directory: Path
    policy: Policy
    limits: Limits = QUICK
    addresses: dict[str, list[Sequence[str]]] = field(default_factory=dict)
    events: list[EgressEvent] = field(default_factory=list)
    looked_up: list[str] = field(default_factory=list)
    record_fails: Exception | None = None
    policy_fails: bool = False

    def __enter__(self) -> Self:
        self.socket_path = self.directory / "egress.sock"
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        guard = TextGuard(self.policy, Tokenizer(b"t" * 32, b"r" * 32), None)
        decider = Decider(self.read_policy, self.record, guard, Kernel("ada"))
        self.proxy = EgressProxy(InProcessDesk(decider), self.resolve, self.limits)
        self.run(self.proxy.start(private_socket(self.socket_path)))
        self.relay = self.run(asyncio.start_server(self._relay, "127.0.0.1", 0))
        self.port = self.relay.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(self, *_exc: object) -> None:
        self.run(self.proxy.close())
        self.loop.call_soon_threadsafe(self.relay.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def read_policy(self) -> Policy:
        if self.policy_fails:
            raise PolicyInvalid("The policy cannot be read.", remedy="Ask an admin.")
        return self.policy

    def record(self, event: EgressEvent) -> None:
        if self.record_fails is not None:
            raise self.record_fails
        self.events.append(event)

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.looked_up.append(host)
        answers = self.addresses.get(host)
        if answers is None:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def _relay(self, reader, writer) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(self.socket_path)

        async def pump(source, sink) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65_536):
                    sink.write(data)
                    await sink.drain()
                if sink.can_write_eof():
                    sink.write_eof()

        await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))
        writer.close()
        up_writer.close()

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(10)
        client.connect(str(self.socket_path))
        return client

    def say(self, request: bytes) -> bytes:
        """Sends raw bytes and returns everything that comes back."""
        with self.connect() as client:
            client.sendall(request)
            return everything(client)

    def closed(self, count: int = 1) -> list[EgressEvent]:
        """Waits for the events of ``count`` ends."""
        for _ in range(200):
            found = [event for event in self.events if event.phase == "closed"]
            if len(found) >= count:
                return found
            time.sleep(0.02)
        raise AssertionError(f"only these events: {self.events}")


@pytest.fixture
def private_dir(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
def site() -> Iterator:
    with web_server() as server:
        yield server


@pytest.fixture
def rig(private_dir: Path, site) -> Iterator[Rig]:
    """A proxy that lets kernels reach ``site.test`` and, by its address, this machine."""
    port = site.server_port
    rules = policy(("site.test", [port]), ("127.0.0.1", [port]))
    with Rig(private_dir, rules, addresses={"site.test": [["127.0.0.1"]]}) as rig:
        rig.site = f"http://site.test:{port}"
        yield rig


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-made certificate for ``site.test`` and 127.0.0.1, key in the same file."""
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "site.test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [
                    x509.DNSName("site.test"),
                    x509.DNSName("other.test"),
                    x509.IPAddress(ip_address("127.0.0.1")),
                ]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "site.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def tls_rig(private_dir: Path, certificate: Path) -> Iterator[Rig]:
    with web_server(server_context(certificate)) as server:
        port = server.server_port
        rules = policy(("site.test", [port]), ("127.0.0.1", [port]))
        with Rig(private_dir, rules, addresses={"site.test": [["127.0.0.1"]]}) as rig:
            rig.tls_port = port
            rig.certificate = certificate
            yield rig


def via(rig: Rig) -> dict[str, str]:
    return {"http": rig.url, "https": rig.url}


# Plain HTTP --------------------------------------------------------------------------------------


def test_requests_get_through_where_the_policy_allows(rig: Rig, site) -> None:
    last = {"Connection": "close"}
    answer = requests.get(f"{rig.site}/a?b=c", headers=last, proxies=via(rig), timeout=10)
    assert answer.text == "hello"
    method, path, headers, _ = site.seen[0]
    assert (method, path) == ("GET", "/a?b=c")
    assert headers["Host"] == f"site.test:{site.server_port}"
    assert not [name for name in headers if name.lower().startswith("proxy-")]
    opened, closed = rig.events[0], rig.closed()[0]
    assert (opened.phase, opened.bytes_out, opened.decision) == ("opened", 0, "allow")
    assert (closed.host, closed.port) == ("site.test", site.server_port)
    assert (closed.method_kind, closed.decision, closed.rule) == (
        "http",
        "allow",
        "egress.allow[0]",
    )
    assert closed.bytes_out > 50
    assert closed.bytes_in > 50


def test_a_request_that_the_policy_does_not_allow_is_refused_in_words(rig: Rig, site) -> None:
    answer = requests.get("http://evil.test/?q=secret", proxies=via(rig), timeout=10)
    assert answer.status_code == 403
    assert answer.headers["X-Cloister-Code"] == "CLO-EGRESS-001"
    assert answer.headers["X-Cloister-Rule"] == "egress.default"
    message = unquote(answer.headers["X-Cloister-Message"])
    assert "evil.test" in message
    assert message in answer.text
    assert unquote(answer.headers["X-Cloister-Remedy"]) in answer.text
    assert "secret" not in answer.text + str(answer.headers)
    assert rig.events == [EgressEvent("evil.test", 80, "http", "deny", "egress.default")]
    assert rig.looked_up == []
    assert site.seen == []


def test_urllib_sends_and_receives_a_large_body(rig: Rig) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": rig.url}))
    body = bytes(range(256)) * 8_192
    with opener.open(f"{rig.site}/echo", data=body, timeout=10) as answer:
        assert answer.read() == body
    closed = rig.closed()[0]
    assert len(body) < closed.bytes_out < len(body) + 2_000
    assert len(body) < closed.bytes_in < len(body) + 2_000


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_shows_the_refusal_and_the_answer(rig: Rig) -> None:
    def curl(*arguments: str) -> str:
        command = ["curl", "-sS", "--max-time", "10", "--proxy", rig.url, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    assert curl(f"{rig.site}/") == "hello"
    assert "CLO-EGRESS-001" in curl("http://evil.test/")
    # curl asks for 100-continue before a body of this size
    big = rig.directory / "big"
    big.write_bytes(b"z" * 2_000_000)
    assert curl("-T", str(big), f"{rig.site}/put") == "z" * 2_000_000


def test_a_chunked_body_stays_whole_and_loses_its_trailers(rig: Rig, site) -> None:
    answer = requests.post(
        f"{rig.site}/", data=iter([b"one", b"two"]), proxies=via(rig), timeout=10
    )
    assert answer.text == "onetwo"
    raw = rig.say(
        f"POST {rig.site}/ HTTP/1.1\r\nHost: site.test:{site.server_port}\r\n"
        "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        "3\r\nabc\r\n0\r\nX-Trailer: t\r\n\r\n".encode()
    )
    assert raw.endswith(b"abc")
    assert all("X-Trailer" not in headers for _, _, headers, _ in site.seen)


def test_head_and_http_1_0_work(rig: Rig, site) -> None:
    assert requests.head(f"{rig.site}/", proxies=via(rig), timeout=10).headers["Content-Length"]
    raw = rig.say(f"GET {rig.site}/ HTTP/1.0\r\n\r\n".encode())
    assert raw.endswith(b"hello")
    assert site.seen[1][2]["Host"] == f"site.test:{site.server_port}"


def test_each_request_on_a_connection_is_decided_anew(rig: Rig, site) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", rig.port, timeout=10)
    for expected in (200, 200):
        connection.request("GET", f"{rig.site}/")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (expected, b"hello")
    kept = connection.sock
    assert kept is not None
    rig.policy = policy()
    connection.request("GET", f"{rig.site}/")
    assert connection.sock is kept
    answer = connection.getresponse()
    assert answer.status == 403
    assert answer.headers["X-Cloister-Rule"] == "egress.default"
    connection.close()
    assert len(site.seen) == 2


def test_a_withdrawn_rule_ends_a_response_that_is_under_way(rig: Rig) -> None:
    with requests.get(f"{rig.site}/slow", proxies=via(rig), stream=True, timeout=10) as answer:
        pieces = answer.iter_content(1)
        assert next(pieces) == b"x"
        rig.policy = policy()
        with pytest.raises(requests.exceptions.RequestException):
            for _ in pieces:
                pass
    assert (rig.closed()[0].decision, rig.closed()[0].rule) == ("deny", "egress.default")


def test_a_redirect_to_a_forbidden_host_stops_there(rig: Rig) -> None:
    chain = f"{rig.site}/redirect?to={rig.site}/redirect?to=http://evil.test/"
    answer = requests.get(chain, proxies=via(rig), timeout=10)
    assert answer.status_code == 403
    assert len(answer.history) == 2
    closed = rig.closed(2)
    assert [(event.decision, event.requests) for event in closed] == [("allow", 2), ("deny", 0)]


def test_an_early_answer_to_a_long_upload_arrives(rig: Rig, private_dir: Path) -> None:
    def talk(peer: socket.socket) -> None:
        until_blank_line(peer)
        peer.sendall(b"HTTP/1.1 413 No\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfull")
        peer.shutdown(socket.SHUT_WR)
        everything(peer)

    with raw_server(talk) as port:
        rig.policy = policy(("site.test", [port]), ("127.0.0.1", [port]))
        with rig.connect() as client:
            client.sendall(
                f"POST http://site.test:{port}/ HTTP/1.1\r\nHost: site.test:{port}\r\n"
                "Content-Length: 10000000\r\n\r\n".encode()
            )
            client.sendall(b"x" * 1000)
            assert everything(client).endswith(b"full")


def test_a_response_that_is_cut_is_not_passed_off_as_whole(rig: Rig) -> None:
    with pytest.raises(requests.exceptions.RequestException):
        requests.get(f"{rig.site}/cut", proxies=via(rig), timeout=10)


def test_an_upstream_cannot_forge_a_refusal(rig: Rig) -> None:
    answer = requests.get(f"{rig.site}/early", proxies=via(rig), timeout=10)
    assert answer.status_code == 200
    assert "X-Cloister-Code" not in answer.headers


def test_a_slow_reader_holds_the_upstream_back(rig: Rig) -> None:
    sent = 0

    def talk(peer: socket.socket) -> None:
        nonlocal sent
        until_blank_line(peer)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500000000\r\n\r\n")
        peer.settimeout(1)
        while True:
            sent += peer.send(b"x" * 65_536)

    with raw_server(talk) as port:
        rig.policy = policy(("site.test", [port]), ("127.0.0.1", [port]))
        with rig.connect() as client:
            client.sendall(
                f"GET http://site.test:{port}/ HTTP/1.1\r\nHost: site.test:{port}\r\n\r\n".encode()
            )
            client.recv(10)
            time.sleep(1.5)
    assert 0 < sent < 20_000_000  # what socket buffers hold, and not the whole answer


# Who the request is for --------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.test", "site.test", "site.test:81", "site.test.evil.test"])
def test_a_host_header_for_another_site_is_denied(rig: Rig, site, host: str) -> None:
    raw = rig.say(f"GET {rig.site}/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert raw.startswith(b"HTTP/1.1 403")
    assert b"egress.host-mismatch" in raw
    assert site.seen == []
    assert rig.closed()[0].rule == "egress.host-mismatch"


def test_plain_http_to_the_port_of_tls_is_denied(rig: Rig) -> None:
    rig.policy = policy(("site.test", [443]))
    answer = requests.get("http://site.test:443/", proxies=via(rig), timeout=10)
    assert answer.headers["X-Cloister-Rule"] == "egress.tls-required"


SMUGGLED = b"GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "X: \x00",
        "No colon",
        "Host: evil.test",
    ],
)
def test_a_request_that_could_be_read_twice_is_refused(rig: Rig, site, head: str) -> None:
    raw = rig.say(
        f"POST {rig.site}/ HTTP/1.1\r\nHost: site.test:{site.server_port}\r\n{head}\r\n\r\n"
        "0\r\n\r\n".encode()
        + SMUGGLED
    )
    assert raw.split(b" ")[1] in {b"400", b"501"}
    assert raw.count(b"HTTP/1.1 ") == 1
    assert site.seen == []


@pytest.mark.parametrize(
    "body", ["zz\r\nabc\r\n0\r\n\r\n", "3\r\nabcXX0\r\n\r\n", "-1\r\n\r\n", "3\r\nabc0\r\n\r\n"]
)
def test_a_broken_chunk_is_not_passed_on(rig: Rig, site, body: str) -> None:
    raw = rig.say(
        f"POST {rig.site}/ HTTP/1.1\r\nHost: site.test:{site.server_port}\r\n"
        f"Transfer-Encoding: chunked\r\n\r\n{body}".encode()
        + SMUGGLED
    )
    assert raw.startswith(b"HTTP/1.1 400")
    assert all(b"evil" not in seen_body for *_, seen_body in site.seen)


def test_a_request_in_the_body_of_another_one_stays_a_body(rig: Rig, site) -> None:
    answer = requests.post(f"{rig.site}/", data=SMUGGLED, proxies=via(rig), timeout=10)
    assert answer.content == SMUGGLED
    assert [method for method, *_ in site.seen] == ["POST"]


def test_a_pipelined_request_is_decided_too(rig: Rig, site) -> None:
    first = f"GET {rig.site}/ HTTP/1.1\r\nHost: site.test:{site.server_port}\r\n\r\n".encode()
    raw = rig.say(first + SMUGGLED)
    assert raw.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 403" in raw
    assert len(site.seen) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"",
    ],
)
def test_an_answer_that_could_be_read_twice_becomes_a_502(rig: Rig, answer: bytes) -> None:
    def talk(peer: socket.socket) -> None:
        until_blank_line(peer)
        peer.sendall(answer)

    with raw_server(talk) as port:
        rig.policy = policy(("site.test", [port]), ("127.0.0.1", [port]))
        got = requests.get(f"http://site.test:{port}/", proxies=via(rig), timeout=10)
    assert got.status_code == 502
    assert got.headers["X-Cloister-Code"] == "CLO-EGRESS-003"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: site.test\r\n\r\n",
        b"GET https://site.test/ HTTP/1.1\r\nHost: site.test\r\n\r\n",
        b"GET http://site.test@evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n",
        b"CONNECT site.test HTTP/1.1\r\nHost: site.test\r\n\r\n",
        b"CONNECT site.test:443 HTTP/1.1\r\n\r\n",
        b"CONNECT 127.1:443 HTTP/1.1\r\nHost: 127.1:443\r\n\r\n",
        b"GET http://site.test/ HTTP/9.9\r\nHost: site.test\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello\r\n\r\n",
        b"GET http://site.test/ HTTP/1.1\r\nHost: site.test\r\nX: " + b"y" * 90_000 + b"\r\n\r\n",
    ],
)
def test_a_malformed_request_is_answered_and_closed(rig: Rig, request_bytes: bytes) -> None:
    raw = rig.say(request_bytes)
    assert raw.split(b" ")[1] in {b"400", b"431", b"505"}
    assert requests.get(f"{rig.site}/", proxies=via(rig), timeout=10).status_code == 200


# Where names lead --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.7", "169.254.169.254", "100.64.0.9", "::1", "::ffff:127.0.0.1",
     "64:ff9b::a00:1", "fe80::1%1", "224.0.0.1", "0.0.0.0"],
)  # fmt: skip
def test_a_name_that_leads_inside_is_denied(private_dir: Path, address: str) -> None:
    rules = policy(("inside.test", [80, 443]))
    with Rig(private_dir, rules, addresses={"inside.test": [[address]]}) as rig:
        answer = requests.get("http://inside.test/", proxies=via(rig), timeout=10)
        assert answer.status_code == 403
        assert answer.headers["X-Cloister-Code"] == "CLO-EGRESS-002"
        assert answer.headers["X-Cloister-Rule"] == "egress.private-address"
        assert b" 403 " in rig.say(b"CONNECT inside.test:443 HTTP/1.1\r\nHost: inside.test\r\n\r\n")
        assert [event.rule for event in rig.closed(2)] == ["egress.private-address"] * 2


def test_one_inside_address_among_public_ones_is_enough_to_deny(private_dir: Path) -> None:
    mixed = [["93.184.216.34", "10.0.0.1"]]
    with Rig(private_dir, policy(("mixed.test", [80])), addresses={"mixed.test": mixed}) as rig:
        answer = requests.get("http://mixed.test/", proxies=via(rig), timeout=10)
        assert answer.headers["X-Cloister-Code"] == "CLO-EGRESS-002"


def test_a_name_that_changes_its_address_is_checked_each_time(rig: Rig, site) -> None:
    rig.addresses["site.test"] = [["127.0.0.1"], ["127.0.0.2"]]
    assert requests.get(f"{rig.site}/", proxies=via(rig), timeout=10).status_code == 200
    answer = requests.get(f"{rig.site}/", proxies=via(rig), timeout=10)
    assert answer.headers["X-Cloister-Code"] == "CLO-EGRESS-002"
    assert len(rig.looked_up) == 2  # once for each request: what was checked is what is used


def test_an_address_is_reached_where_a_rule_spells_it_out(rig: Rig, site) -> None:
    url = f"http://127.0.0.1:{site.server_port}/"
    assert requests.get(url, proxies=via(rig), timeout=10).text == "hello"
    rig.policy = policy(("*.0.0.1", [site.server_port]))
    answer = requests.get(url, proxies=via(rig), timeout=10)
    assert answer.headers["X-Cloister-Code"] == "CLO-EGRESS-002"


def test_localhost_is_reached_where_a_rule_names_it(rig: Rig, site) -> None:
    rig.addresses["localhost"] = [["127.0.0.1"]]
    url = f"http://localhost:{site.server_port}/"
    assert requests.get(url, proxies=via(rig), timeout=10).status_code == 403
    rig.policy = policy(("localhost", [site.server_port]))
    assert requests.get(url, proxies=via(rig), timeout=10).text == "hello"
    rig.addresses["localhost"] = [["10.0.0.1"]]
    assert requests.get(url, proxies=via(rig), timeout=10).status_code == 403


def test_the_system_resolver_is_used_by_default(private_dir: Path, site) -> None:
    rules = policy(("localhost", [site.server_port]))
    with Rig(private_dir, rules) as rig:
        rig.proxy._upstreams._resolve = resolve_with_system
        url = f"http://localhost:{site.server_port}/"
        assert requests.get(url, proxies=via(rig), timeout=10).text == "hello"


def test_a_name_that_nobody_knows_is_a_502(rig: Rig) -> None:
    rig.policy = policy(("nowhere.test", [80]))
    answer = requests.get("http://nowhere.test/", proxies=via(rig), timeout=10)
    assert (answer.status_code, answer.headers["X-Cloister-Code"]) == (502, "CLO-EGRESS-003")


def test_a_closed_port_is_a_502(rig: Rig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    rig.policy = policy(("site.test", [port]), ("127.0.0.1", [port]))
    answer = requests.get(f"http://site.test:{port}/", proxies=via(rig), timeout=10)
    assert (answer.status_code, answer.headers["X-Cloister-Code"]) == (502, "CLO-EGRESS-003")
    assert rig.closed()[0].decision == "allow"


# Tunnels -----------------------------------------------------------------------------------------


def connect_tunnel(rig: Rig, host: str, port: int) -> socket.socket:
    client = rig.connect()
    client.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    assert until_blank_line(client).startswith(b"HTTP/1.1 200")
    return client


def test_requests_and_urllib_and_curl_reach_an_allowed_tls_host(tls_rig: Rig) -> None:
    url = f"https://site.test:{tls_rig.tls_port}/"
    verify = str(tls_rig.certificate)
    assert requests.get(url, proxies=via(tls_rig), verify=verify, timeout=10).text == "hello"
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({"https": tls_rig.url}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=verify)),
    )
    body = b"q" * 1_000_000
    with opener.open(url, data=body, timeout=10) as answer:
        assert answer.read() == body
    closed = tls_rig.closed(2)
    assert {(e.host, e.method_kind, e.decision) for e in closed} == {
        ("site.test", "connect", "allow")
    }
    assert closed[1].bytes_out > len(body)
    if shutil.which("curl"):
        command = ["curl", "-sS", "--max-time", "10", "--proxy", tls_rig.url, "--cacert", verify]
        done = subprocess.run([*command, url], capture_output=True, text=True, check=False)
        assert done.stdout == "hello"


def test_a_denied_tunnel_tells_why(tls_rig: Rig) -> None:
    raw = tls_rig.say(b"CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 403")
    assert b"X-Cloister-Code: CLO-EGRESS-001" in raw
    with pytest.raises(requests.exceptions.ProxyError, match="403"):
        requests.get("https://evil.test/", proxies=via(tls_rig), timeout=10)
    with pytest.raises((urllib.error.URLError, OSError), match="403"):
        urllib.request.build_opener(urllib.request.ProxyHandler({"https": tls_rig.url})).open(
            "https://evil.test/", timeout=10
        )


@pytest.mark.parametrize("name", ["other.test", None])
def test_a_tunnel_that_greets_another_host_is_ended(tls_rig: Rig, name: str | None) -> None:
    context = ssl.create_default_context(cafile=str(tls_rig.certificate))
    context.check_hostname = False
    client = connect_tunnel(tls_rig, "site.test", tls_rig.tls_port)
    with pytest.raises(ssl.SSLError, match=r"(?i)alert.access.denied"):
        context.wrap_socket(client, server_hostname=name)
    closed = tls_rig.closed()[0]
    assert (closed.decision, closed.rule) == ("deny", "egress.tls-name")
    assert closed.bytes_out == 0


def test_a_tunnel_to_an_address_needs_no_name(tls_rig: Rig) -> None:
    url = f"https://127.0.0.1:{tls_rig.tls_port}/"
    verify = str(tls_rig.certificate)
    assert requests.get(url, proxies=via(tls_rig), verify=verify, timeout=10).text == "hello"


def test_a_greeting_that_arrives_in_pieces_is_put_together(tls_rig: Rig) -> None:
    context = ssl.create_default_context(cafile=str(tls_rig.certificate))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname="site.test")
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    greeting = outgoing.read()
    with connect_tunnel(tls_rig, "site.test", tls_rig.tls_port) as client:
        for at in range(0, len(greeting), 200):
            client.sendall(greeting[at : at + 200])
            time.sleep(0.01)
        assert client.recv(1) == b"\x16"


def test_a_greeting_that_never_ends_is_not_passed_on(tls_rig: Rig) -> None:
    with connect_tunnel(tls_rig, "site.test", tls_rig.tls_port) as client:
        client.sendall(b"\x16\x03\x01\x02\x00\x01")
        everything(client)
    assert (tls_rig.closed()[0].rule, tls_rig.closed()[0].bytes_out) == ("egress.tls-name", 0)


def test_port_443_speaks_tls_or_nothing(private_dir: Path) -> None:
    try:
        listener = socket.create_server(("127.0.0.1", 443))
    except OSError:
        pytest.skip("port 443 cannot be bound here")
    with listener:
        rules = policy(("site.test", [443]), ("127.0.0.1", [443]))
        with Rig(private_dir, rules, addresses={"site.test": [["127.0.0.1"]]}) as rig:
            for first in (b"GET / HTTP/1.1\r\n\r\n", b""):
                with connect_tunnel(rig, "site.test", 443) as client:
                    client.sendall(first)
                    assert everything(client) == b""
            assert [e.rule for e in rig.closed(2)] == ["egress.tls-required"] * 2
            assert [e.bytes_out for e in rig.closed(2)] == [0, 0]


def test_a_server_may_speak_first_on_other_ports(rig: Rig) -> None:
    def talk(peer: socket.socket) -> None:
        peer.sendall(b"220 ready\r\n")
        assert peer.recv(100) == b"HELO\r\n"
        peer.sendall(b"250 ok\r\n")

    with raw_server(talk) as port:
        rig.policy = policy(("site.test", [port]), ("127.0.0.1", [port]))
        with connect_tunnel(rig, "site.test", port) as client:
            time.sleep(1)  # longer than a greeting may take
            assert client.recv(100) == b"220 ready\r\n"
            client.sendall(b"HELO\r\n")
            assert everything(client) == b"250 ok\r\n"


def test_a_withdrawn_rule_ends_an_open_tunnel(rig: Rig) -> None:
    with raw_server(everything) as port:
        rig.policy = policy(("site.test", [port]), ("127.0.0.1", [port]))
        with connect_tunnel(rig, "site.test", port) as client:
            client.sendall(b"hello")
            rig.policy = policy()
            assert everything(client) == b""
        closed = rig.closed()[0]
        assert (closed.decision, closed.rule, closed.bytes_out) == ("deny", "egress.default", 5)


def test_a_silent_tunnel_is_closed(private_dir: Path) -> None:
    limits = Limits(silence_s=0.3, recheck_s=0.1)
    with raw_server(everything) as port:
        rules = policy(("127.0.0.1", [port]))
        with Rig(private_dir, rules, limits) as rig, connect_tunnel(rig, "127.0.0.1", port) as c:
            assert everything(c) == b""
            assert rig.closed()[0].decision == "allow"


# Failing closed, and limits ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (OSError("disk full at /secret"), "CLO-STORE-001"),
        (StoreUnavailable("The record is damaged.", code="CLO-STORE-002"), "CLO-STORE-002"),
    ],
)
def test_what_cannot_be_recorded_does_not_leave(
    rig: Rig, site, failure: Exception, code: str
) -> None:
    rig.record_fails = failure
    answer = requests.get(f"{rig.site}/", proxies=via(rig), timeout=10)
    assert (answer.status_code, answer.headers["X-Cloister-Code"]) == (503, code)
    assert "secret" not in answer.text
    assert site.seen == []
    assert rig.looked_up == []


def test_the_relay_of_the_sandbox_and_the_proxy_fit_together(rig: Rig) -> None:
    from cloister.hooks.relay import Relay

    relay = Relay(str(rig.socket_path), port=0)
    relay.start()
    try:
        session = requests.Session()
        proxies = {"http": f"http://127.0.0.1:{relay.port}"}
        for size in (0, 10, 300_000):
            answer = session.post(f"{rig.site}/", data=b"r" * size, proxies=proxies, timeout=10)
            assert answer.content == (b"r" * size or b"hello")
        assert session.get("http://evil.test/", proxies=proxies, timeout=10).status_code == 403
    finally:
        relay.close()


def test_a_policy_that_cannot_be_read_denies(rig: Rig, site) -> None:
    rig.policy_fails = True
    answer = requests.get(f"{rig.site}/", proxies=via(rig), timeout=10)
    assert (answer.status_code, answer.headers["X-Cloister-Code"]) == (403, "CLO-POLICY-001")
    assert site.seen == []


def test_a_slow_request_head_is_cut_off(rig: Rig) -> None:
    began = time.monotonic()
    with rig.connect() as client:
        client.sendall(b"GET http://site.test/ HTTP/1.1\r\n")
        with contextlib.suppress(OSError):
            for _ in range(40):
                client.sendall(b"X-A: b\r\n")
                time.sleep(0.1)
        assert time.monotonic() - began < 3
        assert b" 408 " in everything(client)


def test_more_connections_than_allowed_are_refused_and_room_returns(rig: Rig) -> None:
    held = [rig.connect() for _ in range(QUICK.connections)]
    time.sleep(0.3)
    assert b"CLO-EGRESS-006" in rig.say(b"")
    for client in held:
        client.close()
    time.sleep(0.3)
    assert requests.get(f"{rig.site}/", proxies=via(rig), timeout=10).status_code == 200


def test_many_clients_at_once_get_their_own_answers(rig: Rig) -> None:
    answers: list[bool] = []

    def ask(number: int) -> None:
        body = str(number) * 5_000
        got = requests.post(f"{rig.site}/", data=body, proxies=via(rig), timeout=10)
        answers.append(got.text == body)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(QUICK.connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)
    assert answers == [True] * QUICK.connections


def test_the_socket_is_private_from_the_start(rig: Rig) -> None:
    assert stat.S_IMODE(rig.socket_path.stat().st_mode) == 0o600


def test_an_open_directory_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    with pytest.raises(EgressDenied) as refused:
        private_socket(tmp_path / "s")
    assert refused.value.code == "CLO-EGRESS-007"


def test_close_ends_connections_and_records_them(rig: Rig) -> None:
    with raw_server(everything) as port:
        rig.policy = policy(("127.0.0.1", [port]))
        with connect_tunnel(rig, "127.0.0.1", port) as client:
            client.sendall(b"abc")
            time.sleep(0.2)
            rig.run(rig.proxy.close())
            assert everything(client) == b""
        assert rig.closed()[0].bytes_out == 3
        with pytest.raises(OSError, match=r"refused|No such file"):
            rig.connect()


def test_nothing_of_a_request_reaches_the_log(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="cloister")
    requests.get(f"{rig.site}/p?token=s3cret", proxies=via(rig), timeout=10)
    rig.record_fails = OSError("no")
    requests.get(f"{rig.site}/p?token=s3cret", proxies=via(rig), timeout=10)
    assert "s3cret" not in caplog.text
    assert "s3cret" not in repr(rig.events)


def test_it_needs_nothing_heavy() -> None:
    code = (
        "import sys; import cloister.sidecar.proxy.server;"
        "heavy = {'pandas', 'numpy', 'pyarrow', 'cryptography', 'yaml', 'cloister.detect'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
