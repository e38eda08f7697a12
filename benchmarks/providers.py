"""What redacting and restoring add to a call to a language model, against the same call without.

Client, upstream, relay and proxy run on this machine; the proxy in its own process, asking at a
desk with the real text guard, a filled index and the real record. Three ways take turns: direct,
through the proxy as to any host, and through the proxy as to a provider. A small chat call with
three values in it (none on the other ways, where it would be refused), and an answer of 1 MB in
5,000 events of which every tenth holds a piece of a token.

Run: python benchmarks/providers.py [--requests 200] [--streams 10] [--json]
"""

from __future__ import annotations

import argparse
import datetime as dt
import http.client
import http.server
import json
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloister.core.policy import policy_from_dict
from cloister.core.records import Json, Record
from cloister.detect.exact import ExactIndex
from cloister.detect.tokens import TOKEN_PATTERN, Tokenizer
from cloister.hooks.relay import Relay
from cloister.sidecar.llm.service import ProviderService
from cloister.sidecar.proxy.authority import Authority
from cloister.sidecar.proxy.decider import Decider, Kernel
from cloister.sidecar.proxy.process import ProxyProcess
from cloister.sidecar.textguard import TextGuard
from cloister.store.home import Home, ensure_home
from cloister.store.keys import open_keyring
from cloister.store.lineage import LineageLog

if TYPE_CHECKING:
    from cloister.sidecar.proxy.events import EgressEvent

BOUND_MS = 5.0
"""Most that a small redacted call may add to a direct one, beside its two durable records."""

_EVENTS = 5_000
_PAUSE_S = 1.0
"""A long answer is looked at for restricted values beside the way; that is no call's time."""

_PIECE = "x" * 140
_VALUES = "Write to ada.quisling@example.org, SSN 536-90-4399, about card 4539578763621486."
_PLAIN = "Write to the person of the second row, about the card in the third column there."


class _Upstream(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = body["messages"][-1]["content"]
        self.send_response(200)
        if body.get("stream"):
            self._stream(text)
            return
        answer = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        self.wfile.flush()

    def _stream(self, text: str) -> None:
        found = TOKEN_PATTERN.search(text)
        token = found[0] if found else "no token"
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(_EVENTS):
            said = token[:4] if number % 10 == 0 else token[4:] if number % 10 == 1 else ""
            choice = {"index": 0, "delta": {"content": said + _PIECE}, "finish_reason": None}
            if number % 10 == 0:
                choice["delta"] = {"content": _PIECE + said}
            data = f"data: {json.dumps({'choices': [choice]})}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited
        pass


@dataclass(frozen=True, slots=True)
class Way:
    """How a call reaches the upstream."""

    name: str
    host: str
    port: int
    proxy_port: int | None
    text: str

    def connect(self) -> http.client.HTTPConnection:
        """Opens a connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy_port or self.port)
        connection.connect()
        return connection

    def call(self, connection: http.client.HTTPConnection, *, stream: bool) -> int:
        """Makes one call and returns the bytes of its answer."""
        where = f"{self.host}:{self.port}"
        target = f"http://{where}/v1" if self.proxy_port else "/v1"
        messages = [{"role": "user", "content": self.text}]
        body = json.dumps({"model": "m", "messages": messages, "stream": stream})
        headers = {"Host": where, "Content-Type": "application/json"}
        connection.request("POST", target, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"status {answer.status}")
        return len(data)


def measure(directory: Path, requests: int, streams: int) -> list[dict[str, object]]:
    """Measures both kinds; returns a row for each way and kind."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Upstream)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_port
    rules = [{"host": host, "ports": [port]} for host in ("localhost", "127.0.0.1")]
    provider = {"name": "cloud", "hosts": ["127.0.0.1"], "level": {"redacted": "restricted"}}
    document: dict[str, Any] = {"version": 1, "egress": {"allow": rules}, "providers": [provider]}
    policy = policy_from_dict(document, "0" * 64)
    home = ensure_home(Home(directory / "home"))
    logs = threading.local()

    def append(kind: str, body: dict[str, Json]) -> None:
        if not hasattr(logs, "log"):
            logs.log = LineageLog(home, open_keyring(home))
        began = time.perf_counter()
        logs.log.append([Record(kind, {"kernel_id": "bench", **body})])
        spent.append((time.perf_counter() - began) * 1000)

    spent: list[float] = []

    def record(event: EgressEvent) -> None:
        append("egress.allowed", {"host": event.host})

    index = ExactIndex(b"i" * 32)
    index.add("PERSON", [f"Anna{i} Lindqvist{i * 7}" for i in range(20_000)])
    tokenizer = Tokenizer(b"t" * 32, b"r" * 32)
    guard = TextGuard(policy, tokenizer, index)
    service = ProviderService(lambda: policy, guard, tokenizer, append)
    decider = Decider(lambda: policy, record, guard, Kernel("bench"), filters=service)
    authority = Authority.from_secret(b"w" * 64, dt.datetime.now(dt.UTC))
    settings = {"certificate": authority.certificate_pem, "key": authority.key_pem}
    process = ProxyProcess(directory / "egress.sock", decider, settings)
    relay = Relay(str(directory / "egress.sock"), port=0)
    process.start()
    relay.start()
    ways = (
        Way("direct", "127.0.0.1", port, None, _PLAIN),
        Way("any host", "localhost", port, relay.port, _PLAIN),
        Way("provider", "127.0.0.1", port, relay.port, _VALUES),
    )
    try:
        rows = _alternate(ways, requests, stream=False)
        rows[-1]["records_ms"] = round(2 * statistics.median(spent), 2)  # llm.sent, llm.answered
        return rows + _alternate(ways, streams, stream=True)
    finally:
        relay.close()
        process.stop()
        server.shutdown()


def _alternate(ways: tuple[Way, ...], times: int, *, stream: bool) -> list[dict[str, object]]:
    spent: list[list[float]] = [[] for _ in ways]
    size = 0
    connections = [way.connect() for way in ways]
    for _ in range(times):
        for way, connection, took in zip(ways, connections, spent, strict=True):
            began = time.perf_counter()
            size = way.call(connection, stream=stream)
            took.append((time.perf_counter() - began) * 1000)
            if stream:
                time.sleep(_PAUSE_S)
    for connection in connections:
        connection.close()
    medians = [statistics.median(took[len(took) // 10 :]) for took in spent]
    return [
        {
            "kind": f"{size / 1e6:.1f} MB stream" if stream else "small chat",
            "way": way.name,
            "ms": round(median, 2),
            "added_ms": round(median - medians[0], 2),
            "ratio": round(median / medians[0], 2),
        }
        for way, median in zip(ways, medians, strict=True)
    ]


def main() -> int:
    """Prints the table; 1 when a small redacted call costs more than the bound."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--streams", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o700)
        rows = measure(Path(name), arguments.requests, arguments.streams)
    if arguments.json:
        sys.stdout.write(json.dumps(rows) + "\n")
    else:
        for row in rows:
            text = "{kind:14} {way:9} {ms:8.2f} ms, added {added_ms:8.2f} ms, {ratio:5.2f} x"
            if "records_ms" in row:
                text += ", of which {records_ms:.2f} ms are records"
            print(text.format(**row))
    small = next(r for r in rows if (r["kind"], r["way"]) == ("small chat", "provider"))
    added = float(str(small["added_ms"])) - float(str(small["records_ms"]))
    return 0 if added <= BOUND_MS else 1


if __name__ == "__main__":
    sys.exit(main())
