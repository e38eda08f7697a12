"""What the gate adds to each kind of output: a plain kernel and a guarded one, in one run.

    .venv/bin/python benchmarks/gate.py            # a table
    .venv/bin/python benchmarks/gate.py --json     # one JSON document

Each cell sends one output many times; a client receives them all. The two kernels take turns. The
guarded one has an index of 200,000 values, as a workspace with data has. Besides what a client
waits, it says what the guard's processes compute, which other load on a machine changes little. See
``benchmarks/README.md``.

Exit status: 0 every aim is held, 1 one is not, 2 a kernel did not start or answer.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from overhead import Kernel, KernelFailedError, Samples, guard_cpu_s, running

ROUNDS: Final = 5
INDEXED: Final = 100_000
SETUP: Final = """
import base64, io, json, sys
import numpy as np, pandas as pd
from IPython.display import display, publish_display_data
rng = np.random.default_rng(3)
from comm import create_comm
channel = create_comm('bench')
def html(size):
    rows = []
    while sum(map(len, rows)) < size:
        rows.append('<tr>' + ''.join(f'<td>{x:.4f}</td>' for x in rng.normal(size=12)) + '</tr>')
    return '<table><tbody>' + ''.join(rows) + '</tbody></table>'
small, page = html(10_000), html(1_000_000)
count = 4_300
mixed = pd.DataFrame({
    'id': rng.integers(1, 90_000, count), 'amount': rng.normal(size=count) * 100,
    'when': pd.date_range('2024-01-01', periods=count, freq='7min'),
    'kind': rng.choice(['retail', 'wholesale', 'online', 'other'], count),
    'items': rng.integers(0, 9_999, count), 'paid': rng.random(count) > 0.5,
    'note': rng.choice(['first order', 'late delivery', 'returned', 'none'], count),
    'share': rng.random(count)}).to_html()
chart = {'data': [{'x': list(range(5000)), 'y': rng.normal(size=5000).round(4).tolist()}]}
from matplotlib.figure import Figure
figure = Figure(); figure.subplots().plot(rng.normal(size=300).cumsum())
buffer = io.BytesIO(); figure.savefig(buffer, format='png')
plot = base64.b64encode(buffer.getvalue()).decode()
line = 'step 1200 loss 0.3121 accuracy 0.9120 took 13 ms'
text = '\\n'.join(line for _ in range(200))
"""


@dataclass(slots=True)
class Kind:
    """One kind of output, and what it took a message, in seconds.

    Attributes:
        name: For the table.
        code: Sends it once.
        count: How often a cell sends it.
        most_added_ms: The aim for what the gate adds to one, or ``None``.
        most_ratio: The aim for guarded over plain, or ``None``.
        cpu_s: What the guard computed for one, in seconds.
    """

    name: str
    code: str
    count: int
    most_added_ms: float | None = None
    most_ratio: float | None = None
    plain_s: list[float] = field(default_factory=list)
    guarded_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def cell(self) -> str:
        """Returns the code that sends it ``count`` times."""
        return f"for _ in range({self.count}):\n    {self.code}"

    @property
    def added_ms(self) -> float:
        """What the gate adds to one output, in milliseconds, by medians."""
        return (statistics.median(self.guarded_s) - statistics.median(self.plain_s)) * 1e3

    @property
    def cpu_ms(self) -> float:
        """What the guard computes for one output, in milliseconds, by its median."""
        return statistics.median(self.cpu_s) * 1e3

    @property
    def ratio(self) -> float:
        """Guarded over plain, by medians."""
        return statistics.median(self.guarded_s) / statistics.median(self.plain_s)

    @property
    def is_held(self) -> bool:
        """Whether every aim is held."""
        is_added_held = self.most_added_ms is None or self.added_ms <= self.most_added_ms
        return is_added_held and (self.most_ratio is None or self.ratio <= self.most_ratio)


def kinds() -> list[Kind]:
    """Returns what is measured."""
    publish = "publish_display_data({{'{}': {}, 'text/plain': 'x'}})"
    plotly = "application/vnd.plotly.v1+json"
    return [
        Kind("5,000 lines, flushed", "print(line, flush=True)", 5_000, most_ratio=1.2),
        Kind("10 kB of text", "print(text, flush=True)", 100),
        Kind("10 kB of HTML", publish.format("text/html", "small"), 100),
        Kind("1 MB of HTML", publish.format("text/html", "page"), 5, most_added_ms=30),
        Kind("1 MB of a mixed table", publish.format("text/html", "mixed"), 5),
        Kind("a chart of 5,000 points", publish.format(plotly, "chart"), 20),
        Kind("a plot", publish.format("image/png", "plot"), 20),
        Kind("a message of a widget", "channel.send({'state': {'value': 7}})", 500),
        Kind("80 kB of binary data", "channel.send({}, buffers=[rng.bytes(80_000)])", 50),
    ]


def measure(plain: Kernel, guarded: Kernel, measured: list[Kind]) -> None:
    """Runs every cell in both kernels, in turns."""
    for kernel in (plain, guarded):
        kernel.execute(SETUP)
        for kind in measured:
            kernel.execute(kind.code)
    for _ in range(ROUNDS):
        for kind in measured:
            kind.plain_s.append(plain.execute(kind.cell()) / kind.count)
            before = guard_cpu_s(guarded)
            kind.guarded_s.append(guarded.execute(kind.cell()) / kind.count)
            kind.cpu_s.append((guard_cpu_s(guarded) - before) / kind.count)


def fill_catalogue(directory: Path) -> None:
    """Catalogues people enough for an index that is worth its name."""
    from cloister.store.catalog import Catalog
    from cloister.store.home import ensure_home, locate_home

    path = directory / "people.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ssn", "email"])
        writer.writerows(
            [
                f"{100 + n % 560}-{10 + n // 560 % 89}-{1000 + n // 49840 * 7:04d}",
                f"p{n}@example.org",
            ]
            for n in range(INDEXED)
        )
    Catalog(ensure_home(locate_home(os.environ))).add("people", str(path))


def table(measured: list[Kind]) -> str:
    """Returns the result for people."""
    head = f"{'output':<26}{'plain ms':>10}{'guarded ms':>12}{'added ms':>10}{'ratio':>8}"
    lines = [f"{head}{'CPU ms':>9}{'msg/s':>8}  held"]
    for kind in measured:
        plain, guarded = (statistics.median(s) * 1e3 for s in (kind.plain_s, kind.guarded_s))
        has_aim = kind.most_added_ms is not None or kind.most_ratio is not None
        held = ("yes" if kind.is_held else "NO") if has_aim else ""
        lines.append(
            f"{kind.name:<26}{plain:>10.3f}{guarded:>12.3f}{kind.added_ms:>10.3f}"
            f"{kind.ratio:>8.2f}{kind.cpu_ms:>9.3f}{1e3 / guarded:>8.0f}  {held}"
        )
    return "\n".join(lines)


def main() -> int:
    """Measures, prints, and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--only", default="", metavar="TEXT", help="kinds whose name holds it")
    arguments = parser.parse_args()
    measured = [kind for kind in kinds() if arguments.only in kind.name]
    with tempfile.TemporaryDirectory() as directory, contextlib.chdir(directory):
        os.environ["CLOISTER_HOME"] = str(Path(directory, "home"))
        fill_catalogue(Path(directory))
        try:
            with running("python3", Samples()) as plain, running("cloister", Samples()) as guarded:
                measure(plain, guarded, measured)
        except KernelFailedError as error:
            print(f"gate.py: {error}", file=sys.stderr)
            return 2
    if arguments.json:
        document = [
            {
                "name": k.name,
                "added_ms": k.added_ms,
                "ratio": k.ratio,
                "cpu_ms": k.cpu_ms,
                "held": k.is_held,
            }
            for k in measured
        ]
        print(json.dumps(document))
    else:
        print(table(measured))
    return 0 if all(kind.is_held for kind in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
