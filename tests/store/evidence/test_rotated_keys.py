"""Bundles, witnesses and reviewers when the key that signs the record was replaced."""

import hashlib
import json
import subprocess
import sys

import pytest
from cloister.core.errors import CloisterError
from cloister.core.records import Record
from cloister.store.evidence import record_verifier as alone
from cloister.store.evidence.bundle import Selection, verifier_source
from cloister.store.evidence.record_verifier import parse_key
from cloister.store.evidence.standing import State
from cloister.store.evidence.witnessing import Witnessing
from cloister.store.keys import open_keyring, parse_public
from cloister.store.receipt_verifier import parse_key as parse_receipt_key
from cloister.store.rotation import Rotation
from older_records import append_as_before
from provenlog import cosigned_by, kept_in, members, packed

ACTOR = {"user": "ann", "attested_by": "cli"}


@pytest.fixture
def rotated(workspace):
    """Four events under the first key, a new key, four events under it."""
    workspace.record(4)
    workspace.old_key, workspace.old_note = workspace.key_line, workspace.checkpoint()
    Rotation(workspace.home, ACTOR).run(signing=True)
    workspace.keyring = open_keyring(workspace.home)
    workspace.record(4, first=4)
    return workspace


@pytest.mark.parametrize("events", [None, (1, 2)])
def test_whoever_has_either_key_verifies_a_bundle(rotated, tmp_path, events):
    bundle = rotated.export(tmp_path / "b.zip", Selection(events))
    old, new = parse_key(rotated.old_key), parse_key(rotated.key_line)
    assert old.public != new.public
    for key in (old, new):
        report = alone.verify_bundle(bundle, key)
        assert report["ok"], report["problems"]
    kept = alone.parse_notes(rotated.old_note.encode())
    older = rotated.export(tmp_path / "c.zip", Selection(None))
    for key in (old, new):
        assert alone.verify_bundle(older, key, kept=kept)["ok"]


def test_the_program_alone_takes_the_key_file_with_its_history(rotated, tmp_path):
    bundle = rotated.export(tmp_path / "b.zip")
    program, key = tmp_path / "verify_record.py", tmp_path / "lineage.pub"
    program.write_bytes(verifier_source())
    for text in (rotated.old_key + "\n", (rotated.home.keys_dir / "lineage.pub").read_text()):
        key.write_text(text)
        done = subprocess.run(
            [sys.executable, "-I", str(program), "--key", str(key), str(bundle)],
            capture_output=True, text=True, check=False)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_bundle_from_before_verifies_with_the_newest_key_file(workspace, tmp_path):
    workspace.record(4)
    bundle = workspace.export(tmp_path / "b.zip")
    Rotation(workspace.home, ACTOR).run(signing=True)
    text = (workspace.home.keys_dir / "lineage.pub").read_text()
    key = parse_key(text.split("\n")[0])
    assert not alone.verify_bundle(bundle, key)["ok"]
    known = parse_public(text).successions
    assert alone.verify_bundle(bundle, key, successions=list(known))["ok"]


def test_a_succession_that_was_changed_or_taken_out_does_not_hold(rotated, tmp_path):
    bundle = rotated.export(tmp_path / "b.zip")
    parts = members(bundle)
    first, succession = parts["log.pub"].decode().strip().split("\n")
    words = succession.split(" ")
    shifted = " ".join([words[0], str(int(words[1]) + 1), *words[2:]])
    swapped = " ".join([*words[:4], words[5], words[4]])
    for forged in ("", shifted, swapped, words[0]):
        text = f"{first}\n{forged}\n" if forged else f"{first}\n"
        manifest = json.loads(parts["manifest.json"])
        manifest["files"]["log.pub"] = hashlib.sha256(text.encode()).hexdigest()
        stated = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode() + b"\n"
        other = tmp_path / "f.zip"
        other.write_bytes(packed({**parts, "log.pub": text.encode(), "manifest.json": stated}))
        report = alone.verify_bundle(other, parse_key(rotated.old_key))
        assert not report["ok"], forged
        assert "not what the manifest says" not in " ".join(report["problems"])


def test_a_cosigner_learns_the_new_key_from_its_predecessor_only(
    workspace, cosigner, listening, tmp_path
):
    cosigner.trust(workspace.verifier)
    workspace.record(3)
    rules = cosigned_by(listening, cosigner.verifier_line)
    asking = Witnessing(workspace.home, workspace.keyring, lambda: rules)
    (standing,) = asking.round(is_forced=True)
    assert standing.state is State.CURRENT
    Rotation(workspace.home, ACTOR).run(signing=True)
    workspace.keyring = open_keyring(workspace.home)
    workspace.record(3, first=3)
    (standing,) = asking.round(is_forced=True)
    assert standing.state is not State.CURRENT, "a witness takes no new key by itself"
    alone_new = parse_public(workspace.key_line)
    with pytest.raises(CloisterError):
        cosigner.trust(alone_new)
    cosigner.trust(parse_public((workspace.home.keys_dir / "lineage.pub").read_text()))
    (standing,) = asking.round(is_forced=True)
    assert standing.state is State.CURRENT


def test_a_receipt_is_verified_with_the_key_file_of_now(workspace):
    Rotation(workspace.home, ACTOR).run(signing=True)
    keyring = open_keyring(workspace.home)
    text = (workspace.home.keys_dir / "lineage.pub").read_text()
    assert len(text.splitlines()) == 2
    assert parse_receipt_key(text)[:2] == (keyring.key_name, keyring.public_key_bytes)


def test_a_bundle_with_payloads_holds_what_was_not_erased(workspace, tmp_path, monkeypatch):
    records = [Record("cell.intent", {"execution_id": f"e{i}"}, b"{}") for i in range(3)]
    append_as_before(workspace.home, workspace.keyring, records, monkeypatch)
    workspace.record(4)
    workspace.erase(first=1, last=4)
    bundle = workspace.export(tmp_path / "b.zip", Selection(None, with_payloads=True))
    report = alone.verify_bundle(bundle, parse_key(workspace.key_line))
    assert report["ok"], report["problems"]
    kept = [json.loads(line)["seq"] for line in members(bundle)["payloads.jsonl"].splitlines()]
    assert kept == [0, 4, 5], "old payloads are taken out, others stay, sealed without a key"


def test_a_file_elsewhere_goes_on_under_the_new_key(workspace, tmp_path):
    workspace.record(3)
    rules = kept_in(tmp_path / "kept")
    asking = Witnessing(workspace.home, workspace.keyring, lambda: rules)
    asking.round(is_forced=True)
    Rotation(workspace.home, ACTOR).run(signing=True)
    workspace.keyring = open_keyring(workspace.home)
    workspace.record(3, first=3)
    (standing,) = asking.round(is_forced=True)
    assert standing.state is State.CURRENT
    bundle = workspace.export(tmp_path / "b.zip", rules=rules)
    assert alone.verify_bundle(bundle, parse_key(workspace.key_line))["ok"]
