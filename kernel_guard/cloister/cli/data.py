"""``cloister classify`` and ``cloister mask``: what a file holds, and a copy that may be shown.

Neither prints a value of the file: findings are names, types, places and scores.
"""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import click

from cloister.cli.output import json_option, print_json, print_table, say
from cloister.cli.tables import read_standard_input, write_table
from cloister.cli.workspace import current_home, current_policy
from cloister.core.errors import CloisterError
from cloister.core.labels import Level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloister.core.policy import ColumnRule, Policy
    from cloister.detect.columns import ColumnFinding
    from cloister.detect.text import Span
    from cloister.store.home import Home

_STANDARD_INPUT: Final = Path("-")
_FILE: Final = click.Path(path_type=Path)
_FOUND: Final = 1  # exit code when something confidential or restricted was found


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_FILE)
@click.option("--text", is_flag=True, help="FILE is JSON Lines with id and text; find values.")
@json_option
def classify(files: tuple[Path, ...], *, text: bool, as_json: bool) -> None:
    """Find sensitive columns in CSV, Parquet, Arrow and JSONL files, or values in text.

    FILE - is standard input: CSV, or JSON Lines with --text. Exits with 1 when something
    confidential or restricted was found.
    """
    home = current_home()
    policy = current_policy(home)
    if text:
        is_found = [_classify_text(file, policy, as_json=as_json) for file in files]
    else:
        tables = [_classify_table(file, home, policy) for file in files]
        is_found = [_is_sensitive(table["columns"]) for table in tables]
        _print_tables(tables, as_json=as_json)
    if any(is_found):
        click.get_current_context().exit(_FOUND)


@click.command()
@click.argument("source", metavar="IN", type=_FILE)
@click.argument("target", metavar="OUT", type=_FILE)
@json_option
def mask(source: Path, target: Path, *, as_json: bool) -> None:
    """Write OUT, a copy of IN whose sensitive values are masked as the policy shows them.

    The suffix of OUT chooses its format. Equal values stay equal under tokens, so joins work.
    """
    from cloister.detect.columns import classify_table
    from cloister.detect.files import read_table
    from cloister.detect.mask import mask_table
    from cloister.detect.tokens import Tokenizer
    from cloister.store.keys import open_keyring

    home = current_home()
    policy = current_policy(home)
    if source.exists() and target.exists() and source.samefile(target):
        raise CloisterError(
            "IN and OUT are the same file.",
            code="CLO-INPUT-006",
            remedy="Choose another OUT; masking cannot be undone.",
        )
    table = read_standard_input() if source == _STANDARD_INPUT else read_table(source)
    findings = classify_table(
        table, declared=_declared(home, policy, source), level_of=policy.level_of
    )
    tokenizer = Tokenizer(open_keyring(home).token_key)
    write_table(mask_table(table, findings, policy.display.__getitem__, tokenizer), target)
    columns = [
        {**_column(finding), "treatment": policy.display[finding.level].value}
        for finding in findings
    ]
    if as_json:
        print_json({"out": str(target), "rows": table.num_rows, "columns": columns})
        return
    print_table(
        ["column", "type", "level", "shown as"],
        [(c["name"], c["entity_type"], c["level"], c["treatment"]) for c in columns],
        "The file has no columns.",
    )
    say(f"{table.num_rows} rows written to {target}")


def _classify_table(file: Path, home: Home, policy: Policy) -> dict[str, Any]:
    from cloister.detect.columns import classify_table
    from cloister.detect.files import classify_file

    declared = _declared(home, policy, file)
    if file == _STANDARD_INPUT:
        table = read_standard_input()
        findings = classify_table(table, declared=declared, level_of=policy.level_of)
        rows = table.num_rows
    else:
        findings, rows = classify_file(file, declared=declared, level_of=policy.level_of)
    return {
        "name": file.stem,
        "file": str(file),
        "rows": rows,
        "columns": [_column(finding) for finding in findings],
    }


def _declared(home: Home, policy: Policy, file: Path) -> tuple[ColumnRule, ...]:
    """Returns what the catalogue says about this file, then what the policy says about all."""
    from cloister.store.catalog import Catalog

    dataset = None if file == _STANDARD_INPUT else Catalog(home).resolve(file)
    return (*(dataset.column_rules() if dataset else ()), *policy.columns)


def _column(finding: ColumnFinding) -> dict[str, Any]:
    return {
        "name": finding.name,
        "entity_type": finding.entity_type,
        "level": str(finding.level),
        "free_text": finding.free_text,
        "confidence": round(finding.confidence, 3),
        "evidence": list(finding.evidence),
    }


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


def _classify_text(file: Path, policy: Policy, *, as_json: bool) -> bool:
    """Prints one line for each text as soon as it is read; returns whether any is sensitive."""
    from cloister.detect.text import find_spans

    is_found = False
    for identifier, text in _texts(file):
        spans = find_spans(text)
        is_found |= any(policy.level_of(s.entity_type) >= Level.CONFIDENTIAL for s in spans)
        if as_json:
            line = {"id": identifier, "spans": [_span(span) for span in spans]}
            click.echo(json.dumps(line, ensure_ascii=False).encode("utf-8", "replace"))
        else:
            places = ", ".join(f"{s.entity_type} {s.start}-{s.end} ({s.score:.2f})" for s in spans)
            say(f"{identifier}: {places or '-'}")
    return is_found


def _span(span: Span) -> dict[str, Any]:
    return {
        "start": span.start,
        "end": span.end,
        "entity_type": span.entity_type,
        "score": round(span.score, 3),
    }


def _texts(file: Path) -> Iterator[tuple[Any, str]]:
    """Yields id and text of each line.

    Raises:
        CloisterError: A line is not a JSON object with both (``CLO-INPUT-005``).
    """
    try:
        source: Any = nullcontext(sys.stdin.buffer) if file == _STANDARD_INPUT else file.open("rb")
        with source as stream:
            yield from _lines(stream, file)
    except OSError as error:
        raise CloisterError(
            f"{file} cannot be read ({type(error).__name__}).",
            code="CLO-INPUT-005",
            remedy="Check that the file exists and may be read.",
        ) from None


def _lines(stream: IO[bytes], file: Path) -> Iterator[tuple[Any, str]]:
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
            identifier, text = item["id"], item["text"]
        except (ValueError, TypeError, KeyError):
            identifier, text = None, None
        if not isinstance(text, str):
            raise CloisterError(
                f"{file}, line {number}, is not a JSON object with id and text.",
                code="CLO-INPUT-005",
                remedy='Write one object a line: {"id": 1, "text": "..."}',
            )
        yield identifier, text
