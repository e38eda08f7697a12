"""``cloister lineage prove`` and ``export``: the record, or a part of it, for others to verify."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from cloister.cli.keptcheckpoints import kept_in_files, named_witnesses, no_checkpoint
from cloister.cli.output import json_option, print_json, say
from cloister.cli.workspace import current_home, recorded_change
from cloister.core.errors import CloisterError
from cloister.store.checkpoint import CheckpointError, Verifier
from cloister.store.evidence.growth import prove_growth
from cloister.store.evidence.journal import read_newest
from cloister.store.evidence.reader import EvidenceReader
from cloister.store.keys import open_keyring
from cloister.store.lineage_reader import LineageReader

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"])
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


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
        try:
            newest = read_newest(since, verifier)
        except CheckpointError:
            newest = None
        if newest is None:
            raise no_checkpoint(since)
        with EvidenceReader(home) as log:
            proof = prove_growth(log, newest[0], verifier)
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
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("record.zip"),
    show_default=True,
    help="The file; it must not exist yet.",
)
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
    out: Path,
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
    if out.exists():
        raise CloisterError(
            "There is a file of this name already.", code="CLO-EXPORT-002", remedy="Choose another."
        )
    home = current_home()
    keyring = open_keyring(home)
    older, unknown = kept_in_files(against, Verifier(keyring.key_name, keyring.public_key_bytes))
    if unknown:
        raise no_checkpoint(against[0])
    with EvidenceReader(home) as reader:
        events = _selected(reader, execution, since, until)
        with recorded_change(home) as record:
            count = None if events is None else len(events)
            record("lineage.exported", {"format": kind, "events": count, "payloads": payloads})
        try:
            written = write_bundle(
                out,
                reader,
                keyring,
                Selection(events, with_payloads=payloads, older=tuple(older)),
                rules=named_witnesses(home),
                memories=Memories(home),
            )
        except OSError as error:
            raise CloisterError(
                f"The bundle cannot be written ({type(error).__name__}).",
                code="CLO-EXPORT-002",
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
