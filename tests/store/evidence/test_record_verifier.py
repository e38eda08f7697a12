"""The verifier that runs alone: right about signatures and trees, and no byte goes by it."""

import ast
import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from cloister.core.recordrules import RecordRules, WitnessKind, WitnessRule
from cloister.store import merkle, receipt_verifier
from cloister.store.checkpoint import parse_checkpoint
from cloister.store.evidence import record_verifier as alone
from cloister.store.evidence.bundle import Selection, verifier_source
from cloister.store.evidence.cosigner import create_cosigner
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from provenlog import Workspace, cosigned_by, members, packed

# RFC 8032 section 7.1: public key, message, signature of tests 1, 2, 3 and SHA(abc).
RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").hexdigest(),
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
        "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
]


@pytest.mark.parametrize(("public", "message", "signature"), RFC_8032)
def test_signatures_of_the_rfc_are_valid(public, message, signature):
    args = [bytes.fromhex(x) for x in (public, message, signature)]
    assert alone.ed25519(*args)
    for i, bit in ((0, 1), (31, 128), (32, 1), (63, 32)):
        flipped = bytearray(args[2])
        flipped[i] ^= bit
        assert not alone.ed25519(args[0], args[1], bytes(flipped))
    assert not alone.ed25519(args[0], args[1] + b"x", args[2])


@settings(max_examples=60)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200), st.data())
def test_agrees_with_cryptography_about_signatures_right_and_wrong(seed, message, data):
    signer = Ed25519PrivateKey.from_private_bytes(seed)
    public = signer.public_key().public_bytes_raw()
    signature = bytearray(signer.sign(message))
    if data.draw(st.booleans(), "change"):
        signature[data.draw(st.integers(0, 63), "byte")] ^= 1 << data.draw(st.integers(0, 7), "bit")
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(bytes(signature), message)
        is_valid = True
    except InvalidSignature:
        is_valid = False
    assert alone.ed25519(public, message, bytes(signature)) == is_valid


def test_another_spelling_of_a_valid_signature_is_refused():
    public, message, signature = (bytes.fromhex(x) for x in RFC_8032[1])
    order = 2**252 + 27742317777372353535851937790883648493
    malleable = int.from_bytes(signature[32:], "little") + order
    assert not alone.ed25519(public, message, signature[:32] + malleable.to_bytes(32, "little"))
    beyond = (2**255 - 19 + 1).to_bytes(32, "little")  # y = 1, written as p + 1
    assert not alone.ed25519(beyond, message, signature)


def test_both_programs_that_run_alone_verify_signatures_with_the_same_lines():
    ours, theirs = (Path(module.__file__).read_text() for module in (alone, receipt_verifier))
    shared = ours.partition("def _point(")[2].partition("\n\n\n# ---")[0]
    assert len(shared) > 1000
    assert shared in theirs


def tree_of(leaves):
    """Every complete subtree, by level and index."""
    nodes = {(0, i): leaf for i, leaf in enumerate(leaves)}
    for level in range(20):
        for i in range(len(leaves) >> (level + 1)):
            pair = nodes[level, 2 * i], nodes[level, 2 * i + 1]
            nodes[level + 1, i] = merkle.node_hash(*pair)
    return lambda level, index: nodes[level, index]


@settings(max_examples=200)
@given(st.integers(1, 70), st.data())
def test_any_leaves_with_their_siblings_make_the_root(size, data):
    leaves = [merkle.leaf_hash(b"%d" % i) for i in range(size)]
    node = tree_of(leaves)
    chosen = sorted(data.draw(st.sets(st.integers(0, size - 1), min_size=1), "chosen"))
    ranges = []
    for i in chosen:
        if ranges and ranges[-1][1] == i - 1:
            ranges[-1][1] = i
        else:
            ranges.append([i, i])
    siblings = merkle.sparse_siblings([tuple(pair) for pair in ranges], size, node)
    rest = iter(siblings)
    tree = alone.Tree(size, ranges, iter([leaves[i] for i in chosen]), rest, set())
    assert tree.root == merkle.root_at(size, node)
    assert next(rest, None) is None
    if len(chosen) == 1:
        path = merkle.inclusion_proof(chosen[0], size, node)
        assert sorted(siblings) == sorted(path), "for one leaf these are RFC 9162's"


@pytest.mark.parametrize("size", range(1, 34))
def test_consistency_is_decided_as_the_store_decides_it(size):
    node = tree_of([merkle.leaf_hash(b"%d" % i) for i in range(size)])
    root = merkle.root_at(size, node)
    for old in range(1, size + 1):
        proof = merkle.consistency_proof(old, size, node)
        old_root = merkle.root_at(old, node)
        assert alone.is_consistent(old, old_root, size, root, proof)
        assert not alone.is_consistent(old, bytes(32), size, root, proof)
        assert not alone.is_consistent(old, old_root, size, bytes(32), proof)
        assert not alone.is_consistent(old, old_root, size, root, [*proof, bytes(32)])
        if proof:
            assert not alone.is_consistent(old, old_root, size, root, proof[:-1])


# --- the program, alone ------------------------------------------------------------------------


def run_alone(program: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs the program as a reviewer does: no site-packages, no environment, another directory."""
    return subprocess.run(
        [sys.executable, "-I", "-S", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=program.parent,
        env={"PATH": "/usr/bin:/bin"},
    )


def test_the_program_verifies_a_bundle_with_the_public_key_and_nothing_else(workspace, tmp_path):
    workspace.record(40)
    bundle = workspace.export(tmp_path / "b.zip", Selection(with_payloads=True))
    program = tmp_path / "reviewer" / "verify_record.py"
    program.parent.mkdir()
    program.write_bytes(verifier_source())
    key = tmp_path / "reviewer" / "lineage.pub"
    key.write_text(workspace.key_line + "\n")
    done = run_alone(program, "--key", key, "--json", bundle)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["ok"], report["events"], report["size"]) == (True, 40, 40)
    assert report["root"] == parse_checkpoint(workspace.checkpoint()).root.hex()
    for place in (workspace.key_line, key):
        assert "40 of the 40" in run_alone(program, "--key", place, bundle).stdout

    other = Workspace(tmp_path / "other").key_line
    assert run_alone(program, "--key", other, bundle).returncode == 1
    assert run_alone(program, "--key", "nonsense", bundle).returncode == 2
    assert run_alone(program, "--key", key, program).returncode == 2
    assert "Traceback" not in run_alone(program, "--key", key, tmp_path / "none").stderr


def test_a_bundle_that_was_unpacked_verifies_too(workspace, tmp_path):
    workspace.record(9)
    bundle = workspace.export(tmp_path / "b.zip", Selection(events=(2, 3, 7)))
    for name, content in members(bundle).items():
        path = tmp_path / "unpacked" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "unpacked" / ".DS_Store").write_bytes(b"left by a desktop")
    key = alone.parse_key(workspace.key_line)
    assert alone.verify_bundle(tmp_path / "unpacked", key)["ok"]
    (tmp_path / "unpacked" / "events.jsonl").write_bytes(b"{}\n")
    assert not alone.verify_bundle(tmp_path / "unpacked", key)["ok"]


# --- what somebody might do to a bundle ---------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A whole bundle and one of a few events, with everything that a bundle can hold."""
    root = tmp_path_factory.mktemp("bundles")
    workspace = Workspace(root / "home")
    workspace.record(7)
    kept = workspace.checkpoint()
    cosigner = create_cosigner(root / "w1", "audit.example.org/w1")
    cosigner.trust(workspace.verifier)
    line = cosigner.add_checkpoint(f"old 0\n\n{kept}".encode()).body
    stamps = workspace.memories.directory / "tsa"
    stamps.mkdir(parents=True)
    (stamps.parent / "w1.note").write_text(kept + line)
    (stamps / "7.note").write_text(kept)
    (stamps / "7.tsr").write_bytes(b"what an authority answered")
    rules = cosigned_by("http://127.0.0.1:9", cosigner.verifier_line)
    stamp = WitnessRule("record.witnesses[1]", "tsa", WitnessKind.TIMESTAMP, "http://127.0.0.1:9")
    rules = RecordRules((*rules.witnesses, stamp))
    workspace.record(12, first=7)
    older = (parse_checkpoint(kept),)
    chosen = {
        "whole": Selection(with_payloads=True, older=older),
        "few": Selection(events=(1, 2, 5, 12), with_payloads=True, older=older),
    }
    bundles = {
        name: workspace.export(root / f"{name}.zip", selection, rules)
        for name, selection in chosen.items()
    }
    trusts = Trusts(
        alone.parse_key(workspace.key_line),
        [alone.parse_key(cosigner.verifier_line)],
        [alone.parse_note(kept.encode())],
    )
    return root, trusts, bundles


class Trusts(NamedTuple):
    """What a reviewer has beside the bundle."""

    key: alone.Key
    cosigners: list
    kept: list


def judged(path, trusts):
    """What the verifier says to this reviewer."""
    return alone.verify_bundle(path, trusts.key, cosigners=trusts.cosigners, kept=trusts.kept)


def holds(root, trusts, parts):
    """Whether a bundle of these members is accepted; a refusal to judge is no acceptance."""
    changed = root / "changed.zip"
    changed.write_bytes(packed(parts))
    try:
        return judged(changed, trusts)["ok"]
    except alone.CannotTell:
        return False


@pytest.mark.parametrize("which", ["whole", "few"])
def test_bundles_hold_as_they_were_written(made, which):
    root, trusts, bundles = made
    report = judged(bundles[which], trusts)
    assert report["ok"], report["problems"]
    assert [x["size"] for x in (*report["cosigned"], *report["stamped"])] == [7, 7]
    assert holds(root, trusts, members(bundles[which]))


@pytest.mark.parametrize("which", ["whole", "few"])
@settings(
    max_examples=250,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
def test_any_flipped_bit_of_any_member_is_seen(made, which, data):
    root, trusts, bundles = made
    parts = members(bundles[which])
    name = data.draw(st.sampled_from(sorted(parts)), "member")
    content = bytearray(parts[name])
    place = data.draw(st.integers(0, len(content) - 1), "byte")
    content[place] ^= 1 << data.draw(st.integers(0, 7), "bit")
    assert not holds(root, trusts, {**parts, name: bytes(content)})


@pytest.mark.parametrize("which", ["whole", "few"])
def test_any_missing_or_foreign_member_is_seen(made, which):
    root, trusts, bundles = made
    parts = members(bundles[which])
    for name in parts:
        rest = {other: content for other, content in parts.items() if other != name}
        assert not holds(root, trusts, rest), name
    for name in ("surprise", "../../etc/passwd", "witnesses/x.note", "timestamps/3.tsr"):
        assert not holds(root, trusts, {**parts, name: b"x"}), name


@pytest.mark.parametrize("which", ["whole", "few"])
def test_events_dropped_moved_added_or_repeated_are_seen(made, which):
    root, trusts, bundles = made
    parts = members(bundles[which])
    lines = parts["events.jsonl"].splitlines(keepends=True)
    for changed in (
        lines[1:],
        lines[:-1],
        [lines[1], lines[0], *lines[2:]],
        [*lines, lines[-1]],
        [lines[0], lines[0], *lines[2:]],
        [],
    ):
        forged = {**parts, "events.jsonl": b"".join(changed)}
        assert not holds(root, trusts, forged)
        manifest = json.loads(parts["manifest.json"])
        manifest["events"] = len(changed)
        manifest["ranges"] = [[0, len(changed) - 1]] if changed else []
        manifest["size"] = max(len(changed), 1)
        text = json.dumps(manifest, sort_keys=True, separators=(",", ":")) + "\n"
        assert not holds(root, trusts, {**forged, "manifest.json": text.encode()})


def test_a_payload_of_another_event_is_seen(made):
    root, trusts, bundles = made
    parts = members(bundles["whole"])
    first, second, *rest = [json.loads(x) for x in parts["payloads.jsonl"].splitlines()]
    first["sealed"], second["sealed"] = second["sealed"], first["sealed"]
    lines = [json.dumps(x, sort_keys=True, separators=(",", ":")) for x in (first, second, *rest)]
    swapped = ("\n".join(lines) + "\n").encode()
    manifest = json.loads(parts["manifest.json"])
    manifest["files"]["payloads.jsonl"] = hashlib.sha256(swapped).hexdigest()
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":")) + "\n"
    forged = {**parts, "payloads.jsonl": swapped, "manifest.json": text.encode()}
    (root / "changed.zip").write_bytes(packed(forged))
    report = judged(root / "changed.zip", trusts)
    assert report["first_bad"] == first["seq"]
    assert "another payload" in report["problems"][0]


def test_a_first_bad_event_is_named(made):
    root, trusts, bundles = made
    parts = members(bundles["whole"])
    changed = parts["events.jsonl"].replace(b'"exec-0004"', b'"exec-9999"')
    (root / "changed.zip").write_bytes(packed({**parts, "events.jsonl": changed}))
    report = judged(root / "changed.zip", trusts)
    assert (report["ok"], report["first_bad"]) == (False, 5), "the next one does not follow it"


def test_a_bundle_without_a_proof_from_a_kept_checkpoint_cannot_be_judged_by_it(
    workspace, tmp_path
):
    workspace.record(5)
    kept = [alone.parse_note(workspace.checkpoint().encode())]
    workspace.record(5, first=5)
    key = alone.parse_key(workspace.key_line)
    few = workspace.export(tmp_path / "few.zip", Selection(events=(8,)))
    with pytest.raises(alone.CannotTell, match="--against"):
        alone.verify_bundle(few, key, kept=kept)
    whole = workspace.export(tmp_path / "whole.zip")
    assert alone.verify_bundle(whole, key, kept=kept)["ok"], "all events are proof enough"


def test_a_witness_file_with_years_of_checkpoints_is_compared_in_seconds(workspace, tmp_path):
    notes = []
    for i in range(120):
        workspace.record(1, first=i)
        notes.append(workspace.checkpoint())
    workspace.record(1, first=120)
    bundle = workspace.export(tmp_path / "b.zip")
    key = alone.parse_key(workspace.key_line)
    kept = alone.parse_notes("".join(notes).encode()) * 100
    started = time.monotonic()
    assert alone.verify_bundle(bundle, key, kept=kept)["ok"]
    assert time.monotonic() - started < 20, "signing each of 12,000 off would take minutes"

    unsigned = alone.parse_note(
        notes[50].replace(notes[50].split("\n")[2], "A" * 43 + "=").encode()
    )
    report = alone.verify_bundle(bundle, key, kept=[*kept, unsigned])
    assert "not signed by the key" in report["problems"][0]
    other = Workspace(tmp_path / "other")
    other.record(1)
    foreign = alone.parse_note(other.checkpoint().encode())
    assert not alone.verify_bundle(bundle, key, kept=[foreign])["ok"]


def test_the_program_is_written_for_older_pythons_too():
    ast.parse(verifier_source(), feature_version=(3, 9))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"a\n1\n" + b"A" * 44 + b"\n\n",
        b"a\n01\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n\xe2\x80\x94 a AAAA\n",
        b"a\n1\nAAAA\n\n\xe2\x80\x94 a AAAA\n",
        b"a\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n- a AAAA\n",
    ],
)
def test_what_is_no_note_is_none(data):
    assert alone.parse_note(data) is None
