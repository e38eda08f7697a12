"""``cloister lineage``: read the record; verifying and proving it have modules of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloister.cli.comparing import diff, match_command, rerun
from cloister.cli.erase import erase_command
from cloister.cli.export import export, prove, unknown_execution
from cloister.cli.migrate import migrate
from cloister.cli.output import json_option, print_json, print_table, say
from cloister.cli.questions import (
    graph_command,
    left,
    origin,
    timeline,
    touched,
    viewers,
)
from cloister.cli.verify import verify
from cloister.cli.workspace import current_home, recorded_change
from cloister.store.entry import PayloadErased
from cloister.store.executions import iso_time
from cloister.store.keys import open_keyring
from cloister.store.lineage_reader import LineageReader

if TYPE_CHECKING:
    from cloister.store.entry import Entry


@click.group()
def lineage() -> None:
    """Read and verify the record."""


@lineage.command("list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--before", type=int, metavar="SEQ", help="Only executions before this number.")
@click.option("--kernel", metavar="ID", help="Only executions of this kernel.")
@click.option("--user", metavar="NAME", help="Only executions of this user.")
@click.option("--dataset", metavar="NAME", help="Only executions that read this dataset.")
@json_option
def list_command(
    limit: int,
    before: int | None,
    kernel: str | None,
    user: str | None,
    dataset: str | None,
    *,
    as_json: bool,
) -> None:
    """List executions, newest first."""
    with LineageReader(current_home()) as reader:
        rows = reader.executions(limit, before, kernel_id=kernel, user=user, dataset=dataset)
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
    """Show every event of the execution ID, with its code and outputs as they were shown.

    That somebody read code and outputs is on record before they are shown.
    """
    home = current_home()
    with LineageReader(home, open_keyring(home)) as reader:
        entries = reader.get(execution_id)
    if not entries:
        raise unknown_execution()
    read = [entry for entry in entries if entry.payload]
    if read:
        with recorded_change(home) as record:
            of, numbers = entries[0].body.get("execution_id"), [entry.seq for entry in read]
            record("lineage.read", {"of": of, "events": [*numbers], "how": "show"})
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
        elif event["erasure"] is not None:
            gone = event["erasure"]
            say(f"    payload: erased {gone['time']} by {gone['rule']}, tombstone {gone['seq']}")
        elif event["payload_state"] != "none":
            say(f"    payload: {event['payload_state']}")


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
        "erasure": None
        if entry.erasure is None
        else {
            "code": PayloadErased.default_code,
            "seq": entry.erasure.seq,
            "time": iso_time(entry.erasure.time_us),
            "rule": entry.erasure.rule,
        },
    }


for command in (
    timeline, touched, origin, graph_command, left, viewers, diff, match_command, rerun,
    verify, prove, export, migrate, erase_command,
):  # fmt: skip
    lineage.add_command(command)
