"""``cloister catalog``: which datasets there are, whose they are, and what their columns hold.

Every change is a record with the name of who makes it. A label that is declared is compared with
what detection and the policy say about the files, so that raising and lowering can be told apart.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from cloister.cli.declared import level_found, refuse_values
from cloister.cli.output import json_option, note, print_json, print_table, say
from cloister.cli.scanning import scan_dataset
from cloister.cli.workspace import current_home, current_policy, recorded_change
from cloister.core.labels import Level
from cloister.store.catalog import Catalog
from cloister.store.identity import ADMIN_ROLE, current_identity

if TYPE_CHECKING:
    from cloister.store.catalog import Dataset
    from cloister.store.home import Home
    from cloister.store.identity import Identity

_LEVELS = [str(level) for level in Level]


@click.group()
def catalog() -> None:
    """Name datasets and declare their columns."""


@catalog.command()
@click.argument("name")
@click.argument("path")
@click.option("--purpose", default="", help="What the dataset may be used for.")
@click.option("--consent", metavar="COLUMN", help="Column that says whether a person agreed.")
@click.option("--owner", metavar="USER", help="Who may lower its labels; you when left out.")
@json_option
def add(
    name: str, path: str, purpose: str, consent: str | None, owner: str | None, *, as_json: bool
) -> None:
    """Add the file, directory or glob PATH as dataset NAME.

    Kernels may read it, and its sensitive values are recognised in whatever they show.
    """
    home = current_home()
    owner = owner or _identity(home).user
    with recorded_change(home) as record:
        dataset = Catalog(home).add(name, path, purpose=purpose, consent=consent, owner=owner)
        record(
            "catalog.added",
            {"dataset": name, "path": dataset.path, "purpose": purpose, "owner": owner},
        )
    if not dataset.files():
        note(f"Nothing is at {dataset.path} yet.")
    _print(dataset, as_json=as_json)


@catalog.command("list")
@json_option
def list_command(*, as_json: bool) -> None:
    """List all datasets."""
    datasets = Catalog(current_home()).list()
    if as_json:
        print_json([_as_dict(dataset) for dataset in datasets])
        return
    print_table(
        ["name", "owner", "path", "files", "purpose", "declared columns"],
        [
            (d.name, d.owner, d.path, len(d.files()), d.purpose, ", ".join(d.labels))
            for d in datasets
        ],
        "The catalogue is empty. Add data with: cloister catalog add NAME PATH",
    )


@catalog.command()
@click.argument("name")
@json_option
def scan(name: str, *, as_json: bool) -> None:
    """Look at every value of dataset NAME, and ask for a second opinion on its texts.

    A kernel that reads a file looks at a sample and at patterns. What is found here is kept until
    the file, the policy or a declaration changes.
    """
    home = current_home()
    found = scan_dataset(home, current_policy(home), Catalog(home).show(name), note)
    with recorded_change(home) as record:
        record("catalog.scanned", {"dataset": name, "files": len(found)})
    if as_json:
        print_json([file.as_dict() for file in found])
        return
    print_table(
        ["file", "column", "level", "kind", "learned from"],
        [
            (file.name, column, label.level, label.entity_type or "", label.source)
            for file in found
            for column, label in file.labels.items()
        ],
        f"Dataset {name} has no table.",
    )
    for file in found:
        say(f"{file.name}: {file.values} values are recognised in outputs from now on.")


@catalog.command()
@click.argument("name")
@json_option
def show(name: str, *, as_json: bool) -> None:
    """Show one dataset: what is declared, what was detected, by whom and why."""
    _print(Catalog(current_home()).show(name), as_json=as_json)


@catalog.command()
@click.argument("name")
@click.argument("column")
@click.argument("level", type=click.Choice(_LEVELS, case_sensitive=False))
@click.option("--entity", metavar="TYPE", help="Entity type, for instance MEDICAL_RECORD.")
@click.option("--reason", metavar="TEXT", default="", help="Why; needed to lower a label.")
@json_option
def label(
    name: str, column: str, level: str, entity: str | None, reason: str, *, as_json: bool
) -> None:
    """Declare that COLUMN of dataset NAME is of LEVEL.

    Anyone may raise a label. Below what detection and the policy say only the owner may go, with a
    reason; the values of the column are then shown as LEVEL says.
    """
    home = current_home()
    policy = current_policy(home)
    refuse_values(policy, reason)
    found = level_found(policy, Catalog(home).show(name), column)
    if found is None:
        note(f"No file of {name} has a column {column} now; the label can only raise its level.")
    with recorded_change(home) as record:
        dataset = Catalog(home).label(
            name,
            column,
            Level.parse(level),
            entity,
            by=_identity(home).user,
            found=found,
            reason=reason,
        )
        change = dataset.history[-1]
        record(
            "catalog.labelled",
            {
                "dataset": name,
                "column": column,
                "level": change.after,
                "entity_type": entity,
                "change": change.change,
                "before": change.before,
                "found": change.found,
                "reason": reason,
                "lowered_by": dataset.labels[column].lowered_by,
            },
        )
    _print(dataset, as_json=as_json)


@catalog.command("owner")
@click.argument("name")
@click.argument("user")
@json_option
def owner_command(name: str, user: str, *, as_json: bool) -> None:
    """Hand dataset NAME to USER, who may then lower its labels."""
    home = current_home()
    me = _identity(home)
    with recorded_change(home) as record:
        before = Catalog(home).show(name).owner
        dataset = Catalog(home).set_owner(name, user, by=me.user, is_admin=ADMIN_ROLE in me.roles)
        record("catalog.owned", {"dataset": name, "before": before, "owner": user})
    _print(dataset, as_json=as_json)


@catalog.command()
@click.argument("name")
@json_option
def remove(name: str, *, as_json: bool) -> None:
    """Take dataset NAME out of the catalogue; its files stay."""
    home = current_home()
    me = _identity(home)
    with recorded_change(home) as record:
        dataset = Catalog(home).remove(name, by=me.user, is_admin=ADMIN_ROLE in me.roles)
        record("catalog.removed", {"dataset": name, "path": dataset.path, "owner": dataset.owner})
    if as_json:
        print_json(_as_dict(dataset))
    else:
        say(f"Removed {name}; its files are untouched.")


def _identity(home: Home) -> Identity:
    """Returns who runs this command.

    Raises:
        PolicyRejected: The policy is not valid, so nobody knows whether the environment counts.
    """
    return current_identity(os.environ, current_policy(home))


def _as_dict(dataset: Dataset) -> dict[str, Any]:
    document = {**dataset.as_dict(), "files": len(dataset.files())}
    document["declared_at"] = _time(dataset.declared_at)
    for item in (*document["labels"].values(), *document["history"]):
        item["at"] = _time(item["at"])
    return document


def _time(seconds: int) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else None


def _print(dataset: Dataset, *, as_json: bool) -> None:
    if as_json:
        print_json(_as_dict(dataset))
        return
    say(f"{dataset.name}: {dataset.path} ({len(dataset.files())} files)")
    say(f"Owner: {dataset.owner or 'nobody, so nothing can be lowered'}")
    if dataset.purpose:
        say(f"Purpose: {dataset.purpose}")
    if dataset.consent:
        say(f"Consent column: {dataset.consent}")
    print_table(
        ["column", "declared", "detected", "entity type", "by", "holds"],
        [
            (
                column,
                item.level,
                item.found,
                item.entity_type,
                item.by,
                f"lowered by {item.lowered_by}" if item.lowered_by else "upward",
            )
            for column, item in sorted(dataset.labels.items())
        ],
        "No column is declared; what columns hold is found when the data is read.",
    )
    if dataset.history:
        print_table(
            ["when", "column", "change", "before", "after", "by", "why"],
            [
                (_time(h.at), h.column, h.change, h.before, h.after, h.by, h.reason or None)
                for h in dataset.history
            ],
            "",
        )
