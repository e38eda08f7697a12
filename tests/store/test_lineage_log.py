"""The lineage log: durable, shared, whole; every change to it is seen; every failure is clear.

Tests that take ``log`` or ``backend`` run against SQLite and against a real PostgreSQL.
"""

import json
import multiprocessing
import signal
import subprocess
import sys
import threading
from itertools import product
from pathlib import Path

import pytest
from cloister.core.errors import StoreUnavailable
from cloister.core.records import Record, canonical_bytes
from cloister.store.checkpoint import CheckpointError, Verifier, parse_checkpoint, verify_checkpoint
from cloister.store.entry import PayloadState, draft
from cloister.store.home import Home, ensure_home
from cloister.store.keys import open_keyring, parse_verifier
from cloister.store.lineage import KEEP_CHECKPOINT_EVERY, LineageLog, Request, new_client
from cloister.store.lineage_reader import LineageReader
from cloister.store.lineage_verify import verify_home, verify_log, verify_proof
from cloister.store.witness import WitnessWriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lineage_records import SECRET, fill, intent, result
from numpy import random


def test_header_is_canonical_and_chained(home, log):
    (first,) = log.append([intent("a", note='ü\u2028"\\')])
    (second,) = log.append([Record("kernel.stopped", {})])
    header = json.loads(second.header)
    assert header["prev"] == first.leaf_hash.hex()
    assert header["payload_sha256"] is None
    assert list(header) == sorted(header)
    for entry in (first, second):
        assert canonical_bytes(json.loads(entry.header)) == entry.header


def test_payload_is_unreadable_without_the_key_and_bound_to_its_place(home, keyring, log, backend):
    log.append([intent("exec-a"), intent("exec-b")])
    for path in home.lineage_path.parent.glob("lineage.db*"):
        assert b"078-05-1120" not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0
    sealed = LineageReader(home).get("exec-a")[0]
    assert (sealed.payload, sealed.payload_state) == (b"", PayloadState.SEALED)
    opened = LineageReader(home, keyring).get("exec-a")[0]
    assert (opened.payload, opened.payload_state) == (SECRET, PayloadState.OPEN)
    backend.tamper("UPDATE event SET payload = (SELECT payload FROM event WHERE seq = 0)")
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


USERS, KERNELS, SETS = (
    ("ann", "bob"),
    ("k1", "k2", 'odd"\\ k'),
    ("patients", "claims", 'a "b"\\', None),
)


def test_filters_find_what_a_scan_finds_on_every_page(log, home):
    chosen = random.default_rng(7)
    records, waiting = [], []
    for i in range(80):
        user, kernel = chosen.choice(USERS), chosen.choice(KERNELS)
        records.append(intent(f"e{i:03d}", user=str(user), kernel_id=str(kernel)))
        sets = [SETS[chosen.integers(len(SETS))] for _ in range(chosen.integers(3))]
        reads = [{"dataset": name, "path": "p"} for name in sets]
        waiting.append(result(f"e{i:03d}", reads=reads, kernel_id=str(kernel)))
        while len(waiting) > chosen.integers(6):  # results come late, and in another order
            records.append(waiting.pop(chosen.integers(len(waiting))))
    log.append(records + waiting)
    reader = LineageReader(home)
    everything = reader.executions(1000)
    for user, kernel, dataset in product((None, *USERS), (None, *KERNELS), (None, *SETS[:3])):
        wanted = [
            row["id"]
            for row in everything
            if user in {None, row["user"]}
            and kernel in {None, row["kernel_id"]}
            and (dataset is None or dataset in {read["dataset"] for read in row["reads"]})
        ]
        found, before = [], None
        while page := reader.executions(7, before, user=user, kernel_id=kernel, dataset=dataset):
            found += [row["id"] for row in page]
            before = page[-1]["seq"]
        assert found == wanted, (user, kernel, dataset)
    assert reader.executions(10, kernel_id="k") == []


def test_append_that_is_asked_for_again_happens_once(log, home, keyring):
    def request(number, name):
        return Request(client, number, [draft(intent(name)), draft(result(name))])

    client = new_client()
    (first,) = log.append_group([request(1, "a")])
    with LineageLog(home, keyring) as other:
        (again,) = other.append_group([request(1, "a")])
        assert again == first
        twice = other.append_group([request(2, "b"), request(2, "b")])
        assert [len(entries) for entries in twice] == [2, 2]
        assert twice[0] == twice[1]
        assert other.append_group([request(1, "a")]) == [()], "nobody waits for this any more"
    assert verify_home(home, keyring).events == 4
    log.append_group([request(3, "c")])
    assert [row["id"] for row in LineageReader(home).executions()] == ["c", "b", "a"]


def test_get_takes_a_prefix_that_names_one_execution(log, home):
    fill(log, 4)
    reader = LineageReader(home)
    assert [e.type for e in reader.get("exec-0002")] == ["cell.intent", "cell.result"]
    assert reader.get("exec-0002"[:-1]) == ()
    log.append([intent("unique-name")])
    assert len(reader.get("unique")) == 1
    assert reader.get("uniq") == ()


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


def sql(*statements):
    return lambda backend: backend.tamper(*statements)


def edit(column, seq, how):
    return lambda backend: backend.change(column, seq, how)


def edit_head(column, value):
    return lambda backend: backend.set_head(column, value)


def same(value):
    return lambda _: value


def copy_last(place):
    columns = "time_us, type, execution_id, header, payload, nodes"
    return sql(f"INSERT INTO event SELECT {place}, {columns} FROM event WHERE seq = 5")


SWAP = (
    "UPDATE event SET seq = -1 WHERE seq = 2",
    "UPDATE event SET seq = 2 WHERE seq = 4",
    "UPDATE event SET seq = 4 WHERE seq = -1",
)
RENUMBER = (
    "DELETE FROM event WHERE seq = 2",
    *(f"UPDATE event SET seq = {seq - 1} WHERE seq = {seq}" for seq in (3, 4, 5)),
)
CUT = "DELETE FROM event WHERE seq >= 4"


@pytest.mark.parametrize(
    ("attack", "first_bad"),
    [
        (edit("header", 2, lambda b: b.replace(b"ann", b"bob")), 2),
        (edit("header", 5, lambda b: b.replace(b"ok", b"no")), 5),
        (edit("payload", 3, same(bytes(60))), 3),
        (edit("payload", 3, same(None)), 3),
        (edit("nodes", 2, same(bytes(32))), 2),
        (edit("type", 2, same("cell.hidden")), 2),
        (edit("time_us", 2, same(0)), 2),
        (edit("execution_id", 2, same("other")), 2),
        (edit("execution_id", 2, same(None)), 2),
        (sql("DELETE FROM event WHERE seq = 0"), 0),
        (sql("DELETE FROM event WHERE seq = 2"), 2),
        (sql("DELETE FROM event WHERE seq = 5"), 5),
        (sql(CUT), 4),
        (sql(*RENUMBER), 2),
        (sql(*SWAP), 2),
        (copy_last(6), 6),
        (copy_last(-1), 0),
        (sql("UPDATE head SET note = replace(note, '6', '5')"), None),
        (sql("UPDATE head SET size = 5"), None),
        (edit_head("frontier", bytes(64)), None),
        (edit_head("last_leaf", bytes(32)), None),
        (edit_head("note", "5"), None),
        (sql("DELETE FROM head"), 6),
        (sql("DELETE FROM event", "DELETE FROM head", "DELETE FROM checkpoint"), 0),
        (sql("INSERT INTO checkpoint SELECT 3, note FROM head"), None),
        (sql("INSERT INTO checkpoint VALUES (3, 'nonsense')"), None),
        (sql("INSERT INTO checkpoint SELECT 0, note FROM head"), None),
        (sql("DELETE FROM mention WHERE seq = 2"), None),
        (sql("DELETE FROM mention"), None),
        (sql("INSERT INTO mention VALUES (42, 2)"), None),
        (sql("UPDATE mention SET name = name + 1 WHERE seq = 4"), None),
        (sql("UPDATE mention SET seq = 7 WHERE seq = 4"), None),
    ],
)
def test_tampering_is_seen(keyring, log, backend, attack, first_bad):
    home = backend.home
    fill(log)
    assert verify_home(home, keyring).ok
    log.close()
    attack(backend)
    report = verify_home(home, keyring)
    assert not report.ok
    assert report.problems
    if first_bad is not None:
        assert report.first_bad == first_bad


def rewrite(backend, upto):
    """What a forger without the signing key can do best: cut, and rebuild all that is unsigned."""
    from cloister.store.merkle import Frontier, leaf_hash

    frontier, leaf = Frontier.empty(), None
    connection = backend.connect()
    question = "SELECT seq, header FROM event WHERE seq < :upto ORDER BY seq"
    for seq, header in connection.execute(question, {"upto": upto}).fetchall():
        leaf = leaf_hash(header)
        nodes = {"nodes": b"".join(frontier.append(leaf)), "seq": seq}
        connection.execute("UPDATE event SET nodes = :nodes WHERE seq = :seq", nodes)
    for table, column in (("event", "seq"), ("mention", "seq"), ("checkpoint", "size")):
        limit = {"upto": upto if column == "seq" else upto + 1}
        connection.execute(f"DELETE FROM {table} WHERE {column} >= :upto", limit)
    connection.close()
    backend.set_head("size", upto)
    backend.set_head("frontier", frontier.serialize())
    backend.set_head("last_leaf", leaf)


def test_rolling_back_to_an_older_signed_checkpoint_is_seen_by_the_witness(
    home, keyring, log, backend
):
    fill(log, 3)
    older = home.witness_path.read_text()
    fill(log, 3)
    log.close()
    rewrite(backend, 3)
    backend.set_head("note", older)
    verifier = Verifier(keyring.key_name, keyring.public_key_bytes)
    assert verify_log(home, verifier).ok, "without a witness it looks whole"
    report = verify_home(home, keyring)
    assert (report.ok, report.first_bad) == (False, 3)
    with pytest.raises(StoreUnavailable) as caught:
        LineageLog(home, keyring)
    assert caught.value.code == "CLO-STORE-002"


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


def test_forged_checkpoint_of_another_key_is_seen(home, keyring, log, backend, tmp_path):
    fill(log)
    log.close()
    forger = open_keyring(ensure_home(Home(tmp_path / "forger")))
    from cloister.store.checkpoint import Checkpoint, sign_checkpoint
    from cloister.store.keys import key_id

    real = parse_checkpoint(home.witness_path.read_text())
    forged = sign_checkpoint(
        Checkpoint(real.origin, real.size, real.root),
        real.origin,
        key_id(real.origin, keyring.public_key_bytes),
        forger.signer.sign,
    )
    backend.set_head("note", forged)
    report = verify_home(home, keyring)
    assert not report.ok
    assert "not signed" in report.problems[0]
    with pytest.raises(StoreUnavailable):
        LineageLog(home, keyring)


def test_rewritten_history_is_refused_by_the_next_writer(home, keyring, log, backend):
    fill(log)
    log.close()
    backend.change("header", 2, lambda header: header.replace(b"ann", b"bob"))
    rewrite(backend, 6)
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


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_flipped_byte_of_any_event_is_seen(home, keyring, backend, data):
    if not home.witness_path.exists():
        with LineageLog(home, keyring) as log:
            fill(log, 8)
    column = data.draw(st.sampled_from(["header", "payload", "nodes"]))
    seq = data.draw(st.integers(0, 7))
    place, bit = data.draw(st.integers(0, 1000)), 1 << data.draw(st.integers(0, 7))

    def flip(value):
        at = place % len(value)
        return value[:at] + bytes([value[at] ^ bit]) + value[at + 1 :]

    backend.change(column, seq, flip)
    report = verify_home(home, keyring)
    backend.change(column, seq, flip)
    assert (report.ok, report.first_bad) == (False, seq)
    assert verify_home(home, keyring).ok


# --- several writers, crashes, failures --------------------------------------------------------


def _append_many(root, worker, count):
    home = Home(Path(root))
    with LineageLog(home, open_keyring(home), busy_timeout_ms=60_000) as log:
        for i in range(count):
            log.append([intent(f"w{worker}-{i:05d}"), result(f"w{worker}-{i:05d}")])


def test_several_processes_share_one_log(home, keyring, backend):
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


def test_killed_writer_loses_nothing_that_it_acknowledged(home, keyring, backend):
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


def test_locked_log_says_so_and_recovers(home, keyring, backend):
    with LineageLog(home, keyring, busy_timeout_ms=50) as log:
        other = backend.writing()
        with pytest.raises(StoreUnavailable) as caught:
            log.append([intent("a")])
        assert caught.value.code == "CLO-STORE-003"
        assert caught.value.remedy
        other.rollback()
        log.append([intent("b")])
    report = verify_home(home, keyring)
    assert (report.ok, report.events) == (True, 1)


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


@pytest.mark.parametrize("value", ["/w/p.csv", 'a"b', "a\\", 'a\\"b\\\\', "é\n\x01", ""])
@pytest.mark.parametrize("key", ["path", "source", "column", "host", "notebook"])
def test_a_topic_is_found_however_it_is_spelled(key, value):
    from cloister.core.records import canonical_bytes
    from cloister.store.mentions import name_of, names_in

    body = canonical_bytes({"a": [{key: value, "z": f'"{key}":"no"'}], "b": "\\"})
    assert names_in("cell.result", body) == [name_of(key, value)]
    assert names_in("cell.intent", canonical_bytes({"notebook": value})) == [
        name_of("notebook", value)
    ]


def test_pictures_and_files_are_topics_and_texts_are_not():
    from cloister.core.records import canonical_bytes
    from cloister.store.mentions import name_of, names_in

    forms = [{"type": "image/png", "sha256": "a" * 64}, {"type": "text/plain", "sha256": "b" * 64}]
    body = canonical_bytes({"displayed": [{"forms": forms}], "reads": [{"sha256": "c" * 64}]})
    assert names_in("cell.result", body) == [
        name_of("sha256", "a" * 64),
        name_of("sha256", "c" * 64),
    ]
    assert len(names_in("x.y", canonical_bytes([{"path": str(i)} for i in range(1_000)]))) == 300
