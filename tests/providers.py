"""Providers on loopback, and a sidecar's side of the way out with a proxy in its own process.

Real sockets; nothing here imitates a part of ours.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import http.server
import json
import re
import ssl
import threading
from typing import TYPE_CHECKING, Any, Self

import requests
from cloister.core.labels import Level
from cloister.core.policy import policy_from_dict
from cloister.detect.exact import ExactIndex
from cloister.detect.tokens import Tokenizer
from cloister.hooks.relay import Relay
from cloister.sidecar.llm.consent import ConsentBook
from cloister.sidecar.llm.service import ProviderService
from cloister.sidecar.proxy.authority import Authority
from cloister.sidecar.proxy.decider import Decider, Kernel
from cloister.sidecar.proxy.process import ProxyProcess
from cloister.sidecar.textguard import TextGuard
from cloister.store.catalog import Catalog
from cloister.store.home import Home
from cloister.store.quota import QuotaBook

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SSN = "536-90-4399"
MAIL = "anna.lindqvist@example.org"
CARD = "4539578763621486"
VALUES = (SSN, MAIL, CARD)
PROMPT = f"Write to {MAIL}, SSN {SSN}, about card {CARD}."
TODAY = dt.date(2026, 11, 23)
TOKEN = re.compile(r"[A-Z][A-Z0-9_]*~[a-z2-7]{10}")


class Model(http.server.BaseHTTPRequestHandler):
    """A provider: what it says is decided by ``server.say``, which gets the request's document."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.path, dict(self.headers), body))
        self.server.say(self, body)

    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers), b""))
        self.server.say(self, b"")

    def answer(self, document: object, *, status: int = 200, **headers: str) -> None:
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", headers.pop("kind", "application/json"))
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def stream(self, chunks: list[bytes], kind: str = "text/event-stream") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_args: object) -> None:
        pass


@contextlib.contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Any]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    server.block_on_close = False
    server.seen = []
    server.say = lambda handler, _body: handler.answer({"ok": True})
    server.handle_error = lambda *_args: None
    server.url = f"http://127.0.0.1:{server.server_port}"
    if context is not None:
        server.url = f"https://localhost:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class Rig:
    """A sidecar's side of the way out, with a proxy process and the relay of a sandbox."""

    def __init__(self, directory: Path) -> None:
        directory.chmod(0o700)
        self.directory = directory
        self.level = Level.PUBLIC
        self.records: list[tuple[str, dict]] = []
        self.events: list = []
        self.inbound: list = []
        self.policy = policy_from_dict({"version": 1}, "0" * 64)
        self.index = ExactIndex(b"i" * 32)
        self.guard = TextGuard(self.policy, Tokenizer(b"t" * 32, b"r" * 32), self.index)
        (directory / "store").mkdir(mode=0o700)
        self.home = Home(directory)
        (directory / "workspace").mkdir()
        self.service = ProviderService(
            lambda: self.policy,
            self.guard,
            Tokenizer(b"t" * 32, b"r" * 32),
            lambda kind, body: self.records.append((kind, body)),
            book=ConsentBook(Catalog(self.home), directory / "workspace", ()),
            day=lambda: TODAY,
        )
        authority = Authority.from_secret(b"w" * 64, dt.datetime.now(dt.UTC))
        self.bundle = directory / "bundle.pem"
        self.bundle.write_text(authority.certificate_pem)
        self.decider = Decider(
            lambda: self.policy,
            self.events.append,
            self.guard,
            Kernel("ada", lambda: self.level),
            quotas=QuotaBook(self.home),
            filters=lambda exchange, on_found: self.service(exchange, on_found),
            on_inbound=lambda level, found: self.inbound.append((level, dict(found))),
        )
        settings = {"certificate": authority.certificate_pem, "key": authority.key_pem}
        self.process = ProxyProcess(directory / "egress.sock", self.decider, settings)
        self.relay = Relay(str(directory / "egress.sock"), port=0)

    def __enter__(self) -> Self:
        self.process.start()
        self.relay.start()
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(self.bundle)
        proxy = f"http://127.0.0.1:{self.relay.port}"
        self.session.proxies = {"http": proxy, "https": proxy}
        return self

    def __exit__(self, *_exc: object) -> None:
        self.session.close()
        self.relay.close()
        self.process.stop()

    def allow(
        self,
        *servers: Any,
        providers: list[dict] | None = None,
        egress: dict | None = None,
        **more: object,
    ) -> None:
        """Allows servers; the first one is the provider unless others are stated."""
        listed = [{"host": "127.0.0.1", "ports": [s.server_port]} for s in servers]
        if providers is None:
            providers = [
                {"name": "cloud", "hosts": ["127.0.0.1"], "style": "openai", "level": OPEN}
            ]
        egress = {"allow": listed, **(egress or {})}
        data = {"version": 1, "egress": egress, "providers": providers, **more}
        self.policy = self.guard.policy = policy_from_dict(data, "0" * 64)

    def kinds(self, kind: str) -> list[dict]:
        """The bodies of the records of one kind."""
        return [body for recorded, body in self.records if recorded == kind]

    def post(self, url: str, document: object = None, **more: Any) -> requests.Response:
        if document is not None:
            more["json"] = document
        return self.session.post(url, timeout=20, **more)


OPEN = {"redacted": "restricted", "plain": "internal"}


def chat(text: object, **more: object) -> dict:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **more}


def echo(handler: Model, body: bytes) -> None:
    """Repeats the last message."""
    content = json.loads(body)["messages"][-1]["content"]
    handler.answer(
        {
            "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
            "object": "chat.completion",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": content},
                }
            ],
            "usage": {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29},
        }
    )


def sse(*documents: object, done: bool = True) -> list[bytes]:
    events = [f"data: {json.dumps(d)}\n\n".encode() for d in documents]
    return [*events, b"data: [DONE]\n\n"] if done else events


def pieces(text: str, size: int = 3) -> list[str]:
    return [text[i : i + size] for i in range(0, len(text), size)]


def sent(server: Any, number: int = -1) -> str:
    return server.seen[number][2].decode()
