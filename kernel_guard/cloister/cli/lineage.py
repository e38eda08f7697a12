"""``cloister lineage``: read the record, verify it, and prove single events to others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cloister.cli.output import json_option, print_json, print_table, say
from cloister.cli.workspace import current_home
from cloister.core.errors import CloisterError
from cloister.store.checkpoint import Verifier
from cloister.store.executions import iso_time
from cloister.store.keys import open_keyring, parse_verifier
from cloister.store.lineage_reader import LineageReader
from cloister.store.lineage_verify import VerifyReport, verify_home, verify_log, verify_proof

if TYPE_CHECKING:
    from cloister.store.entry import Entry

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_SQLITE: Final = b"SQLite format 3\0"
_MAX_PROOF: Final = 50_000_000  # bytes


@click.group()
def lineage() -> None:
    """Read and verify the record."""


@lineage.command("list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--before", type=int, metavar="SEQ", help="Only executions before this number.")
@json_option
def list_command(limit: int, before: int | None, *, as_json: bool) -> None:
    """List executions, newest first."""
    with LineageReader(current_home()) as reader:
        rows = reader.executions(limit, before)
    if as_json:
        print_json(rows)
        return
    print_table(
        ["seq", "time", "user", "notebook", "n", "status", "s", "shown/masked/blocked", "reads",
         "egress", "labels", "id"],
        [
            (
                row["seq"],
                row["time"][:19],
                row["user"],
                row["notebook"],
                row["execution_count"],
                row["status"],
                None if row["duration_s"] is None else f"{row['duration_s']:.2f}",
                "/".join(str(row["outputs"][name]) for name in ("shown", "masked", "blocked")),
                ", ".join(read.get("dataset") or Path(read.get("path", "")).name
                          for read in row["reads"]) or None,
                ", ".join(f"{e.get('decision')} {e.get('host')}" for e in row["egress"]) or None,
                ", ".join(row["labels"]) or None,
                row["id"],
            )
            for row in rows
        ],
        "Nothing has run yet.",
    )  # fmt: skip


@lineage.command()
@click.argument("execution_id", metavar="ID")
@json_option
def show(execution_id: str, *, as_json: bool) -> None:
    """Show every event of the execution ID, with its code and outputs as they were shown."""
    home = current_home()
    with LineageReader(home, open_keyring(home)) as reader:
        entries = reader.get(execution_id)
    if not entries:
        raise _unknown()
    events = [_as_dict(entry) for entry in entries]
    if as_json:
        print_json({"id": entries[0].body.get("execution_id"), "events": events})
        return
    for event in events:
        say(f"{event['seq']}  {event['time']}  {event['type']}")
        for name, value in event["body"].items():
            say(f"    {name}: {value if isinstance(value, str) else json.dumps(value)}")
        if event["payload"] is not None:
            say(f"    payload: {json.dumps(event['payload'], ensure_ascii=False)}")
        elif event["payload_state"] != "none":
            say(f"    payload: {event['payload_state']}")


@lineage.command()
@click.argument("file", required=False, type=_FILE)
@click.option("--key", type=_FILE, help="Public key (lineage.pub); the workspace's if left out.")
@click.option("--witness", type=_FILE, help="A checkpoint that was kept elsewhere.")
@json_option
def verify(file: Path | None, key: Path | None, witness: Path | None, *, as_json: bool) -> None:
    """Verify the record, or FILE: a copy of the database, or a proof from `lineage prove`."""
    if file is None and key is None:
        home = current_home()
        report = verify_home(home, open_keyring(home))
    else:
        verifier = _verifier(key)
        if file is None:
            report = verify_log(current_home().lineage_path, verifier, witness)
        elif _is_database(file):
            report = verify_log(file, verifier, witness)
        else:
            report = _verify_proofs(file, verifier)
    if as_json:
        print_json(report.as_dict())
    elif report.ok:
        say(f"The record is whole: {report.events} events, {report.checkpoints} checkpoints.")
        say(f"Root {report.root}")
    else:
        say("The record is NOT whole.")
        for problem in report.problems:
            say(f"  {problem}")
    if not report.ok:
        click.get_current_context().exit(1)


@lineage.command()
@click.argument("identifier", metavar="ID")
@json_option
def prove(identifier: str, *, as_json: bool) -> None:
    """Print a proof of the execution ID (or of one event, by number) for `lineage verify`.

    The proof holds headers, never code or outputs.
    """
    del as_json  # a proof is JSON in any case
    home = current_home()
    with LineageReader(home) as reader:
        if identifier.isdecimal() and reader.event(int(identifier)):
            numbers = [int(identifier)]
        else:
            numbers = [entry.seq for entry in reader.get(identifier)]
        proofs = [reader.prove(seq) for seq in numbers]
    if not proofs:
        raise _unknown()
    print_json({"id": identifier, "public_key": open_keyring(home).verifier_line, "proofs": proofs})


def _unknown() -> CloisterError:
    return CloisterError(
        "The record has no such execution, or the beginning of its id fits several.",
        code="CLO-INPUT-002",
        remedy="Run: cloister lineage list",
    )


def _as_dict(entry: Entry) -> dict[str, Any]:
    try:
        payload = json.loads(entry.payload) if entry.payload else None
    except ValueError:
        payload = None
    return {
        "seq": entry.seq,
        "time": iso_time(entry.time_us),
        "type": entry.type,
        "body": entry.body,
        "leaf": entry.leaf_hash.hex(),
        "payload": payload,
        "payload_state": entry.payload_state.value,
    }


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


def _verify_proofs(file: Path, verifier: Verifier) -> VerifyReport:
    """Checks proofs that someone handed over; the key in the file is never trusted."""
    root, verified, first_bad = "", 0, None
    problems: list[str] = []
    try:
        if file.stat().st_size > _MAX_PROOF:
            raise ValueError("too large")
        proofs = json.loads(file.read_bytes())["proofs"]
        if not isinstance(proofs, list) or not proofs:
            raise ValueError("no proofs")
    except (ValueError, TypeError, KeyError):
        raise CloisterError(
            "The file is neither a copy of the record nor a proof.",
            code="CLO-INPUT-004",
            remedy="Use store/lineage.db, or the output of: cloister lineage prove ID",
        ) from None
    for proof in proofs:
        try:
            root = verify_proof(proof, verifier).root.hex()
            verified += 1
        except ValueError as error:
            problems.append(f"a proof does not hold: {error}")
            seq = proof.get("seq") if isinstance(proof, dict) else None
            first_bad = seq if first_bad is None and isinstance(seq, int) else first_bad
    return VerifyReport(not problems, verified, root, int(bool(root)), first_bad, tuple(problems))
