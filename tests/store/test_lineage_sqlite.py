"""The record in a file: what happens to it beside the log, and how each failure is told."""

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from cloister.core.errors import StoreUnavailable
from cloister.core.records import Record
from cloister.store.checkpoint import Verifier
from cloister.store.entry import draft
from cloister.store.filesystem import network_file_system
from cloister.store.home import Home, ensure_home
from cloister.store.keys import open_keyring
from cloister.store.lineage import LineageLog, Request, new_client
from cloister.store.lineage_reader import LineageReader
from cloister.store.lineage_schema import SINCE_DATA_KEYS
from cloister.store.lineage_verify import verify_home, verify_log
from cloister.store.sequencer import Sequencer
from cloister.store.sequencer_wire import decode_answer
from lineage_records import fill, intent, records
from log_backends import Backend
from older_records import append_as_before, take_back_to


@pytest.fixture
def backend(home):
    return Backend(home)


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


def make_older(home, keyring, monkeypatch, version):
    if version < SINCE_DATA_KEYS:
        append_as_before(home, keyring, records(20), monkeypatch)
    else:
        with LineageLog(home, keyring) as log:
            log.append(records(20))
    take_back_to(version, home.lineage_path)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_log_of_an_older_version_is_brought_up_to_date(home, keyring, monkeypatch, version):
    make_older(home, keyring, monkeypatch, version)
    with LineageLog(home, keyring) as again:
        again.append([intent("after", notebook="b.ipynb")])
    report = verify_home(home, keyring)
    assert (report.ok, report.events) == (True, 21)
    reader = LineageReader(home)
    assert len(reader.executions(50, kernel_id="k1")) == 11
    assert len(reader.executions(50, notebook="a.ipynb")) == 10
    assert len(reader.executions(50, notebook="b.ipynb")) == 1


@pytest.mark.parametrize("version", [1, 2, 3])
def test_log_of_an_older_version_is_verified_as_it_is(home, keyring, monkeypatch, version):
    make_older(home, keyring, monkeypatch, version)
    assert verify_home(home, keyring).ok
    if version == 1:
        with sqlite3.connect(home.lineage_path) as database:
            database.execute("CREATE TABLE mention (name INTEGER, seq INTEGER)")
        assert not verify_home(home, keyring).ok
    else:
        with sqlite3.connect(home.lineage_path) as database:
            database.execute("DELETE FROM mention WHERE seq = 2")
        assert not verify_home(home, keyring).ok


MOUNTS = """\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 22 0:40 / /home rw shared:1 - nfs4 server:/home rw
31 30 8:2 / /home/ann/local\\040disk rw - xfs /dev/sdb1 rw
32 22 0:41 / /mnt/s3 rw - fuse.s3fs s3fs rw
33 22 0:42 / /mnt/over rw - nfs server:/x rw
34 33 8:3 / /mnt/over rw - ext4 /dev/sdc1 rw
not a line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", None),
        ("/homework/x", None),
        ("/home/ann/x", "nfs4"),
        ("/home", "nfs4"),
        ("/home/ann/local disk/x", None),
        ("/mnt/s3/deep/er", "fuse.s3fs"),
        ("/mnt/over/x", None),
    ],
)
def test_network_file_systems_are_told_from_disks(path, kind):
    assert network_file_system(Path(path), MOUNTS) == kind


def test_home_on_a_network_file_system_is_refused(home, keyring, monkeypatch):
    from cloister.store import lineage_sqlite

    monkeypatch.setattr(
        lineage_sqlite, "network_file_system", lambda path: network_file_system(path, NFS)
    )
    with pytest.raises(StoreUnavailable, match="nfs4") as caught:
        LineageLog(home, keyring)
    assert caught.value.code == "CLO-STORE-005"
    assert not home.lineage_path.exists()


NFS = "22 1 0:40 / / rw,relatime - nfs4 server:/ rw\n"


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
def test_append_that_is_too_large_for_the_disk_does_not_take_others_with_it(small_disk):
    home = ensure_home(Home(small_disk / "home"))
    keyring = open_keyring(home)
    sequencer = Sequencer(home)
    sequencer._log = LineageLog(home, keyring)

    def request(name, size):
        record = Record("cell.intent", {"execution_id": name}, b"p" * size)
        return Request(new_client(), 1, [draft(record)])

    group = [request("small", 10), request("large", 5_000_000), request("other", 10)]
    answers = [answer[4:] for answer in sequencer._appended(group)]
    assert list(decode_answer(answers[0])) == [0]
    with pytest.raises(StoreUnavailable) as caught:
        decode_answer(answers[1])
    assert caught.value.code == "CLO-STORE-001"
    assert list(decode_answer(answers[2])) == [1]
    sequencer._log.close()
    report = verify_home(home, keyring)
    assert (report.ok, report.events) == (True, 2)


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
