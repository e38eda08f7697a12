"""What proving the record to others costs: a bundle of 1,000,000 events, its verifier, a witness.

The verifier runs as a reviewer runs it, alone (``python -I -S``), on one core. Processor time is
shown beside the clock, because other work on the machine moves only the clock. Aims: the standalone
file verifies 1,000,000 events in 8 s of processor time; a cell that asks whether witnesses are late
waits less than 10 microseconds.

Run: python benchmarks/evidence.py [--events 1000000] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Self

from cloister.core.recordrules import OnLag, RecordRules, WitnessKind, WitnessRule
from cloister.core.records import Record
from cloister.store.checkpoint import Verifier
from cloister.store.evidence.bundle import Selection, verifier_source, write_bundle
from cloister.store.evidence.cosigner import create_cosigner
from cloister.store.evidence.cosigner_server import CosignerServer
from cloister.store.evidence.memory import Memories
from cloister.store.evidence.reader import EvidenceReader
from cloister.store.evidence.witnessing import Witnessing
from cloister.store.home import Home, ensure_home
from cloister.store.keys import open_keyring
from cloister.store.lineage import LineageLog

VERIFY_AIM_S = 8.0
CHECK_AIM_US = 10.0
BATCH = 1000


def record(i: int) -> Record:
    body = {
        "execution_id": f"{i:08x}-0b5c-4d8e-9f0a-4b1c2d3e4f50",
        "kernel_id": "k" * 36,
        "session": "s" * 36,
        "user": "ann",
        "notebook": "analysis/readmissions.ipynb",
        "code_sha256": "0" * 64,
        "policy_digest": "1" * 64,
        "trace_id": "2" * 32,
        "environment": "3" * 330,
        "attested_by": "sidecar",
    }
    return Record("cell.intent", body)


def processor_s() -> float:
    """Time of this process and of the children that it waited for."""
    mine, theirs = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, -1))
    return mine.ru_utime + mine.ru_stime + theirs.ru_utime + theirs.ru_stime


class Stopwatch:
    def __enter__(self) -> Self:
        self._wall, self._cpu = time.perf_counter(), processor_s()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall_s = time.perf_counter() - self._wall
        self.processor_s = processor_s() - self._cpu


def measure(root: Path, events: int) -> dict[str, float]:
    home = ensure_home(Home(root / "home"))
    keyring = open_keyring(home)
    with LineageLog(home, keyring) as log:
        for first in range(0, events, BATCH):
            log.append([record(i) for i in range(first, min(first + BATCH, events))])
    found: dict[str, float] = {"events": events}
    program, key = root / "verify_record.py", root / "lineage.pub"
    program.write_bytes(verifier_source())
    key.write_text(keyring.verifier_line)
    middle = events // 2
    for name, selection in (
        ("whole", Selection()),
        ("part", Selection(tuple(range(middle, middle + 100)))),
    ):
        bundle = root / f"{name}.zip"
        with Stopwatch() as export, EvidenceReader(home) as reader:
            write_bundle(bundle, reader, keyring, selection,
                         rules=RecordRules(), memories=Memories(home))  # fmt: skip
        with Stopwatch() as verify:
            subprocess.run([sys.executable, "-I", "-S", program, "--key", key, bundle],
                           check=True, stdout=subprocess.DEVNULL)  # fmt: skip
        found |= {
            f"{name}_export_s": export.wall_s,
            f"{name}_export_processor_s": export.processor_s,
            f"{name}_verify_s": verify.wall_s,
            f"{name}_verify_processor_s": verify.processor_s,
            f"{name}_bytes": bundle.stat().st_size,
        }
    return found | witnessed(root, home)


def witnessed(root: Path, home: Home) -> dict[str, float]:
    """One cosignature over loopback, and what a cell's look at the witnesses costs."""
    keyring = open_keyring(home)
    cosigner = create_cosigner(root / "w1", "audit.example.org/w1")
    cosigner.trust(Verifier(keyring.key_name, keyring.public_key_bytes))
    server = CosignerServer(("127.0.0.1", 0), cosigner)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    rule = WitnessRule(
        "record.witnesses[0]", "w1", WitnessKind.COSIGNER, url, cosigner.verifier_line
    )
    rules = RecordRules((rule,), on_lag=OnLag.REFUSE)
    witnesses = Witnessing(home, keyring, lambda: rules)
    witnesses.round(is_forced=True)
    rounds = []
    with LineageLog(home, keyring) as log:
        for i in range(50):
            log.append([record(i)])
            with Stopwatch() as stopwatch:
                witnesses.round(is_forced=True)
            rounds.append(stopwatch.wall_s)
    with Stopwatch() as checks:
        for _ in range(100_000):
            witnesses.check()
    server.shutdown()
    return {
        "cosign_round_p50_ms": sorted(rounds)[25] * 1e3,
        "cell_check_us": checks.wall_s * 10,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        found = measure(Path(directory), given.events)
    aim_s = VERIFY_AIM_S * max(given.events, 100_000) / 1_000_000
    is_held = found["whole_verify_processor_s"] <= aim_s and found["cell_check_us"] <= CHECK_AIM_US
    if given.json:
        print(json.dumps({**found, "held": is_held}))
    else:
        for name, value in found.items():
            print(f"{name:32} {value:>14,.2f}")
        print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.2f}; aims", end=" ")
        print("held" if is_held else "NOT HELD")
    return 0 if is_held else 1


if __name__ == "__main__":
    sys.exit(main())
