"""The proxy's own process, with TLS opened: real sockets, real clients, real certificates."""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import http.client
import http.server
import io
import json
import os
import signal
import socket
import ssl
import threading
import time
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest
import requests
from cloister.core.labels import Level
from cloister.core.policy import policy_from_dict
from cloister.detect.tokens import Tokenizer
from cloister.hooks.relay import Relay
from cloister.sidecar.bounds import Bounds
from cloister.sidecar.highwater import HighWater
from cloister.sidecar.proxy.authority import Authority, HostContexts
from cloister.sidecar.proxy.decider import Decider, Kernel
from cloister.sidecar.proxy.filters import Leaving
from cloister.sidecar.proxy.process import ProxyProcess
from cloister.sidecar.proxy.refusal import Refusal
from cloister.sidecar.textguard import TextGuard
from cloister.sidecar.volume import Volume
from cloister.store.home import Home
from cloister.store.quota import QuotaBook
from cloister.store.volume import VolumeBook

if TYPE_CHECKING:
    from collections.abc import Iterator

SSN = "536-90-4399"
CARD = "4539578763621486"


class Upstream(http.server.BaseHTTPRequestHandler):
    """A TLS web server that tells what it got."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        answer = f"SSN {SSN}\n".encode() if self.path == "/secret" else body or b"hello"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _answer  # noqa: N815 - http.server calls these names

    def log_message(self, *_args: object) -> None:
        pass


@contextlib.contextmanager
def tls_server(context: ssl.SSLContext) -> Iterator[http.server.ThreadingHTTPServer]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    server.daemon_threads = True
    server.block_on_close = False
    server.seen = []
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_args: None
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def outside() -> Authority:
    """The authority that upstreams have their certificates from."""
    return Authority.from_secret(b"o" * 64, dt.datetime.now(dt.UTC))


class Rig:
    """A sidecar's side, a proxy process and the relay of a sandbox before it."""

    def __init__(self, directory: Path, outside: Authority) -> None:
        directory.chmod(0o700)
        self.directory = directory
        self.ca_file = directory / "outside.pem"
        self.ca_file.write_text(outside.certificate_pem)
        inside = Authority.from_secret(b"w" * 64, dt.datetime.now(dt.UTC))
        self.bundle = directory / "bundle.pem"
        self.bundle.write_text(inside.certificate_pem)
        self.events: list = []
        self.inbound: list = []
        self.level = Level.PUBLIC
        self.spend = lambda _size: None
        self.trace: str | None = None
        self.allow()
        (directory / "store").mkdir(mode=0o700)
        self.decider = Decider(
            lambda: self.policy,
            self.events.append,
            TextGuard(self.policy, Tokenizer(b"t" * 32, b"r" * 32), None),
            Kernel(
                "ada",
                lambda: self.level,
                spend=lambda size: self.spend(size),
                trace=lambda: self.trace,
            ),
            quotas=QuotaBook(Home(directory)),
            on_inbound=lambda level, found: self.inbound.append((level, dict(found))),
        )
        settings = {"certificate": inside.certificate_pem, "key": inside.key_pem}
        self.process = ProxyProcess(directory / "egress.sock", self.decider, settings)
        self.relay = Relay(str(directory / "egress.sock"), port=0)

    def __enter__(self) -> Self:
        self.process.start()
        self.relay.start()
        self.proxies = dict.fromkeys(("http", "https"), f"http://127.0.0.1:{self.relay.port}")
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.proxies = self.proxies
        self.session.verify = str(self.bundle)
        return self

    def __exit__(self, *_exc: object) -> None:
        self.session.close()
        self.relay.close()
        self.process.stop()

    def allow(self, *rules: dict, **more: object) -> None:
        egress = {"allow": list(rules), "ca_file": str(self.ca_file)}
        for name in ("upload_bytes",):
            if name in more:
                egress[name] = more.pop(name)
        data = {"version": 1, "egress": egress, **more}
        self.policy = policy_from_dict(data, "0" * 64)

    def send(self, url: str, data=None, *, method: str = "POST", **more) -> requests.Response:
        return self.session.request(method, url, data=data, timeout=20, **more)

    def tunnel(self, host: str, port: int, server_name: str | None = None, **tls) -> ssl.SSLSocket:
        client = socket.create_connection(("127.0.0.1", self.relay.port), timeout=15)
        client.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n") and (more := client.recv(1)):
            head += more
        assert head.startswith(b"HTTP/1.1 200"), head
        context = ssl.create_default_context(cafile=str(self.bundle))
        context.check_hostname = server_name is None and context.check_hostname
        for name, value in tls.items():
            if name == "alpn":
                context.set_alpn_protocols(value)
            else:
                setattr(context, name, value)
        return context.wrap_socket(client, server_hostname=server_name or host)


@pytest.fixture
def site(outside: Authority) -> Iterator[http.server.ThreadingHTTPServer]:
    with tls_server(HostContexts(outside).of("localhost")) as server:
        server.url = f"https://localhost:{server.server_port}"
        yield server


@pytest.fixture
def rig(tmp_path: Path, outside: Authority, site) -> Iterator[Rig]:
    with Rig(tmp_path, outside) as rig:
        rig.here = {"host": "localhost", "ports": [site.server_port]}
        rig.allow(rig.here)
        yield rig


def everything(peer: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(OSError):
        while more := peer.recv(65_536):
            data += more
    return data


def until(check, timeout_s: float = 10.0):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if found := check():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen")


# Opened connections ---------------------------------------------------------------------------


def test_requests_pass_through_the_opened_connection(rig: Rig, site) -> None:
    answer = rig.send(f"{site.url}/a?b=c", b"plain words")
    assert (answer.status_code, answer.content) == (200, b"plain words")
    method, path, headers, body = site.seen[0]
    assert (method, path, body) == ("POST", "/a?b=c", b"plain words")
    assert headers["Host"] == f"localhost:{site.server_port}"
    assert [(e.method_kind, e.phase, e.rule) for e in rig.events] == [
        ("https", "opened", "egress.allow[0]")
    ]


def test_connections_are_kept_on_both_sides(rig: Rig, site) -> None:
    ports = []
    site.RequestHandlerClass = type(
        "Counting",
        (Upstream,),
        {"handle": lambda self: (ports.append(self.client_address), Upstream.handle(self))},
    )
    for _ in range(3):
        assert rig.send(site.url, b"x").status_code == 200
    assert len(ports) == 1


# Traces ---------------------------------------------------------------------------------------

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OWN = "00-11111111111111111111111111111111-2222222222222222-01"


def heard_of_traces(site) -> list[dict[str, str]]:
    names = ("traceparent", "tracestate")
    return [
        {name.lower(): value for name, value in headers.items() if name.lower() in names}
        for _, _, headers, _ in site.seen
    ]


def test_the_trace_goes_to_hosts_that_a_rule_names_and_to_no_other(rig: Rig, site) -> None:
    rig.trace = TRACE
    assert rig.send(site.url, b"x").status_code == 200
    rig.allow({**rig.here, "traceparent": True})
    assert rig.send(site.url, b"x").status_code == 200
    rig.allow(rig.here)
    assert rig.send(site.url, b"x").status_code == 200
    assert heard_of_traces(site) == [{}, {"traceparent": TRACE}, {}]


def test_what_a_kernel_says_about_traces_stays_here(rig: Rig, site) -> None:
    own = {"Traceparent": OWN, "tracestate": "a=b"}
    rig.send(site.url, b"x", headers=own)  # nothing runs, so there is no trace
    rig.allow({**rig.here, "traceparent": True})
    rig.send(site.url, b"x", headers=own)
    rig.trace = TRACE
    rig.send(site.url, b"x", headers=own)
    assert heard_of_traces(site) == [{}, {}, {"traceparent": TRACE}]


def test_a_kept_connection_carries_the_trace_of_each_execution(rig: Rig, site) -> None:
    rig.allow({**rig.here, "traceparent": True})
    for trace in (TRACE, OWN):
        rig.trace = trace
        rig.send(site.url, b"x")
    assert heard_of_traces(site) == [{"traceparent": TRACE}, {"traceparent": OWN}]


def packed(data: bytes) -> bytes:
    """Returns gzip that is the same in every process: names of tests are made of it."""
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        (f"/?ssn={SSN}", {}, b""),
        (f"/people/{SSN}/", {}, b""),
        ("/?ssn=536%2d90%2D4399", {}, b""),
        ("/?ssn=536%252d90%252d4399", {}, b""),
        ("/?q=NTM2LTkwLTQzOTk%3D", {}, b""),
        ("/", {"X-Note": SSN}, b""),
        ("/", {"User-Agent": f"curl {SSN}"}, b""),
        ("/", {"Cookie": f"id={SSN}"}, b""),
        ("/", {"Authorization": f"Bearer {SSN}"}, b""),
        ("/", {"Authorization": "Basic " + "dTo1MzYtOTAtNDM5OQ=="}, b""),
        ("/", {f"X-{SSN}": "1"}, b""),
        ("/", {}, f"my number is {SSN}".encode()),
        ("/", {"Content-Type": "application/json"}, json.dumps({"a": SSN}).encode()),
        ("/", {"Content-Type": "application/json"}, b'{"a": "536-90-\\u0034399"}'),
        ("/", {"Content-Type": "application/json"}, f'{{"a": "{SSN}", "a": ""}}'.encode()),
        ("/", {"Content-Type": "image/png"}, f"text all the same {SSN}".encode()),
        ("/", {"Content-Type": "application/x-www-form-urlencoded"}, b"a=536%2D90%2D4399"),
        ("/", {"Content-Encoding": "gzip"}, packed(SSN.encode())),
        ("/", {"Content-Encoding": "gzip"}, packed(b"a ") + packed(SSN.encode())),
        ("/", {"Content-Encoding": "deflate"}, zlib.compress(SSN.encode())),
        ("/", {"Content-Encoding": "deflate"}, zlib.compress(SSN.encode(), wbits=-15)),
        ("/", {"Content-Encoding": "gzip, gzip"}, packed(packed(SSN.encode()))),
        ("/", {}, packed(SSN.encode())),
        ("/", {}, f"\ufeff{SSN}".encode("utf-16-le")),
        ("/", {}, b"\x00\x01\x02" + SSN.encode() + b"\x00"),
    ],
)
def test_a_value_does_not_leave_in_any_part_of_a_request(
    rig: Rig, site, path: str, headers: dict[str, str], body: bytes
) -> None:
    answer = rig.send(site.url + path, body, headers=headers)
    assert answer.status_code == 451
    assert answer.headers["X-Cloister-Code"] == "CLO-EGRESS-009"
    assert answer.headers["X-Cloister-Rule"] == "egress.allow[0].found"
    assert SSN not in answer.text + str(answer.headers)
    assert site.seen == []
    closed = until(lambda: [e for e in rig.events if e.phase == "closed"])[0]
    assert (closed.decision, closed.rule) == ("deny", "egress.allow[0].found")
    assert closed.found
    assert SSN not in repr(rig.events)


def test_a_value_does_not_leave_in_a_file(rig: Rig, site) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"n": ["a", SSN]})
    parquet = io.BytesIO()
    pq.write_table(table, parquet, compression="zstd")
    arrow = io.BytesIO()
    with pa.ipc.new_file(arrow, table.schema) as writer:
        writer.write_table(table)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("sheet.xml", f"<c>{SSN}</c>")
    for number, content in enumerate((parquet, arrow, archive)):
        answer = rig.send(site.url, content.getvalue())
        assert (number, answer.headers.get("X-Cloister-Code")) == (number, "CLO-EGRESS-009")
        answer = rig.send(site.url, files={"f": ("x.bin", content.getvalue())})
        assert (number, answer.headers.get("X-Cloister-Code")) == (number, "CLO-EGRESS-009")
    assert site.seen == []


def test_values_in_pieces_of_a_chunked_body_are_joined(rig: Rig, site) -> None:
    answer = rig.send(site.url, iter([b"number 536-9", b"0-43", b"99 ok"]))
    assert answer.status_code == 451
    assert rig.send(site.url, iter([b"one", b"two"])).content == b"onetwo"


@pytest.mark.parametrize("inspect", [True, False])
def test_a_name_below_a_wildcard_carries_nothing_out(rig: Rig, inspect: bool) -> None:
    rig.allow({"host": "*.invalid", "ports": [80, 443], "inspect": inspect})
    with socket.create_connection(("127.0.0.1", rig.relay.port), timeout=15) as client:
        host = f"{SSN}.invalid"
        client.sendall(f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert b"CLO-EGRESS-009" in everything(client)
    if not inspect:
        with socket.create_connection(("127.0.0.1", rig.relay.port), timeout=15) as client:
            where = f"{SSN}.invalid:443"
            client.sendall(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
            assert b"CLO-EGRESS-009" in everything(client)
    assert not [e for e in rig.events if e.phase == "opened"]


def test_ordinary_calls_pass(rig: Rig, site) -> None:
    calls = [
        {"headers": {"Authorization": "Bearer sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"}},
        {"headers": {"Authorization": "Basic dXNlcjpwYXNzd29yZDEyMw=="}},
        {"headers": {"X-Api-Key": "AKIAIOSFODNN7EXAMPLE", "traceparent": "00-4bf92f3577b34da6a3"}},
        {"json": {"model": "m", "messages": [{"role": "user", "content": "What is a median?"}]}},
        {"files": {"f": ("plot.csv", "x,y\n1,2\n3,4\n")}},
        {"params": {"q": "site performance", "page": "2"}},
    ]
    for call in calls:
        answer = rig.send(site.url, **call)
        assert (call, answer.status_code) == (call, 200)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Encoding": "compress"}, b"x"),
        ({"Content-Encoding": "gzip"}, b"not gzip"),
        ({"Content-Encoding": "gzip"}, packed(b"x")[:-4]),
        ({"Content-Encoding": "gzip"}, packed(bytes(3_000_000))),
        ({"Content-Encoding": "gzip,gzip,gzip,gzip"}, b"x"),
        ({"Content-Encoding": "br"}, b"\xff\xff\xff"),
    ],
)
def test_what_cannot_be_unpacked_is_refused(rig: Rig, site, headers, body) -> None:
    rig.allow(rig.here, upload_bytes=1_000_000)
    answer = rig.send(site.url, body, headers=headers)
    assert (answer.status_code, answer.headers["X-Cloister-Code"]) == (451, "CLO-EGRESS-010")
    assert site.seen == []


def test_a_bomb_within_a_bomb_is_refused(rig: Rig, site) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("zeros", bytes(5_000_000))
    rig.allow(rig.here, upload_bytes=1_000_000)
    assert rig.send(site.url, archive.getvalue()).headers["X-Cloister-Code"] == "CLO-EGRESS-010"


def test_a_body_that_is_too_long_is_refused(rig: Rig, site) -> None:
    rig.allow(rig.here, upload_bytes=10_000)
    answer = rig.send(site.url, b"x" * 10_001)
    assert (answer.status_code, answer.headers["X-Cloister-Rule"]) == (413, "egress.upload_bytes")
    assert rig.send(site.url, b"x" * 10_000).status_code == 200


def test_what_cannot_be_read_leaves_only_kernels_that_have_read_nothing(rig: Rig, site) -> None:
    blob = b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00]\x94(K\x01K\x02K\x03e."  # a pickle
    assert rig.send(site.url, blob).status_code == 200
    rig.level = Level.CONFIDENTIAL
    answer = rig.send(site.url, blob)
    assert (answer.status_code, answer.headers["X-Cloister-Code"]) == (451, "CLO-EGRESS-010")


def test_found_values_are_masked_where_the_rule_says_so(rig: Rig, site) -> None:
    rig.allow({**rig.here, "found": "mask"})
    answer = rig.send(site.url, json={"note": f"call {SSN}", "n": 1})
    assert answer.status_code == 200
    assert SSN.encode() not in site.seen[0][3]
    assert json.loads(site.seen[0][3])["n"] == 1
    assert rig.send(f"{site.url}/?q={SSN}").status_code == 451  # an address cannot be masked


def test_found_values_pass_where_the_rule_says_so_and_are_recorded(rig: Rig, site) -> None:
    rig.allow({**rig.here, "found": "allow"})
    answer = rig.send(site.url, SSN.encode(), headers={"Connection": "close"})
    assert answer.status_code == 200
    closed = until(lambda: [e for e in rig.events if e.phase == "closed"])[0]
    assert dict(closed.found) == {"US_SSN": 1}


def test_what_comes_in_is_looked_at(rig: Rig, site) -> None:
    assert SSN in rig.send(f"{site.url}/secret", method="GET").text
    assert until(lambda: rig.inbound) == [(Level.RESTRICTED, {"US_SSN": 1})]


# Rules ----------------------------------------------------------------------------------------


def test_methods_and_paths_are_kept(rig: Rig, site) -> None:
    rig.allow({**rig.here, "methods": ["GET"], "paths": ["/v1/*"]})
    assert rig.send(f"{site.url}/v1/x", method="GET").status_code == 200
    for method, path in (("POST", "/v1/x"), ("GET", "/v2/x"), ("GET", "/v1/%2e%2e/x")):
        answer = rig.send(site.url + path, method=method)
        assert (answer.status_code, answer.headers["X-Cloister-Rule"]) == (403, "egress.allow[0]")
    assert len(site.seen) == 1


def test_a_level_that_rises_ends_what_is_open(rig: Rig, site) -> None:
    rig.allow({**rig.here, "level": "internal"})
    assert rig.send(site.url).status_code == 200
    rig.level = Level.CONFIDENTIAL
    answer = rig.send(site.url)
    assert answer.status_code == 403
    assert "confidential" in answer.text


def test_a_quota_holds_and_survives_the_kernel(rig: Rig, site, tmp_path: Path) -> None:
    rig.allow({**rig.here, "quota": {"requests": 2}})
    assert [rig.send(site.url).status_code for _ in range(3)] == [200, 200, 429]
    book = QuotaBook(Home(tmp_path))
    assert book.charge("ada", "localhost", rig.policy.egress[0].quota, requests=1) is not None
    assert book.charge("eve", "localhost", rig.policy.egress[0].quota, requests=1) is None


def test_what_is_sent_counts_for_the_day(rig: Rig, site, tmp_path: Path) -> None:
    limits = {"volume": [{"dataset": "patients", "bytes": 30_000}]}
    policy = policy_from_dict({"version": 1, "limits": limits}, "0" * 64)
    high_water = HighWater(lambda _rise: None)
    events: list[str] = []
    volume = Volume(
        VolumeBook(Home(tmp_path)), lambda: policy, lambda kind, _facts: events.append(kind)
    )
    bounds = Bounds(lambda: policy, high_water, volume, "ada")
    rig.spend = bounds.send
    rig.allow({**rig.here, "level": "restricted"})
    body = "a" * 12_000
    assert [rig.send(site.url, data=body).status_code for _ in range(4)] == [200] * 4
    high_water.raise_to(Level.RESTRICTED, "patients")
    assert [rig.send(site.url, data=body).status_code for _ in range(3)] == [200, 200, 429]
    assert events == ["volume.alert", "volume.blocked"]
    (notice,) = bounds.unsaid()
    assert "limits.volume[0].bytes" in notice
    assert bounds.unsaid() == []


def test_observing_lets_through_and_records_what_it_would_have_done(rig: Rig, site) -> None:
    rig.allow(mode="observe")
    # The private network stays closed: this server's address is one that no rule names.
    answer = rig.send(f"https://127.0.0.1:{site.server_port}/")
    assert answer.headers["X-Cloister-Code"] == "CLO-EGRESS-002"
    rig.allow({**rig.here, "methods": ["GET"]}, mode="observe")
    assert rig.send(site.url, SSN.encode(), headers={"Connection": "close"}).status_code == 200
    closed = until(lambda: [e for e in rig.events if e.phase == "closed" and e.found])[0]
    assert (closed.decision, closed.would_block) == ("allow", True)
    assert dict(closed.found) == {"US_SSN": 1}


def test_an_enclave_has_no_way_out(rig: Rig, site) -> None:
    rig.allow(rig.here, mode="enclave")
    with pytest.raises(requests.exceptions.ProxyError, match="403"):
        rig.send(site.url)
    assert site.seen == []


# Who is on the other side ---------------------------------------------------------------------


def test_an_upstream_that_cannot_prove_its_name_is_refused(rig: Rig, outside: Authority) -> None:
    now = dt.datetime.now(dt.UTC)
    old = Authority.from_secret(b"o" * 64, now - dt.timedelta(days=200))
    other = Authority.from_secret(b"x" * 64, now)
    for context, why in (
        (HostContexts(outside).of("other.test"), "another name"),
        (HostContexts(other).of("localhost"), "not known"),
        (_expired(old), "expired"),
    ):
        with tls_server(context) as server:
            rig.allow({"host": "localhost", "ports": [server.server_port]})
            answer = rig.send(f"https://localhost:{server.server_port}/")
            assert (answer.status_code, answer.headers["X-Cloister-Code"]) == (
                502,
                "CLO-EGRESS-013",
            )
            assert why in answer.text
            assert server.seen == []


def _expired(authority: Authority) -> ssl.SSLContext:
    """A certificate that was made 200 days ago and lived for 90."""
    contexts = HostContexts(authority)
    return contexts._make("localhost", dt.datetime.now(dt.UTC) - dt.timedelta(days=200))


def test_sandboxes_see_the_workspace_authority_and_nobody_else(rig: Rig, site) -> None:
    with rig.tunnel("localhost", site.server_port) as client:
        certificate = client.getpeercert()
        assert certificate["subjectAltName"] == (("DNS", "localhost"),)
        assert ("commonName", "Cloister workspace") in [f[0] for f in certificate["issuer"]]
        assert client.version() == "TLSv1.3"
    with pytest.raises(requests.exceptions.SSLError):
        rig.send(site.url, verify=str(rig.ca_file))


def test_a_greeting_for_another_host_is_refused(rig: Rig, site) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)alert.access.denied"):
        rig.tunnel("localhost", site.server_port, "other.test")
    closed = until(lambda: [e for e in rig.events if e.phase == "closed"])[0]
    assert (closed.decision, closed.rule) == ("deny", "egress.tls-name")


def test_only_http_1_1_is_spoken(rig: Rig, site) -> None:
    with rig.tunnel("localhost", site.server_port, alpn=["h2", "http/1.1"]) as client:
        assert client.selected_alpn_protocol() == "http/1.1"
    with (
        contextlib.suppress(ssl.SSLError),
        rig.tunnel("localhost", site.server_port, alpn=["h2"]) as client,
    ):
        assert client.selected_alpn_protocol() != "h2"
        client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert b" 200 " not in everything(client)
    assert site.seen == []


@pytest.mark.parametrize(
    "request_head",
    [
        "GET / HTTP/1.1\r\nHost: other.test\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: {host}\r\nHost: other.test\r\n\r\n",
        "GET https://other.test/ HTTP/1.1\r\nHost: {host}\r\n\r\n",
        "GET https://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n",
        "CONNECT other.test:443 HTTP/1.1\r\nHost: other.test:443\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: {host}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: {host}\r\nX: a\r\n b\x00\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: +3\r\n\r\nabc",
        "OPTIONS * HTTP/1.1\r\nHost: {host}\r\n\r\n",
    ],
)
def test_what_can_be_read_twice_is_refused_inside_tls_too(rig: Rig, site, request_head) -> None:
    host = f"localhost:{site.server_port}"
    with rig.tunnel("localhost", site.server_port) as client:
        client.sendall(request_head.format(host=host).encode())
        answer = everything(client)
    assert answer.split(b" ", 2)[1] in {b"400", b"403", b"501", b"505"}, answer[:200]
    assert site.seen == []


def test_a_websocket_is_refused(rig: Rig, site) -> None:
    answer = rig.send(
        f"{site.url}/chat",
        method="GET",
        headers={"Connection": "Upgrade", "Upgrade": "WebSocket", "Sec-WebSocket-Version": "13"},
    )
    assert (answer.status_code, answer.headers["X-Cloister-Code"]) == (403, "CLO-EGRESS-012")
    assert site.seen == []


def test_a_pipelined_request_is_scanned_too(rig: Rig, site) -> None:
    host = f"localhost:{site.server_port}"
    with rig.tunnel("localhost", site.server_port) as client:
        client.sendall(
            f"GET /1 HTTP/1.1\r\nHost: {host}\r\n\r\n"
            f"GET /2?{SSN} HTTP/1.1\r\nHost: {host}\r\n\r\n"
            f"GET /3 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        )
        answers = everything(client)
    assert answers.count(b"HTTP/1.1 200") == 1
    assert b"CLO-EGRESS-009" in answers
    assert [path for _, path, _, _ in site.seen] == ["/1"]


def test_a_refused_body_is_not_asked_for(rig: Rig, site) -> None:
    rig.allow({**rig.here, "methods": ["GET"]})
    with rig.tunnel("localhost", site.server_port) as client:
        client.sendall(
            f"POST / HTTP/1.1\r\nHost: localhost:{site.server_port}\r\nContent-Length: 5\r\n"
            "Expect: 100-continue\r\n\r\n".encode()
        )
        assert client.recv(20).startswith(b"HTTP/1.1 403")


def test_http_in_a_tunnel_that_is_to_be_opened_is_refused(rig: Rig, site) -> None:
    client = socket.create_connection(("127.0.0.1", rig.relay.port), timeout=15)
    with client:
        port = site.server_port
        client.sendall(
            f"CONNECT localhost:{port} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode()
        )
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert everything(client) == b""
    closed = until(lambda: [e for e in rig.events if e.phase == "closed"])[0]
    assert closed.rule == "egress.tls-required"


# The process ----------------------------------------------------------------------------------


def test_a_proxy_that_is_killed_starts_again(rig: Rig, site) -> None:
    assert rig.send(site.url).status_code == 200
    first = rig.process.pid
    os.kill(first, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{first}").exists())
    until(lambda: [e for e in rig.events if e.phase == "closed"])
    rig.session.close()
    assert rig.send(site.url).status_code == 200
    assert rig.process.pid != first


def test_a_proxy_that_always_dies_is_given_up(rig: Rig) -> None:
    killed: set[int] = set()

    def refused() -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            if client.connect_ex(str(rig.directory / "egress.sock")):
                return True
        pid = rig.process.pid
        if pid is not None and pid not in killed:
            killed.add(pid)
            os.kill(pid, signal.SIGKILL)
        return False

    until(refused, 30)
    assert len(killed) == 5


def test_a_proxy_ends_with_its_sidecar(rig: Rig, site) -> None:
    assert rig.send(site.url).status_code == 200
    pid = rig.process.pid
    rig.process.stop()
    until(lambda: not Path(f"/proc/{pid}").exists())
    assert [e.phase for e in rig.events] == ["opened", "closed"]


def test_the_proxy_holds_no_secret_in_its_command_line_or_environment(rig: Rig, site) -> None:
    assert rig.send(site.url).status_code == 200
    shown = Path(f"/proc/{rig.process.pid}/cmdline").read_bytes()
    shown += Path(f"/proc/{rig.process.pid}/environ").read_bytes()
    assert b"PRIVATE" not in shown
    assert b"CLOISTER" not in shown


def test_a_filter_that_fails_lets_nothing_through(rig: Rig, site, monkeypatch) -> None:
    def fail(*_args):
        raise RuntimeError(SSN)

    monkeypatch.setattr(rig.decider._guard, "find", fail)
    answer = rig.send(site.url, b"words")
    assert answer.status_code == 503
    assert answer.headers["X-Cloister-Code"] == "CLO-EGRESS-014"
    assert SSN not in answer.text
    assert site.seen == []


ACME = {"providers": [{"name": "acme", "hosts": ["localhost"]}]}


def test_a_provider_without_a_filter_is_refused(rig: Rig, site) -> None:
    rig.allow(rig.here, **ACME)
    assert rig.send(site.url, b"words").headers["X-Cloister-Code"] == "CLO-EGRESS-014"
    assert site.seen == []


def test_what_goes_to_a_provider_is_always_opened(rig: Rig, site) -> None:
    rig.allow({**rig.here, "inspect": False}, **ACME)
    assert rig.send(site.url, b"words").headers["X-Cloister-Code"] == "CLO-EGRESS-014"
    assert site.seen == []


def test_a_filter_rewrites_both_ways(rig: Rig, site) -> None:
    class Stream:
        def feed(self, data: bytes) -> bytes:
            return data.upper()

        def finish(self) -> bytes:
            return b"!"

    class Shout:
        def request(self, exchange, body: bytes) -> Leaving:
            assert exchange.method == "POST"
            return Leaving(body + b" and more", notes=(("Said", "loudly"),))

        def response(self, exchange):
            assert exchange.reply.status == 200
            return Stream()

    rig.decider._filters = lambda _exchange, _on_found: Shout()
    rig.allow(rig.here, **ACME)
    answer = rig.send(site.url, packed(b"words"), headers={"Content-Encoding": "gzip"})
    assert answer.content == b"WORDS AND MORE!"
    assert answer.headers["X-Cloister-Said"] == "loudly"
    assert "Content-Encoding" not in site.seen[0][2]
    assert site.seen[0][2]["Accept-Encoding"] == "identity"


def test_a_filter_may_refuse(rig: Rig, site) -> None:
    class Never:
        def request(self, exchange, body: bytes) -> Leaving:
            raise Refusal(403, "Not today.", code="CLO-EGRESS-001", rule="mine", remedy="Wait.")

    rig.decider._filters = lambda _exchange, _on_found: Never()
    rig.allow(rig.here, **ACME)
    answer = rig.send(site.url, b"words")
    assert (answer.status_code, answer.headers["X-Cloister-Rule"]) == (403, "mine")


def test_many_connections_at_once_get_their_own_answers(rig: Rig, site) -> None:
    def ask(number: int, got: list[bool]) -> None:
        with requests.Session() as session:
            session.trust_env = False
            body = f"row {number} " * 2_000
            for _ in range(3):
                answer = session.post(
                    site.url, data=body, proxies=rig.proxies, verify=str(rig.bundle), timeout=20
                )
                got.append(answer.text == body)

    got: list[bool] = []
    threads = [threading.Thread(target=ask, args=(n, got)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    assert got == [True] * 24


def test_http_client_can_be_used_by_hand(rig: Rig, site) -> None:
    context = ssl.create_default_context(cafile=str(rig.bundle))
    connection = http.client.HTTPSConnection("127.0.0.1", rig.relay.port, context=context)
    connection.set_tunnel("localhost", site.server_port)
    connection.request("PUT", "/x", body=b"y" * 100_000)
    assert connection.getresponse().read() == b"y" * 100_000
