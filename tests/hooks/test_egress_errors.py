"""Refused connections raise one typed error, whichever library made them."""

from __future__ import annotations

import socket
import socketserver
import subprocess
import sys
import textwrap
import threading

import pytest
from cloister.core.errors import EgressDenied
from cloister.hooks.egress import error_from_headers, is_local

HEADERS = (
    "X-Cloister-Code: CLO-EGRESS-001\r\n"
    "X-Cloister-Rule: egress.default\r\n"
    "X-Cloister-Message: No connection to b%C3%BCcher.example is allowed.\r\n"
    "X-Cloister-Remedy: Ask%0Aan admin.\r\n"
)


@pytest.fixture
def proxy():
    """An HTTP proxy that answers everything with the egress proxy's refusal."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            rest = "Content-Length: 2\r\nConnection: close\r\n\r\nno"
            self.wfile.write(f"HTTP/1.1 403 Forbidden\r\n{HEADERS}{rest}".encode())

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def run(code: str, **env: str) -> str:
    """Runs code with the egress hooks in a process of its own: audit hooks cannot be removed."""
    import os

    before = """
    from cloister.hooks import egress
    egress.install()
    from cloister.core.errors import EgressDenied
    def denied(action):
        try:
            action()
        except EgressDenied as error:
            print("denied", error.code, error.rule, error.message, repr(error.remedy))
        except BaseException as error:
            print("other", type(error).__name__, error)
        else:
            print("passed")
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(before) + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(
    ("action", "via"),
    [
        ("socket.create_connection(('93.184.216.34', 80), 1)", "socket"),
        ("socket.socket().connect(('93.184.216.34', 80))", "socket"),
        ("socket.socket().connect_ex(('93.184.216.34', 80))", "socket"),
        (
            "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('8.8.8.8', 53))",
            "socket",
        ),
        ("socket.socket(socket.AF_INET6).connect(('2001:db8::1', 80))", "socket"),
        ("socket.getaddrinfo('example.org', 443)", "dns"),
        ("socket.gethostbyname('example.org')", "dns"),
        ("urllib.request.urlopen('http://example.org', timeout=1)", "dns"),
        ("requests.get('http://example.org', timeout=1)", "dns"),
        ("httpx.get('http://example.org', timeout=1)", "dns"),
        ("asyncio.run(asyncio.open_connection('example.org', 80))", "dns"),
    ],
)
def test_a_direct_connection_is_denied_and_told(broker, action, via):
    code = f"import socket, urllib.request, requests, httpx, asyncio\ndenied(lambda: {action})"
    shown = run(code, NO_PROXY="*", HTTP_PROXY="", http_proxy="", no_proxy="*")
    assert shown.startswith("denied CLO-EGRESS-001 egress.default"), shown
    told = [r for r in broker.asked if r["op"] == "egress_denied"]
    assert told[0]["via"] == via


def test_loopback_and_unix_sockets_are_untouched(broker, tmp_path):
    shown = run(f"""
    import socket, os
    server = socket.create_server(("127.0.0.1", 0))
    denied(lambda: socket.create_connection(server.getsockname()))
    denied(lambda: socket.create_connection(("localhost", server.getsockname()[1])))
    denied(lambda: socket.getaddrinfo(None, 80))
    denied(lambda: socket.getaddrinfo(socket.gethostname(), 80))
    unix = socket.socket(socket.AF_UNIX); unix.bind({str(tmp_path / "s")!r}); unix.listen()
    denied(lambda: socket.socket(socket.AF_UNIX).connect({str(tmp_path / "s")!r}))
    """)
    assert shown.split() == ["passed"] * 5
    assert broker.asked == []


def test_denied_without_a_broker_as_well():
    shown = run(
        "import socket; denied(lambda: socket.create_connection(('192.0.2.1', 9), 1))",
        CLOISTER_BROKER="/nonexistent/b",
        CLOISTER_TOKEN="t",
    )
    assert shown.startswith("denied CLO-EGRESS-001 egress.default")


@pytest.mark.parametrize("url", ["http://example.org/x", "https://example.org/x"])
@pytest.mark.parametrize(
    "action",
    [
        "urllib.request.urlopen(URL, timeout=5)",
        "requests.get(URL, timeout=5)",
        "requests.Session().post(URL, data='x', timeout=5)",
        "urllib3.ProxyManager(PROXY, retries=3).request('GET', URL)",
        "httpx.get(URL, timeout=5)",
        "asyncio.run(get())",
    ],
)
def test_a_refusal_of_the_proxy_is_the_same_error_everywhere(broker, proxy, url, action):
    code = f"""
    import asyncio, urllib.request, requests, urllib3, httpx
    URL, PROXY = {url!r}, {proxy!r}
    async def get():
        async with httpx.AsyncClient() as c:
            await c.get(URL)
    denied(lambda: {action})
    """
    env = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), proxy)
    shown = run(code, **env, NO_PROXY="", no_proxy="")
    assert shown.startswith(
        "denied CLO-EGRESS-001 egress.default No connection to bücher.example is allowed. "
        "'Ask\\nan admin.'"
    ), shown


def test_other_403_answers_stay_what_they_are():
    assert error_from_headers({"Server": "x"}) is None


def test_headers_are_read_in_any_case():
    error = error_from_headers({"x-cloister-code": "CLO-EGRESS-002", "X-CLOISTER-RULE": ""})
    assert isinstance(error, EgressDenied)
    assert (error.code, error.rule) == ("CLO-EGRESS-002", None)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", True),
        ("", True),
        ("localhost.example.org", False),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("127.0.0.1.example.org", False),
        (socket.gethostname(), True),
    ],
)
def test_only_this_machine_is_local(host, local):
    assert is_local(host) is local
