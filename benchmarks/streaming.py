"""How much memory a file of any size takes, and how fast it is read, classified and masked.

    .venv/bin/python benchmarks/streaming.py              # 300 MB of CSV, about two minutes
    .venv/bin/python benchmarks/streaming.py --mb 40      # a rougher answer

Each step is a process of its own, on the file and on a quarter of it. Memory is what its resident
size grew by at its peak; speed is told against reading alone, which is Arrow's, on the same
machine. Exit status: 0 when no step takes much more memory for the file than for the quarter, 1
when one does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

_AIM = 1.5  # times the memory that a quarter of the file takes

_STEP = """
import json, sys, time
from pathlib import Path
import numpy, pyarrow, pyarrow.csv, pyarrow.parquet
from cloister.cli.main import run
from cloister.detect.tablefile import open_table
import cloister.detect.mask, cloister.detect.streaming

def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024

step, source, target = sys.argv[1:]
before, start = peak(), time.perf_counter()
if step == "read":
    with open_table(Path(source)) as reader:
        rows = sum(batch.num_rows for batch in reader.batches)
elif step == "classify":
    run(["classify", source, "--no-progress"])
else:
    run(["mask", source, target, "--no-progress"])
print(json.dumps({"s": time.perf_counter() - start, "bytes": peak() - before}), file=sys.stderr)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mb", type=int, default=300, help="size of the file")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        whole, quarter = Path(directory, "people.csv"), Path(directory, "quarter.csv")
        write_people(quarter, options.mb << 18)
        cells = write_people(whole, options.mb << 20)
        size = whole.stat().st_size
        target = Path(directory, "out.csv")
        less = {step: measure(step, quarter, target) for step in STEPS}
        steps = {step: measure(step, whole, target) for step in STEPS}
    rows = [
        {
            "step": step,
            "mb": round(found["bytes"] / (1 << 20)),
            "times_quarter": round(found["bytes"] / less[step]["bytes"], 2),
            "cells_per_s": int(cells / found["s"]),
            "times_reading": round(found["s"] / steps["read"]["s"], 1),
        }
        for step, found in steps.items()
    ]
    if options.json:
        print(json.dumps({"file_mb": size >> 20, "steps": rows}, indent=2))
    else:
        print(f"{size >> 20} MB, {cells:,} cells")
        for row in rows:
            print("{step:9} {mb:5} MB ({times_quarter} x a quarter), {cells_per_s:,} cells/s, "
                  "{times_reading} x reading".format(**row))  # fmt: skip
    return int(any(row["times_quarter"] > _AIM for row in rows))


STEPS = ("read", "classify", "mask")


def measure(step: str, source: Path, target: Path) -> dict[str, float]:
    environment = {**os.environ, "CLOISTER_HOME": str(target.parent / "home")}
    done = subprocess.run(
        [sys.executable, "-c", _STEP, step, str(source), str(target)],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stderr.splitlines()[-1])
    return found


def write_people(path: Path, size: int) -> int:
    """Writes people that do not exist until the file has the size; returns the number of cells."""
    random = np.random.default_rng(7)
    names = np.array(["Zainab", "Siobhan", "Maria", "John", "Wei", "Olu"])
    rows = 0
    with path.open("w") as stream:
        stream.write("id,ssn,first_name,email,amount,city,note,zip\n")
        while stream.tell() < size:
            parts = random.integers([100, 10, 1000], [700, 99, 9999], (50_000, 3))
            given = names[random.integers(0, len(names), 50_000)]
            stream.writelines(
                f"{rows + i},{a}-{b}-{c},{given[i]},u{rows + i}@example.org,{c / 7:.2f},Berlin,"
                f'"seen, and well",{c:05d}\n'
                for i, (a, b, c) in enumerate(parts.tolist())
            )
            rows += 50_000
    return rows * 8


if __name__ == "__main__":
    sys.exit(main())
