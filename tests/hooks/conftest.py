"""A real broker server for the hooks: the protocol of docs/design.md over a real Unix socket."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import socketserver
import threading
import time

import pytest
from cloister.detect.tokens import Tokenizer
from cloister.hooks import client as client_module
from cloister.hooks import labels, masking, observe, policyview, reads, value_memory

TOKEN = "test-token"
KEYS = Tokenizer(b"t" * 32, b"r" * 32)

POLICY = {
    "name": "default",
    "digest": "d1",
    "display": {
        "public": "show",
        "internal": "show",
        "confidential": "token",
        "restricted": "token",
    },
    "entities": {},
    "columns": [
        {"id": "columns[0]", "match": "mrn", "level": "restricted", "entity": "MEDICAL_RECORD"}
    ],
}


def token(entity_type: str, value: str) -> str:
    digest = hashlib.blake2b(f"{entity_type}:{value}".encode(), key=b"k", digest_size=8).digest()
    return f"{entity_type}~{base64.b32encode(digest).decode().lower()[:10]}"


class Broker:
    """Answers like the sidecar's broker, and remembers what it was asked."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.policy = json.loads(json.dumps(POLICY))
        self.files: dict[str, dict] = {}
        self.asked: list[dict] = []
        self.observed: dict[str, list[str]] = {}
        self.delay_s = 0.0
        self.refuse: set[str] = set()
        self.connections: list[socket.socket] = []
        self._server: socketserver.ThreadingUnixStreamServer | None = None

    def start(self) -> None:
        broker = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                broker.connections.append(self.request)
                for line in self.rfile:
                    request = json.loads(line)
                    time.sleep(broker.delay_s)
                    answer = {"id": request["id"], **broker.answer(request)}
                    try:
                        self.wfile.write(json.dumps(answer).encode() + b"\n")
                    except OSError:
                        return

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request, client_address) -> None:
                pass

        self._server = Server(self.path, Handler)
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        self.drop_connections()

    def drop_connections(self) -> None:
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.connections.clear()

    def count(self, op: str) -> int:
        return sum(1 for request in self.asked if request["op"] == op)

    def answer(self, request: dict) -> dict:
        op = request["op"]
        self.asked.append(request)
        if request.get("token") != TOKEN:
            return _refused("CLO-BROKER-002", "The request does not carry this kernel's token.")
        if op in self.refuse:
            return _refused("CLO-BROKER-003", "The broker could not answer.")
        return {"ok": True, "result": getattr(self, f"_{op}")(request)}

    def _hello(self, _request: dict) -> dict:
        return {"policy": self.policy, "user": "ada", "sandbox": "namespaces"}

    def _tokenise(self, request: dict) -> dict:
        assert len(request["values"]) <= 10_000
        if request.get("reversible"):
            return {"tokens": KEYS.reversible_tokens(request["entity_type"], request["values"])}
        return {"tokens": [token(request["entity_type"], v) for v in request["values"]]}

    def _offsets(self, request: dict) -> dict:
        return {"offsets": KEYS.offsets(request["entity_type"], request["values"])}

    def _reveal(self, request: dict) -> dict:
        return {"values": [KEYS.reveal(token) for token in request["tokens"]]}

    def _observe_read(self, request: dict) -> dict:
        name = request["path"].rpartition("/")[2]
        return {"dataset": None, "labels": self.files.get(name, {})}

    def _observe_values(self, request: dict) -> dict:
        for entity, values in request["values"].items():
            self.observed.setdefault(entity, []).extend(values)
        return {"indexed": sum(len(v) for v in request["values"].values())}

    def _egress_denied(self, request: dict) -> dict:
        return {
            "code": "CLO-EGRESS-001",
            "message": f"The policy allows no connection to {request['host']}.",
            "rule": "egress.default",
            "remedy": "Ask an admin.",
        }

    def _echo(self, request: dict) -> dict:
        return {"echo": request["text"]}


def _refused(code: str, message: str) -> dict:
    error = {"code": code, "message": message, "rule": None, "remedy": ""}
    return {"ok": False, "error": error}


def forget_everything() -> None:
    client_module._client = None
    policyview.forget()
    policyview._cache.view = policyview.STRICT
    masking._tokens.clear()
    labels._cache.clear()
    labels.session_names._labels.clear()
    observe._sent.clear()
    value_memory.forget()
    reads._known.clear()
    reads._warned.clear()


@pytest.fixture
def broker(tmp_path, monkeypatch):
    """A running broker that this process is a guarded kernel of."""
    server = Broker(str(tmp_path / "broker.sock"))
    server.start()
    monkeypatch.setenv("CLOISTER_BROKER", server.path)
    monkeypatch.setenv("CLOISTER_TOKEN", TOKEN)
    forget_everything()
    yield server
    server.stop()
    forget_everything()


@pytest.fixture
def stand_in():
    """Returns the token that the broker gives for a value."""
    return token


@pytest.fixture(scope="module")
def hooked():
    """pandas and polars with the display hooks, as in a guarded kernel."""
    import pandas as pd
    import polars as pl
    from cloister.hooks import construction, install, pandas_display, polars_display

    install._follow_pandas(pd)
    install._follow_polars(pl)
    pandas_display.install(pd)
    polars_display.install(pl)
    construction.install(pd)
    construction.install(pl)
    yield
    unhook()


def unhook() -> None:
    """Puts the libraries back, because other rooms' tests run in the same process."""
    import pandas as pd
    import polars as pl
    from cloister.hooks.polars_columns import namespaces
    from pandas.api.extensions import ExtensionArray
    from pandas.core.arrays.categorical import CategoricalAccessor
    from pandas.core.base import IndexOpsMixin
    from pandas.core.generic import NDFrame
    from pandas.core.groupby import DataFrameGroupBy, SeriesGroupBy, ops
    from pandas.core.indexes.accessors import DatetimeProperties, TimedeltaProperties
    from pandas.core.indexing import _iLocIndexer
    from pandas.core.reshape import encoding, melt, pivot, reshape
    from pandas.core.strings.accessor import StringMethods
    from pandas.core.window import rolling
    from pandas.io.formats import format as formats
    from pandas.io.formats.style import Styler
    from pandas.io.json._json import JsonReader
    from pandas.io.parsers import readers
    from polars.dataframe.group_by import DynamicGroupBy, GroupBy, RollingGroupBy
    from polars.lazyframe.group_by import LazyGroupBy

    owners = [pd, pl, formats.DataFrameRenderer, formats.SeriesFormatter, Styler]
    owners += [pd.DataFrame, pd.Series, pd.Index, pd.Categorical, ExtensionArray]
    for base in (pd.Index, ExtensionArray):
        found = [base]
        while found:
            owners.append(found.pop())
            found += owners[-1].__subclasses__()
    owners += [IndexOpsMixin, NDFrame, DataFrameGroupBy, SeriesGroupBy, _iLocIndexer]
    owners += [encoding, melt, pivot, reshape, readers, JsonReader]
    owners += [CategoricalAccessor, DatetimeProperties, TimedeltaProperties, StringMethods]
    owners += [ops.FrameSplitter, ops.SeriesSplitter]
    owners += [x for x in vars(rolling).values() if isinstance(x, type)]
    owners += [pl.DataFrame, pl.Series, pl.LazyFrame, pl.Expr, pl.SQLContext]
    owners += [GroupBy, DynamicGroupBy, RollingGroupBy, LazyGroupBy]
    owners += namespaces()
    made = pd.Index.__new__
    pd.Index.__new__ = staticmethod(getattr(made, "__cloister_original__", made))
    for owner in owners:
        for name, value in list(vars(owner).items()):
            if isinstance(value, property) and hasattr(value.fget, "__cloister_original__"):
                setattr(owner, name, property(value.fget.__cloister_original__))
                continue
            original = getattr(value, "__cloister_original__", None)
            is_function = value.__class__.__name__ == "function"
            if isinstance(original, classmethod) or (callable(original) and is_function):
                setattr(owner, name, original)
