"""``cloister lineage diff``, ``match``, ``rerun``: runs and notebooks compared with the record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloister.cli.output import json_option, print_json, print_table, say
from cloister.cli.questions import open_record, recorded_name

if TYPE_CHECKING:
    from collections.abc import Sequence

_NOTEBOOK = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("before")
@click.argument("after")
@click.option(
    "--code", "with_code", is_flag=True, help="Show how code changed; the look is recorded."
)
@json_option
def diff(before: str, after: str, *, with_code: bool, as_json: bool) -> int:
    """Show what changed between two runs, BEFORE and AFTER.

    Each is the id of a kernel (all that it ran) or of an execution. Exits with 1 when they differ.
    """
    from cloister.cli.codediff import add_code
    from cloister.store.questions.difference import difference, runs_of
    from cloister.store.questions.starts import NothingFound

    with open_record() as record:
        found = [runs_of(record, name) for name in (before, after)]
    if not all(found):
        raise NothingFound(
            "The record has no such kernel or execution.", remedy="Run: cloister lineage list"
        )
    answer = difference(*found)
    if with_code:
        add_code(answer["cells"])
    if as_json:
        print_json(answer)
        return 0 if answer["same"] else 1
    for name, sides in answer["facts"].items():
        say(f"{name}: {sides['before']} -> {sides['after']}")
    print_table(
        ["cell", "change", "what", "before", "after"],
        [
            (line["cell_id"], line["change"], ", ".join(line["what"]) or None, line["before"],
             line["after"])
            for line in answer["cells"]
        ],
        "Neither ran anything.",
    )  # fmt: skip
    for line in answer["cells"]:
        if line.get("code_diff"):
            say(line["code_diff"].rstrip("\n"))
    return 0 if answer["same"] else 1


@click.command("match")
@click.argument("notebook", type=_NOTEBOOK)
@json_option
def match_command(notebook: Path, *, as_json: bool) -> int:
    """Say whether the outputs in NOTEBOOK are what was really executed.

    Exits with 1 when an output was changed or never came from its code.
    """
    from cloister.store.questions.match import match

    content = read_notebook(notebook)
    with open_record() as record:
        answer = match(record, content, name=recorded_name(str(notebook)))
    if as_json:
        print_json(answer)
    else:
        show_match(answer["cells"])
        say("All outputs are what was executed." if answer["ok"] else "Not what was executed.")
        if not (answer["in_order"] and answer["one_kernel"]):
            say("The cells did not run in order in one kernel.")
    return 0 if answer["ok"] else 1


@click.command()
@click.argument("notebook", type=_NOTEBOOK)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Keep the notebook as it came out.")  # fmt: skip
@click.option("--timeout", type=click.IntRange(1), default=600, show_default=True,
              metavar="SECONDS", help="For each cell.")  # fmt: skip
@json_option
def rerun(notebook: Path, output: Path | None, timeout: int, *, as_json: bool) -> int:
    """Run NOTEBOOK again from top to bottom in a guarded kernel, and compare the outputs.

    The file itself is not changed. Exits with 1 when a cell fails or shows something else.
    """
    from cloister.cli.rerunning import compare, run_again

    content = read_notebook(notebook)
    again = run_again(content, notebook, timeout_s=timeout)
    lines = compare(content, again.notebook)
    is_same = again.error is None and all(line["verdict"] == "same" for line in lines)
    if output is not None:
        output.write_text(json.dumps(again.notebook, indent=1, ensure_ascii=False), "utf-8")
    if as_json:
        print_json(
            {"same": is_same, "kernel_id": again.kernel_id, "error": again.error, "cells": lines}
        )
    else:
        show_match(lines)
        if again.error is not None:
            say(f"A cell failed: {again.error}. The cells after it did not run.")
        say(f"The run is on record as kernel {again.kernel_id}.")
    return 0 if is_same else 1


def read_notebook(path: Path) -> Any:
    """Reads the JSON of a notebook.

    Raises:
        NotebookUnreadable: It is none.
    """
    from cloister.store.questions.saved import NotebookUnreadable

    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        raise NotebookUnreadable(
            "This file is no notebook.", remedy="Name a notebook (.ipynb)."
        ) from None


def show_match(lines: Sequence[dict[str, Any]]) -> None:
    """Prints the verdicts on the cells of a notebook."""
    print_table(
        ["cell", "id", "n", "verdict", "what", "execution"],
        [
            (
                line["cell"],
                line["cell_id"],
                line["execution_count"],
                line["verdict"],
                ", ".join(f"output {d['output']} {d['what']}" for d in line["differs"]) or None,
                line.get("execution"),
            )
            for line in lines
        ],
        "The notebook has no code.",
    )
