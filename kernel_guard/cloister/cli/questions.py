"""``cloister lineage``: questions that a reviewer asks of the record."""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloister.cli.output import json_option, print_json, print_table, say
from cloister.cli.workspace import current_home
from cloister.store.lineage_reader import LineageReader
from cloister.store.questions.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloister.store.home import Home
    from cloister.store.questions.graph import Graph

_TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"])
_limit = click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
_before = click.option("--before", type=int, metavar="SEQ", help="Only before this number.")


@contextmanager
def open_record(home: Home | None = None) -> Iterator[Record]:
    """Opens the record of a workspace for questions.

    A log of an older version is brought up to date first: its index knows too few names.
    """
    from cloister.store.keys import open_keyring
    from cloister.store.lineage import LineageLog

    home = home or current_home()
    LineageLog(home, open_keyring(home)).close()
    with LineageReader(home) as reader:
        yield Record(reader)


def recorded_name(path: str) -> str:
    """Returns a path as the record has it: absolute, links followed where it is there."""
    return str(Path(path).resolve()) if Path(path).exists() else os.path.abspath(path)  # noqa: PTH100 - need not exist


@click.command()
@click.argument("notebook")
@_limit
@_before
@json_option
def timeline(notebook: str, limit: int, before: int | None, *, as_json: bool) -> None:
    """Show what ran in NOTEBOOK, in order."""
    from cloister.store.questions.timeline import timeline as ask

    with open_record() as record:
        for name in dict.fromkeys([recorded_name(notebook), notebook]):
            rows = ask(record, name, limit=limit, before=before)
            if rows:
                break
    if as_json:
        print_json(rows)
        return
    print_table(
        ["seq", "time", "user", "n", "cell", "status", "shown/masked/blocked", "defines",
         "goes back to", "id"],
        [
            (
                row["seq"],
                row["time"][:19],
                row["user"],
                row["execution_count"],
                (row["cell_id"] or "")[:8] or None,
                row["status"],
                _outputs(row),
                ", ".join(row["names_defined"] or []) or None,
                _shorts(row["sources"]),
                row["id"],
            )
            for row in rows
        ],
        "Nothing has run in this notebook.",
    )  # fmt: skip


@click.command()
@click.option("--dataset", metavar="NAME", help="A dataset of the catalogue.")
@click.option("--column", metavar="NAME", help="A column; with --dataset or --path only there.")
@click.option("--path", metavar="FILE", help="A file.")
@click.option("--host", metavar="NAME", help="A host that was asked.")
@click.option("--person", metavar="VALUE", help="A value of a person, such as a number or name.")
@_limit
@_before
@json_option
def touched(*, as_json: bool, limit: int, before: int | None, **asked: str | None) -> None:
    """Show everything that touched a dataset, column, file, host or person.

    A person is looked for by the keyed stand-ins of the value in what was shown. The value is
    neither kept nor printed; write - to type it, so that it is not in the shell's history.
    """
    from cloister.store.questions.touched import Subject
    from cloister.store.questions.touched import touched as ask

    home = current_home()
    if not any(asked.values()):
        raise click.UsageError("Name a --dataset, --column, --path, --host or --person.")
    person, path = asked["person"], asked["path"]
    subject = Subject(
        dataset=asked["dataset"],
        column=asked["column"],
        path=None if path is None else recorded_name(path),
        host=asked["host"],
        people=() if person is None else _pseudonyms(home, person),
    )
    with open_record(home) as record:
        answer = ask(record, subject, limit=limit, before=before)
    if as_json:
        print_json(answer)
        return
    print_table(
        ["seq", "time", "user", "notebook", "n", "how", "shown/masked/blocked", "id"],
        [
            (
                row["seq"],
                row["time"][:19],
                row["user"],
                _short(row["notebook"]),
                row["execution_count"],
                ", ".join(row["how"]),
                _outputs(row),
                row["id"],
            )
            for row in answer["executions"]
        ],
        "No execution touched it.",
    )
    for event in answer["events"]:
        say(f"{event['seq']}  {event['time'][:19]}  {event['type']}")


@click.command()
@click.argument("what")
@json_option
def origin(what: str, *, as_json: bool) -> None:
    """Show the files and executions that WHAT came from.

    WHAT is a figure or a file that a cell wrote, a notebook, the id of an execution, or a SHA-256.
    """
    found = _graph(what, on=False)
    if as_json:
        print_json(
            {**found.as_dict(), "from": [node.facts | {"id": node.id} for node in found.roots()]}
        )
        return
    for node in found.roots():
        digest = node.facts.get("sha256")
        say(
            f"{node.kind}  {node.facts.get('path') or node.label}"
            + (f"  {digest}" if digest else "")
        )
    executions = [node for node in found.nodes.values() if node.kind == "execution"]
    print_table(
        ["seq", "time", "user", "execution", "defines"],
        [
            (
                node.facts["seq"],
                node.facts["time"][:19],
                node.facts["user"],
                node.label,
                ", ".join(node.facts["names_defined"] or []) or None,
            )
            for node in sorted(executions, key=lambda node: node.facts["seq"])
        ],
        "Nothing is known of it.",
    )


@click.command("graph")
@click.argument("what")
@click.option("--on", is_flag=True, help="What came of it, in place of where it came from.")
@click.option(
    "--format", "shape", type=click.Choice(["mermaid", "dot"]), default="mermaid", show_default=True
)
@json_option
def graph_command(what: str, shape: str, *, on: bool, as_json: bool) -> None:
    """Draw where WHAT came from, or what came of it, as Mermaid or DOT.

    WHAT is a figure or a file that a cell wrote, a notebook, the id of an execution, or a SHA-256.
    """
    from cloister.store.questions import drawing

    found = _graph(what, on=on)
    if as_json:
        print_json(found.as_dict())
        return
    say((drawing.mermaid if shape == "mermaid" else drawing.dot)(found).rstrip("\n"))


@click.command()
@click.option("--user", metavar="NAME", help="Only what this user sent.")
@_limit
@_before
@json_option
def left(user: str | None, limit: int, before: int | None, *, as_json: bool) -> None:
    """Show what left, or was kept, where to, and by which rule; newest first."""
    from cloister.store.questions.left import left as ask

    with open_record() as record:
        lines = ask(record, limit=limit, before=before, user=user)
    if as_json:
        print_json(lines)
        return
    print_table(
        ["seq", "time", "user", "notebook", "what", "where", "decision", "rule", "bytes",
         "goes back to"],
        [
            (
                line["seq"],
                line["time"][:19],
                line["user"],
                _short(line["notebook"]),
                line["what"],
                line["where"],
                line["decision"],
                line["rule"],
                line["bytes"],
                _shorts(line["sources"]),
            )
            for line in lines
        ],
        "Nothing has left.",
    )  # fmt: skip


@click.command()
@click.option("--since", type=_TIME, help="Only outputs from this time on, UTC.")
@click.option("--until", type=_TIME, help="Only outputs before this time, UTC.")
@click.option("--source", metavar="NAME", help="Only what goes back to this dataset or file.")
@click.option("--user", metavar="NAME", help="Only this user.")
@json_option
def viewers(
    since: datetime | None,
    until: datetime | None,
    source: str | None,
    user: str | None,
    *,
    as_json: bool,
) -> None:
    """Show who saw the most: rows, cells and bytes by user and source."""
    from cloister.store.questions.viewers import viewers as ask

    with open_record() as record:
        lines = ask(
            record, since_us=_micros(since), until_us=_micros(until), source=source, user=user
        )
    if as_json:
        print_json(lines)
        return
    names = ["user", "source", "executions", "rows", "cells", "bytes", "masked", "blocked"]
    print_table(names, [[line[name] for name in names] for line in lines], "Nobody saw anything.")


def _graph(what: str, *, on: bool) -> Graph:
    from cloister.store.questions.graph import Way, graph
    from cloister.store.questions.starts import executions_named, executions_that_made

    with open_record() as record:
        path = Path(what)
        if path.suffix == ".ipynb":
            start = executions_named(record, recorded_name(what))
        elif path.is_file():
            start = executions_that_made(record, path)
        else:
            start = executions_named(record, what)
        return graph(record, start, way=Way.ON if on else Way.BACK)


def _pseudonyms(home: Home, person: str) -> tuple[str, ...]:
    from cloister.cli.workspace import current_policy
    from cloister.core.entities import DEFAULT_LEVELS
    from cloister.detect.pseudonyms import pseudonyms_of
    from cloister.detect.tokens import Tokenizer
    from cloister.store.keys import open_keyring

    value = click.prompt("Value", hide_input=True) if person == "-" else person
    keyring = open_keyring(home)
    own = current_policy(home).entities
    tokenizer = Tokenizer(keyring.token_key, keyring.reversible_key)
    return pseudonyms_of(value, tokenizer, {**dict.fromkeys(DEFAULT_LEVELS), **own})


def _micros(time: datetime | None) -> int | None:
    return None if time is None else int(time.replace(tzinfo=UTC).timestamp() * 1_000_000)


def _outputs(row: dict[str, Any]) -> str:
    return "/".join(str(row["outputs"][name]) for name in ("shown", "masked", "blocked"))


def _shorts(sources: list[str]) -> str | None:
    return ", ".join(Path(source).name for source in sources) or None


def _short(path: str | None) -> str | None:
    return None if path is None else Path(path).name
