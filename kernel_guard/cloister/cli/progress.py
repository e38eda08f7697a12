"""A progress bar on standard error: how much of a file was read, how fast, and how long it takes.

Shown where somebody watches, a terminal; elsewhere only when it is asked for.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Bars: TypeAlias = "Callable[[str], Callable[[int, int], None]]"
"""Starts a pass with its name; returns what is told how many bytes of how many were read."""

progress_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--progress/--no-progress",
    "shows_progress",
    default=None,
    help="Show a progress bar on standard error; on a terminal it shows by itself.",
)


@contextmanager
def progress_bars(shows: bool | None) -> Iterator[Bars]:  # noqa: FBT001 - the option's three states
    """Shows one bar for each pass until the block ends.

    Args:
        shows: Whether to; ``None`` where standard error is a terminal.
    """
    if shows is None:
        shows = sys.stderr.isatty()
    if not shows:
        yield lambda _name: lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def start(name: str) -> Callable[[int, int], None]:
            task = progress.add_task(name, total=None)

            def told(done: int, total: int) -> None:
                progress.update(task, completed=done, total=max(total, 1))

            return told

        yield start
