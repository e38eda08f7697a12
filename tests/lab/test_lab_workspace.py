"""What the extension concludes from files: liveness, posture, paging and remembered checks."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import PurePosixPath

import pytest
from cloister_lab import record
from cloister_lab.kernels import Posture, read_kernel
from cloister_lab.query import QueryError, parse_before, parse_kernel_id, parse_limit, read_query
from cloister_lab.workspace import Workspace
from hypothesis import given, settings
from hypothesis import strategies as st
from labserver import Execution, append, write_state


@pytest.fixture
def workspace(home):
    return Workspace({"CLOISTER_HOME": str(home.root)})


def test_a_live_sandboxed_kernel_is_guarded(home):
    write_state(home, "k")
    state = read_kernel(home, "k")
    assert state.posture is Posture.GUARDED
    assert state.user == "maya"


def test_a_kernel_behind_reduced_walls_is_degraded_and_says_which(home):
    write_state(home, "k", sandbox="landlock")
    state = read_kernel(home, "k")
    assert (state.posture, state.sandbox) == (Posture.DEGRADED, "landlock")


def test_the_mode_is_the_policys(home, workspace):
    assert workspace.status(None)["mode"] == "guard"
    home.policy_path.write_text("version: 1\nmode: enclave\n")
    assert workspace.status(None)["mode"] == "enclave"
    home.policy_path.write_text("nonsense")
    assert workspace.status(None)["mode"] is None


@pytest.mark.parametrize(
    "changes",
    [
        {"sandbox": "none"},
        {"sandbox": "magic"},
        {"guarantees": []},
        {"guarantees": None},
        {"guarantees": [{"id": "gate", "holds": "yes", "why": "", "fix": ""}]},
        {"guarantees": [{"id": "gate", "holds": False, "why": "w", "fix": "f"}]},
    ],
)
def test_a_live_kernel_with_a_gap_is_degraded(home, changes):
    write_state(home, "k", **changes)
    assert read_kernel(home, "k").posture is Posture.DEGRADED


@pytest.mark.parametrize(
    "changes",
    [
        {"kernel_id": "other"},
        {"pid": 0},
        {"pid": -1},
        {"pid": True},
        {"pid": "1"},
        {"pid": 2**40},
        {"started_us": None},
    ],
)
def test_a_state_that_proves_nothing_is_unguarded(home, changes):
    write_state(home, "k", **changes)
    state = read_kernel(home, "k")
    assert state.posture is Posture.UNGUARDED
    assert state.guarantees[0].fix


def test_a_kernel_whose_sidecar_ended_is_unguarded(home):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    write_state(home, "k", pid=process.pid)
    assert read_kernel(home, "k").posture is Posture.UNGUARDED


def test_a_sidecar_that_ended_but_was_not_collected_is_unguarded(home):
    process = subprocess.Popen([sys.executable, "-c", ""])
    try:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        write_state(home, "k", pid=process.pid)
        assert read_kernel(home, "k").posture is Posture.UNGUARDED
    finally:
        process.wait()


def test_another_process_with_the_sidecars_number_is_not_the_sidecar(home):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        an_hour_ago = time.time_ns() // 1000 - 3_600_000_000
        write_state(home, "k", pid=process.pid, started_us=an_hour_ago)
        assert read_kernel(home, "k").posture is Posture.UNGUARDED
        write_state(home, "k", pid=process.pid)
        assert read_kernel(home, "k").posture is Posture.GUARDED
        process.communicate(b"\n")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b" " * 300_000])
def test_an_unreadable_state_is_unguarded(home, content):
    write_state(home, "k")
    (home.run_dir / "k" / "state.json").write_bytes(content)
    assert read_kernel(home, "k").posture is Posture.UNGUARDED


def test_a_state_behind_a_link_is_unguarded(home, tmp_path):
    write_state(home, "k")
    path = home.run_dir / "k" / "state.json"
    path.rename(tmp_path / "state.json")
    path.symlink_to(tmp_path / "state.json")
    assert read_kernel(home, "k").posture is Posture.UNGUARDED


def test_a_check_is_remembered_until_the_record_grows(home, workspace, monkeypatch):
    append(home, Execution("k"))
    first = workspace.verify(is_forced=False)
    assert first.ok
    assert workspace.verify(is_forced=False) is first
    assert workspace.verify(is_forced=True) is not first
    append(home, Execution("k"))
    again = workspace.verify(is_forced=False)
    assert again.report.events == first.report.events + 2


def test_growth_that_is_only_in_the_write_ahead_log_counts(home, workspace):
    append(home, Execution("k"))
    # An open reader keeps SQLite from moving the log into the database.
    reader = sqlite3.connect(home.lineage_path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM event").fetchone()
    workspace.verify(is_forced=False)
    size = home.lineage_path.stat().st_size
    append(home, Execution("k"))
    assert home.lineage_path.stat().st_size == size
    assert workspace.status(None)["record"]["ok"] is None
    reader.close()


def test_a_changed_event_is_found_and_stays_found(home, workspace):
    append(home, Execution("k"), Execution("k"), Execution("k"))
    assert workspace.verify(is_forced=False).ok
    database = sqlite3.connect(home.lineage_path)
    database.execute(
        "UPDATE event SET header = CAST(replace(CAST(header AS TEXT), 'maya', 'mary') AS BLOB)"
        " WHERE seq = 2"
    )
    database.commit()
    database.close()
    check = workspace.verify(is_forced=False)
    assert not check.ok
    assert check.report.first_bad == 2
    # Growth does not turn a broken record into one that was not checked.
    os.utime(home.lineage_path)
    assert workspace.status(None)["record"]["ok"] is False


def test_a_forced_check_sees_a_change_that_hides_its_time(home, workspace):
    append(home, Execution("k"))
    log = home.lineage_path
    with sqlite3.connect(log) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    assert workspace.verify(is_forced=False).ok
    status = log.stat()
    content = log.read_bytes()
    changed = content.replace(b'"user":"maya"', b'"user":"mary"')
    assert changed != content
    with log.open("r+b") as stream:
        stream.write(changed)
    os.utime(log, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert workspace.verify(is_forced=False).ok, "only times and sizes are compared"
    assert not workspace.verify(is_forced=True).ok


def test_a_lost_home_is_degraded_and_no_kernel_is_guarded(home, workspace):
    write_state(home, "k")
    assert workspace.status("k")["kernel"]["posture"] == "guarded"
    home.policy_path.unlink()
    status = workspace.status("k")
    assert status["posture"] == "degraded"
    assert status["kernel"]["posture"] == "degraded"
    shutil.rmtree(home.root)
    status = workspace.status("k")
    assert not status["home_ok"]
    assert status["kernel"]["posture"] == "unguarded"


@settings(max_examples=60)
@given(
    kernels=st.lists(st.sampled_from("abc"), max_size=40),
    limit=st.integers(1, 7),
    wanted=st.sampled_from(["a", "b", "z", None]),
)
def test_pages_together_are_the_list(kernels, limit, wanted):
    rows = [{"seq": 2 * i, "kernel_id": k} for i, k in enumerate(kernels)][::-1]

    def executions(count, before, *, kernel_id):
        asked = (row for row in rows if kernel_id in {None, row["kernel_id"]})
        return [row for row in asked if before is None or row["seq"] < before][:count]

    seen, before, pages = [], None, 0
    while True:
        page = record.read_page(executions, limit=limit, before=before, kernel_id=wanted)
        assert len(page["executions"]) <= limit
        seen += page["executions"]
        pages += 1
        assert pages < 100
        before = page["next_before"]
        if before is None:
            break
    assert seen == [row for row in rows if wanted is None or row["kernel_id"] == wanted]


@given(st.text())
def test_an_accepted_kernel_id_is_one_plain_directory_name(text):
    try:
        accepted = parse_kernel_id(text)
    except QueryError:
        return
    assert accepted == text
    assert accepted == PurePosixPath(accepted).name
    assert accepted not in {"", ".", ".."}
    assert accepted.isascii()


@given(st.one_of(st.text(), st.integers().map(str)))
def test_numbers_are_in_range_or_refused(text):
    for parse, low, high in ((parse_limit, 1, 200), (parse_before, 0, 2**63 - 1)):
        try:
            value = parse(text)
        except QueryError:
            continue
        assert low <= value <= high
        assert int(text) == value


def test_a_parameter_that_is_not_utf8_is_refused():
    with pytest.raises(QueryError):
        read_query({"limit": [b"\xff"]}, frozenset({"limit"}))
