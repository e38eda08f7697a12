"""``cloister lineage verify``, ``prove`` and ``export``: the record as others can check it."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cloister.cli.output import json_option, note, print_json, say
from cloister.cli.workspace import current_home, current_policy, recorded_change
from cloister.core.errors import CloisterError
from cloister.core.recordrules import RecordRules, WitnessKind
from cloister.store.checkpoint import Checkpoint, CheckpointError, Verifier
from cloister.store.evidence import record_verifier
from cloister.store.evidence.growth import FORMAT as GROWTH
from cloister.store.evidence.growth import prove_growth, verify_growth
from cloister.store.evidence.journal import read_kept
from cloister.store.evidence.reader import EvidenceReader
from cloister.store.keys import format_verifier, open_keyring, parse_verifier
from cloister.store.lineage_reader import LineageReader
from cloister.store.lineage_verify import VerifyReport, verify_home, verify_log, verify_proof

if TYPE_CHECKING:
    from cloister.store.home import Home

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_PLACE = click.Path(exists=True, path_type=Path)
_TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"])
_SQLITE: Final = b"SQLite format 3\0"
_MAX_PROOF: Final = 50_000_000  # bytes
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


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
    """Verify the record, or FILE: a bundle, a copy of the database, or a proof."""
    is_bundle = file is not None and (file.is_dir() or zipfile.is_zipfile(file))
    if (cosigner or tsa_ca) and not is_bundle:
        raise click.UsageError("--cosigner and --tsa-ca are about bundles.")
    verifier = _verifier(key)
    if file is not None and is_bundle:
        report = _verify_bundle(file, verifier, against, cosigner, tsa_ca)
        _tell(report, is_ok=report["ok"], as_json=as_json)
        return
    kept, unknown = _kept(against, verifier)
    if file is not None and _is_database(file):
        found = verify_log(file, verifier, kept=kept)
    elif file is not None:
        proof = _read_proof(file)
        if proof.get("format") == GROWTH:
            report = _verify_growth(proof, verifier, kept)
            _tell(report, is_ok=report["ok"], as_json=as_json)
            return
        found = _verify_proofs(proof, verifier)
    elif key is not None:
        found = verify_log(current_home().lineage_path, verifier, kept=kept)
    else:
        home = current_home()
        kept += _kept_by_witnesses(home, verifier)
        found = verify_home(home, open_keyring(home), kept)
    if unknown:
        found = replace(found, ok=False, problems=(*found.problems, *unknown))
    _tell(found.as_dict(), is_ok=found.ok, as_json=as_json)


@click.command()
@click.argument("identifier", metavar="[ID]", required=False)
@click.option("--since", type=_FILE, help="Prove that the record continues this checkpoint.")
@json_option
def prove(identifier: str | None, *, since: Path | None, as_json: bool) -> None:
    """Print a proof of the execution ID (or of one event, by number) for `lineage verify`.

    With --since: a proof that nothing that a checkpoint covered has changed. Proofs hold headers at
    most, never code or outputs.
    """
    del as_json  # a proof is JSON in any case
    if (identifier is None) is (since is None):
        raise click.UsageError("Name an execution, or a checkpoint with --since.")
    home = current_home()
    keyring = open_keyring(home)
    if since is not None:
        verifier = Verifier(keyring.key_name, keyring.public_key_bytes)
        with EvidenceReader(home) as log:
            try:
                proof = prove_growth(log, since.read_text("utf-8"), verifier)
            except (CheckpointError, UnicodeDecodeError):
                raise _no_checkpoint(since) from None
        print_json({**proof, "public_key": keyring.verifier_line})
        return
    assert identifier is not None  # noqa: S101 - one of the two is there
    with LineageReader(home) as reader:
        if identifier.isdecimal() and reader.event(int(identifier)):
            numbers = [int(identifier)]
        else:
            numbers = [entry.seq for entry in reader.get(identifier)]
        proofs = [reader.prove(seq) for seq in numbers]
    if not proofs:
        raise unknown_execution()
    print_json({"id": identifier, "public_key": keyring.verifier_line, "proofs": proofs})


@click.command()
@click.option(
    "--format",
    "kind",
    type=click.Choice(["bundle"]),
    default="bundle",
    show_default=True,
    help="bundle: a zip file that a reviewer verifies without Cloister.",
)
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="The file.")
@click.option("--execution", multiple=True, metavar="ID", help="Only the events of this execution.")
@click.option("--since", type=_TIME, help="Only events from this time on, UTC.")
@click.option("--until", type=_TIME, help="Only events before this time, UTC.")
@click.option(
    "--against",
    multiple=True,
    type=_FILE,
    help="A checkpoint that the reviewer kept; the bundle proves that the record continues it.",
)
@click.option("--payloads", is_flag=True, help="Add code and outputs, encrypted as they are kept.")
@click.option("--verifier", is_flag=True, help="Print the program that verifies bundles.")
@json_option
def export(
    *,
    kind: str,
    out: Path | None,
    execution: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    against: tuple[Path, ...],
    payloads: bool,
    verifier: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Write the record, or a part of it, for a reviewer."""
    from cloister.store.evidence.bundle import Selection, verifier_source, write_bundle
    from cloister.store.evidence.memory import Memories

    if verifier:
        click.echo(verifier_source(), nl=False)
        return
    if out is None:
        raise click.UsageError("Say where the bundle goes: -o FILE")
    if out.exists():
        raise CloisterError(
            "There is a file of this name already.", code="CLO-INPUT-005", remedy="Choose another."
        )
    home = current_home()
    keyring = open_keyring(home)
    older, unknown = _kept(against, Verifier(keyring.key_name, keyring.public_key_bytes))
    if unknown:
        raise _no_checkpoint(against[0])
    with EvidenceReader(home) as reader:
        events = _selected(reader, execution, since, until)
        with recorded_change(home) as record:
            count = -1 if events is None else len(events)
            record("lineage.exported", {"format": kind, "events": count, "payloads": payloads})
        try:
            written = write_bundle(
                out,
                reader,
                keyring,
                Selection(events, with_payloads=payloads, older=tuple(older)),
                rules=_rules(home),
                memories=Memories(home),
            )
        except OSError as error:
            raise CloisterError(
                f"The bundle cannot be written ({type(error).__name__}).",
                code="CLO-INPUT-005",
                remedy="Choose a directory that this account can write, with room in it.",
            ) from error
    if as_json:
        print_json({"file": str(out), "events": written.events, "size": written.size})
        return
    say(
        f"{out}: {written.events} of {written.size} events. The reviewer needs the public key, too:"
    )
    say(keyring.verifier_line)


def unknown_execution() -> CloisterError:
    """Returns the error for an id that names no execution, or several."""
    return CloisterError(
        "The record has no such execution, or the beginning of its id fits several.",
        code="CLO-INPUT-002",
        remedy="Run: cloister lineage list",
    )


def _selected(
    reader: EvidenceReader,
    executions: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
) -> tuple[int, ...] | None:
    """Returns the numbers of the events that are asked for, ``None`` for all of them."""
    if not executions and since is None and until is None:
        return None
    chosen: set[int] | None = None
    if since is not None or until is not None:
        chosen = set(reader.between(_micros(since, 0), _micros(until, 2**62)))
    if executions:
        named: set[int] = set()
        for execution in executions:
            entries = reader.get(execution)
            if not entries:
                raise unknown_execution()
            named |= {entry.seq for entry in entries}
        chosen = named if chosen is None else chosen & named
    return tuple(sorted(chosen or ()))


def _micros(time: datetime | None, default: int) -> int:
    if time is None:
        return default
    delta = time.replace(tzinfo=UTC) - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def _rules(home: Home) -> RecordRules:
    """Returns who the policy names as witnesses; nobody where it cannot be read."""
    try:
        return current_policy(home).record
    except CloisterError as error:
        note(f"{error.code}: the policy cannot be read, so its witnesses are left out.")
        return RecordRules()


def _kept(paths: tuple[Path, ...], verifier: Verifier) -> tuple[list[Checkpoint], list[str]]:
    """Returns the checkpoints in files, and what is wrong with files that have none."""
    kept: list[Checkpoint] = []
    problems = []
    for path in paths:
        try:
            kept += read_kept(path, verifier)
        except CheckpointError as error:
            problems.append(f"{path.name}: {error}")
    return kept, problems


def _kept_by_witnesses(home: Home, verifier: Verifier) -> list[Checkpoint]:
    """Returns what the policy's witnesses know, as far as it can be read without asking anybody."""
    from cloister.store.evidence.memory import Memories

    memories = Memories(home)
    kept: list[Checkpoint] = []
    for rule in _rules(home).witnesses:
        places = [memories.directory / f"{rule.name}.note"]
        if rule.kind is WitnessKind.FILE:
            places = [Path(rule.location)]
        for path in places:
            try:
                kept += read_kept(path, verifier)
            except FileNotFoundError:
                continue
            except (CheckpointError, OSError):
                note(f"The witness {rule.name} cannot be read; see: cloister witness status")
    return kept


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


def _no_checkpoint(path: Path) -> CloisterError:
    return CloisterError(
        f"{path.name} holds no checkpoint that this workspace signed.",
        code="CLO-INPUT-004",
        remedy="Use a copy of witness/checkpoint, or a file that a witness keeps.",
    )


def _verifier(key: Path | None) -> Verifier:
    if key is None:
        keyring = open_keyring(current_home())
        return Verifier(keyring.key_name, keyring.public_key_bytes)
    try:
        return Verifier(*parse_verifier(key.read_text("ascii")))
    except (UnicodeDecodeError, CloisterError):
        raise CloisterError(
            "The key file does not hold a public key of a record.",
            code="CLO-INPUT-003",
            remedy="Use keys/lineage.pub of the workspace whose record this is.",
        ) from None


def _is_database(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(_SQLITE)) == _SQLITE


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
