"""Prints what a run showed, masked and blocked."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from headless.session import CellRun

#: A stand-in as the guard writes it: entity type, tilde, ten characters of base32.
TOKEN = re.compile(r"\b([A-Z][A-Z0-9_]*)~[a-z2-7]{10}\b")
#: Codes of refusals, as they appear in errors and answers.
REFUSAL = re.compile(r"CLO-(?:EGRESS|DP|OUTPUT|SANDBOX|SCAN)-\d{3}")


def masked_in(runs: list[CellRun]) -> Counter[str]:
    """Returns how many stand-ins of each entity type came back."""
    return Counter(match for run in runs for match in TOKEN.findall(run.text()))


def blocked_in(runs: list[CellRun]) -> Counter[str]:
    """Returns how many cells met each refusal code."""
    return Counter(code for run in runs for code in set(REFUSAL.findall(run.text())))


def print_notebooks(console: Console, results: dict[str, list[CellRun]]) -> None:
    """Prints one row for each notebook."""
    table = Table(title="What the notebooks put out", title_justify="left")
    table.add_column("notebook", no_wrap=True)
    table.add_column("cells", justify="right")
    table.add_column("outputs", justify="right")
    table.add_column("values masked", min_width=34)
    table.add_column("refusals met", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    for notebook, runs in results.items():
        table.add_row(
            notebook,
            f"{sum(run.is_as_expected for run in runs)}/{len(runs)}",
            str(sum(len(run.outputs) for run in runs)),
            _counts(masked_in(runs)),
            _counts(blocked_in(runs)),
            f"{sum(run.duration_s for run in runs):.1f} s",
        )
    console.print(table)


def print_failures(console: Console, results: dict[str, list[CellRun]]) -> None:
    """Prints the end of each cell that did not end as its notebook says."""
    for notebook, runs in results.items():
        for run in runs:
            if run.is_as_expected:
                continue
            expected = "an error" if run.may_raise else "success"
            console.print(
                f"[bold red]{notebook}, code cell {run.number}[/]: expected {expected}, "
                f"got {run.status} {run.error}"
            )
            console.print(Text.from_ansi("\n".join(run.text().splitlines()[-12:])))


def print_record(console: Console, entries: list[dict[str, Any]], newest: int = 12) -> None:
    """Prints the newest entries of ``cloister lineage list --json``."""
    table = Table(title="What the lineage log says, newest first", title_justify="left")
    for column in ("time", "notebook", "cell", "status"):
        table.add_column(column, no_wrap=True)
    for column in ("shown", "masked", "blocked"):
        table.add_column(column, justify="right", no_wrap=True)
    for column in ("read", "connections"):
        table.add_column(column, overflow="fold")
    for entry in entries[:newest]:
        outputs = entry.get("outputs") or {}
        table.add_row(
            str(entry.get("time", ""))[11:19],
            _file_name(entry.get("notebook")),
            str(entry.get("execution_count") or ""),
            str(entry.get("status", "")),
            *(str(outputs.get(kind, 0)) for kind in ("shown", "masked", "blocked")),
            ", ".join(sorted({_file_name(read) for read in entry.get("reads") or []})),
            ", ".join(sorted({_target(attempt) for attempt in entry.get("egress") or []})),
        )
    console.print(table)
    if len(entries) > newest:
        console.print(f"… and {len(entries) - newest} more: cloister lineage list")


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common()) or "–"


def _file_name(value: object) -> str:
    if isinstance(value, dict):
        value = value.get("dataset") or value.get("path") or value.get("name")
    return str(value or "").rpartition("/")[2]


def _target(value: object) -> str:
    if not isinstance(value, dict):
        return str(value)
    return f"{value.get('host', '')} {value.get('decision', '')}"
