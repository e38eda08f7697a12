"""The lineage log: durable, shared, whole; every change to it is seen; every failure is clear."""

import json
import multiprocessing
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cloister.core.errors import StoreUnavailable
from cloister.core.records import Record, canonical_bytes
from cloister.store.checkpoint import CheckpointError, Verifier, parse_checkpoint, verify_checkpoint
from cloister.store.entry import PayloadState
from cloister.store.home import Home, ensure_home
from cloister.store.keys import open_keyring, parse_verifier
from cloister.store.lineage import KEEP_CHECKPOINT_EVERY, LineageLog
from cloister.store.lineage_reader import LineageReader
from cloister.store.lineage_verify import verify_home, verify_log, verify_proof
from cloister.store.witness import WitnessWriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SECRET = b'{"code": "print(\'078-05-1120\')"}'


@pytest.fixture
def home(tmp_path):
    return ensure_home(Home(tmp_path / "home"))


@pytest.fixture
def keyring(home):
    return open_keyring(home)


@pytest.fixture
def log(home, keyring):
    with LineageLog(home, keyring) as log:
        yield log


def intent(name, **more):
    body = {
        "execution_id": name,
        "kernel_id": "k1",
        "user": "ann",
        "notebook": "a.ipynb",
        "code_sha256": "0" * 64,
        "trace_id": "t",
        "silent": False,
        "attested_by": "sidecar",
    }
    return Record("cell.intent", {**body, **more}, SECRET)


def result(name, **more):
    body = {
        "execution_id": name,
        "status": "ok",
        "execution_count": 3,
        "duration_us": 1_500_000,
        "outputs": {"shown": 2, "masked": 1, "blocked": 0},
        "reads": [{"path": "p.csv"}],
        "egress": [],
        "labels": ["US_SSN"],
        "attested_by": "sidecar",
    }
    return Record("cell.result", {**body, **more}, b'{"outputs": []}')


def fill(log, count=6):
    for i in range(count):
        log.append([intent(f"exec-{i:04d}") if i % 2 == 0 else result(f"exec-{i - 1:04d}")])


# --- what is stored ---------------------------------------------------------------------------


def test_header_is_canonical_and_chained(home, log):
    (first,) = log.append([intent("a", note='ü\u2028"\\')])
    (second,) = log.append([Record("kernel.stopped", {})])
    header = json.loads(second.header)
    assert header["prev"] == first.leaf_hash.hex()
    assert header["payload_sha256"] is None
    assert list(header) == sorted(header)
    for entry in (first, second):
        assert canonical_bytes(json.loads(entry.header)) == entry.header


def test_payload_is_unreadable_without_the_key_and_bound_to_its_place(home, keyring, log):
    log.append([intent("exec-a"), intent("exec-b")])
    for path in home.lineage_path.parent.glob("lineage.db*"):
        assert b"078-05-1120" not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0
    sealed = LineageReader(home).get("exec-a")[0]
    assert (sealed.payload, sealed.payload_state) == (b"", PayloadState.SEALED)
    opened = LineageReader(home, keyring).get("exec-a")[0]
    assert (opened.payload, opened.payload_state) == (SECRET, PayloadState.OPEN)
    tamper(home, "UPDATE event SET payload = (SELECT payload FROM event WHERE seq = 0)")
    moved = LineageReader(home, keyring).get("exec-b")[0]
    assert (moved.payload, moved.payload_state) == (b"", PayloadState.DAMAGED)


@pytest.mark.parametrize(
    "record",
    [
        Record("cell.intent", {"duration": 1.5}),
        Record("cell.intent", {"ключ": 1}),
        Record('x","seq":0', {}),
        Record("Cell.Intent", {}),
    ],
)
def test_malformed_record_is_refused_and_adds_nothing(home, keyring, log, record):
    with pytest.raises(ValueError, match=r"float|ASCII|dotted"):
        log.append([intent("a"), record])
    log.append([intent("b")])
    assert verify_home(home, keyring).events == 1


def test_checkpoint_is_a_signed_note_that_the_public_key_verifies(home, keyring, log):
    fill(log, 3)
    name, public = parse_verifier((home.keys_dir / "lineage.pub").read_text())
    note = home.witness_path.read_text()
    checkpoint = verify_checkpoint(note, Verifier(name, public))
    assert checkpoint.size == 3
    assert note.split("\n")[0] == name == keyring.key_name
    for changed in (note.replace("\n3\n", "\n4\n"), note[:-6] + "AAA=\n", note + "x", ""):
        with pytest.raises(CheckpointError):
            verify_checkpoint(changed, Verifier(name, public))
    with pytest.raises(CheckpointError):
        verify_checkpoint(note, Verifier(name, bytes(32)))


def test_executions_join_results_and_late_facts_newest_first(log, home):
    log.append([intent("one"), intent("two")])
    log.append(
        [
            result("one"),
            Record("output.late", {"execution_id": "one", "count": 2, "labels": ["PERSON"]}),
        ]
    )
    denied = {
        "execution_id": "two",
        "host": "evil.example",
        "port": 443,
        "decision": "deny",
        "rule": "egress.default",
        "attested_by": "proxy",
    }
    log.append([Record("egress.denied", denied), Record("kernel.stopped", {"kernel_id": "k1"})])
    two, one = LineageReader(home).executions(10)
    assert one == {
        "id": "one",
        "seq": 0,
        "time": one["time"],
        "user": "ann",
        "notebook": "a.ipynb",
        "kernel_id": "k1",
        "execution_count": 3,
        "code_sha256": "0" * 64,
        "status": "ok",
        "duration_s": 1.5,
        "reads": [{"path": "p.csv"}],
        "outputs": {"shown": 2, "masked": 3, "blocked": 0},
        "egress": [],
        "labels": ["PERSON", "US_SSN"],
        "trace_id": "t",
    }
    assert one["time"].endswith("Z")
    assert (two["status"], two["duration_s"]) == ("unfinished", None)
    assert [e["host"] for e in two["egress"]] == ["evil.example"]


def test_executions_are_paged_without_gaps(log, home):
    fill(log, 20)
    reader, seen, before = LineageReader(home), [], None
    while page := reader.executions(3, before):
        seen += [row["id"] for row in page]
        before = page[-1]["seq"]
    assert seen == [f"exec-{i:04d}" for i in range(18, -1, -2)]


def test_get_takes_a_prefix_that_names_one_execution(log, home):
    fill(log, 4)
    reader = LineageReader(home)
    assert [e.type for e in reader.get("exec-0002")] == ["cell.intent", "cell.result"]
    assert reader.get("exec-0002"[:-1]) == ()
    log.append([intent("unique-name")])
    assert len(reader.get("unique")) == 1
    assert reader.get("uniq") == ()


def test_reader_of_a_log_that_is_not_there_yet(home, keyring):
    home.lineage_path.unlink(missing_ok=True)
    reader = LineageReader(home)
    assert (reader.executions(), reader.get("x"), reader.prove(0), reader.checkpoint()) == (
        [],
        (),
        None,
        None,
    )
    with LineageLog(home, keyring) as log:
        log.append([intent("first")])
        assert len(reader.executions()) == 1


def test_reader_never_makes_a_writer_wait(home, keyring, log):
    fill(log)
    reader = LineageReader(home)
    reader.executions()
    with LineageLog(home, keyring, busy_timeout_ms=50) as other, reader._reading():
        other.append([intent("while-reading")])


def test_proof_verifies_offline_and_every_change_breaks_it(log, home, keyring):
    fill(log, 21)
    verifier = Verifier(keyring.key_name, keyring.public_key_bytes)
    reader = LineageReader(home)
    for seq in range(21):
        assert verify_proof(reader.prove(seq), verifier).size == 21
    proof = reader.prove(4)
    for change in (
        {"header": proof["header"].replace("ann", "bob")},
        {"seq": 6},
        {"path": proof["path"][:-1]},
        {"checkpoint": proof["checkpoint"].replace("\n21\n", "\n20\n")},
        {"header": None},
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - each says another thing
            verify_proof({**proof, **change}, verifier)
    assert reader.prove(21) is None


# --- tampering ---------------------------------------------------------------------------------


def tamper(home, *statements):
    with sqlite3.connect(home.lineage_path, isolation_level=None) as database:
        for statement in statements:
            database.execute(statement)
    database.close()


SWAP = (
    "UPDATE event SET seq = -1 WHERE seq = 2",
    "UPDATE event SET seq = 2 WHERE seq = 4",
    "UPDATE event SET seq = 4 WHERE seq = -1",
)
RENUMBER = ("DELETE FROM event WHERE seq = 2", "UPDATE event SET seq = seq - 1 WHERE seq > 2")
CUT = "DELETE FROM event WHERE seq >= 4"


@pytest.mark.parametrize(
    ("statements", "first_bad"),
    [
        (["UPDATE event SET header = replace(header, 'ann', 'bob') WHERE seq = 2"], 2),
        (["UPDATE event SET header = CAST(replace(header,'ann','bob') AS BLOB) WHERE seq = 2"], 2),
        (["UPDATE event SET header = CAST(replace(header,'ok','no') AS BLOB) WHERE seq = 5"], 5),
        (["UPDATE event SET payload = zeroblob(60) WHERE seq = 3"], 3),
        (["UPDATE event SET payload = NULL WHERE seq = 3"], 3),
        (["UPDATE event SET nodes = zeroblob(32) WHERE seq = 2"], 2),
        (["UPDATE event SET type = 'cell.hidden' WHERE seq = 2"], 2),
        (["UPDATE event SET time_us = 0 WHERE seq = 2"], 2),
        (["UPDATE event SET execution_id = 'other' WHERE seq = 2"], 2),
        (["UPDATE event SET execution_id = NULL WHERE seq = 2"], 2),
        (["DELETE FROM event WHERE seq = 0"], 0),
        (["DELETE FROM event WHERE seq = 2"], 2),
        (["DELETE FROM event WHERE seq = 5"], 5),
        ([CUT], 4),
        (RENUMBER, 2),
        (SWAP, 2),
        (
            [
                "CREATE TEMP TABLE twin AS SELECT * FROM event WHERE seq = 5",
                "UPDATE twin SET seq = 6",
                "INSERT INTO event SELECT * FROM twin",
            ],
            6,
        ),
        (
            [
                "CREATE TEMP TABLE twin AS SELECT * FROM event WHERE seq = 5",
                "UPDATE twin SET seq = -1",
                "INSERT INTO event SELECT * FROM twin",
            ],
            0,
        ),
        (["UPDATE head SET note = replace(note, '6', '5')"], None),
        (["UPDATE head SET size = 5"], None),
        (["UPDATE head SET frontier = zeroblob(64)"], None),
        (["UPDATE head SET last_leaf = zeroblob(32)"], None),
        (["DELETE FROM head"], 6),
        (["UPDATE head SET note = 5"], None),
        (["DELETE FROM event", "DELETE FROM head", "DELETE FROM checkpoint"], 0),
        (["INSERT INTO checkpoint VALUES (3, (SELECT note FROM head))"], None),
        (["INSERT INTO checkpoint VALUES (3, 'nonsense')"], None),
        (["INSERT INTO checkpoint VALUES (0, (SELECT note FROM head))"], None),
    ],
)
def test_tampering_is_seen(home, keyring, log, statements, first_bad):
    fill(log)
    assert verify_home(home, keyring).ok
    log.close()
    tamper(home, *statements)
    report = verify_home(home, keyring)
    assert not report.ok
    assert report.problems
    if first_bad is not None:
        assert report.first_bad == first_bad


def rewrite(home, keyring, upto):
    """What a forger without the signing key can do best: cut, and rebuild all that is unsigned."""
    from cloister.store.merkle import Frontier, leaf_hash

    with sqlite3.connect(home.lineage_path) as database:
        frontier, leaf = Frontier.empty(), None
        rows = database.execute("SELECT seq, header FROM event WHERE seq < ? ORDER BY seq", (upto,))
        for seq, header in rows.fetchall():
            leaf = leaf_hash(header)
            nodes = b"".join(frontier.append(leaf))
            database.execute("UPDATE event SET nodes = ? WHERE seq = ?", (nodes, seq))
        database.execute("DELETE FROM event WHERE seq >= ?", (upto,))
        database.execute("DELETE FROM checkpoint WHERE size > ?", (upto,))
        database.execute(
            "UPDATE head SET size = ?, frontier = ?, last_leaf = ?",
            (upto, frontier.serialize(), leaf),
        )
    database.close()


def test_rolling_back_to_an_older_signed_checkpoint_is_seen_by_the_witness(home, keyring, log):
    fill(log, 3)
    older = home.witness_path.read_text()
    fill(log, 3)
    log.close()
    rewrite(home, keyring, 3)
    with sqlite3.connect(home.lineage_path) as database:
        database.execute("UPDATE head SET note = ?", (older,))
    database.close()
    verifier = Verifier(keyring.key_name, keyring.public_key_bytes)
    assert verify_log(home.lineage_path, verifier).ok, "without a witness it looks whole"
    report = verify_home(home, keyring)
    assert (report.ok, report.first_bad) == (False, 3)
    with pytest.raises(StoreUnavailable) as caught:
        LineageLog(home, keyring)
    assert caught.value.code == "CLO-STORE-002"


def test_other_history_signed_by_the_same_key_is_seen_by_the_witness(home, keyring, log, tmp_path):
    fill(log, 3)
    log.close()
    shutil.copytree(home.root, tmp_path / "twin")
    twin = Home(tmp_path / "twin")
    with LineageLog(home, keyring) as first:
        fill(first, 3)
    with LineageLog(twin, keyring) as other:
        fill(other, 5)
    for path in home.lineage_path.parent.glob("lineage.db*"):
        path.unlink()
    shutil.copy(twin.lineage_path, home.lineage_path)
    verifier = Verifier(keyring.key_name, keyring.public_key_bytes)
    assert verify_log(home.lineage_path, verifier).ok, "without a witness it looks whole"
    report = verify_home(home, keyring)
    assert not report.ok
    assert "differ from what the witness knows" in report.problems[0]
    with pytest.raises(StoreUnavailable, match="differ"):
        LineageLog(home, keyring)


def test_witness_never_moves_back(home, keyring, log):
    fill(log, 2)
    older = home.witness_path.read_text()
    fill(log, 3)
    newest = home.witness_path.read_text()
    writer = WitnessWriter(home.witness_path, Verifier(keyring.key_name, keyring.public_key_bytes))
    writer.advance(older, 2)
    assert home.witness_path.read_text() == newest
    home.witness_path.write_text("nonsense")
    with pytest.raises(CheckpointError):
        writer.advance(newest, 5)
    writer.close()


def test_forged_checkpoint_of_another_key_is_seen(home, keyring, log, tmp_path):
    fill(log)
    log.close()
    forger = open_keyring(ensure_home(Home(tmp_path / "forger")))
    from cloister.store.checkpoint import Checkpoint, sign_checkpoint
    from cloister.store.keys import key_id

    with sqlite3.connect(home.lineage_path) as database:
        note = database.execute("SELECT note FROM head").fetchone()[0]
        real = parse_checkpoint(note)
        forged = sign_checkpoint(
            Checkpoint(real.origin, real.size, real.root),
            real.origin,
            key_id(real.origin, keyring.public_key_bytes),
            forger.signer.sign,
        )
        database.execute("UPDATE head SET note = ?", (forged,))
    database.close()
    report = verify_home(home, keyring)
    assert not report.ok
    assert "not signed" in report.problems[0]
    with pytest.raises(StoreUnavailable):
        LineageLog(home, keyring)


def test_rewritten_history_is_refused_by_the_next_writer(home, keyring, log):
    fill(log)
    log.close()
    tamper(
        home,
        "UPDATE event SET header = CAST(replace(header, 'ann', 'bob') AS BLOB) WHERE seq = 2",
    )
    rewrite(home, keyring, 6)
    assert not verify_home(home, keyring).ok
    with pytest.raises(StoreUnavailable):
        LineageLog(home, keyring)


def test_database_replaced_by_an_empty_one_is_seen(home, keyring, log):
    fill(log)
    log.close()
    for path in home.lineage_path.parent.glob("lineage.db*"):
        path.unlink()
    for make in (
        lambda: None,
        home.lineage_path.touch,
        lambda: sqlite3.connect(home.lineage_path).execute("CREATE TABLE t (x)"),
    ):
        make()
        report = verify_home(home, keyring)
        assert not report.ok
        assert report.events == 0
        with pytest.raises(StoreUnavailable) as caught:
            LineageLog(home, keyring)
        assert caught.value.code == "CLO-STORE-002"


def test_log_of_another_workspace_is_seen(home, keyring, log, tmp_path):
    fill(log)
    log.close()
    other = ensure_home(Home(tmp_path / "other"))
    with LineageLog(other, open_keyring(other)) as foreign:
        fill(foreign, 10)
    for path in home.lineage_path.parent.glob("lineage.db*"):
        path.unlink()
    shutil.copy(other.lineage_path, home.lineage_path)
    assert not verify_home(home, keyring).ok
    with pytest.raises(StoreUnavailable):
        LineageLog(home, keyring)


def test_lost_or_damaged_witness_is_seen_and_stops_the_log(home, keyring, log):
    fill(log)
    log.close()
    kept = home.witness_path.read_bytes()
    for content in (None, b"", b"nonsense", kept.replace(b"\n6\n", b"\n2\n"), b"\xff"):
        if content is None:
            home.witness_path.unlink()
        else:
            home.witness_path.write_bytes(content)
        assert not verify_home(home, keyring).ok, content
        with pytest.raises(StoreUnavailable) as caught:
            LineageLog(home, keyring)
        assert caught.value.code == "CLO-STORE-002"
    home.witness_path.write_bytes(kept)
    with LineageLog(home, keyring) as again:
        again.append([intent("after")])
    assert verify_home(home, keyring).ok


def test_swapping_the_file_under_an_open_log_is_noticed(home, keyring, log):
    fill(log)
    copy = home.root / "copy.db"
    with sqlite3.connect(home.lineage_path) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    fill(log)
    for path in home.lineage_path.parent.glob("lineage.db*"):
        path.unlink()
    copy.rename(home.lineage_path)
    with pytest.raises(StoreUnavailable) as caught:
        log.append([intent("lost")])
    assert caught.value.code == "CLO-STORE-002"


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_flipped_byte_of_any_event_is_seen(home, keyring, data):
    if not home.lineage_path.exists():
        with LineageLog(home, keyring) as log:
            fill(log, 8)
    column = data.draw(st.sampled_from(["header", "payload", "nodes"]))
    with sqlite3.connect(home.lineage_path) as database:
        rows = database.execute(f"SELECT seq, {column} FROM event ORDER BY seq").fetchall()
        seq, value = rows[data.draw(st.integers(0, 7))]
        place = data.draw(st.integers(0, 1000)) % len(value)
        bit = 1 << data.draw(st.integers(0, 7))
        flipped = value[:place] + bytes([value[place] ^ bit]) + value[place + 1 :]
        database.execute(f"UPDATE event SET {column} = ? WHERE seq = ?", (flipped, seq))
        database.commit()
        report = verify_home(home, keyring)
        database.execute(f"UPDATE event SET {column} = ? WHERE seq = ?", (value, seq))
    database.close()
    assert (report.ok, report.first_bad) == (False, seq)
    assert verify_home(home, keyring).ok


def test_flipped_bytes_of_the_file_never_pass_or_crash(home, keyring, log):
    fill(log, 40)
    log.close()
    whole = home.lineage_path.read_bytes()
    used = [i for i in range(0, len(whole), 61) if whole[i]]
    for place in used:
        home.lineage_path.write_bytes(
            whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]
        )
        try:
            report = verify_home(home, keyring)
        except StoreUnavailable:
            continue
        if report.ok:  # free space, b-tree slack and indexes hold nothing that is recorded
            assert report.events == 40


# --- several writers, crashes, failures --------------------------------------------------------


def _append_many(root, worker, count):
    home = Home(Path(root))
    with LineageLog(home, open_keyring(home), busy_timeout_ms=60_000) as log:
        for i in range(count):
            log.append([intent(f"w{worker}-{i:05d}"), result(f"w{worker}-{i:05d}")])


def test_several_processes_share_one_log(home, keyring):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_append_many, args=(str(home.root), w, 75)) for w in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    report = verify_home(home, keyring)
    assert (report.ok, report.events) == (True, 600)
    assert report.checkpoints >= 600 // KEEP_CHECKPOINT_EVERY
    witness = parse_checkpoint(home.witness_path.read_text())
    assert witness.size == 600, "the witness ends at the newest, whatever order writers finish in"


def test_threads_share_one_log(home, keyring, log):
    threads = [
        threading.Thread(target=lambda: [log.append([intent("t")]) for _ in range(30)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verify_home(home, keyring).events == 120


def test_killed_writer_loses_nothing_that_it_acknowledged(home, keyring):
    code = (
        "import sys, pathlib\n"
        "from cloister.core.records import Record\n"
        "from cloister.store.home import Home\n"
        "from cloister.store.keys import open_keyring\n"
        "from cloister.store.lineage import LineageLog\n"
        f"home = Home(pathlib.Path({str(home.root)!r}))\n"
        "log = LineageLog(home, open_keyring(home))\n"
        "while True:\n"
        "    entry = log.append([Record('cell.intent', {'execution_id': 'x'}, b'p' * 3000)])[0]\n"
        "    sys.stdout.write(f'{entry.seq}\\n'); sys.stdout.flush()\n"
    )
    acknowledged = -1
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        lines = [process.stdout.readline() for _ in range(60)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
        process.wait()
        acknowledged = int([line for line in lines if line.endswith("\n")][-1])
        report = verify_home(home, keyring)
        assert report.ok, report.problems
        assert report.events > acknowledged
    assert acknowledged >= 239


def test_witness_that_lags_after_a_crash_is_brought_up_to_date(home, keyring, log):
    fill(log, 3)
    older = home.witness_path.read_bytes()
    fill(log, 3)
    log.close()
    home.witness_path.write_bytes(older)
    assert verify_home(home, keyring).ok, "behind is what a crash leaves"
    LineageLog(home, keyring).close()
    assert parse_checkpoint(home.witness_path.read_text()).size == 6


def test_locked_log_says_so_and_recovers(home, keyring):
    with LineageLog(home, keyring, busy_timeout_ms=50) as log:
        other = sqlite3.connect(home.lineage_path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable) as caught:
            log.append([intent("a")])
        assert caught.value.code == "CLO-STORE-003"
        assert caught.value.remedy
        other.rollback()
        log.append([intent("b")])
    report = verify_home(home, keyring)
    assert (report.ok, report.events) == (True, 1)


@pytest.mark.parametrize(
    "content", [b"not a database" * 500, b"SQLite format 3\0" + b"\xff" * 9000]
)
def test_what_is_not_a_database_is_refused(home, keyring, log, content):
    fill(log)
    log.close()
    for path in home.lineage_path.parent.glob("lineage.db*"):
        path.unlink()
    home.lineage_path.write_bytes(content)
    with pytest.raises(StoreUnavailable) as caught:
        LineageLog(home, keyring)
    assert caught.value.code == "CLO-STORE-002"
    assert not verify_home(home, keyring).ok


def test_unwritten_witness_stops_the_next_append(home, keyring, log):
    fill(log, 2)
    keep = home.witness_path.parent
    moved = keep.with_name("elsewhere")
    keep.rename(moved)
    keep.write_text("in the way")
    log.append([intent("at-most-one")])
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            log.append([intent("never")])
    keep.unlink()
    moved.rename(keep)
    log.append([intent("again")])
    report = verify_home(home, keyring)
    assert (report.ok, report.events) == (True, 4)


needs_mount = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None, reason="mounting a small disk needs root"
)


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1500k,mode=0700", "tmpfs", place], check=False
    )
    if done.returncode:
        pytest.skip("this machine does not let its root mount a small disk")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@needs_mount
def test_full_disk_is_said_leaves_nothing_half_and_recovers(small_disk):
    home = ensure_home(Home(small_disk / "home"))
    keyring = open_keyring(home)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 200_000)
    acknowledged = 0
    with LineageLog(home, keyring) as log:
        with pytest.raises(StoreUnavailable) as caught:  # noqa: PT012 - which append fails is the disk's choice
            for _ in range(5000):
                log.append([Record("cell.intent", {"execution_id": "x"}, b"p" * 3000)])
                acknowledged += 1
        assert caught.value.code == "CLO-STORE-001"
        assert "Free space" in caught.value.remedy
        for _ in range(3):
            with pytest.raises(StoreUnavailable) as caught:
                log.append([Record("cell.intent", {}, b"p" * 100_000)])
            assert caught.value.code == "CLO-STORE-001"
        ballast.unlink()
        log.append([intent("after")])
    report = verify_home(home, keyring)
    assert report.ok, report.problems
    assert report.events == acknowledged + 1


@needs_mount
def test_read_only_disk_is_said_and_recovers(small_disk):
    home = ensure_home(Home(small_disk / "home"))
    keyring = open_keyring(home)
    with LineageLog(home, keyring) as log:
        fill(log, 4)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    try:
        with pytest.raises(StoreUnavailable) as caught:
            LineageLog(home, keyring)
        assert caught.value.code == "CLO-STORE-004"
        assert verify_home(home, keyring).ok, "a copy on a read-only medium can be checked"
        with LineageReader(home) as reader:
            assert len(reader.executions()) == 2
    finally:
        subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    with LineageLog(home, keyring) as log:
        log.append([intent("again")])
    assert verify_home(home, keyring).ok


def test_file_size_limit_is_a_clear_refusal_and_leaves_nothing_half(home, keyring):
    code = (
        "import pathlib, resource, signal\n"
        "from cloister.core.errors import StoreUnavailable\n"
        "from cloister.core.records import Record\n"
        "from cloister.store.home import Home\n"
        "from cloister.store.keys import open_keyring\n"
        "from cloister.store.lineage import LineageLog\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"home = Home(pathlib.Path({str(home.root)!r}))\n"
        "log = LineageLog(home, open_keyring(home))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))\n"
        "n = 0\n"
        "try:\n"
        "    while True:\n"
        "        log.append([Record('cell.intent', {}, b'p' * 3000)]); n += 1\n"
        "except StoreUnavailable as error:\n"
        "    print(n, error.code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, code = done.stdout.split()
    assert code in {"CLO-STORE-001", "CLO-STORE-004"}
    report = verify_home(home, keyring)
    assert (report.ok, report.events) == (True, int(count))
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 300_000
