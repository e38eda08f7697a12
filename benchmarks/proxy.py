"""What the egress proxy adds to a small request, against the same request without it.

Client, upstream, relay and proxy run on this machine; the proxy in its own process, asking at a
desk with the real text guard and the real record. Kept connections and new ones, plain and in TLS
that the proxy opens. Direct and proxied requests alternate, so that what else the machine does
falls on both. Bound: 2 ms added for a small request on a kept connection.

Run: python benchmarks/proxy.py [--requests 300] [--json]
"""

from __future__ import annotations

import argparse
import datetime as dt
import http.client
import http.server
import json
import ssl
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloister.core.policy import policy_from_dict
from cloister.core.records import Record
from cloister.detect.exact import ExactIndex
from cloister.detect.tokens import Tokenizer
from cloister.hooks.relay import Relay
from cloister.sidecar.proxy.authority import Authority, HostContexts
from cloister.sidecar.proxy.decider import Decider, Kernel
from cloister.sidecar.proxy.process import ProxyProcess
from cloister.sidecar.textguard import TextGuard
from cloister.store.home import Home, ensure_home
from cloister.store.keys import open_keyring
from cloister.store.lineage import LineageLog

if TYPE_CHECKING:
    from cloister.sidecar.proxy.events import EgressEvent

BOUND_MS = 2.0
_BODY = json.dumps({"model": "m", "input": "What is the median of these columns?"}).encode()


class _Upstream(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for head and body

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "12")
        self.end_headers()
        self.wfile.write(b'{"median":1}')
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited
        pass


@dataclass(frozen=True, slots=True)
class Way:
    """How a request reaches the upstream."""

    port: int
    tls: ssl.SSLContext | None
    proxy_port: int | None

    def connect(self) -> http.client.HTTPConnection:
        """Opens a connection, TLS included."""
        port = self.proxy_port or self.port
        if self.tls is None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        else:
            name = "127.0.0.1" if self.proxy_port else "localhost"
            connection = http.client.HTTPSConnection(name, port, timeout=20, context=self.tls)
            if self.proxy_port:
                connection.set_tunnel("localhost", self.port)
        connection.connect()
        return connection

    def post(self, connection: http.client.HTTPConnection) -> None:
        """Makes one small request."""
        is_plain_proxy = self.proxy_port is not None and self.tls is None
        target = f"http://localhost:{self.port}/v1" if is_plain_proxy else "/v1"
        headers = {"Host": f"localhost:{self.port}", "Content-Type": "application/json"}
        connection.request("POST", target, _BODY, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"status {answer.status}")


def _serve(context: ssl.SSLContext | None) -> int:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Upstream)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return int(server.server_address[1])


def _alternate(ways: tuple[Way, Way], requests: int, *, kept: bool) -> tuple[float, float]:
    """Returns the median milliseconds of a request each way."""
    times: tuple[list[float], list[float]] = ([], [])
    connections = [way.connect() for way in ways]
    for _ in range(requests):
        for way, connection, spent in zip(ways, connections, times, strict=True):
            began = time.perf_counter()
            if kept:
                way.post(connection)
            else:
                fresh = way.connect()
                way.post(fresh)
                fresh.close()
            spent.append((time.perf_counter() - began) * 1000)
    for connection in connections:
        connection.close()
    direct, proxied = (statistics.median(spent[len(spent) // 10 :]) for spent in times)
    return direct, proxied


def measure(directory: Path, requests: int) -> list[dict[str, object]]:
    """Measures all four kinds; returns a row for each."""
    now = dt.datetime.now(dt.UTC)
    outside = Authority.from_secret(b"o" * 64, now)
    inside = Authority.from_secret(b"w" * 64, now)
    ca_file = directory / "outside.pem"
    ca_file.write_text(outside.certificate_pem)
    plain, secure = _serve(None), _serve(HostContexts(outside).of("localhost"))
    rule = {"host": "localhost", "ports": [plain, secure]}
    policy = policy_from_dict(
        {"version": 1, "egress": {"allow": [rule], "ca_file": str(ca_file)}}, "0" * 64
    )
    home = ensure_home(Home(directory / "home"))
    logs = threading.local()

    def record(event: EgressEvent) -> None:
        if not hasattr(logs, "log"):
            logs.log = LineageLog(home, open_keyring(home))
        logs.log.append([Record("egress.allowed", {"host": event.host, "kernel_id": "bench"})])

    guard = TextGuard(policy, Tokenizer(b"t" * 32, b"r" * 32), ExactIndex(b"i" * 32))
    decider = Decider(lambda: policy, record, guard, Kernel("bench"))
    settings = {"certificate": inside.certificate_pem, "key": inside.key_pem}
    process = ProxyProcess(directory / "egress.sock", decider, settings)
    relay = Relay(str(directory / "egress.sock"), port=0)
    process.start()
    relay.start()
    rows: list[dict[str, object]] = []
    try:
        for kind, port, direct_tls, proxy_tls in (
            ("plain", plain, None, None),
            (
                "TLS",
                secure,
                ssl.create_default_context(cadata=outside.certificate_pem),
                ssl.create_default_context(cadata=inside.certificate_pem),
            ),
        ):
            ways = (Way(port, direct_tls, None), Way(port, proxy_tls, relay.port))
            for kept in (True, False):
                direct, proxied = _alternate(ways, requests if kept else requests // 3, kept=kept)
                rows.append(
                    {
                        "kind": kind,
                        "connection": "kept" if kept else "new",
                        "direct_ms": round(direct, 2),
                        "proxied_ms": round(proxied, 2),
                        "added_ms": round(proxied - direct, 2),
                    }
                )
    finally:
        relay.close()
        process.stop()
    return rows


def main() -> int:
    """Prints the table; 1 when a kept connection costs more than the bound."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o700)
        rows = measure(Path(name), arguments.requests)
    if arguments.json:
        sys.stdout.write(json.dumps(rows) + "\n")
    else:
        for row in rows:
            print(
                "{kind:6} {connection:5} direct {direct_ms:6.2f} ms, through the proxy "
                "{proxied_ms:6.2f} ms, added {added_ms:5.2f} ms".format(**row)
            )
    kept = [float(str(row["added_ms"])) for row in rows if row["connection"] == "kept"]
    return 0 if max(kept) <= BOUND_MS else 1


if __name__ == "__main__":
    sys.exit(main())
