"""Keys that are rotated: under load, killed at any moment, with every payload still readable."""

import os
import secrets
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from cloister.core.errors import StoreUnavailable
from cloister.store.checkpoint import CheckpointError, Verifier, verify_checkpoint
from cloister.store.entry import PayloadState
from cloister.store.home import Home, ensure_home
from cloister.store.keyfile import derive_key
from cloister.store.keys import Keyring, open_keyring, parse_public, parse_verifier
from cloister.store.lineage import LineageLog
from cloister.store.lineage_reader import LineageReader
from cloister.store.lineage_verify import verify_home, verify_log
from cloister.store.rotation import Rotation
from cloister.store.succession import SuccessionError, parse_succession, verifier_of
from lineage_records import SECRET, fill, intent, result
from older_records import append_as_before, take_back_to

ACTOR = {"user": "ann", "attested_by": "cli"}


def payloads(home):
    with LineageReader(home, open_keyring(home)) as reader:
        count = len(reader.entries(limit=100_000))
        return [reader.event(seq) for seq in range(count)]


def assert_whole(home):
    """Verified, and each payload opens with the keys of now."""
    keyring = open_keyring(home)
    report = verify_home(home, keyring)
    assert report.ok, report.problems
    for entry in payloads(home):
        assert entry.payload_state in {PayloadState.OPEN, PayloadState.NONE}, entry
        if entry.type == "cell.intent":
            assert entry.require_payload() == SECRET


def test_rotation_replaces_the_workspace_key_and_loses_nothing(home, keyring, log, backend):
    fill(log, 30)
    before = open_keyring(home)
    rotated = Rotation(home, ACTOR).run()
    assert (rotated.generation, rotated.rewrapped) == (2, 30)
    log.append([intent("after")])  # a writer that was open all the time
    after = open_keyring(home)
    assert list(after.workspace_keys.generations) == [2]
    assert after.token_key == before.token_key
    assert after.index_key == before.index_key
    connection = backend.connect()
    found = connection.execute("SELECT DISTINCT generation FROM data_key").fetchall()
    assert [tuple(row) for row in found] == [(2,)]
    connection.close()
    assert_whole(home)
    kinds = [entry.type for entry in payloads(home)]
    assert kinds[30:32] == ["keys.rotated", "keys.retired"]
    with LineageReader(home, before) as reader:  # open since before: it reads the keys anew
        assert reader.event(0).payload == SECRET
    with LineageReader(home.lineage_path, before) as reader:  # the key of before opens nothing now
        if not backend.is_postgres:
            assert reader.event(0).payload_state is PayloadState.DAMAGED


def test_signing_key_is_replaced_and_old_checkpoints_keep_verifying(home, log):
    fill(log, 5)
    old_text = (home.keys_dir / "lineage.pub").read_text()
    old_note = home.witness_path.read_text()
    name, old = parse_verifier(old_text)
    Rotation(home, ACTOR).run(signing=True)
    fill(log, 5)  # opened before, signs with the new key now
    new_note = home.witness_path.read_text()
    new_text = (home.keys_dir / "lineage.pub").read_text()
    everybody = parse_public(new_text)
    assert everybody.public_key != old
    assert open_keyring(home).signing_keys.keys[0].public == everybody.public_key
    for note in (old_note, new_note):
        verify_checkpoint(note, everybody)
    with pytest.raises(CheckpointError):
        verify_checkpoint(new_note, Verifier(name, old))
    assert verify_home(home, open_keyring(home)).ok
    # A reviewer who has nothing but the old key learns the new one from the log.
    assert verify_log(home, Verifier(name, old), home.witness_path).ok
    with LineageReader(home) as reader:
        announced = [e for e in reader.entries() if e.type == "keys.signing_rotated"]
    assert len(announced) == 1
    stated = parse_succession(announced[0].body["succession"], name)
    assert (stated.size, stated.old, stated.new) == (
        announced[0].seq + 1, old, everybody.public_key)  # fmt: skip


def test_the_old_signing_key_signs_nothing_new(home, log):
    fill(log, 3)
    stolen = open_keyring(home)
    Rotation(home, ACTOR).run(signing=True)
    fill(log, 3)
    from cloister.store.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
    from cloister.store.keys import key_id

    head = parse_checkpoint(home.witness_path.read_text())
    forged = sign_checkpoint(
        Checkpoint(head.origin, head.size + 1, b"\1" * 32),
        head.origin,
        key_id(head.origin, stolen.public_key_bytes),
        stolen.signer.sign,
    )
    with pytest.raises(CheckpointError):
        verify_checkpoint(forged, open_keyring(home).verifier)


def test_a_home_without_the_new_keys_appends_nothing(home, log, tmp_path, backend):
    fill(log, 3)
    other = ensure_home(Home(tmp_path / "other"))
    for name in ("workspace.key", "lineage.key", "lineage.pub"):
        (other.keys_dir / name).write_bytes((home.keys_dir / name).read_bytes())
    Rotation(home, ACTOR).run(signing=True)
    if backend.is_postgres:
        other.store_settings_path.write_bytes(home.store_settings_path.read_bytes())
        other.store_settings_path.chmod(0o600)
    else:
        log.close()
        for place in ("store/lineage.db",):
            (other.root / place).write_bytes((home.root / place).read_bytes())
    other.witness_path.write_bytes(home.witness_path.read_bytes())
    with (
        pytest.raises(StoreUnavailable) as caught,
        LineageLog(other, open_keyring(other)) as stale,
    ):
        stale.append([intent("x")])
    assert caught.value.code == "CLO-STORE-012"


def test_another_workspaces_key_opens_nothing(home, keyring, log, tmp_path):
    fill(log, 4)
    foreign = open_keyring(ensure_home(Home(tmp_path / "other")))
    # Even with this log's name, so that only the keys differ.
    posing = Keyring(foreign.workspace_keys, keyring.signing_keys)
    for stranger in (foreign, posing):
        with LineageReader(home.lineage_path if not home.store_settings_path.exists() else home,
                           stranger) as reader:  # fmt: skip
            reader._box._reload = None
            for seq in range(4):
                entry = reader.event(seq)
                assert (entry.payload_state, entry.payload) == (PayloadState.DAMAGED, b"")


@pytest.mark.parametrize("what", ["payload", "key", "both"])
def test_payloads_and_keys_do_not_open_in_another_place(home, keyring, log, backend, what):
    fill(log, 4)
    connection = backend.connect()
    if what in {"payload", "both"}:
        row = connection.execute("SELECT payload FROM event WHERE seq = 2").fetchone()
        connection.execute("UPDATE event SET payload = :p WHERE seq = 0", {"p": row[0]})
    if what in {"key", "both"}:
        row = connection.execute("SELECT wrapped FROM data_key WHERE seq = 2").fetchone()
        connection.execute("UPDATE data_key SET wrapped = :w WHERE seq = 0", {"w": row[0]})
    connection.close()
    with LineageReader(home, keyring) as reader:
        assert reader.event(0).payload_state is PayloadState.DAMAGED
        assert reader.event(2).payload_state is PayloadState.OPEN


def test_kernels_go_on_appending_while_keys_are_rotated(home, log):
    fill(log, 40)
    stop, told, failures = threading.Event(), [], []

    def work(name):
        with LineageLog(home, open_keyring(home), busy_timeout_ms=60_000) as mine:
            while not stop.is_set():
                try:
                    (entry,) = mine.append([intent(f"{name}-{len(told)}")])
                    told.append(entry.body["execution_id"])
                except Exception as error:  # noqa: BLE001 - any failure fails the test
                    failures.append(error)
                    return

    threads = [threading.Thread(target=work, args=(f"t{i}",)) for i in range(2)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(2):
            before = len(told)
            Rotation(home, ACTOR).run(signing=turn % 2 == 1)
            deadline = time.monotonic() + 20
            while len(told) < before + 5 and not failures and time.monotonic() < deadline:
                time.sleep(0.01)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert len(told) >= 10
    assert list(open_keyring(home).workspace_keys.generations) == [3]
    assert len(open_keyring(home).signing_keys.successions) == 1
    assert_whole(home)


STEPS = [
    "generation", "announced", "rewrapped", "recorded", "retired", "next signer",
    "signer announced", "signer",
]  # fmt: skip


class Killed(Exception):
    pass


@pytest.mark.parametrize("step", STEPS)
def test_rotation_that_stops_after_a_step_is_finished_by_the_next(home, log, step):
    fill(log, 6)

    def stop(name):
        if name == step:
            raise Killed

    with pytest.raises(Killed):
        Rotation(home, ACTOR, stop).run(signing=True)
    log.append([intent("between")])
    assert_whole(home)
    Rotation(home, ACTOR).run(signing=False)
    log.append([intent("afterwards")])
    keyring = open_keyring(home)
    assert len(keyring.workspace_keys.generations) == 1
    assert len(keyring.signing_keys.keys) == 1
    text = (home.keys_dir / "lineage.pub").read_text()
    assert text == keyring.public_text
    assert_whole(home)


KILLS = 12


def test_rotations_that_are_killed_at_random_lose_nothing(home, log):
    """SIGKILL at random moments, rotation after rotation, while a writer appends."""
    seed = int(os.environ.get("KILL_SEED", secrets.randbits(32)))
    print(f"KILL_SEED={seed}")
    dice = np.random.default_rng(seed)
    fill(log, 200)
    code = (
        "import sys; from pathlib import Path\n"
        "from cloister.store.home import Home\n"
        "from cloister.store.rotation import Rotation\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "home = Home(Path(sys.argv[1]))\n"
        "while True:\n"
        "    Rotation(home, {'user': 'ann', 'attested_by': 'cli'}).run(signing=True)\n"
        "    print('done', flush=True)\n"
    )
    killed = 0
    while killed < KILLS:
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(home.root)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("\n")
        process.stdin.flush()
        time.sleep(dice.uniform(0, 0.12))
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        process.stdin.close()
        killed += 1
        log.append([intent(f"between-{killed}")])
        assert 1 <= len(open_keyring(home).workspace_keys.generations) <= 2
    Rotation(home, ACTOR).run()
    keyring = open_keyring(home)
    assert len(keyring.workspace_keys.generations) == 1
    assert len(keyring.signing_keys.keys) == 1
    assert_whole(home)


# --- homes from before ---------------------------------------------------------------------------


def test_key_files_of_an_older_version_open_and_rotate(home):
    """``workspace.key`` of version 1: 32 bytes, from which everything derived."""
    import base64
    import hashlib

    root = bytes(range(32))
    check = hashlib.sha256(b"cloister-workspace-key-check\0" + root).hexdigest()[:8]
    old = f"cloister-workspace-key-v1+{check}+{base64.b64encode(root).decode()}\n"
    (home.keys_dir / "workspace.key").write_text(old)
    keyring = open_keyring(home)
    assert keyring.token_key == derive_key(root, "token")
    with LineageLog(home, keyring) as log:
        fill(log, 4)
    assert (home.keys_dir / "workspace.key").read_text() == old
    assert_whole(home)
    Rotation(home, ACTOR).run()
    assert_whole(home)
    rotated = open_keyring(home)
    assert rotated.token_key == keyring.token_key
    assert rotated.payload_key == keyring.payload_key


@pytest.mark.parametrize("version", [1, 2])
def test_record_of_an_older_version_stays_readable_and_grows(home, keyring, version, monkeypatch):
    append_as_before(
        home, keyring, [intent("old-1"), result("old-1"), intent("old-2")], monkeypatch
    )
    take_back_to(version, home.lineage_path)
    copy = home.root.parent / "copy.db"
    copy.write_bytes(home.lineage_path.read_bytes())
    with LineageReader(copy, keyring) as reader:  # a reviewer's copy is not changed
        assert reader.event(0).require_payload() == SECRET
    if version == 2:  # before, there was no index to compare with
        assert verify_log(copy, keyring.verifier).ok
    with LineageLog(home, keyring) as log:
        log.append([intent("new")])
    assert_whole(home)
    assert Rotation(home, ACTOR).run().rewrapped == 1
    assert_whole(home)


# --- successions ---------------------------------------------------------------------------------


def test_successions_hold_only_as_they_were_signed(home, log):
    fill(log, 2)
    Rotation(home, ACTOR).run(signing=True)
    Rotation(home, ACTOR).run(signing=True)
    keyring = open_keyring(home)
    origin = keyring.key_name
    first, second = keyring.signing_keys.successions
    verifier = verifier_of(origin, keyring.public_key_bytes, [second, first, first])
    assert [era.last for era in verifier.eras][-1] is None
    assert len(verifier.eras) == 3
    for place in range(len("succession "), len(first), 7):
        if first[place] == " ":
            continue
        other = "A" if first[place] != "A" else "B"
        with pytest.raises(SuccessionError):
            parse_succession(first[:place] + other + first[place + 1 :], origin)
    with pytest.raises(SuccessionError):
        parse_succession(first, "cloister-another")
    with pytest.raises(SuccessionError):  # a gap
        verifier_of(origin, keyring.public_key_bytes, [first])
    stranger = open_keyring(ensure_home(Home(home.root.parent / "stranger")))
    with pytest.raises(SuccessionError):
        verifier_of(origin, stranger.public_key_bytes, [first, second])
