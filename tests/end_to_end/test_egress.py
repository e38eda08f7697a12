"""The way out of a real guarded kernel: closed by default, open for what the policy names."""

from __future__ import annotations

import datetime as dt
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cloister.core.traces import traceparent
from cloister.sidecar.proxy.authority import Authority, HostContexts
from cloister.store.home import Home, ensure_home
from cloister.store.lineage_reader import LineageReader


class Heard(list):
    """Paths that were asked for; and of each the trace."""

    def __init__(self):
        self.traces = []


@pytest.fixture
def listener():
    """A server on loopback that notes who asks."""
    heard = Heard()
    traces = heard.traces

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            heard.append(self.path)
            traces.append(self.headers.get("traceparent"))
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, heard
    server.shutdown()


@pytest.mark.parametrize(
    "code",
    [
        "import requests; requests.get(url)",
        "import urllib.request; urllib.request.urlopen(url)",
        "import requests; s = requests.Session(); s.trust_env = False; s.get(url, timeout=3)",
        "import socket; socket.create_connection(('192.0.2.1', 80), timeout=3)",
        "import socket; socket.getaddrinfo('example.org', 80)",
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x',"
        " ('192.0.2.1', 53))",
    ],
)
def test_nothing_gets_out_unless_the_policy_allows_it(module_kernel, listener, code):
    port, heard = listener
    result = module_kernel.run(f"url = 'http://127.0.0.1:{port}/secret'\n{code}")
    assert result.status == "error"
    assert heard == []


def test_curl_gets_the_reason_and_nothing_else(module_kernel, listener):
    port, heard = listener
    result = module_kernel.run(
        "import subprocess\n"
        f"print(subprocess.run(['curl', '-sS', 'http://127.0.0.1:{port}/'],"
        " capture_output=True, text=True).stdout)\n"
        f"print(subprocess.run(['curl', '-sS', '--noproxy', '*', 'http://127.0.0.1:{port}/'],"
        " capture_output=True, text=True).returncode)"
    )
    assert "CLO-EGRESS-001" in result.text
    assert result.text.splitlines()[-1] == "7"
    assert heard == []


def test_a_named_host_gets_the_trace_that_the_record_has(start_kernel, home, listener):
    port, heard = listener
    ensure_home(Home(home))
    (home / "policy.yaml").write_text(
        "version: 1\negress: {allow: [{host: 127.0.0.1, "
        f"ports: [{port}], traceparent: true}}]}}\n"
    )
    kernel = start_kernel()
    code = f"import requests; requests.get('http://127.0.0.1:{port}/a').text"
    assert [kernel.run(code).text for _ in range(2)] == ["'hello'", "'hello'"]
    with LineageReader(Home(home)) as reader:
        intents = [e.body for e in reader.entries(limit=10_000) if e.type == "cell.intent"]
    expected = [traceparent(body) for body in intents if not body["silent"]][-2:]
    assert heard.traces == expected
    assert len({trace.split("-")[1] for trace in expected}) == 2


def test_an_allowed_host_answers_and_both_are_recorded(start_kernel, home, listener):
    port, heard = listener
    ensure_home(Home(home))
    (home / "policy.yaml").write_text(
        f"version: 1\negress: {{allow: [{{host: 127.0.0.1, ports: [{port}], reason: test}}]}}\n"
    )
    kernel = start_kernel()
    allowed = kernel.run(f"import requests; requests.get('http://127.0.0.1:{port}/a').text")
    assert allowed.text == "'hello'"
    assert heard == ["/a"]
    denied = kernel.run(f"requests.get('http://127.0.0.1:{port + 1}/b')")
    assert denied.reply["ename"] == "EgressDenied"
    assert "egress.default" in denied.reply["evalue"]
    with LineageReader(Home(home)) as reader:
        latest, first = reader.executions(limit=2)
    assert first["egress"][0]["decision"] == "allow"
    assert first["egress"][0]["rule"] == "egress.allow[0]"
    assert latest["egress"][0]["decision"] == "block"


@pytest.fixture
def secure_listener(tmp_path):
    """A TLS server on loopback whose authority only the policy names."""
    outside = Authority.from_secret(b"o" * 64, dt.datetime.now(dt.UTC))
    ca_file = tmp_path / "outside.pem"
    ca_file.write_text(outside.certificate_pem)
    heard = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            heard.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = HostContexts(outside).of("localhost")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, ca_file, heard
    server.shutdown()


def test_opened_connections_work_for_every_client_and_values_do_not_leave(
    start_kernel, home, secure_listener
):
    port, ca_file, heard = secure_listener
    ensure_home(Home(home))
    (home / "policy.yaml").write_text(
        f"version: 1\negress: {{ca_file: {ca_file},"
        f" allow: [{{host: localhost, ports: [{port}]}}]}}\n"
    )
    kernel = start_kernel()
    kernel.run(f"url = 'https://localhost:{port}/'; ssn = '-'.join(['536', '90', '4399'])")
    calls = {
        "requests": "import requests; print(requests.post(url, data={!s}).text)",
        "urllib": "import urllib.request as u; print(u.urlopen(url, data={!s}.encode()).read())",
        "httpx": "import httpx; print(httpx.post(url, content={!s}).text)",
        "aiohttp": "import aiohttp\n"
        "async with aiohttp.ClientSession(trust_env=True) as s:\n"
        "    async with s.post(url, data={!s}.encode()) as r: print(await r.text())",
    }
    for name, code in calls.items():
        passed = kernel.run(code.format(f"'from {name}'"))
        assert (name, "hello" in passed.text) == (name, True), passed.reply
        denied = kernel.run(code.format("ssn"))
        assert (name, denied.reply.get("ename")) == (name, "EgressDenied"), denied.text
        assert "CLO-EGRESS-009" in denied.reply["evalue"]
    curl = (
        "import subprocess as s\n"
        "print(s.run(['curl', '-sS', '-d', {!s}, url], capture_output=True, text=True).stdout)"
    )
    assert "hello" in kernel.run(curl.format("'from curl'")).text
    assert "CLO-EGRESS-009" in kernel.run(curl.format("ssn")).text
    assert heard == [f"from {name}" for name in (*calls, "curl")]
