"""What commands print: JSON for programs, tables for people, and nothing that controls a terminal.

Recorded names (notebooks, users, hosts) were chosen by others, so control characters are replaced
before they reach a terminal.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cloister.core.errors import CloisterError

_WIDE: Final = 240  # columns, where the output is not a terminal and nothing should wrap

json_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document."
)


def print_json(document: object) -> None:
    """Prints one JSON document."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False).encode("utf-8", "replace"))


def print_error(error: CloisterError, *, as_json: bool) -> None:
    """Prints an error: as JSON on standard output, or as text on standard error."""
    if as_json:
        problems = getattr(error, "problems", ())
        document: dict[str, Any] = dict(error.as_dict())
        if problems:
            document["problems"] = [problem.as_dict() for problem in problems]
        print_json({"error": document})
        return
    click.echo(plain(f"cloister: {error.code}: {error.message}"), err=True)
    if error.remedy:
        click.echo(plain(error.remedy), err=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Prints a table for people.

    Args:
        columns: Headings.
        rows: Cells; ``None`` shows as a dash.
        empty: What to say when there are no rows.
    """
    cells = [["-" if cell is None else plain(str(cell)) for cell in row] for row in rows]
    if not cells:
        click.echo(empty)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    is_terminal = sys.stdout.isatty()
    table = Table(box=box.SIMPLE_HEAD if is_terminal else None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(width=None if is_terminal else _WIDE, highlight=False)
    with console.capture() as capture:
        console.print(table)
    lines = capture.get().split("\n")
    click.echo("\n".join(line.rstrip() for line in lines).rstrip("\n"), color=is_terminal or None)


def say(text: str) -> None:
    """Prints a line for people."""
    click.echo(plain(text))


def note(text: str) -> None:
    """Prints a line beside the result, on standard error."""
    click.echo(plain(text), err=True)


def plain(text: str) -> str:
    """Returns text whose control characters cannot move a cursor or hide a line."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
