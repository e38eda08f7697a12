"""Witnesses are kept up to date beside the cells; what they contradict, or lack, is said."""

import json
import shutil
import socket
import sqlite3
import threading
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from cloister.core.recordrules import OnLag, RecordRules
from cloister.store.checkpoint import CheckpointError
from cloister.store.evidence import journal, witnessing
from cloister.store.evidence import record_verifier as alone
from cloister.store.evidence.posture import coverage
from cloister.store.evidence.reader import EvidenceReader
from cloister.store.evidence.standing import State, standings
from cloister.store.evidence.witnessing import Witnessing, WitnessLate
from provenlog import Workspace, cosigned_by, kept_in, members


class Clock:
    """Real time, and as much later as a test wants."""

    def __init__(self):
        self.offset_s = 0.0

    def __call__(self):
        return time.time() + self.offset_s


@pytest.fixture
def clock():
    return Clock()


def asks(workspace, rules, clock=time.time):
    return Witnessing(workspace.home, workspace.keyring, lambda: rules, now_s=clock)


def refusing(rules, lag_s=10):
    return replace(rules, on_lag=OnLag.REFUSE, lag_s=lag_s)


# --- a file elsewhere ---------------------------------------------------------------------------


def test_a_file_elsewhere_gets_each_new_checkpoint_and_keeps_the_old_ones(workspace, tmp_path):
    share = tmp_path / "share"
    rules = kept_in(share)
    for count in (3, 0, 2):
        workspace.record(count)
        (standing,) = asks(workspace, rules).round(is_forced=True)
        assert (standing.state, standing.missing) == (State.CURRENT, 0)
    kept = journal.read_kept(share, workspace.verifier)
    assert [checkpoint.size for checkpoint in kept] == [3, 5]
    assert share.stat().st_mode & 0o033 == 0


def test_a_torn_entry_is_passed_over_and_joined_with_nothing(workspace, tmp_path):
    share = tmp_path / "share"
    workspace.record(2)
    asks(workspace, kept_in(share)).round(is_forced=True)
    note = share.read_text()
    for cut in (5, len(note) // 2, len(note) - 3):
        workspace.record(1)
        with share.open("a") as stream:
            stream.write(workspace.checkpoint()[:cut])
        asks(workspace, kept_in(share)).round(is_forced=True)
    sizes = [checkpoint.size for checkpoint in journal.read_kept(share, workspace.verifier)]
    assert sizes == [2, 3, 4, 5]


def test_only_the_end_of_a_long_file_is_read_to_go_on(workspace, tmp_path):
    share = tmp_path / "share"
    workspace.record(2)
    share.write_text(workspace.checkpoint() * 2000)
    newest = journal.read_newest(share, workspace.verifier)
    assert newest[1].size == 2
    assert newest[0] == workspace.checkpoint()


def test_a_file_of_another_log_is_never_written_to(workspace, tmp_path):
    share = tmp_path / "share"
    other = Workspace(tmp_path / "other")
    other.record(9)
    share.write_text(other.checkpoint())
    workspace.record(1)
    (standing,) = asks(workspace, kept_in(share)).round(is_forced=True)
    assert (standing.state, standing.missing) == (State.BEHIND, 1)
    assert "no checkpoint that the log's key signed" in standing.reason
    assert share.read_text() == other.checkpoint()
    with pytest.raises(CheckpointError):
        journal.read_kept(share, workspace.verifier)


def test_a_link_is_not_followed_when_it_is_written(workspace, tmp_path):
    target = tmp_path / "target"
    (tmp_path / "share").symlink_to(target)
    workspace.record(1)
    (standing,) = asks(workspace, kept_in(tmp_path / "share")).round(is_forced=True)
    assert standing.missing == 1
    assert not target.exists()


# --- a cosigner ---------------------------------------------------------------------------------


def test_a_cosigner_is_asked_and_what_it_signs_goes_into_the_bundle(
    workspace, cosigner, listening, tmp_path
):
    cosigner.trust(workspace.verifier)
    rules = cosigned_by(listening, cosigner.verifier_line)
    workspace.record(4)
    (standing,) = asks(workspace, rules).round(is_forced=True)
    assert (standing.state, standing.size) == (State.CURRENT, 4)
    workspace.record(3)
    bundle = workspace.export(tmp_path / "b.zip", rules=rules)
    report = alone.verify_bundle(
        bundle,
        alone.parse_key(workspace.key_line),
        cosigners=[alone.parse_key(cosigner.verifier_line)],
    )
    assert report["ok"], report["problems"]
    assert [(x["name"], x["size"]) for x in report["cosigned"]] == [("audit.example.org/w1", 4)]
    assert {"witnesses/w1.note", "witnesses/w1.pub"} <= members(bundle).keys()
    stranger = alone.Key("audit.example.org/w1", 4, bytes(32))
    refused = alone.verify_bundle(bundle, alone.parse_key(workspace.key_line), cosigners=[stranger])
    assert not refused["ok"], "the key is the reviewer's, never the bundle's"


def test_a_cosigner_that_does_not_know_the_log_or_signs_with_another_key_is_told_apart(
    workspace, cosigner, listening
):
    workspace.record(1)
    rules = cosigned_by(listening, cosigner.verifier_line)
    (standing,) = asks(workspace, rules).round(is_forced=True)
    assert "does not watch this log" in standing.reason
    cosigner.trust(workspace.verifier)
    other = alone.Key("audit.example.org/w1", 4, bytes(32))
    line = f"{other.name}+{other.identifier().hex()}+BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    (standing,) = asks(workspace, cosigned_by(listening, line)).round(is_forced=True)
    assert "no cosignature by the key in the policy" in standing.reason
    (standing,) = asks(workspace, cosigned_by(listening, "nonsense")).round(is_forced=True)
    assert "not a verifier key" in standing.reason


def test_a_cosignature_of_the_future_is_not_taken(workspace, cosigner, listening, clock):
    cosigner.trust(workspace.verifier)
    workspace.record(1)
    clock.offset_s = -3600
    rules = cosigned_by(listening, cosigner.verifier_line)
    (standing,) = asks(workspace, rules, clock).round(is_forced=True)
    assert (standing.missing, "future" in standing.reason) == (1, True)


def test_an_asker_that_forgot_what_the_cosigner_knows_learns_it(workspace, cosigner, listening):
    cosigner.trust(workspace.verifier)
    rules = cosigned_by(listening, cosigner.verifier_line)
    workspace.record(5)
    asks(workspace, rules).round(is_forced=True)
    shutil.rmtree(workspace.memories.directory)
    workspace.record(2)
    (standing,) = asks(workspace, rules).round(is_forced=True)
    assert (standing.state, standing.size) == (State.CURRENT, 7)


# --- contradiction ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["file", "cosigner"])
def test_an_old_copy_of_the_whole_home_that_is_put_back_is_contradicted(
    workspace, cosigner, listening, tmp_path, kind
):
    cosigner.trust(workspace.verifier)
    rules = {
        "file": kept_in(tmp_path / "share"),
        "cosigner": cosigned_by(listening, cosigner.verifier_line),
    }[kind]
    workspace.record(3)
    asks(workspace, rules).round(is_forced=True)
    shutil.copytree(workspace.home.root, tmp_path / "backup")
    workspace.record(4)
    asks(workspace, rules).round(is_forced=True)
    shutil.rmtree(workspace.home.root)
    (tmp_path / "backup").rename(workspace.home.root)

    witnesses = asks(workspace, refusing(rules))
    (standing,) = witnesses.round(is_forced=True)
    assert standing.state is State.CONFLICT
    assert standing.reason == "it knows 7 events, and the log has 3"
    with pytest.raises(WitnessLate) as caught:
        witnesses.check()
    assert caught.value.code == "CLO-WITNESS-002"
    covered = {c.id: c.holds for c in coverage([standing])}
    assert covered == {
        "witness": False,
        "record-rollback": False,
        "record-forgery": False,
        "record-backdating": False,
    }
    # Growing past what the witness knows does not make it forget.
    workspace.record(9, first=50)
    (standing,) = asks(workspace, rules).round(is_forced=True)
    assert standing.state is State.CONFLICT
    assert "another history" in standing.reason


def test_a_database_alone_that_became_shorter_is_a_conflict_before_anybody_is_asked(
    workspace, cosigner, listening
):
    cosigner.trust(workspace.verifier)
    rules = cosigned_by(listening, cosigner.verifier_line)
    workspace.record(3)
    old = workspace.home.lineage_path.read_bytes()
    workspace.record(2)
    asks(workspace, rules).round(is_forced=True)
    workspace.home.lineage_path.write_bytes(old)
    (standing,) = asks(workspace, rules).round()
    assert standing.state is State.CONFLICT


# --- time ---------------------------------------------------------------------------------------


def test_a_witness_is_asked_after_its_interval_or_enough_events(workspace, tmp_path, clock):
    share = tmp_path / "share"
    rules = kept_in(share, every_s=60, every_events=5)
    workspace.record(1)
    assert asks(workspace, rules, clock).round()[0].missing == 0, "the first time at once"
    workspace.record(1)
    assert asks(workspace, rules, clock).round()[0].missing == 1
    clock.offset_s = 61
    assert asks(workspace, rules, clock).round()[0].missing == 0
    workspace.record(4)
    assert asks(workspace, rules, clock).round()[0].missing == 4
    workspace.record(1)
    assert asks(workspace, rules, clock).round()[0].missing == 0
    clock.offset_s = -10_000
    workspace.record(1)
    assert asks(workspace, rules, clock).round()[0].missing == 0, "a clock that went back"


def test_a_witness_that_fails_is_left_alone_for_longer_and_longer(workspace, tmp_path, clock):
    workspace.record(1)
    rules = kept_in(tmp_path / "no" / "such" / "mount")
    tried = []
    for second in range(600):
        clock.offset_s = second
        asks(workspace, rules, clock).round()
        memory = workspace.memories.of(rules.witnesses[0])
        if not tried or memory.failures > len(tried):
            tried.append(second)
    gaps = [b - a for a, b in pairwise(tried)]
    assert 6 <= len(tried) <= 12
    assert gaps == sorted(gaps)
    (tmp_path / "no" / "such").mkdir(parents=True)
    assert asks(workspace, rules, clock).round(is_forced=True)[0].state is State.CURRENT


def test_a_late_witness_is_reported_or_stops_executions(workspace, tmp_path, clock):
    workspace.record(1)
    rules = kept_in(tmp_path / "gone" / "share", every_s=60)
    reporting = asks(workspace, rules, clock)
    stopping = asks(workspace, refusing(rules, lag_s=100), clock)
    for offset_s, state in ((0, State.BEHIND), (150, State.BEHIND), (1000, State.LATE)):
        clock.offset_s = offset_s
        assert stopping.round()[0].state is state
        reporting.round()
        reporting.check()
        if state is State.LATE:
            with pytest.raises(WitnessLate, match="last 1 events") as caught:
                stopping.check()
            assert (caught.value.code, caught.value.rule) == (
                "CLO-WITNESS-001",
                "record.witnesses[0]",
            )
        else:
            stopping.check()
    (tmp_path / "gone").mkdir()
    stopping.round(is_forced=True)
    stopping.check()


def test_rounds_that_never_were_or_have_stopped_refuse_where_the_policy_says_so(
    workspace, tmp_path, monkeypatch
):
    monkeypatch.setattr(witnessing, "_FIRST_ROUND_S", 0.05)
    rules = kept_in(tmp_path / "share")
    asks(workspace, rules).check()
    asks(workspace, refusing(RecordRules())).check()
    with pytest.raises(WitnessLate, match="not known"):
        asks(workspace, refusing(rules)).check()
    workspace.record(1)
    witnesses = asks(workspace, refusing(rules))
    witnesses.round()
    witnesses.check()
    monkeypatch.setattr(witnessing, "_STOPPED_AFTER_S", -1.0)
    with pytest.raises(WitnessLate, match="not known"):
        witnesses.check()


def test_the_thread_asks_at_once_and_once_more_at_the_end(workspace, tmp_path):
    rules = kept_in(tmp_path / "share", every_s=3600)
    workspace.record(2)
    witnesses = asks(workspace, refusing(rules))
    witnesses.start()
    witnesses.check()  # waits for the first round
    assert workspace.memories.of(rules.witnesses[0]).size == 2
    workspace.record(3)
    witnesses.stop()
    assert workspace.memories.of(rules.witnesses[0]).size == 5


def test_a_cell_never_waits_for_a_witness_that_hangs(workspace):
    hole = socket.create_server(("127.0.0.1", 0))  # accepts, and never answers
    key = alone.Key("w", 4, bytes(32))
    line = f"w+{key.identifier().hex()}+BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    rules = cosigned_by(f"http://127.0.0.1:{hole.getsockname()[1]}", line)
    workspace.record(1)
    witnesses = asks(workspace, rules)
    witnesses.start()
    started = time.monotonic()
    for _ in range(1000):
        witnesses.check()
    assert time.monotonic() - started < 0.5
    witnesses.stop()
    assert time.monotonic() - started < 5
    hole.close()


def test_one_process_asks_at_a_time(workspace, tmp_path):
    share = tmp_path / "share"
    workspace.record(3)
    threads = [
        threading.Thread(target=asks(workspace, kept_in(share)).round, kwargs={"is_forced": True})
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [c.size for c in journal.read_kept(share, workspace.verifier)] == [3]


def test_a_memory_that_is_damaged_is_asked_for_again(workspace, tmp_path):
    rules = kept_in(tmp_path / "share")
    workspace.record(1)
    asks(workspace, rules).round(is_forced=True)
    for content in ("", "[]", "nonsense", json.dumps({"share": {"sizes": 3}})):
        (workspace.memories.directory / "state.json").write_text(content)
        assert asks(workspace, rules).round(is_forced=True)[0].state is State.CURRENT


def test_a_witness_at_another_address_begins_anew(workspace, tmp_path):
    workspace.record(2)
    asks(workspace, kept_in(tmp_path / "one")).round(is_forced=True)
    rules = kept_in(tmp_path / "two")
    assert workspace.memories.of(rules.witnesses[0]).size == 0
    asks(workspace, rules).round()
    assert (tmp_path / "two").exists()


def test_what_covers_what_is_said_by_kind(workspace, cosigner, listening, tmp_path):
    cosigner.trust(workspace.verifier)
    workspace.record(2)
    told = {}
    for name, rules in (
        ("none", RecordRules()),
        ("file", kept_in(tmp_path / "share")),
        ("cosigner", cosigned_by(listening, cosigner.verifier_line)),
    ):
        found = asks(workspace, rules).round(is_forced=True)
        told[name] = {c.id: c for c in coverage(found)}
        for c in told[name].values():
            assert c.holds is not bool(c.fix)
    assert not any(c.holds for c in told["none"].values())
    for name in ("file", "cosigner"):
        assert told[name]["witness"].holds
        assert told[name]["record-rollback"].holds
        assert told[name]["record-forgery"].holds
        assert not told[name]["record-backdating"].holds
    assert "unless they can write there" in told["file"]["record-forgery"].why
    assert "unless" not in told["cosigner"]["record-forgery"].why


def test_a_log_that_cannot_be_read_is_the_logs_trouble(workspace, tmp_path):
    rules = kept_in(tmp_path / "share")
    workspace.record(2)
    with sqlite3.connect(workspace.home.lineage_path) as database:
        database.execute("DELETE FROM event WHERE seq = 0")
    database.close()
    share = Path(rules.witnesses[0].location)
    share.write_text(workspace.checkpoint())
    asks(workspace, rules).round(is_forced=True)
    assert share.read_text() == workspace.checkpoint()


def test_a_log_that_grows_while_it_is_looked_at_is_no_conflict(workspace, tmp_path):
    rules = kept_in(tmp_path / "share")
    workspace.record(2)
    asks(workspace, rules).round(is_forced=True)

    class GrowingReader(EvidenceReader):
        def head(self):
            found = super().head()
            workspace.record(1)
            asks(workspace, rules).round(is_forced=True)
            return found

    with GrowingReader(workspace.home) as reader:
        (standing,) = standings(rules, workspace.memories, reader, time.time())
    assert standing.state is State.CURRENT
