"""A real privacy ledger behind a real broker on a Unix socket, in this process."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

TOKEN = "token-of-the-tests"


class Records:
    """Keeps what the ledger would write to the lineage log."""

    def __init__(self) -> None:
        self.appended: list[tuple[str, dict[str, Any]]] = []

    def append(self, kind: str, header: dict[str, Any]) -> None:
        self.appended.append((kind, header))

    def active_id(self) -> str | None:
        return None  # no cell runs

    def spent(self, spend: dict[str, Any]) -> None:
        """What a cell's result would say of it; there is none."""


@dataclass
class Workspace:
    """A workspace's ledger, as the tests look at it from outside the kernel."""

    home: Any
    records: Records
    requests: list[dict[str, Any]] = field(default_factory=list)

    def ledger(self) -> Any:
        from cloister.store.budget import BudgetLedger

        return BudgetLedger(self.home)

    def row(self, dataset: str) -> dict[str, Any]:
        rows = {row["dataset"]: row for row in self.ledger().rows()}
        return rows.get(
            dataset, {"epsilon_spent": 0.0, "epsilon_reserved": 0.0, "delta_spent": 0.0}
        )

    def set_limit(self, dataset: str, epsilon: float, delta: float) -> None:
        self.ledger().set_limit(dataset, epsilon, delta)

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.records.appended]

    def operations(self) -> list[str]:
        return [request["op"] for request in self.requests if request["op"] != "budget"]


class _Thread(threading.Thread):
    def __init__(self, broker: Any, path: Path) -> None:
        super().__init__(daemon=True)
        self.loop = asyncio.new_event_loop()
        self.is_up = threading.Event()
        self._broker, self._path = broker, path

    def run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._broker.start(self._path))
        self.is_up.set()
        self.loop.run_forever()
        # The client has hung up; its connections see that and close themselves.
        waiting = asyncio.all_tasks(self.loop)
        if waiting:
            self.loop.run_until_complete(asyncio.wait(waiting, timeout=5))
        self.loop.close()


@pytest.fixture
def guarded(tmp_path, monkeypatch):
    """Makes this process look guarded: its broker is real, and so is the ledger behind it."""
    from cloister.core.policy import BudgetLimit
    from cloister.detect.exact import ExactIndex
    from cloister.detect.tokens import Tokenizer
    from cloister.hooks.client import client
    from cloister.sidecar.broker import Broker
    from cloister.sidecar.budgets import Budgets
    from cloister.sidecar.scan import Scanner
    from cloister.store.budget import BudgetLedger
    from cloister.store.catalog import Catalog
    from cloister.store.home import Home, ensure_home

    home = ensure_home(Home(tmp_path / "home"))
    workspace = Workspace(home, Records())

    class Policy:
        def budget_for(self, dataset: str) -> BudgetLimit:
            return {"small": BudgetLimit(0.5, 1e-6)}.get(dataset, BudgetLimit(50.0, 1e-3))

    budgets = Budgets(lambda: BudgetLedger(home), Policy, workspace.records, "ada")
    broker = Broker(
        token=TOKEN,
        policy=Policy,
        tokenizer=Tokenizer(b"k" * 32),
        scanner=Scanner(home, b"k" * 32, Policy(), Catalog(home), ExactIndex(b"k" * 32)),
        recorder=workspace.records,
        budgets=budgets,
        workspace=tmp_path,
        hello={"user": "ada", "sandbox": "none"},
    )
    answer = broker.answer

    def heard(line: bytes) -> bytes:
        import json

        workspace.requests.append(json.loads(line))
        return answer(line)

    broker.answer = heard
    path = tmp_path / "b"
    thread = _Thread(broker, path)
    thread.start()
    assert thread.is_up.wait(10)
    monkeypatch.setenv("CLOISTER_BROKER", str(path))
    monkeypatch.setenv("CLOISTER_TOKEN", TOKEN)
    monkeypatch.chdir(tmp_path)
    yield workspace
    client().close()  # the process-wide client of this broker
    thread.loop.call_soon_threadsafe(thread.loop.stop)
    thread.join(10)


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory):
    """One MLflow database for all tests: making its schema takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture
def tracking(tracking_uri, monkeypatch):
    """Trainings of this test are recorded in the session's database."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
    return tracking_uri


@pytest.fixture
def no_tracking(monkeypatch):
    """Trainings of this test are not recorded; what MLflow does is tested elsewhere."""
    from cloister_dp.training import run

    monkeypatch.setattr(run, "log_run", lambda *_: None)


def labelled(frame: pd.DataFrame, dataset: str, **entities: str) -> pd.DataFrame:
    """Gives a frame the labels that the guard's readers leave on it."""
    from cloister.core.labels import Level
    from cloister.hooks.labels import ColumnLabel
    from cloister.hooks.pandas_provenance import declare

    declare(
        frame,
        {
            name: ColumnLabel(Level.INTERNAL, entities.get(name), f"catalog:{dataset}")
            for name in frame.columns
        },
        dataset,
    )
    return frame


@pytest.fixture(autouse=True, scope="module")
def hooks():
    """Labels follow data in this process as they do in a guarded kernel."""
    from cloister.hooks import notes, pandas_tracking

    notes.install()
    pandas_tracking.install(pd)


@pytest.fixture
def visits() -> pd.DataFrame:
    """A made-up hospital's visits, read from the catalogued dataset ``visits``."""
    return make_visits(800)


@pytest.fixture
def small() -> pd.DataFrame:
    """The same, read from a dataset whose budget is nearly nothing."""
    return make_visits(800, "small")


def make_visits(rows: int, dataset: str = "visits") -> pd.DataFrame:
    rng = np.random.default_rng(7)
    age = rng.integers(0, 100, rows)
    days = rng.integers(0, 30, rows)
    frame = pd.DataFrame(
        {
            "age_at_visit": age,
            "length_of_stay": days.astype(float),
            "is_emergency": rng.random(rows) < 0.4,
            "ward": rng.choice(["cardiology", "surgery", "maternity"], rows),
            "patient_name": [f"Person {i}" for i in range(rows)],
            "account": np.arange(rows),
            "readmitted_30d": (age + 3 * days + rng.normal(0, 10, rows) > 95).astype(int),
        }
    )
    return labelled(frame, dataset, patient_name="PERSON", account="IBAN_CODE")
