"""Two kernels of one home: one record, one process that appends for both, and no need for it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from cloister.store.home import Home
from cloister.store.keys import open_keyring
from cloister.store.lineage_reader import LineageReader
from cloister.store.lineage_verify import verify_home


def _sequencers(home: Home) -> list[int]:
    """Process ids of the sequencers of a home."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"cloister.store.sequencer" in words and os.fsencode(home.root) in words:
            found.append(int(path.parent.name))
    return found


def test_kernels_share_a_sequencer_and_go_on_when_it_is_killed(start_kernel, home):
    place = Home(home.resolve())
    first = start_kernel()
    for i in range(3):
        assert first.run(f"{i}").status == "ok"
    assert _sequencers(place) == [], "a kernel that is alone needs none"
    second = start_kernel()
    deadline = time.monotonic() + 60
    while not place.sequencer_path.exists():
        assert time.monotonic() < deadline, "two kernels that meet start one"
        assert {first.run("1").status, second.run("2").status} == {"ok"}
    for turn in range(6):
        if turn == 3:
            for pid in _sequencers(place):
                os.kill(pid, signal.SIGKILL)
        assert first.run(f"'first', {turn}").text == f"('first', {turn})"
        assert second.run(f"'second', {turn}").text == f"('second', {turn})"
    with LineageReader(place) as reader:
        rows = reader.executions(1000)
        assert {row["status"] for row in rows} == {"ok"}
        kernels = {row["kernel_id"] for row in rows}
        assert len(kernels) == 2
        for kernel_id in kernels:
            own = reader.executions(1000, kernel_id=kernel_id)
            assert own == [row for row in rows if row["kernel_id"] == kernel_id]
    assert verify_home(place, open_keyring(place)).ok
