"""``cloister lineage verify``: is the record, a copy, a bundle or a proof what it should be?"""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cloister.cli.keptcheckpoints import kept_by_witnesses, kept_in_files
from cloister.cli.output import json_option, print_json, say
from cloister.cli.workspace import current_home
from cloister.core.errors import CloisterError
from cloister.store.evidence import record_verifier
from cloister.store.evidence.continuity import compared
from cloister.store.evidence.growth import FORMAT as GROWTH
from cloister.store.evidence.growth import verify_growth
from cloister.store.evidence.reader import EvidenceReader
from cloister.store.exports.jsonl import is_jsonl, verify_jsonl
from cloister.store.keys import format_verifier, open_keyring, parse_public
from cloister.store.lineage_verify import VerifyReport, verify_home, verify_log, verify_proof

if TYPE_CHECKING:
    from cloister.store.checkpoint import Checkpoint, Verifier

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_PLACE = click.Path(exists=True, path_type=Path)
_SQLITE: Final = b"SQLite format 3\0"
_MAX_PROOF: Final = 50_000_000  # bytes


@click.command()
@click.argument("file", required=False, type=_PLACE)
@click.option("--key", type=_FILE, help="Public key (lineage.pub); the workspace's if left out.")
@click.option(
    "--against",
    "--witness",
    multiple=True,
    type=_FILE,
    help="Checkpoints that you kept, or a witness's file: the record must continue them.",
)
@click.option(
    "--cosigner",
    multiple=True,
    metavar="KEY",
    help="A witness that must have cosigned a bundle: its public key, or a file with it.",
)
@click.option("--tsa-ca", type=_FILE, help="Verify a bundle's time stamps with these certificates.")
@json_option
def verify(
    file: Path | None,
    *,
    key: Path | None,
    against: tuple[Path, ...],
    cosigner: tuple[str, ...],
    tsa_ca: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Verify the record, or FILE: a bundle, a copy of the database, a proof, or JSON lines."""
    is_bundle = file is not None and _is_bundle(file)
    if (cosigner or tsa_ca) and not is_bundle:
        raise click.UsageError("--cosigner and --tsa-ca are about bundles.")
    verifier = _verifier(key)
    if file is not None and is_bundle:
        report = _verify_bundle(file, verifier, against, cosigner, tsa_ca)
        _tell(report, is_ok=report["ok"], as_json=as_json)
        return
    kept, unknown = kept_in_files(against, verifier)
    if file is not None and _is_lines(file):
        found = _verify_lines(file, verifier, kept)
    elif file is not None and not _is_database(file):
        proof = _read_proof(file)
        if proof.get("format") == GROWTH:
            report = _verify_growth(proof, verifier, kept)
            _tell(report, is_ok=report["ok"], as_json=as_json)
            return
        found = _verify_proofs(proof, verifier)
    else:
        found = _verify_record(file, None if key is None else verifier, kept)
    if unknown:
        found = replace(found, ok=False, problems=(*found.problems, *unknown))
    _tell(found.as_dict(), is_ok=found.ok, as_json=as_json)


def _verify_record(
    file: Path | None, verifier: Verifier | None, kept: list[Checkpoint]
) -> VerifyReport:
    """Verifies a copy of the database, or the workspace's record, and compares it with others.

    Args:
        file: The copy, or ``None`` for the workspace's own.
        verifier: Whose signature counts; the workspace's where it is ``None``.
        kept: Checkpoints that somebody kept.
    """
    if file is not None:
        with EvidenceReader(file) as reader:
            return compared(verify_log(file, verifier or _verifier(None)), reader, kept)
    home = current_home()
    with EvidenceReader(home) as reader:
        if verifier is not None:
            return compared(verify_log(home, verifier), reader, kept)
        keyring = open_keyring(home)
        own = keyring.verifier
        kept = kept + kept_by_witnesses(home, own)  # before the record is read: it may only grow
        return compared(verify_home(home, keyring), reader, kept)


def _verify_bundle(
    file: Path,
    verifier: Verifier,
    against: tuple[Path, ...],
    cosigners: tuple[str, ...],
    tsa_ca: Path | None,
) -> dict[str, Any]:
    try:
        return record_verifier.verify_bundle(
            file,
            record_verifier.parse_key(format_verifier(verifier.name, verifier.public_key)),
            cosigners=[record_verifier.read_key(text) for text in cosigners],
            kept=record_verifier.read_kept([str(path) for path in against]),
            tsa_ca=None if tsa_ca is None else str(tsa_ca),
            successions=list(verifier.successions),
        )
    except record_verifier.CannotTell as reason:
        raise CloisterError(
            f"The bundle cannot be judged: {reason}.",
            code="CLO-INPUT-004",
            remedy="Use a file that was written by: cloister lineage export",
        ) from None


def _tell(report: dict[str, Any], *, is_ok: bool, as_json: bool) -> None:
    if as_json:
        print_json(report)
    elif "cosigned" in report:
        record_verifier.describe(report, say)
    elif is_ok and "since" in report:
        say(f"The record of {report['events']} events continues that of {report['since']}.")
        say(f"Root {report['root']}")
    elif is_ok:
        say(f"The record is whole: {report['events']} events, {report['checkpoints']} checkpoints.")
        say(f"Root {report['root']}")
    else:
        say("The record is NOT whole.")
        for problem in report["problems"]:
            say(f"  {problem}")
    if not is_ok:
        click.get_current_context().exit(1)


def _verifier(key: Path | None) -> Verifier:
    if key is None:
        keyring = open_keyring(current_home())
        return keyring.verifier
    try:
        return parse_public(key.read_text("ascii"))
    except (UnicodeDecodeError, CloisterError):
        raise CloisterError(
            "The key file does not hold a public key of a record.",
            code="CLO-INPUT-003",
            remedy="Use keys/lineage.pub of the workspace whose record this is.",
        ) from None


def _is_database(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(_SQLITE)) == _SQLITE


def _is_bundle(file: Path) -> bool:
    return file.is_dir() or (not _is_database(file) and zipfile.is_zipfile(file))


def _is_lines(file: Path) -> bool:
    with file.open("rb") as stream:
        return is_jsonl(stream)


def _verify_lines(file: Path, verifier: Verifier, kept: list[Checkpoint]) -> VerifyReport:
    """Checks an export in JSON lines; of checkpoints that were kept only one of its size counts."""
    with file.open("rb") as stream:
        found, signed = verify_jsonl(stream, verifier)
    for other in kept:
        if signed is not None and other.size == signed.size and other.root != signed.root:
            problem = "it differs from a checkpoint that was kept"
            return replace(found, ok=False, problems=(*found.problems, problem))
    return found


def _read_proof(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_bytes()) if file.stat().st_size <= _MAX_PROOF else None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise _no_evidence()
    return document


def _no_evidence() -> CloisterError:
    return CloisterError(
        "The file is no bundle, no copy of the record and no proof.",
        code="CLO-INPUT-004",
        remedy="Use the output of: cloister lineage export, or cloister lineage prove ID",
    )


def _verify_proofs(document: dict[str, Any], verifier: Verifier) -> VerifyReport:
    """Checks proofs that someone handed over; the key in the file is never trusted."""
    root, verified, first_bad = "", 0, None
    problems: list[str] = []
    proofs = document.get("proofs")
    if not isinstance(proofs, list) or not proofs:
        raise _no_evidence()
    for proof in proofs:
        try:
            root = verify_proof(proof, verifier).root.hex()
            verified += 1
        except ValueError as error:
            problems.append(f"a proof does not hold: {error}")
            seq = proof.get("seq") if isinstance(proof, dict) else None
            first_bad = seq if first_bad is None and isinstance(seq, int) else first_bad
    return VerifyReport(not problems, verified, root, int(bool(root)), first_bad, tuple(problems))


def _verify_growth(
    proof: dict[str, Any], verifier: Verifier, kept: list[Checkpoint]
) -> dict[str, Any]:
    """Checks a proof that a record continues a checkpoint; returns a report."""
    report: dict[str, Any] = {"ok": False, "events": 0, "root": "", "checkpoints": 0}
    try:
        old, new = verify_growth(proof, verifier, kept)
    except ValueError as error:
        return {**report, "first_bad": None, "problems": [f"the proof does not hold: {error}"]}
    return {"ok": True, "events": new.size, "root": new.root.hex(), "checkpoints": 2,
            "since": old.size, "first_bad": None, "problems": []}  # fmt: skip
