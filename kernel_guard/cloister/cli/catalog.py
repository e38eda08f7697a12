"""``cloister catalog``: which datasets there are and what their columns hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from cloister.cli.output import json_option, note, print_json, print_table, say
from cloister.cli.workspace import current_home, recorded_change
from cloister.core.labels import Level
from cloister.store.catalog import Catalog

if TYPE_CHECKING:
    from cloister.store.catalog import Dataset

_LEVELS = [str(level) for level in Level]


@click.group()
def catalog() -> None:
    """Name datasets and declare their columns."""


@catalog.command()
@click.argument("name")
@click.argument("path")
@click.option("--purpose", default="", help="What the dataset may be used for.")
@click.option("--consent", metavar="COLUMN", help="Column that says whether a person agreed.")
@json_option
def add(name: str, path: str, purpose: str, consent: str | None, *, as_json: bool) -> None:
    """Add the file, directory or glob PATH as dataset NAME.

    Kernels may read it, and its sensitive values are recognised in whatever they show.
    """
    home = current_home()
    with recorded_change(home) as record:
        dataset = Catalog(home).add(name, path, purpose=purpose, consent=consent)
        record("catalog.added", {"dataset": name, "path": dataset.path, "purpose": purpose})
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
        ["name", "path", "files", "purpose", "declared columns"],
        [(d.name, d.path, len(d.files()), d.purpose, ", ".join(d.labels)) for d in datasets],
        "The catalogue is empty. Add data with: cloister catalog add NAME PATH",
    )


@catalog.command()
@click.argument("name")
@json_option
def show(name: str, *, as_json: bool) -> None:
    """Show one dataset."""
    _print(Catalog(current_home()).show(name), as_json=as_json)


@catalog.command()
@click.argument("name")
@click.argument("column")
@click.argument("level", type=click.Choice(_LEVELS, case_sensitive=False))
@click.option("--entity", metavar="TYPE", help="Entity type, for instance MEDICAL_RECORD.")
@json_option
def label(name: str, column: str, level: str, entity: str | None, *, as_json: bool) -> None:
    """Declare that COLUMN of dataset NAME is of LEVEL."""
    home = current_home()
    with recorded_change(home) as record:
        dataset = Catalog(home).label(name, column, Level.parse(level), entity)
        record(
            "catalog.labelled",
            {"dataset": name, "column": column, "level": level, "entity_type": entity},
        )
    _print(dataset, as_json=as_json)


@catalog.command()
@click.argument("name")
@json_option
def remove(name: str, *, as_json: bool) -> None:
    """Take dataset NAME out of the catalogue; its files stay."""
    home = current_home()
    with recorded_change(home) as record:
        dataset = Catalog(home).remove(name)
        record("catalog.removed", {"dataset": name, "path": dataset.path})
    if as_json:
        print_json(_as_dict(dataset))
    else:
        say(f"Removed {name}; its files are untouched.")


def _as_dict(dataset: Dataset) -> dict[str, Any]:
    declared = datetime.fromtimestamp(dataset.declared_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {**dataset.as_dict(), "declared_at": declared, "files": len(dataset.files())}


def _print(dataset: Dataset, *, as_json: bool) -> None:
    if as_json:
        print_json(_as_dict(dataset))
        return
    say(f"{dataset.name}: {dataset.path} ({len(dataset.files())} files)")
    if dataset.purpose:
        say(f"Purpose: {dataset.purpose}")
    if dataset.consent:
        say(f"Consent column: {dataset.consent}")
    print_table(
        ["column", "level", "entity type"],
        [(column, item.level, item.entity_type) for column, item in sorted(dataset.labels.items())],
        "No column is declared; what columns hold is found when the data is read.",
    )
