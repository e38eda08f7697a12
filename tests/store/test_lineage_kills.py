"""What was acknowledged is there, once, and nothing ran unrecorded: with SIGKILL.

Writers are real processes with the recorder of a sidecar; the sequencer is a real process, too. All
are killed at random moments and started again. A writer notes in a file of its own what it was told
and when it "runs" a cell; what the file says is compared with the log afterwards.
"""

import multiprocessing
import os
import secrets
import signal
import time
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from cloister.core.errors import StoreUnavailable
from cloister.core.records import Record
from cloister.sidecar.recorder import KernelFacts, Recorder
from cloister.store.clock import Clock
from cloister.store.home import Home
from cloister.store.keys import open_keyring
from cloister.store.lineage import LineageLog
from cloister.store.lineage_reader import LineageReader
from cloister.store.lineage_verify import verify_home
from cloister.store.lineage_writer import LineageWriter
from cloister.store.sequencer import Sequencer

KILLS = 220
WRITERS = 4
FORK = multiprocessing.get_context("fork")  # a writer starts in milliseconds


def run_cells(root, name, notes_path):
    """Runs cells until it is killed."""
    home = Home(root)
    # Descriptors of the log are this process's own; the parent has none open.
    notes = os.open(notes_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    writer = LineageWriter(home, open_keyring(home), start=lambda _: None)
    facts = KernelFacts(f"kernel-{name}", "ann", "a.ipynb", "session")
    recorder = Recorder(writer.append, facts, lambda: "digest", lambda text: text)
    for i in range(1_000_000):
        cell = f"{name}-{i:06d}"
        recorder.begin(cell, {}, "1 + 1", {}, silent=False)
        os.write(notes, f"ran {cell}\n".encode())
        recorder.finish(cell, "ok", i)
        os.write(notes, f"finished {cell}\n".encode())


def sequence(root):
    Sequencer(Home(root), idle_s=60).run()


class Processes:
    """The victims: each is replaced when it was killed."""

    def __init__(self, root, notes_dir, seed):
        self.root, self.notes_dir = root, notes_dir
        self.random = np.random.default_rng(seed)
        self.count = 0
        self.writers = [self.new_writer() for _ in range(WRITERS)]
        self.sequencer = self.new_sequencer()
        self.kills = Counter()

    def new_writer(self):
        self.count += 1
        name = f"w{self.count}"
        return start(run_cells, self.root, name, self.notes_dir / name)

    def new_sequencer(self):
        return start(sequence, self.root)

    def kill_one(self):
        time.sleep(self.random.uniform(0.001, 0.06))
        if self.random.random() < 0.35:
            kill(self.sequencer)
            self.kills["sequencer"] += 1
            # Sometimes there is none for a while, and writers append by themselves.
            if self.random.random() < 0.3:
                time.sleep(self.random.uniform(0, 0.05))
            self.sequencer = self.new_sequencer()
        else:
            place = int(self.random.integers(WRITERS))
            kill(self.writers[place])
            self.kills["writer"] += 1
            self.writers[place] = self.new_writer()

    def kill_all(self):
        for process in (*self.writers, self.sequencer):
            kill(process)


def start(target, *arguments):
    process = FORK.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def kill(process):
    os.kill(process.pid, signal.SIGKILL)
    process.join(10)


def test_two_hundred_kills_lose_nothing_double_nothing_and_run_nothing_unrecorded(
    home, keyring, tmp_path
):
    seed = int(os.environ.get("KILL_SEED", secrets.randbits(32)))
    print(f"KILL_SEED={seed}")
    notes_dir = tmp_path / "notes"
    notes_dir.mkdir()
    processes = Processes(home.root, notes_dir, seed)
    try:
        for _ in range(KILLS):
            processes.kill_one()
    finally:
        processes.kill_all()
    assert sum(processes.kills.values()) >= 200
    assert min(processes.kills.values()) >= 40

    report = verify_home(home, keyring)
    assert report.ok, report.problems
    recorded = Counter()
    first_seen = {}
    with LineageReader(home) as reader:
        after = -1
        while page := reader.entries(after=after):
            after = page[-1].seq
            for entry in page:
                key = entry.type, entry.body["execution_id"]
                recorded[key] += 1
                first_seen.setdefault(key, entry.seq)
    told = {"ran": set(), "finished": set()}
    for path in notes_dir.iterdir():
        for line in path.read_text().splitlines():
            kind, cell = line.split()
            told[kind].add(cell)
    assert len(told["ran"]) > KILLS, "the writers got nowhere, so nothing was tried"
    assert {cell for cell in told["ran"] if not recorded["cell.intent", cell]} == set()
    assert {cell for cell in told["finished"] if not recorded["cell.result", cell]} == set()
    assert {key for key, count in recorded.items() if count > 1} == set()
    for cell in told["finished"]:
        assert first_seen["cell.intent", cell] < first_seen["cell.result", cell]
    # At most one execution of each writer that was killed was recorded and not told of.
    untold = {cell for kind, cell in recorded if kind == "cell.intent"} - told["ran"]
    assert len(untold) <= processes.count


# --- each failure by itself --------------------------------------------------------------------


@pytest.fixture
def sequencer(home):
    process = start(sequence, home.root)
    wait_for(home.sequencer_path.exists)
    yield process
    if process.is_alive():
        kill(process)


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def cell(name):
    return [Record("cell.intent", {"execution_id": name, "kernel_id": "k1"}, b"code" * 10)]


def no_start(_):
    pass


def ids(home):
    with LineageReader(home) as reader:
        return [entry.body["execution_id"] for entry in reader.entries()]


def test_writers_share_transactions_of_the_sequencer(home, keyring, sequencer):
    writers = [LineageWriter(home, keyring, start=no_start) for _ in range(3)]
    numbers = [
        writer.append(cell(f"c{i}-{j}")) for j in range(4) for i, writer in enumerate(writers)
    ]
    assert [n.start for n in numbers] == list(range(12))
    assert all(writer._direct is None for writer in writers), "nobody appended directly"
    for writer in writers:
        writer.close()
    assert verify_home(home, keyring).events == 12


def test_one_writer_alone_starts_nothing_and_two_start_a_sequencer(home, keyring):
    started = []
    first, second = (LineageWriter(home, keyring, start=started.append) for _ in range(2))
    for i in range(5):
        first.append(cell(f"a{i}"))
    assert started == []
    second.append(cell("b0"))
    first.append(cell("a5"))
    assert started == [home]
    for i in range(5):
        second.append(cell(f"b{i + 1}"))
        first.append(cell(f"a{i + 6}"))
    assert len(started) == 2, "each writer asks once in a while, not with every append"
    first.close()
    second.close()


def test_a_sequencer_that_is_started_as_a_program_is_found_and_ends_when_the_home_goes(
    home, keyring
):
    one, two = LineageWriter(home, keyring), LineageWriter(home, keyring)
    for i in range(2):
        one.append(cell(f"a{i}"))
        two.append(cell(f"b{i}"))
    wait_for(home.sequencer_path.exists, 60)
    one.append(cell("through"))
    assert one._sequencer is not None
    home.sequencer_path.unlink()
    wait_for(lambda: one._sequencer.recv(1) == b"")  # it ended: nobody would find it any more
    one.append(cell("alone again"))
    assert verify_home(home, keyring).events == 6


def test_killed_sequencer_before_the_answer_is_asked_again_and_nothing_doubles(
    home, keyring, sequencer
):
    writer = LineageWriter(home, keyring, start=no_start)
    writer.append(cell("before"))
    send = writer._sequencer.sendall

    class Dying:
        """A connection whose other side is killed once the events are durable."""

        def sendall(self, frame):
            send(frame)
            wait_for(lambda: "unknown" in ids(home))
            kill(sequencer)

        def recv(self, _):
            raise ConnectionResetError

        def close(self):
            pass

    writer._sequencer = Dying()
    assert list(writer.append(cell("unknown"))) == [1]
    assert list(writer.append(cell("after"))) == [2]
    assert ids(home) == ["before", "unknown", "after"]
    assert verify_home(home, keyring).ok


def test_sequencer_that_hangs_and_wakes_up_does_not_add_what_was_added_meanwhile(
    home, keyring, sequencer
):
    writer = LineageWriter(home, keyring, start=no_start)
    other = LineageWriter(home, keyring, start=no_start)
    writer.append(cell("before"))
    other.append(cell("other"))
    os.kill(sequencer.pid, signal.SIGSTOP)
    writer._sequencer.settimeout(0.2)
    assert list(writer.append(cell("hung"))) == [2]
    os.kill(sequencer.pid, signal.SIGCONT)
    assert list(other.append(cell("awake"))) == [3]
    assert ids(home) == ["before", "other", "hung", "awake"]
    assert verify_home(home, keyring).ok


def test_a_second_sequencer_of_the_same_home_ends_at_once(home, sequencer):
    second = start(sequence, home.root)
    second.join(20)
    assert second.exitcode == 0
    assert sequencer.is_alive()


def test_what_the_log_refuses_reaches_the_writer_with_its_code(home, keyring, sequencer):
    writer = LineageWriter(home, keyring, start=no_start)
    writer.append(cell("a"))
    witness = home.witness_path.read_bytes()
    home.witness_path.write_bytes(b"nonsense")
    home.lineage_path.rename(home.root / "taken")  # so that it opens again, and looks
    with pytest.raises(StoreUnavailable) as caught:
        writer.append(cell("b"))
    assert caught.value.code == "CLO-STORE-002"
    assert caught.value.remedy
    (home.root / "taken").rename(home.lineage_path)
    home.witness_path.write_bytes(witness)
    writer.append(cell("c"))
    assert ids(home) == ["a", "c"]


def test_a_frame_that_is_none_ends_the_connection_and_nothing_else(home, keyring, sequencer):
    import socket

    for nonsense in (b"\xff\xff\xff\xff", b"\0\0\0\2{}", b"\0\0\0\5null\n", os.urandom(64)):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(home.sequencer_path))
            connection.settimeout(5)
            connection.sendall(nonsense)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b""
    writer = LineageWriter(home, keyring, start=no_start)
    writer.append(cell("fine"))
    assert ids(home) == ["fine"]


def test_body_that_is_not_canonical_is_not_taken_from_the_socket(home, keyring, sequencer):
    from cloister.store.entry import Draft
    from cloister.store.sequencer_wire import decode_request, encode_request

    good = Draft("cell.intent", {}, b'{"a":1}', b"")
    assert decode_request(encode_request(b"c" * 16, 1, [good])[4:]).drafts[0].body == {"a": 1}
    for body in (b'{"a": 1}', b'{"a":1.5}', b"[]", b'{"b":1,"a":2}', b'{"a":1,"a":2}', b"x"):
        frame = encode_request(b"c" * 16, 1, [Draft("cell.intent", {}, body, b"")])
        with pytest.raises(ValueError, match="request"):
            decode_request(frame[4:])


# --- the clock ---------------------------------------------------------------------------------


def test_clock_that_jumps_is_recorded_with_its_jump_and_small_corrections_never_go_back(
    home, keyring
):
    wall, steady = [10_000_000_000], [500_000_000]
    clock = Clock(lambda: wall[0], lambda: steady[0])

    def pass_time(us, jump=0):
        wall[0] += us + jump
        steady[0] += us

    with LineageLog(home, keyring, clock=clock) as log:
        log.append(cell("a"))
        pass_time(50_000, jump=-400_000)
        log.append(cell("corrected"))
        pass_time(3_600_000_000)
        log.append(cell("after an hour"))
        pass_time(1_000, jump=86_400_000_000)
        log.append(cell("a day ahead"))
        pass_time(1_000, jump=-86_400_000_000)
        log.append(cell("set back"))
        log.append(cell("goes on"))
    # Set back while nothing ran: another process finds the last time ahead of its clock.
    wall[0] -= 7_200_000_000
    later = Clock(lambda: wall[0], lambda: 7)
    with LineageLog(home, keyring, clock=later) as log:
        log.append(cell("another process"))
    with LineageReader(home) as reader:
        entries = reader.entries()
    steps = [(e.seq, e.body["step_us"]) for e in entries if e.type == "clock.stepped"]
    assert [seq for seq, _ in steps] == [3, 5, 8]
    assert steps[0][1] == 86_400_000_000
    assert steps[1][1] == -86_400_000_000
    assert steps[2][1] < -7_100_000_000
    for before, entry in pairwise(entries):
        assert entry.time_us >= before.time_us or entry.type == "clock.stepped"
    assert verify_home(home, keyring).ok


def test_a_step_is_told_until_it_is_recorded(home, keyring):
    wall, steady = [10**15], [0]
    clock = Clock(lambda: wall[0], lambda: steady[0])
    with LineageLog(home, keyring, clock=clock) as log:
        log.append(cell("a"))
        wall[0] += 10**10
        keep = home.witness_path.read_bytes()
        home.witness_path.unlink()
        log.close()
        with pytest.raises(StoreUnavailable):
            log.append(cell("lost"))
        home.witness_path.write_bytes(keep)
        log.append(cell("b"))
    with LineageReader(home) as reader:
        assert [e.type for e in reader.entries()] == [
            "cell.intent", "clock.stepped", "cell.intent",
        ]  # fmt: skip
