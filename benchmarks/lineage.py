"""What the record costs: appends, contention, verification, questions, exports at 1,000,000 events.

One run measures Cloister, a bare SQLite insert (WAL, FULL), jupyter_events with a flush for each
event, and MLflow on SQLite, in turns, so that a machine that slows down slows all of them. Each
stores the same event: about 1.1 kB of header, and 0.65 kB of encrypted code where it has such a
place. Exit status: 0 every aim is held, 1 one is not.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import resource
import sqlite3
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloister.core.records import Record
from cloister.store import lineage_second_scan
from cloister.store.evidence.reader import EvidenceReader
from cloister.store.exports.exporter import FORMATS, exporter
from cloister.store.exports.view import Criteria, RecordView
from cloister.store.home import Home, ensure_home
from cloister.store.keys import open_keyring
from cloister.store.lineage import LineageLog
from cloister.store.lineage_reader import LineageReader
from cloister.store.lineage_second_scan import WORTH_IT
from cloister.store.lineage_verify import verify_home
from cloister.store.lineage_writer import LineageWriter
from cloister.store.questions.graph import graph, makers
from cloister.store.questions.record import Record as Asked
from cloister.store.questions.timeline import timeline
from cloister.store.questions.touched import Subject, touched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WRITERS: Final = 8
KERNELS: Final = 40
NOTEBOOKS: Final = 200
USERS: Final = ("ann", "bob", "cyd", "dee", "eve")
DATASETS: Final = ("patients", "claims", "visits", "labs", "trials")


def execution_id(i: int) -> str:
    """The id of a cell, as jupyter_client makes them."""
    return f"{i:08x}-0b5c-4d8e-9f0a-4b1c2d3e4f50_{i}"


def intent(i: int) -> Record:
    """A cell before it runs, as a sidecar writes it."""
    body = {
        "execution_id": execution_id(i),
        "kernel_id": f"{i % KERNELS:08x}-aaaa-4bbb-8ccc-dddddddddddd",
        "session": "s" * 36,
        "user": USERS[i % len(USERS)],
        "client_user": "ann",
        "notebook": f"/home/ann/notebook-{i % NOTEBOOKS}.ipynb",
        "cell_id": f"{i % 5_000:036x}",
        "code_sha256": f"{i % 20_000:064x}",
        "policy_digest": "1" * 64,
        "trace_id": "2" * 32,
        "silent": False,
        "attested_by": "sidecar",
        "span_id": "3" * 16,
    }
    return Record("cell.intent", body, b"c" * 650)


def result(i: int) -> Record:
    """The same cell when it has run."""
    dataset = DATASETS[i % len(DATASETS)] if i % 3 == 0 else None
    body = {
        "execution_id": execution_id(i),
        "kernel_id": f"{i % KERNELS:08x}-aaaa-4bbb-8ccc-dddddddddddd",
        "status": "ok",
        "execution_count": i % 500,
        "duration_us": 1_234_567,
        "outputs": {"shown": 2, "masked": 1, "blocked": 0},
        "output_digests": [f"{i:064x}"] * 2,
        "displayed": [
            {
                "kind": kind,
                "forms": [{"type": "text/plain", "sha256": f"{2 * i + n:064x}"}],
                "disposition": "shown",
            }
            for n, kind in enumerate(("stream", "execute_result"))
        ],
        "names_used": ["df", "pd"],
        "names_defined": ["out"],
        # A chain of twenty cells, and then another one begins.
        "parents": [{"parent": execution_id(i - KERNELS), "names": ["df"]}] if i % 800 else [],
        "sources": [{"source": dataset or "data/patients.csv"}],
        "columns_used": [{"column": "age", "level": "confidential", "of": "patients"}],
        "amount": {"rows": 5, "cells": 40, "bytes": 900},
        "environment": "5" * 64,
        "user": USERS[i % len(USERS)],
        "reads": [{"path": "data/patients.csv", "dataset": dataset, "attested_by": "kernel"}],
        "egress": [],
        "labels": ["PERSON", "US_SSN"],
        "attested_by": "sidecar",
    }
    return Record("cell.result", body, b"o" * 650)


# Who is measured -----------------------------------------------------------------------------


class Cloister:
    """The lineage log as one writer uses it: tree, signature and witness with each append."""

    name = "cloister"

    def __init__(self, place: Path) -> None:
        self.home = ensure_home(Home(place / "home"))
        self.log = LineageLog(self.home, open_keyring(self.home))

    def append(self, records: list[Record]) -> None:
        self.log.append(records)


class BareSqlite:
    """The same bytes in one table of two columns, as durable, and nothing else."""

    name = "bare SQLite (WAL, FULL)"

    def __init__(self, place: Path) -> None:
        self.connection = sqlite3.connect(place / "bare.db", isolation_level=None, timeout=60)
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=FULL")
        self.connection.execute(
            "CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY, header BLOB, payload BLOB)"
        )

    def append(self, records: list[Record]) -> None:
        rows = [(_header(record), record.payload) for record in records]
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany("INSERT INTO event (header, payload) VALUES (?, ?)", rows)
        self.connection.execute("COMMIT")


class JupyterEvents:
    """jupyter_events with a file handler that flushes to the disk; no payload, no proof."""

    name = "jupyter_events + fsync"

    def __init__(self, place: Path) -> None:
        from jupyter_events import EventLogger

        class Flushing(logging.FileHandler):
            def emit(self, record: logging.LogRecord) -> None:
                super().emit(record)
                os.fsync(self.stream.fileno())

        self.logger = EventLogger(handlers=[Flushing(place / "events.log")])
        self.schema = "https://cloister.example/cell"
        self.logger.register_event_schema(
            {
                "$id": self.schema,
                "version": "1",
                "type": "object",
                "properties": {"event": {"type": "object"}},
            }
        )

    def append(self, records: list[Record]) -> None:
        for record in records:
            self.logger.emit(schema_id=self.schema, data={"event": record.body})


class MLflow:
    """MLflow's tracking store on SQLite: the event as a tag of a run; no payload, no proof."""

    name = "MLflow set_tag (SQLite)"

    def __init__(self, place: Path) -> None:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        import mlflow

        logging.getLogger("mlflow").setLevel(logging.ERROR)
        logging.getLogger("alembic").setLevel(logging.ERROR)
        self.client = mlflow.MlflowClient(f"sqlite:///{place}/mlflow.db")
        experiment = self.client.create_experiment("cells", artifact_location=str(place / "runs"))
        self.run = self.client.create_run(experiment).info.run_id
        self.count = 0

    def append(self, records: list[Record]) -> None:
        for record in records:
            self.count += 1
            self.client.set_tag(self.run, f"event-{self.count}", _header(record).decode())


def _header(record: Record) -> bytes:
    return json.dumps(record.body, separators=(",", ":"), sort_keys=True).encode()


# What is measured ----------------------------------------------------------------------------


@dataclass
class Times:
    """Times of one thing, in seconds."""

    name: str
    values: list[float] = field(default_factory=list)
    events: int = 1
    processor_s: float = 0.0

    def quantile_ms(self, share: float) -> float:
        ordered = sorted(self.values)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def rate(self) -> float:
        return self.events * len(self.values) / sum(self.values)

    @property
    def processor_rate(self) -> float:
        """Events for each second that a processor works; what a busy machine leaves as it is."""
        return self.events * len(self.values) / self.processor_s


def measure_turns(people: list[Any], turns: int, each: int, batch: int) -> list[Times]:
    """Lets everybody append in turns; returns the time of each append of ``batch`` events."""
    times = [Times(person.name, events=batch) for person in people]
    number = 0
    for _ in range(turns):
        for person, own in zip(people, times, strict=True):
            for _ in range(each):
                records = [intent(number + i) for i in range(batch)]
                number += batch
                start, worked = time.perf_counter(), time.process_time()
                person.append(records)
                own.values.append(time.perf_counter() - start)
                own.processor_s += time.process_time() - worked
    return times


def _contend(
    make: Callable[[Path], Any], place: Path, name: int, count: int, *, queue: Any, at: Any
):
    person = make(place)
    person.append([intent(name)])
    warm_until = time.monotonic() + 2.0  # the sequencer starts when writers meet
    while time.monotonic() < warm_until:
        person.append([intent(name)])
        time.sleep(0.02)
    at.wait()
    values = []
    for i in range(count):
        record = intent(name * 100_000 + i)
        start = time.perf_counter()
        person.append([record])
        values.append(time.perf_counter() - start)
    queue.put(values)


def _shared_log(place: Path) -> Any:
    home = ensure_home(Home(place / "shared"))
    return LineageWriter(home, open_keyring(home))


def _direct_log(place: Path) -> Any:
    home = ensure_home(Home(place / "direct"))
    return LineageLog(home, open_keyring(home), busy_timeout_ms=60_000)


def measure_contention(place: Path, count: int) -> list[tuple[Times, float]]:
    """Lets eight processes append at once; returns times and events per second of wall time."""
    rows = []
    context = multiprocessing.get_context("fork")
    for name, make in (
        ("cloister, sequencer", _shared_log),
        ("cloister, without it", _direct_log),
        ("bare SQLite (WAL, FULL)", BareSqlite),
    ):
        at, queue = context.Barrier(WRITERS + 1), context.Queue()
        shared = {"queue": queue, "at": at}
        arguments = [(make, place, writer, count) for writer in range(WRITERS)]
        workers = [context.Process(target=_contend, args=a, kwargs=shared) for a in arguments]
        for worker in workers:
            worker.start()
        at.wait()
        start = time.perf_counter()
        values = [value for _ in workers for value in queue.get()]
        wall = time.perf_counter() - start
        for worker in workers:
            worker.join()
        rows.append((Times(name, values), len(values) / wall))
    return rows


def build(place: Path, events: int) -> Home:
    """Writes a log of intents and results."""
    home = ensure_home(Home(place / "large"))
    with LineageLog(home, open_keyring(home)) as log:
        for first in range(0, events // 2, 500):
            log.append([r for i in range(first, first + 500) for r in (intent(i), result(i))])
    return home


def questions(reader: LineageReader, events: int) -> Iterator[tuple[str, Callable[[int], object]]]:
    """Yields questions by name; each takes a number that picks what is asked for."""
    cells = events // 2
    kernel = intent(7).body["kernel_id"]
    middle = events // 2
    yield "timeline, newest 50", lambda _: reader.executions(50)
    yield "timeline, 50 anywhere", lambda i: reader.executions(50, (i * 7919 * 50) % events + 100)
    yield "one execution", lambda i: reader.get(str(intent(i * 7919 % cells).body["execution_id"]))
    yield "its beginning", lambda i: reader.get(f"{i * 7919 % cells:08x}")
    yield "50 of a kernel", lambda _: reader.executions(50, middle, kernel_id=kernel)
    yield "50 of a user", lambda _: reader.executions(50, middle, user="bob")
    yield "50 of both", lambda _: reader.executions(50, middle, kernel_id=kernel, user="cyd")
    yield "50 of a dataset", lambda _: reader.executions(50, dataset="claims")
    yield "nothing found", lambda _: reader.executions(50, kernel_id="no such kernel")
    record = Asked(reader)
    notebook = str(intent(7).body["notebook"])
    yield "100 of a notebook", lambda _: timeline(record, notebook)
    yield "the same, in its middle", lambda _: timeline(record, notebook, before=middle)
    column = Subject(column="age")
    yield "100 that touched a column", lambda _: touched(record, column)
    yield "20 executions back", lambda i: graph(record, [execution_id(800 * i + 760)])
    figure = f"{2 * 4242:064x}"
    yield "what showed a figure", lambda _: makers(record, digest=figure)
    yield "proof of an event", lambda i: reader.prove(i * 7919 % events)


def measure_questions(home: Home, events: int, turns: int) -> list[Times]:
    """Asks each question; the log is on the disk's cache after its verification."""
    rows = []
    with LineageReader(home, open_keyring(home)) as reader:
        for name, ask in questions(reader, events):
            times = Times(name)
            for turn in range(turns):
                start = time.perf_counter()
                ask(turn)
                times.values.append(time.perf_counter() - start)
            rows.append(times)
    return rows


# Report --------------------------------------------------------------------------------------


@dataclass
class Report:
    """Rows for people, and whether the aims are held."""

    lines: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    is_held: bool = True

    def title(self, text: str) -> None:
        self.lines += ["", text]

    def row(self, name: str, **numbers: Any) -> None:
        self.rows.append({"name": name, **numbers})
        shown = "  ".join(
            f"{key} {value:,.2f}" if isinstance(value, float) else f"{key} {value:,}"
            for key, value in numbers.items()
        )
        self.lines.append(f"  {name:34} {shown}")

    def aim(self, text: str, *, held: bool) -> None:
        self.is_held &= held
        self.lines.append(f"  aim: {text}: {'held' if held else 'NOT HELD'}")


def run(place: Path, *, events: int, scale: float) -> Report:
    """Measures everything."""
    report = Report()
    people = [Cloister(place), BareSqlite(place), JupyterEvents(place), MLflow(place)]
    _report_singles(report, measure_turns(people, int(25 * scale), 20, 1))
    for batch in (10, 100, 1000):
        ours, bare = measure_turns(people[:2], int(10 * scale) + 1, max(2, 200 // batch), batch)
        report.title(f"batches of {batch}")
        for times in (ours, bare):
            report.row(
                times.name,
                events_per_s=int(times.rate),
                p50_ms=times.quantile_ms(0.5),
                p99_ms=times.quantile_ms(0.99),
                events_per_processor_s=int(times.processor_rate),
            )
        report.row("ratio to bare SQLite", ratio=ours.rate / bare.rate)
        if batch == 1000:
            report.aim("15,000 events a second", held=ours.rate >= 15_000)
    report.title(f"{WRITERS} writers that contend")
    for times, rate in measure_contention(place, int(150 * scale)):
        report.row(
            times.name,
            events_per_s=int(rate),
            p50_ms=times.quantile_ms(0.5),
            p99_ms=times.quantile_ms(0.99),
            worst_ms=times.quantile_ms(1.0),
        )
    _report_large(report, place, events, int(100 * scale) + 1)
    return report


def _report_singles(report: Report, singles: list[Times]) -> None:
    report.title("single durable appends")
    bare = singles[1]
    for times in singles:
        report.row(
            times.name,
            per_s=int(times.rate),
            p50_ms=times.quantile_ms(0.5),
            p99_ms=times.quantile_ms(0.99),
            processor_ms=1000 / times.processor_rate,
            ratio=bare.quantile_ms(0.5) / times.quantile_ms(0.5),
        )
    ratio = bare.quantile_ms(0.5) / singles[0].quantile_ms(0.5)
    report.aim(f"0.6 of bare SQLite at the median ({ratio:.2f})", held=ratio >= 0.6)
    cell = 2 * singles[0].quantile_ms(0.5)
    report.aim(f"intent and result of a cell within 2 ms ({cell:.2f})", held=cell <= 2)


def _report_large(report: Report, place: Path, events: int, turns: int) -> None:
    report.title(f"{events:,} events")
    start = time.perf_counter()
    home = build(place, events)
    report.row("written, batches of 1000", events_per_s=int(events / (time.perf_counter() - start)))
    size = home.lineage_path.stat().st_size / events
    with sqlite3.connect(home.lineage_path) as database:
        (payloads,) = database.execute("SELECT sum(length(payload)) FROM event").fetchone()
    report.row("bytes an event", all=int(size), without_payload=int(size - payloads / events))
    _report_verification(report, home, events)
    slowest = 0.0
    for times in measure_questions(home, events, turns):
        report.row(times.name, p50_ms=times.quantile_ms(0.5), p95_ms=times.quantile_ms(0.95))
        slowest = max(slowest, times.quantile_ms(0.5))
    _report_exports(report, place, home, events)
    report.aim(f"every question within 50 ms at the median ({slowest:.1f})", held=slowest <= 50)


def _report_verification(report: Report, home: Home, events: int) -> None:
    """Verifies by two processes and by one. They share the work, so the busier one is the wait.

    Where other programs take the processors, the clock says little and processor time does not
    change: the aim is judged by the wait that an idle machine would have, or the clock if less.
    """
    for name, worth_it in (("two processes", WORTH_IT), ("one process", 2 * events)):
        lineage_second_scan.WORTH_IT = worth_it
        shortest = None
        for _ in range(2):
            start, own, others = time.perf_counter(), time.process_time(), _of_children_s()
            checked = verify_home(home, open_keyring(home))
            if not checked.ok:
                raise RuntimeError(checked.problems)
            own, others = time.process_time() - own, _of_children_s() - others
            found = (max(own, others), time.perf_counter() - start, own, others)
            shortest = found if shortest is None else min(shortest, found)
        busiest, wall, own, others = shortest
        report.row(
            f"verification, {name}", s=wall, processor_s=own, processor_s_of_the_other=others
        )
        if name == "two processes":
            shown = min(busiest, wall) * 1_000_000 / events
            report.aim(f"8 s for 1,000,000 events ({shown:.1f})", held=shown <= 8)
    lineage_second_scan.WORTH_IT = WORTH_IT


def _of_children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _export(home: Home, name: str, place: Path, *, queue: Any) -> None:
    out = place / f"export-{name}"
    with EvidenceReader(home) as reader, out.open("wb") as stream:
        keyring = open_keyring(home)
        view = RecordView(
            reader,
            reader.head(),
            origin=keyring.key_name,
            public_key=keyring.verifier_line,
            criteria=Criteria(),
        )
        worked = time.process_time()
        exporter(name).write(view, stream)
        worked = time.process_time() - worked
    # Not ru_maxrss, which a process has from the one that started it.
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) // 1024
    queue.put((worked, out.stat().st_size, peak))
    out.unlink()


def _report_exports(report: Report, place: Path, home: Home, events: int) -> None:
    """Writes each format in a process of its own, so that its memory is its own."""
    context = multiprocessing.get_context("spawn")
    for name in FORMATS:
        queue = context.Queue()
        shared = {"queue": queue}
        worker = context.Process(target=_export, args=(home, name, place), kwargs=shared)
        worker.start()
        worked, size, peak = queue.get()
        worker.join()
        report.row(
            f"export, {name}",
            events_per_processor_s=int(events / worked),
            bytes_an_event=int(size / events),
            peak_mb=peak,
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--events", type=int, default=None, help="events of the large log")
    parser.add_argument("--directory", type=Path, help="where to write; a disk, not memory")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    events = options.events or (100_000 if options.quick else 1_000_000)
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        report = run(Path(directory), events=events, scale=0.2 if options.quick else 1.0)
    load = os.getloadavg()[0]
    if options.json:
        print(json.dumps({"rows": report.rows, "held": report.is_held, "load": load}))
    else:
        print("\n".join(report.lines))
        print(f"\n{os.cpu_count()} CPUs, load {load:.2f}, Python {sys.version.split()[0]},"
              f" SQLite {sqlite3.sqlite_version}")  # fmt: skip
    return 0 if report.is_held else 1


if __name__ == "__main__":
    sys.exit(main())
