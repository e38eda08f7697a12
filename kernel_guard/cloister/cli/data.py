"""``cloister classify`` and ``cloister mask``: what a file holds, and a copy that may be shown.

Neither prints a value of the file: findings are names, types, places and scores.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cloister.cli.cluster import Workers, classify_parts_at, mask_parts_at, workers_options
from cloister.cli.masking import invented_rows, mask_of, policy_for, table_masking
from cloister.cli.output import json_option, note, print_json, print_table, say
from cloister.cli.progress import progress_bars, progress_option
from cloister.cli.tables import STANDARD_STREAM, sink_of, source_of
from cloister.cli.textlines import classify_texts
from cloister.cli.workspace import current_home, current_policy
from cloister.core.errors import CloisterError
from cloister.core.labels import Level

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from cloister.cli.progress import Bars
    from cloister.cli.tables import Source
    from cloister.core.policy import ColumnRule, Policy
    from cloister.detect.finding import ColumnFinding
    from cloister.detect.streaming import Classification
    from cloister.detect.tablewriter import TableWriter
    from cloister.store.home import Home

_FILE: Final = click.Path(path_type=Path)
_FOUND: Final = 1  # exit code when something confidential or restricted was found


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_FILE)
@click.option("--text", is_flag=True, help="FILE is JSON Lines with id and text; find values.")
@workers_options
@progress_option
@json_option
def classify(
    files: tuple[Path, ...],
    *,
    text: bool,
    engine: str,
    address: str | None,
    workers: int | None,
    shows_progress: bool | None,
    as_json: bool,
) -> None:
    """Find sensitive columns in CSV, Parquet, Arrow and JSONL files, or values in text.

    Every value is looked at, and a file may be larger than memory; a directory is one table of all
    its files. FILE - is standard input: CSV, or JSON Lines with --text. Exits with 1 when something
    confidential or restricted was found.
    """
    where = Workers(engine, address, workers)
    home = current_home()
    policy = current_policy(home)
    if text:
        is_found = [classify_texts(files, home, policy, as_json=as_json)]
    else:
        with progress_bars(shows_progress) as bars:
            tables = [_classify_table(file, home, policy, where, bars) for file in files]
        is_found = [_is_sensitive(table["columns"]) for table in tables]
        _print_tables(tables, as_json=as_json)
    if any(is_found):
        click.get_current_context().exit(_FOUND)


@click.command()
@click.argument("source", metavar="IN", type=_FILE)
@click.argument("target", metavar="OUT", type=_FILE)
@click.option("--as", "role", metavar="ROLE", help="Mask as people of this role see the data.")
@click.option("--in-place", is_flag=True, help="OUT may be IN; masking cannot be undone.")
@click.option(
    "--preview",
    metavar="ROWS",
    type=click.IntRange(1, 1_000_000),
    help="Write so many invented rows that look like IN, and none of IN.",
)
@workers_options
@progress_option
@json_option
def mask(
    source: Path,
    target: Path,
    *,
    role: str | None,
    in_place: bool,
    preview: int | None,
    engine: str,
    address: str | None,
    workers: int | None,
    shows_progress: bool | None,
    as_json: bool,
) -> None:
    """Write OUT, a copy of IN whose sensitive values are masked as the policy shows them.

    The suffix of OUT chooses its format, and the file appears when it is whole. IN may be larger
    than memory. Equal values stay equal under tokens, so joins work. - is CSV on standard input
    (held in memory) or output. Where IN is a directory, or with --engine ray, OUT is a new
    directory with one masked file for each part of IN. With --preview, OUT has the columns, types,
    shares of nulls and frequent categories of IN, as far as the policy shows them, but none of its
    rows.
    """
    home = current_home()
    policy = policy_for(role, current_policy(home))
    where = Workers(engine, address, workers)
    if where.are_for(source) and preview is not None:
        raise CloisterError(
            "A preview is made of one file, on this machine.",
            code="CLO-INPUT-001",
            remedy="Name one of the files, and leave --engine out.",
        )
    if where.are_for(source):
        with progress_bars(shows_progress) as bars:
            held = mask_parts_at(
                source, target, home, current_policy(home), role=role, workers=where, bars=bars
            )
        _report_mask(target, held, policy, as_json=as_json)
        return
    _check_places(source, target, in_place=in_place, as_json=as_json)
    open_sink = sink_of(target)
    with progress_bars(shows_progress) as bars:
        if preview is None:
            held = _mask_table(source, open_sink, home, policy, bars)
        else:
            held = _preview_table(source, open_sink, home, policy, bars, rows=preview)
    _report_mask(target, held, policy, as_json=as_json)


def _mask_table(
    file: Path,
    open_sink: Callable[[Any], AbstractContextManager[TableWriter]],
    home: Home,
    policy: Policy,
    bars: Bars,
) -> Classification:
    from cloister.detect.streaming import mask_table_file

    table = source_of(file)
    held = _classification(table, file, home, policy, bars)
    with table.open() as reader:
        mask_table_file(
            reader,
            open_sink,
            table_masking(home, policy, held.findings),
            progress=bars(f"Masking {table.name}"),
            check=table.check,
        )
    return held


def _preview_table(
    file: Path,
    open_sink: Callable[[Any], AbstractContextManager[TableWriter]],
    home: Home,
    policy: Policy,
    bars: Bars,
    *,
    rows: int,
) -> Classification:
    from dataclasses import replace

    from cloister.detect.streaming import one_batch

    table = source_of(file)
    held = _classification(table, file, home, policy, bars)
    invented = invented_rows(table, held.findings, policy, rows)
    with open_sink(invented.schema) as writer:
        writer.write(one_batch(invented))
        table.check()
    return replace(held, rows=rows)


def _check_places(source: Path, target: Path, *, in_place: bool, as_json: bool) -> None:
    is_same = source.exists() and target.exists() and source.samefile(target)
    if is_same and not in_place:
        raise CloisterError(
            "IN and OUT are the same file.",
            code="CLO-INPUT-006",
            remedy="Choose another OUT, or add --in-place; masking cannot be undone.",
        )
    if as_json and target == STANDARD_STREAM:
        raise CloisterError(
            "The masked table and the report cannot both go to standard output.",
            code="CLO-INPUT-001",
            remedy="Leave --json out, or name a file for OUT.",
        )


def _report_mask(target: Path, held: Classification, policy: Policy, *, as_json: bool) -> None:
    columns = [
        {**_column(finding), "treatment": mask_of(finding, policy).kind.value}
        for finding in held.findings
    ]
    if target == STANDARD_STREAM:
        note(f"{held.rows} rows written")
    elif as_json:
        print_json({"out": str(target), "rows": held.rows, "columns": columns})
    else:
        print_table(
            ["column", "type", "level", "shown as"],
            [(c["name"], c["entity_type"], c["level"], c["treatment"]) for c in columns],
            "The file has no columns.",
        )
        say(f"{held.rows} rows written to {target}")


def _classify_table(
    file: Path, home: Home, policy: Policy, where: Workers, bars: Bars
) -> dict[str, Any]:
    if where.are_for(file):
        held = classify_parts_at(file, home, policy, where, bars)
    else:
        held = _classification(source_of(file), file, home, policy, bars)
    return {
        "name": _table_name(file),
        "file": str(file),
        "rows": held.rows,
        "columns": [_column(finding) for finding in held.findings],
    }


def _classification(
    table: Source, file: Path, home: Home, policy: Policy, bars: Bars
) -> Classification:
    from cloister.detect.recognizers import Recognizers
    from cloister.detect.streaming import classify_table_file

    with table.open() as reader:
        return classify_table_file(
            reader,
            declared=_declared(home, policy, file),
            level_of=policy.level_of,
            recognizers=Recognizers.of(policy),
            progress=bars(f"Classifying {table.name}"),
        )


def _declared(home: Home, policy: Policy, file: Path) -> tuple[ColumnRule, ...]:
    """Returns what the catalogue says about this file, then what the policy says about all."""
    from cloister.store.catalog import Catalog

    dataset = None if file == STANDARD_STREAM else Catalog(home).resolve(file)
    return (*(dataset.column_rules(policy.columns) if dataset else ()), *policy.columns)


def _column(finding: ColumnFinding) -> dict[str, Any]:
    return {
        "name": finding.name,
        "entity_type": finding.entity_type,
        "level": str(finding.level),
        "free_text": finding.free_text,
        "confidence": round(finding.confidence, 3),
        "evidence": list(finding.evidence),
    }


def _table_name(file: Path) -> str:
    """Returns the file's name without what says its format and codec."""
    from cloister.detect.tablefile import format_of

    return Path(file.stem).stem if format_of(file)[1] else file.stem


def _is_sensitive(columns: list[dict[str, Any]]) -> bool:
    return any(Level.parse(column["level"]) >= Level.CONFIDENTIAL for column in columns)


def _print_tables(tables: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json({"tables": tables})
        return
    for table in tables:
        say(f"{table['file']}: {table['rows']} rows")
        print_table(
            ["column", "type", "level", "free text", "confidence", "evidence"],
            [
                (
                    column["name"],
                    column["entity_type"],
                    column["level"],
                    "yes" if column["free_text"] else None,
                    f"{column['confidence']:.2f}",
                    ", ".join(column["evidence"]),
                )
                for column in table["columns"]
            ],
            "It has no columns.",
        )
