"""``cloister lineage prove`` and ``export``: the record, or a part of it, for others to verify."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cloister.cli.exportfile import STANDARD_OUTPUT, exists, not_writable, target
from cloister.cli.keptcheckpoints import kept_in_files, named_witnesses, no_checkpoint
from cloister.cli.output import json_option, print_json, say
from cloister.cli.workspace import current_home, recorded_change
from cloister.core.errors import CloisterError
from cloister.store.checkpoint import CheckpointError
from cloister.store.evidence.growth import prove_growth
from cloister.store.evidence.journal import read_newest
from cloister.store.evidence.reader import EvidenceReader
from cloister.store.exports.exporter import FORMATS, exporter
from cloister.store.exports.view import Criteria, RecordView
from cloister.store.keys import open_keyring
from cloister.store.lineage_reader import LineageReader

if TYPE_CHECKING:
    from cloister.store.home import Home
    from cloister.store.keys import Keyring

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"])
_LINES: Final = frozenset({"jsonl", "openlineage", "ocsf", "cef"})
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
        verifier = keyring.verifier
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
    type=click.Choice(["bundle", *FORMATS]),
    default="bundle",
    show_default=True,
    help="bundle: a zip file that a reviewer verifies without Cloister. Others are for programs.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="The file; it must not exist yet. Standard output (-) for formats of lines, otherwise a "
    "file named record.",
)
@click.option("--execution", multiple=True, metavar="ID", help="Only the events of this execution.")
@click.option("--notebook", metavar="PATH", help="Only what happened in this notebook.")
@click.option("--user", metavar="NAME", help="Only what this user did.")
@click.option("--kernel", metavar="ID", help="Only what happened in this kernel.")
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
    notebook: str | None,
    user: str | None,
    kernel: str | None,
    since: datetime | None,
    until: datetime | None,
    against: tuple[Path, ...],
    payloads: bool,
    verifier: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Write the record, or a part of it, for a reviewer or another program.

    What is written holds headers; code and outputs only in a bundle with --payloads, encrypted.
    That it was exported is recorded first.
    """
    if verifier:
        from cloister.store.evidence.bundle import verifier_source

        click.echo(verifier_source(), nl=False)
        return
    if kind != "bundle" and (against or payloads):
        raise click.UsageError("--against and --payloads are about bundles.")
    criteria = Criteria(
        since_us=_micros(since),
        until_us=_micros(until),
        notebook=notebook,
        user=user,
        kernel=kernel,
    )
    home = current_home()
    with EvidenceReader(home) as reader:
        if execution:
            criteria = replace(criteria, executions=_whole_ids(reader, execution))
        if kind == "bundle":
            path = out or Path("record.zip")
            _write_bundle(home, reader, path, criteria, against, payloads=payloads, as_json=as_json)
        else:
            _write_format(home, reader, kind, out, criteria, as_json=as_json)


def _write_format(
    home: Home,
    reader: EvidenceReader,
    kind: str,
    out: Path | None,
    criteria: Criteria,
    *,
    as_json: bool,
) -> None:
    chosen = exporter(kind)
    if out is None:
        out = STANDARD_OUTPUT if kind in _LINES else Path(f"record{chosen.suffix}")
    if out == STANDARD_OUTPUT and as_json:
        raise click.UsageError("--json says what was written: name a file with -o.")
    if out == STANDARD_OUTPUT and not chosen.is_stream:
        raise click.UsageError(f"{kind} needs a file: name one with -o.")
    keyring = open_keyring(home)
    with target(out) as stream:
        # Before a byte leaves; and so the export that has everything has this event, too.
        with recorded_change(home) as record:
            record("lineage.exported", {"format": kind, "events": None, "payloads": False,
                                        "criteria": criteria.as_dict()})  # fmt: skip
        head = reader.head()
        assert head is not None  # noqa: S101 - an event was just recorded
        view = RecordView(
            reader,
            head,
            origin=keyring.key_name,
            public_key=keyring.verifier_line,
            criteria=criteria,
        )
        count = chosen.write(view, stream)
    if as_json:
        print_json({"file": str(out), "events": count, "size": head.size})
    elif out != STANDARD_OUTPUT:
        say(f"{out}: {count} events or cells of a record of {head.size} events.")


def _write_bundle(
    home: Home,
    reader: EvidenceReader,
    out: Path,
    criteria: Criteria,
    against: tuple[Path, ...],
    *,
    payloads: bool,
    as_json: bool,
) -> None:
    from cloister.store.evidence.bundle import Selection, write_bundle
    from cloister.store.evidence.memory import Memories

    if out.exists():
        raise exists()
    keyring = open_keyring(home)
    older, unknown = kept_in_files(against, keyring.verifier)
    if unknown:
        raise no_checkpoint(against[0])
    events = _numbers(reader, keyring, criteria)
    with recorded_change(home) as record:
        count = None if events is None else len(events)
        record("lineage.exported", {"format": "bundle", "events": count, "payloads": payloads,
                                    "criteria": criteria.as_dict()})  # fmt: skip
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
        raise not_writable(error) from error
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


def _numbers(
    reader: EvidenceReader, keyring: Keyring, criteria: Criteria
) -> tuple[int, ...] | None:
    """Returns the numbers of the events that are asked for, ``None`` for all of them."""
    head = reader.head()
    if criteria.is_everything or head is None:
        return None
    view = RecordView(
        reader,
        head,
        origin=keyring.key_name,
        public_key=keyring.verifier_line,
        criteria=criteria,
    )
    return tuple(event.seq for event in view.events())


def _whole_ids(reader: EvidenceReader, executions: tuple[str, ...]) -> frozenset[str]:
    """Returns the ids that beginnings of ids stand for."""
    whole = set()
    for execution in executions:
        entries = reader.get(execution)
        if not entries:
            raise unknown_execution()
        whole.add(str(entries[0].body.get("execution_id")))
    return frozenset(whole)


def _micros(time: datetime | None) -> int | None:
    if time is None:
        return None
    delta = time.replace(tzinfo=UTC) - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
