"""What the guard costs: a plain kernel and a guarded one side by side, in one run.

    .venv/bin/python benchmarks/overhead.py            # a table
    .venv/bin/python benchmarks/overhead.py --json     # one JSON document
    .venv/bin/python benchmarks/overhead.py --guarded python3   # the noise: plain against plain

The two take turns, so that a machine that slows down slows both. Times are what a client sees. See
``benchmarks/README.md`` for what is measured and how to read it.

Exit status: 0 every aim is held, 1 one is not, 2 a kernel did not start or answer.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_client.blocking.client import BlockingKernelClient
    from jupyter_client.manager import KernelManager

REPLY_TIMEOUT_S: Final = 120.0

FRAME_ROWS: Final = 1_000_000
FRAME_COLUMNS: Final = 30
FLOOD_MESSAGES: Final = 5_000

# Whole numbers, measures, short codes and words: nothing that a public frame would not hold.
MAKE_FRAME: Final = f"""
import numpy as np, pandas as pd
rng = np.random.default_rng(7)
rows = {FRAME_ROWS}
columns = {{}}
for i in range({FRAME_COLUMNS}):
    if i % 6 == 0:
        columns[f"kind_{{i}}"] = rng.choice(["alpha", "beta", "gamma", "delta"], rows)
    elif i % 3 == 0:
        columns[f"count_{{i}}"] = rng.integers(0, 1000, rows)
    else:
        columns[f"measure_{{i}}"] = rng.normal(size=rows)
df = pd.DataFrame(columns)
"""
FLOOD: Final = f"for i in range({FLOOD_MESSAGES}): print('line', i, flush=True)"


class KernelFailedError(Exception):
    """A kernel did not start, did not answer in time or answered with an error."""


@dataclass(slots=True)
class Kernel:
    """A running kernel and the client that measures it."""

    name: str
    manager: KernelManager
    client: BlockingKernelClient

    def execute(self, code: str) -> float:
        """Runs code and returns the seconds until both its reply and its idle status are here."""
        began = time.perf_counter()
        request = self.client.execute(code, store_history=False)
        self.wait_reply(request)
        self._idle(request)
        return time.perf_counter() - began

    def wait_reply(self, request: str) -> None:
        """Waits for the reply to a request on the shell channel."""
        while True:
            message = self._get(self.client.get_shell_msg)
            if message["parent_header"].get("msg_id") == request:
                if message["content"]["status"] != "ok":
                    name = message["content"].get("ename", "an error")
                    raise KernelFailedError(f"{self.name} answered with {name}")
                return

    def _idle(self, request: str) -> None:
        while True:
            message = self._get(self.client.get_iopub_msg)
            is_ours = message["parent_header"].get("msg_id") == request
            if is_ours and message["content"].get("execution_state") == "idle":
                return

    def _get(self, get: Any) -> dict[str, Any]:
        began = time.perf_counter()
        while time.perf_counter() - began < REPLY_TIMEOUT_S:
            with contextlib.suppress(Empty):
                return get(timeout=5)
            if not self.manager.is_alive():
                raise KernelFailedError(f"{self.name} ended")
        raise KernelFailedError(f"{self.name} did not answer")

    def peak_bytes(self) -> int:
        """Returns the sum of the peak resident sizes of the kernel's processes, guard included."""
        process = getattr(self.manager.provisioner, "process", None)
        if process is None:
            raise KernelFailedError(f"{self.name} has no process to measure")
        return sum(_peak_resident_bytes(pid) for pid in _tree(process.pid))


def guard_cpu_s(kernel: Kernel) -> float:
    """Returns the processor time that a kernel's guard has taken, its checking process included."""
    process = getattr(kernel.manager.provisioner, "process", None)
    if process is None:
        raise KernelFailedError(f"{kernel.name} has no process to measure")
    ticks = 0
    for pid in _tree(process.pid):
        with contextlib.suppress(OSError):
            if b"cloister.sidecar" in Path(f"/proc/{pid}/cmdline").read_bytes():
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _tree(root: int) -> list[int]:
    """Returns a process and all its descendants, also those in a pid namespace below it."""
    found = [root]
    for pid in found:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found.extend(int(child) for child in children.read_text().split())
    return found


def _peak_resident_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


@dataclass(slots=True)
class Samples:
    """What one kernel took; seconds, except for memory."""

    info_reply: list[float] = field(default_factory=list)
    first_execute: list[float] = field(default_factory=list)
    round_trip: list[float] = field(default_factory=list)
    first_look: list[float] = field(default_factory=list)
    later_look: list[float] = field(default_factory=list)
    flood: list[float] = field(default_factory=list)
    idle_bytes: list[float] = field(default_factory=list)
    peak_bytes: list[float] = field(default_factory=list)


@contextlib.contextmanager
def running(name: str, samples: Samples) -> Iterator[Kernel]:
    """Starts a kernel, measures its start, and always ends it.

    Args:
        name: Kernel spec name.
        samples: Takes the seconds to the first ``kernel_info_reply`` and first execute reply.
    """
    from jupyter_client.manager import KernelManager

    manager = KernelManager(kernel_name=name)
    began = time.perf_counter()
    try:
        try:
            manager.start_kernel()
        except Exception as error:  # a refusal of the guard, or whatever a kernel spec can raise
            raise KernelFailedError(f"{name} did not start: {error}") from error
        client = manager.client()
        client.start_channels()
        try:
            kernel = Kernel(name, manager, client)
            kernel.wait_reply(client.kernel_info())
            samples.info_reply.append(time.perf_counter() - began)
            kernel.wait_reply(client.execute("pass", store_history=False))
            samples.first_execute.append(time.perf_counter() - began)
            client.wait_for_ready(timeout=REPLY_TIMEOUT_S)
            yield kernel
        finally:
            client.stop_channels()
    except RuntimeError as error:  # wait_for_ready
        raise KernelFailedError(f"{name} did not get ready") from error
    finally:
        if manager.has_kernel:
            manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


@dataclass(frozen=True, slots=True)
class Size:
    """How often each thing is done."""

    starts: int = 5
    round_trip_blocks: int = 15
    looks: int = 10
    floods: int = 3


QUICK: Final = Size(starts=2, round_trip_blocks=4, looks=3, floods=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """The two kernel specs that are compared, and what each of them took."""

    plain: str
    guarded: str
    plain_samples: Samples = field(default_factory=Samples)
    guarded_samples: Samples = field(default_factory=Samples)

    def measure(self, size: Size) -> None:
        """Measures both; they take turns in everything."""
        for _ in range(size.starts - 1):
            for spec, samples in (
                (self.plain, self.plain_samples),
                (self.guarded, self.guarded_samples),
            ):
                with running(spec, samples):
                    pass
        with (
            running(self.plain, self.plain_samples) as plain,
            running(self.guarded, self.guarded_samples) as guarded,
        ):
            turns = ((plain, self.plain_samples), (guarded, self.guarded_samples))
            measure_round_trips(turns, size)
            measure_outputs(turns, size)


Turns = tuple[tuple[Kernel, Samples], ...]


def measure_round_trips(turns: Turns, size: Size) -> None:
    """Measures the smallest execution there is, after some to warm up."""
    for kernel, samples in turns:
        samples.idle_bytes.append(kernel.peak_bytes())
        for _ in range(20):
            kernel.execute("pass")
    for _ in range(size.round_trip_blocks):
        for kernel, samples in turns:
            samples.round_trip.extend(kernel.execute("pass") for _ in range(20))


def measure_outputs(turns: Turns, size: Size) -> None:
    """Measures what is large: a wide and long frame, and many small messages."""
    for kernel, samples in turns:
        kernel.execute(MAKE_FRAME)
        samples.first_look.append(kernel.execute("df"))
    for _ in range(size.looks):
        for kernel, samples in turns:
            samples.later_look.append(kernel.execute("df"))
    for _ in range(size.floods):
        for kernel, samples in turns:
            samples.flood.append(kernel.execute(FLOOD))
    for kernel, samples in turns:
        samples.peak_bytes.append(kernel.peak_bytes())


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the result; ``is_held`` is ``None`` where there is no aim."""

    what: str
    unit: str
    plain: float
    guarded: float
    aim: str = ""
    is_held: bool | None = None

    @property
    def ratio(self) -> float:
        return self.guarded / self.plain if self.plain else float("inf")

    def as_dict(self) -> dict[str, object]:
        return {
            "what": self.what,
            "unit": self.unit,
            "plain": round(self.plain, 4),
            "guarded": round(self.guarded, 4),
            "ratio": round(self.ratio, 3),
            "added": round(self.guarded - self.plain, 4),
            "aim": self.aim,
            "held": self.is_held,
        }


def rows(plain: Samples, guarded: Samples) -> list[Row]:
    """Turns samples into medians, ratios and verdicts.

    The aims are ratios of medians; a round trip may besides never cost more than 3 ms, which is
    judged at the 95th percentile, because the worst of hundreds is the machine's and not ours.
    """

    def row(what: str, unit: str, pick: Any, *, limit: float | None = None) -> Row:
        a, b = pick(plain), pick(guarded)
        if limit is None:
            return Row(what, unit, a, b)
        return Row(what, unit, a, b, f"<= {limit}x", b <= a * limit)

    def middle(name: str, factor: float = 1.0) -> Any:
        return lambda samples: statistics.median(getattr(samples, name)) * factor

    def p95(samples: Samples) -> float:
        return statistics.quantiles(samples.round_trip, n=20)[-1] * 1e3

    tail = row("round trip of pass, p95", "ms", p95)
    added = tail.guarded - tail.plain
    return [
        row("start to kernel_info_reply", "s", middle("info_reply"), limit=1.3),
        row("start to first execute reply", "s", middle("first_execute"), limit=1.3),
        row("round trip of pass, median", "ms", middle("round_trip", 1e3), limit=1.15),
        Row(tail.what, tail.unit, tail.plain, tail.guarded, "<= 3 ms added", added <= 3.0),
        row(
            f"display {FRAME_ROWS:,} x {FRAME_COLUMNS}, first look", "ms", middle("first_look", 1e3)
        ),
        row("display, later looks", "ms", middle("later_look", 1e3), limit=1.2),
        row(f"flood of {FLOOD_MESSAGES:,} messages", "s", middle("flood"), limit=1.2),
        row("memory after the start", "MB", middle("idle_bytes", 1e-6)),
        row("memory, peak", "MB", middle("peak_bytes", 1e-6)),
    ]


def table(result: list[Row]) -> str:
    """Lays the rows out for a terminal."""
    head = f"{'':40} {'plain':>10} {'guarded':>10} {'ratio':>7} {'added':>10}  aim"
    lines = [head, "-" * len(head)]
    for row in result:
        verdict = {None: "", True: "held", False: "NOT HELD"}[row.is_held]
        added = row.guarded - row.plain
        lines.append(
            f"{row.what:40} {row.plain:10.2f} {row.guarded:10.2f} {row.ratio:6.2f}x"
            f" {added:+8.2f} {row.unit:3} {row.aim:14} {verdict}".rstrip()
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Runs the measurement and prints it."""
    parser = argparse.ArgumentParser(description="What the guard costs.")
    parser.add_argument("--plain", default="python3", help="kernel spec to compare with")
    parser.add_argument("--guarded", default="cloister", help="kernel spec to measure")
    parser.add_argument("--quick", action="store_true", help="fewer turns, rougher numbers")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--home", type=Path, help="CLOISTER_HOME to use; a fresh one when left out")
    options = parser.parse_args(arguments)

    # A stop from outside unwinds like Ctrl-C, so that no kernel is left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    pair = Pair(options.plain, options.guarded)
    with tempfile.TemporaryDirectory(prefix="cloister-benchmark-") as directory:
        os.environ["CLOISTER_HOME"] = str(options.home or Path(directory) / "home")
        try:
            with contextlib.chdir(directory):  # a guarded kernel may write where it starts
                pair.measure(QUICK if options.quick else Size())
        except KernelFailedError as error:
            print(error, file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
    result = rows(pair.plain_samples, pair.guarded_samples)
    machine = {
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
    }
    if options.json:
        print(json.dumps({"machine": machine, "rows": [row.as_dict() for row in result]}, indent=1))
    else:
        print(table(result))
        print(f"\n{machine['cpus']} CPUs, load {machine['load']}, Python {machine['python']}")
    return 1 if any(row.is_held is False for row in result) else 0


if __name__ == "__main__":
    sys.exit(main())
