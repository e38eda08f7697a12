"""Verification by two processes finds what one finds: the same report, whatever was done."""

import sqlite3
import subprocess
import sys

import pytest
from cloister.store import lineage_second_scan
from cloister.store.checkpoint import Verifier
from cloister.store.home import Home, ensure_home
from cloister.store.keys import open_keyring
from cloister.store.lineage import LineageLog
from cloister.store.lineage_verify import verify_home, verify_log
from lineage_records import intent, result

EVENTS = 90


@pytest.fixture
def filled(log):
    for i in range(0, EVENTS, 10):
        log.append([intent(f"e{i + k}") if k % 2 else result(f"e{i + k - 1}") for k in range(10)])
    return log


@pytest.fixture
def two(monkeypatch):
    """Cuts every log in two parts; returns how to choose where."""

    def cut(part, aligned=1, process=False):
        monkeypatch.setattr(lineage_second_scan, "WORTH_IT", 2)
        monkeypatch.setattr(lineage_second_scan, "_ALIGNED", aligned)
        monkeypatch.setattr(lineage_second_scan, "_FIRST_PART", part)
        monkeypatch.setattr(lineage_second_scan, "_processors", lambda: 2)
        if not process:
            monkeypatch.setattr(lineage_second_scan, "_start", lambda *_: None)

    return cut


def damages(seq):
    return {
        "nothing": [],
        "header": ["UPDATE event SET header = CAST(replace(CAST(header AS TEXT), 'sidecar', "
                   f"'kernels') AS BLOB) WHERE seq = {seq}"],
        "payload": [f"UPDATE event SET payload = x'00' WHERE seq = {seq}"],
        "nodes": [f"UPDATE event SET nodes = zeroblob(length(nodes)) WHERE seq = {seq}"],
        "more nodes": [f"UPDATE event SET nodes = CAST(nodes || x'{'00' * 32}' AS BLOB) "
                       f"WHERE seq = {seq}"],
        "no text": [f"UPDATE event SET type = CAST(x'ff' AS TEXT) WHERE seq = {seq}"],
        "top node": ["UPDATE event SET nodes = CAST(substr(nodes, 1, length(nodes) - 1) || x'00' "
                     f"AS BLOB) WHERE seq = {seq}"],
        "dropped": [f"DELETE FROM event WHERE seq = {seq}"],
        "cut off": [f"DELETE FROM event WHERE seq >= {seq}"],
        "time": [f"UPDATE event SET time_us = time_us + 1 WHERE seq = {seq}"],
        "execution": [f"UPDATE event SET execution_id = 'x' WHERE seq = {seq}"],
        "moved": [f"UPDATE event SET seq = -5 WHERE seq = {seq}"],
        "far away": [f"UPDATE event SET seq = 1000000 WHERE seq = {seq}"],
        "note": [f"INSERT OR REPLACE INTO checkpoint VALUES ({seq + 1}, 'no note')"],
        "mention": [f"INSERT INTO mention VALUES (7, {seq})"],
        "head": ["UPDATE head SET last_leaf = zeroblob(32)"],
    }  # fmt: skip


@pytest.fixture(scope="module")
def large_home(tmp_path_factory):
    """A workspace whose log has a checkpoint after each append of ten events."""
    home = ensure_home(Home(tmp_path_factory.mktemp("two") / "home"))
    with LineageLog(home, open_keyring(home)) as log:
        for i in range(0, EVENTS, 10):
            pairs = [(intent(f"e{i + k}"), result(f"e{i + k}")) for k in range(5)]
            log.append([record for pair in pairs for record in pair])
            with sqlite3.connect(home.lineage_path) as database:
                database.execute("INSERT INTO checkpoint SELECT size, note FROM head WHERE id = 0")
    return home


@pytest.fixture
def verify(large_home, tmp_path):
    """Verifies a copy of the log to which something was done."""
    keyring = open_keyring(large_home)
    verifier = Verifier(keyring.key_name, keyring.public_key_bytes)
    copies = 0

    def prepare(statements):
        nonlocal copies
        copies += 1
        copy = tmp_path / f"copy-{copies}.db"
        with sqlite3.connect(large_home.lineage_path) as database:
            database.execute("VACUUM INTO ?", (str(copy),))
        with sqlite3.connect(copy) as database:
            for statement in statements:
                database.execute(statement)
        return lambda: verify_log(copy, verifier, large_home.witness_path)

    return prepare


@pytest.mark.parametrize("seq", [0, 47, 48, 63, 64, 89])
def test_two_parts_make_the_report_of_one(verify, two, monkeypatch, seq):
    for damage, statements in damages(seq).items():
        check = verify(statements)
        monkeypatch.setattr(lineage_second_scan, "WORTH_IT", 10**9)
        whole = check()
        assert whole.ok == (damage == "nothing"), damage
        for part in (0.02, 0.36, 0.54, 0.72, 0.99):  # the cut falls on numbers of every kind
            two(part)
            assert check() == whole, damage


@pytest.mark.parametrize("damage", ["nothing", "header", "top node", "dropped"])
def test_the_second_process_finds_it(verify, two, monkeypatch, damage):
    check = verify(damages(71)[damage])
    whole = check()
    two(0.36, 8, process=True)
    read = []

    def found(*arguments):
        read.append(really(*arguments))
        return read[-1]

    really = lineage_second_scan._found
    monkeypatch.setattr(lineage_second_scan, "_found", found)
    assert check() == whole
    assert read[0]  # it was not this process


def test_a_record_in_either_database_is_read_by_two(filled, home, keyring, two):
    whole = verify_home(home, keyring)
    two(0.5, 4, process=True)
    assert verify_home(home, keyring) == whole
    assert whole.ok


@pytest.mark.parametrize("how", ["killed", "absent"])
def test_a_second_process_that_fails_leaves_the_work_to_the_first(verify, two, monkeypatch, how):
    check = verify([])
    whole = check()
    two(0.36, 8, process=True)
    popen = subprocess.Popen

    def broken(command, **more):
        if how == "absent":
            raise FileNotFoundError
        return popen([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], **more)

    monkeypatch.setattr(subprocess, "Popen", broken)
    assert check() == whole


def test_no_process_is_left(verify, two, monkeypatch):
    two(0.36, 8, process=True)
    started, popen = [], subprocess.Popen

    def watched(*arguments, **more):
        started.append(popen(*arguments, **more))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", watched)
    assert not verify(damages(3)["header"])().ok  # found before the second one is asked
    assert [process.returncode is None for process in started] == [False]
