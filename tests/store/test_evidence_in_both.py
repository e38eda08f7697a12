"""Bundles, proofs and witnesses of a record in SQLite and in PostgreSQL are the same thing."""

from pathlib import Path

from cloister.core.recordrules import RecordRules, WitnessKind, WitnessRule
from cloister.store.checkpoint import Verifier
from cloister.store.evidence import record_verifier as alone
from cloister.store.evidence.bundle import Selection, write_bundle
from cloister.store.evidence.continuity import compared
from cloister.store.evidence.growth import prove_growth, verify_growth
from cloister.store.evidence.journal import read_kept
from cloister.store.evidence.memory import Memories
from cloister.store.evidence.reader import EvidenceReader
from cloister.store.evidence.standing import State
from cloister.store.evidence.witnessing import Witnessing
from cloister.store.lineage_verify import verify_home
from lineage_records import fill


def test_a_record_is_witnessed_exported_and_proven(home, keyring, log, tmp_path):
    verifier = Verifier(keyring.key_name, keyring.public_key_bytes)
    share = tmp_path / "share"
    rule = WitnessRule("record.witnesses[0]", "share", WitnessKind.FILE, str(share))
    rules = RecordRules((rule,))
    fill(log, 30)
    (standing,) = Witnessing(home, keyring, lambda: rules).round(is_forced=True)
    assert standing.state is State.CURRENT
    fill(log, 3)
    kept = read_kept(share, verifier)
    with EvidenceReader(home) as reader:
        assert compared(verify_home(home, keyring), reader, kept).ok
        old, new = verify_growth(prove_growth(reader, share.read_text(), verifier), verifier, kept)
        assert (old.size, new.size) == (30, 33)
        assert [row[0] for row in reader.headers(33)] == list(range(33))
        assert list(reader.headers(33, until_us=0)) == []
        assert reader.inclusions([5], 33)[0] == [bytes.fromhex(n) for n in reader.prove(5)["path"]]
        for name, events in (("whole", None), ("part", (3, 4, 9))):
            bundle = Path(tmp_path / f"{name}.zip")
            selection = Selection(events, with_payloads=True)
            write_bundle(bundle, reader, keyring, selection, rules=rules, memories=Memories(home))
            report = alone.verify_bundle(bundle, alone.parse_key(keyring.verifier_line))
            assert report["ok"], report["problems"]
            assert (report["events"], report["size"]) == (len(events or range(33)), 33)
