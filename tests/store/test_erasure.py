"""Payloads that are erased: gone for good, and the record still provable."""

import time

import pytest
from cloister.core.records import Record
from cloister.core.retention import parse_subject, retention_from_dict, retention_problems
from cloister.store import lineage_second_scan
from cloister.store.entry import PayloadErased, PayloadState
from cloister.store.erasure import BY_SUBJECT, erase, plan_erasure, plan_expiry
from cloister.store.erasure_reader import ErasureReader
from cloister.store.keys import open_keyring
from cloister.store.lineage import LineageLog
from cloister.store.lineage_reader import LineageReader
from cloister.store.lineage_verify import verify_home, verify_log
from cloister.store.rotation import Rotation
from lineage_records import SECRET, intent, result
from older_records import append_as_before

DAY_US = 86_400 * 1_000_000
FACTS = {"user": "admin", "attested_by": "cli"}
NO_RULES = retention_from_dict({})


def cell(name, user="ann", kernel="k1", datasets=()):
    reads = [{"path": "x.csv", "dataset": dataset} for dataset in datasets]
    return [intent(name, user=user, kernel_id=kernel), result(name, kernel_id=kernel, reads=reads)]


@pytest.fixture
def cells(log):
    """Ann reads patients in her second cell and prints in her third; bob does something else."""
    for records in (
        cell("a1"),
        cell("a2", datasets=["patients"]),
        cell("b1", user="bob", kernel="k2", datasets=["sales"]),
        cell("a3"),
        cell("b2", user="bob", kernel="k2"),
        cell("a4", kernel="k3"),
    ):
        log.append(records)
    return log


def run(home, log, *, subject=None, rules=NO_RULES, now_us=None, before_us=None, skip=False):
    with ErasureReader(home) as reader:
        among = None if subject is None else reader.reached(parse_subject(subject))
        now_us = time.time_ns() // 1000 if now_us is None else now_us
        plan = plan_erasure(reader, rules, now_us, BY_SUBJECT, among=among, before_us=before_us)
    refusal = None if skip else plan.refusal()
    if refusal is not None:
        raise refusal
    return erase(log, plan, FACTS, "a reason")


def left(home):
    """The executions whose payloads can still be read."""
    with LineageReader(home, open_keyring(home)) as reader:
        entries = [reader.event(entry.seq) for entry in reader.entries()]
    return {
        entry.body["execution_id"]
        for entry in entries
        if entry.payload_state is PayloadState.OPEN and "execution_id" in entry.body
    }


@pytest.mark.parametrize(
    ("subject", "stays"),
    [
        ("user:ann", {"b1", "b2"}),
        ("user:bob", {"a1", "a2", "a3", "a4"}),
        ("dataset:patients", {"a1", "b1", "b2", "a4"}),  # a3: the same kernel, later
        ("dataset:sales", {"a1", "a2", "a3", "a4"}),
        ("kernel:k2", {"a1", "a2", "a3", "a4"}),
        ("execution:a2", {"a1", "b1", "a3", "b2", "a4"}),
        ("user:nobody", {"a1", "a2", "b1", "a3", "b2", "a4"}),
    ],
)
def test_a_subject_reaches_what_is_about_it_and_nothing_else(home, cells, subject, stays):
    run(home, cells, subject=subject)
    assert left(home) == stays
    assert verify_home(home, open_keyring(home)).ok


def test_erased_payload_answers_when_and_by_which_rule(home, cells, keyring):
    (tombstone,) = run(home, cells, subject="user:bob")
    with LineageReader(home, keyring) as reader:
        (code, outputs) = reader.get("b1")
        mark = reader.event(tombstone)
        listed = {entry.seq: entry.payload_state for entry in reader.entries()}
    for entry in (code, outputs):
        assert entry.payload_state is PayloadState.ERASED
        assert listed[entry.seq] is PayloadState.ERASED
        assert entry.payload == b""
        assert (entry.erasure.seq, entry.erasure.rule) == (tombstone, BY_SUBJECT)
        assert abs(entry.erasure.time_us - time.time_ns() // 1000) < DAY_US
        with pytest.raises(PayloadErased) as caught:
            entry.require_payload()
        assert caught.value.code == "CLO-ERASE-001"
        assert caught.value.rule == BY_SUBJECT
        assert str(time.gmtime().tm_year) in caught.value.message
    assert mark.type == "payload.erased"
    assert mark.body["events"] == [[code.seq, outputs.seq], [8, 9]]
    assert mark.body["count"] == 4
    assert b"a reason" in mark.payload
    assert b"a reason" not in mark.header


def test_nothing_that_is_left_opens_an_erased_payload(home, cells, keyring, backend):
    """Not the old keyring, not the files of the database: the key itself is gone."""
    connection = backend.connect()
    question = "SELECT wrapped FROM data_key WHERE seq = 4"
    wrapped = bytes(connection.execute(question).fetchone()[0])
    connection.close()
    run(home, cells, subject="user:bob")
    connection = backend.connect()
    assert connection.execute(question).fetchone() is None
    sealed = connection.execute("SELECT payload FROM event WHERE seq = 4").fetchone()[0]
    connection.close()
    assert bytes(sealed).startswith(b"CLPAYLD2")
    if not backend.is_postgres:
        for file in home.lineage_path.parent.glob("lineage.db*"):
            assert wrapped not in file.read_bytes(), file.name


def test_a_key_from_a_backup_does_not_open_after_a_rotation(home, cells, keyring, backend):
    connection = backend.connect()
    row = connection.execute("SELECT generation, wrapped FROM data_key WHERE seq = 4").fetchone()
    connection.close()
    run(home, cells, subject="user:bob")
    Rotation(home, FACTS).run()
    connection = backend.connect()
    values = {"g": row[0], "w": row[1]}
    connection.execute("INSERT INTO data_key (seq, generation, wrapped) VALUES (4, :g, :w)", values)
    connection.execute("DELETE FROM erased WHERE seq = 4")
    connection.close()
    with LineageReader(home, open_keyring(home)) as reader:
        assert reader.event(4).payload_state is PayloadState.DAMAGED
    report = verify_home(home, open_keyring(home))
    assert not report.ok
    assert "event 4 was erased, and its key is there again" in report.problems


@pytest.mark.parametrize(
    "damage",
    [
        ("DELETE FROM data_key WHERE seq = 0", "the key of event 0 is gone"),
        ("DELETE FROM erased WHERE seq = 4", "the index of erased payloads"),
        ("UPDATE erased SET tombstone = 3 WHERE seq = 4", "the index of erased payloads"),
        ("INSERT INTO erased (seq, tombstone) VALUES (0, 12)", "the index of erased payloads"),
        ("UPDATE event SET payload = NULL WHERE seq = 0", "the payload of event 0 is gone"),
    ],
)
def test_verification_sees_what_was_destroyed_without_a_tombstone(
    home, cells, keyring, backend, damage
):
    statement, problem = damage
    run(home, cells, subject="user:bob")
    assert verify_home(home, keyring).ok
    backend.tamper(statement)
    report = verify_home(home, keyring)
    assert not report.ok
    assert any(found.startswith(problem) for found in report.problems), report.problems


def test_two_processes_find_of_erasures_what_one_finds(home, cells, keyring, backend, monkeypatch):
    run(home, cells, subject="user:bob")
    cells.append(cell("a9"))
    run(home, cells, subject="execution:a9")
    for name, value in {"WORTH_IT": 2, "_ALIGNED": 1, "_processors": lambda: 2}.items():
        monkeypatch.setattr(lineage_second_scan, name, value)
    for part in (0.2, 0.5, 0.8):
        monkeypatch.setattr(lineage_second_scan, "_FIRST_PART", part)
        assert verify_home(home, keyring).ok
    backend.tamper("DELETE FROM data_key WHERE seq = 11")
    report = verify_home(home, keyring)
    assert report.problems == ("the key of event 11 is gone, and no tombstone says so",)


def test_a_copy_without_keys_is_still_proven(home, cells, keyring, backend, tmp_path):
    if backend.is_postgres:
        pytest.skip("copies are SQLite files")
    run(home, cells, subject="user:bob")
    cells.close()
    copy = tmp_path / "copy.db"
    copy.write_bytes(home.lineage_path.read_bytes())
    import sqlite3

    with sqlite3.connect(copy) as database:
        database.execute("DELETE FROM data_key")
    database.close()
    assert verify_log(copy, keyring.verifier).ok


def test_erasing_twice_and_again_after_new_events(home, cells):
    assert len(run(home, cells, subject="user:bob")) == 1
    assert run(home, cells, subject="user:bob") == []
    cells.append(cell("b3", user="bob", kernel="k2"))
    assert len(run(home, cells, subject="user:bob")) == 1
    assert left(home) == {"a1", "a2", "a3", "a4"}
    assert verify_home(home, open_keyring(home)).ok


def test_payloads_from_before_there_were_data_keys_are_taken_out(
    home, keyring, backend, monkeypatch
):
    append_as_before(
        home, keyring, [*cell("old"), *cell("b0", user="bob", kernel="k2")], monkeypatch
    )
    with LineageLog(home, keyring) as log:
        log.append(cell("new"))
        run(home, log, subject="user:ann")
        connection = backend.connect()
        found = connection.execute("SELECT seq FROM event WHERE payload IS NULL ORDER BY seq")
        assert [row[0] for row in found.fetchall()] == [0, 1]
        connection.close()
        assert left(home) == {"b0"}
        assert verify_home(home, keyring).ok
        with LineageReader(home, keyring) as reader:
            assert reader.event(0).payload_state is PayloadState.ERASED
            assert reader.event(2).require_payload() == SECRET


# --- classes, ages, holds ------------------------------------------------------------------------

RULES = retention_from_dict(
    {
        "classes": [
            {"name": "code", "types": ["cell.intent"], "minimum_days": 10},
            {"name": "outputs", "types": ["cell.*", "output.late"], "maximum_days": 30},
        ]
    }
)


def test_ages_decide_by_the_first_class_that_matches(home, cells):
    now = time.time_ns() // 1000
    with ErasureReader(home) as reader:
        assert plan_expiry(reader, RULES, now).count == 0
        plan = plan_expiry(reader, RULES, now + 31 * DAY_US)
        assert {kept.type for kept in plan.erased["retention.classes[1].maximum_days"]} == {
            "cell.result"
        }
        assert plan.count == 6
    erase(cells, plan, FACTS)
    with LineageReader(home, open_keyring(home)) as reader:
        states = {(e.type, e.payload_state) for e in map(reader.event, range(12))}
    assert states == {
        ("cell.intent", PayloadState.OPEN),
        ("cell.result", PayloadState.ERASED),
    }
    with ErasureReader(home) as reader:
        assert plan_expiry(reader, RULES, now + 31 * DAY_US).count == 0


def test_minimum_age_refuses_the_whole_and_skips_where_asked(home, cells):
    with pytest.raises(Exception, match="CLO-ERASE-003") as caught:
        run(home, cells, subject="user:bob", rules=RULES)
    assert caught.value.rule == "retention.classes[0].minimum_days"
    assert left(home) >= {"b1", "b2"}
    run(home, cells, subject="user:bob", rules=RULES, skip=True)
    with LineageReader(home, open_keyring(home)) as reader:
        code, outputs = reader.get("b1")
        assert (code.payload_state, outputs.payload_state) == (
            PayloadState.OPEN, PayloadState.ERASED)  # fmt: skip
    later = time.time_ns() // 1000 + 11 * DAY_US
    run(home, cells, subject="user:bob", rules=RULES, now_us=later)
    assert "b1" not in left(home)


def test_a_hold_keeps_what_it_reaches_at_any_age(home, cells):
    held = retention_from_dict(
        {
            "classes": [{"name": "all", "types": ["*"], "maximum_days": 1}],
            "holds": [{"subject": "dataset:patients", "reason": "case 17"}],
        }
    )
    with pytest.raises(Exception, match="CLO-ERASE-004") as caught:
        run(home, cells, subject="user:ann", rules=held)
    assert caught.value.rule == "retention.holds[0]"
    assert len(left(home)) == 6
    with ErasureReader(home) as reader:
        plan = plan_expiry(reader, held, time.time_ns() // 1000 + 400 * DAY_US)
    assert plan.held == {"retention.holds[0]": 4}
    erase(cells, plan, FACTS)
    assert left(home) == {"a2", "a3"}
    assert verify_home(home, open_keyring(home)).ok


def test_before_erases_only_what_is_older(home, cells):
    with LineageReader(home) as reader:
        middle = reader.event(6).time_us
    run(home, cells, before_us=middle)
    assert left(home) == {"a3", "b2", "a4"}


def test_policy_check_sees_what_a_schema_cannot():
    document = {
        "retention": {
            "classes": [
                {"name": "a", "types": ["cell.result"], "minimum_days": 9, "maximum_days": 3},
                {"name": "a", "types": ["cell.result"]},
                {"name": "b", "types": ["*"]},
                {"name": "c", "types": ["x.y"]},
            ]
        }
    }
    found = [(path[2:], text) for path, text in retention_problems(document)]
    assert found == [
        ((0, "maximum_days"), "it is smaller than minimum_days"),
        ((1, "name"), "there is another class a"),
        ((1, "types"), "classes before it match all of its types"),
        ((3, "types"), "classes before it match all of its types"),
    ]


@pytest.mark.parametrize("text", ["", "ann", "user:", "user: ", "person:ann", "USER:a", "user:a "])
def test_subjects_that_are_none(text):
    with pytest.raises(ValueError, match="subject"):
        parse_subject(text)


def test_erasing_many_makes_several_tombstones_that_fit(home, log, monkeypatch):
    monkeypatch.setattr("cloister.store.erasure._AT_ONCE", 7)
    for i in range(20):
        log.append([Record("cell.intent", {"execution_id": f"e{i}", "user": "ann"}, SECRET)])
        log.append([Record("policy.applied", {"user": "root"})])
    tombstones = run(home, log, subject="user:ann")
    assert len(tombstones) == 3
    assert left(home) == set()
    assert verify_home(home, open_keyring(home)).ok
