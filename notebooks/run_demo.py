"""Runs the demo notebooks headless, and shows whether Cloister kept its promises.

Makes the data, does what an administrator would do (catalogue, budget), starts a real JupyterLab
server, executes every cell of every notebook through the guarded kernel, looks for raw values in
all that came back, and verifies the lineage log.

Exit status: 0 when every cell ended as its notebook says, no raw value was seen and the log
verifies; 1 when not; 2 when the demo could not run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console

from headless.leaks import RawValues
from headless.report import print_failures, print_notebooks, print_record
from headless.server import DemoFailed, JupyterServer
from headless.session import CellRun, run_notebook

HERE = Path(__file__).resolve().parent
DATA = HERE / "data"
FILES = {"patients": "patients.csv", "visits": "visits.parquet", "notes": "notes.jsonl"}

#: What each run of the demo may spend, by dataset: epsilon and delta.
BUDGETS = {"patients": (3.0, 1e-5), "visits": (3.0, 1e-5)}


def main() -> int:
    """Runs the demo and returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kernel", default="cloister", help="kernel spec; python3 shows what leaks")
    parser.add_argument("--only", nargs="*", metavar="NOTEBOOK", help="file names; all by default")
    parser.add_argument("--prepare", action="store_true", help="make data and state, run nothing")
    arguments = parser.parse_args()
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(width=120)  # a log file has no width of its own
    environ = dict(os.environ)
    environ.setdefault("CLOISTER_HOME", str(HERE.parent / ".demo-home"))
    try:
        prepare(console, environ)
        if arguments.prepare:
            return 0
        return run(console, environ, arguments.kernel, arguments.only)
    except DemoFailed as failure:
        console.print(f"[bold red]The demo could not run.[/] {failure}")
        return 2


def prepare(console: Console, environ: dict[str, str]) -> None:
    """Makes what is missing: the data, the workspace state, catalogue entries and budgets."""
    missing = [name for name in FILES.values() if not (DATA / name).is_file()]
    if missing:
        console.print("Making the synthetic hospital …")
        made = subprocess.run([sys.executable, HERE / "make_data.py"], check=False)
        if made.returncode:
            raise DemoFailed(f"{HERE / 'make_data.py'} failed; its message is above.")
    if not (Path(environ["CLOISTER_HOME"]) / "policy.yaml").is_file():
        cloister(environ, "init")
    known = {entry["name"] for entry in cloister_json(environ, "catalog", "list")}
    for name, file in FILES.items():
        if name not in known:
            cloister(environ, "catalog", "add", name, str(DATA / file))
    for row in cloister_json(environ, "budget", "show"):
        if row["dataset"] in BUDGETS:
            top_up(console, environ, row)


def top_up(console: Console, environ: dict[str, str], row: dict[str, Any]) -> None:
    """Sets a dataset's budget so that this run can spend all of its share.

    Only right because the people in the data are invented: with real data a raised limit means
    that more is learned about the same persons.
    """
    dataset, limits = row["dataset"], {}
    for name, share in zip(("epsilon", "delta"), BUDGETS[dataset], strict=True):
        needed = row[f"{name}_spent"] + share
        limits[name] = max(needed, row[f"{name}_limit"] if row[f"{name}_spent"] else needed)
    if limits["epsilon"] != row["epsilon_limit"] or limits["delta"] != row["delta_limit"]:
        if row["epsilon_spent"]:
            console.print(f"Earlier runs spent budget of {dataset!r}; its limit is raised for this one.")
        cloister(
            environ, "budget", "set", dataset,
            f"--epsilon={limits['epsilon']!r}", f"--delta={limits['delta']!r}",
        )  # fmt: skip


def run(
    console: Console, environ: dict[str, str], kernel: str, only: list[str] | None
) -> int:
    """Runs the notebooks and returns the exit status."""
    notebooks = only or sorted(path.name for path in HERE.glob("[0-9]*.ipynb"))
    results: dict[str, list[CellRun]] = {}
    with JupyterServer(HERE, environ, is_guarded=kernel == "cloister") as server:
        installed = server.request("GET", "/api/kernelspecs")["kernelspecs"]
        if kernel not in installed:
            raise DemoFailed(
                f"This environment has no kernel spec {kernel!r}. "
                "Run: python -m cloister.sidecar.kernelspec --sys-prefix"
            )
        for notebook in notebooks:
            with console.status(f"Running {notebook} …"):
                results[notebook] = asyncio.run(
                    run_notebook(server, notebook, cells_of(HERE / notebook), kernel)
                )
    print_notebooks(console, results)
    print_failures(console, results)
    leaks = find_leaks(results)
    verdicts = [
        (
            all(run.is_as_expected for runs in results.values() for run in runs),
            "every cell ended as its notebook says",
        ),
        (not leaks, leak_verdict(leaks, results)),
    ]
    if kernel == "cloister":
        print_record(console, cloister_json(environ, "lineage", "list", "--limit=1000"))
        verified = cloister_json(environ, "lineage", "verify")
        verdicts.append(
            (verified["ok"], f"the lineage log verifies: {verified['events']:,} events")
        )
    for holds, what in verdicts:
        console.print(f"[green]yes[/]  {what}" if holds else f"[bold red]NO[/]   {what}")
    return 0 if all(holds for holds, _ in verdicts) else 1


def find_leaks(results: dict[str, list[CellRun]]) -> Counter[str]:
    """Returns how often raw values of each column were in anything that the server sent."""
    raw = RawValues(DATA)
    return raw.find(m for runs in results.values() for run in runs for m in run.messages)


def leak_verdict(leaks: Counter[str], results: dict[str, list[CellRun]]) -> str:
    """Returns the sentence about raw values."""
    messages = sum(len(run.messages) for runs in results.values() for run in runs)
    if not leaks:
        return f"no raw value of the register in {messages:,} messages"
    seen = ", ".join(f"{column} {count}×" for column, count in leaks.most_common())
    return f"raw values were seen in {messages:,} messages: {seen}"


def cells_of(notebook: Path) -> list[dict[str, Any]]:
    """Returns the cells of a notebook file."""
    try:
        cells: list[dict[str, Any]] = json.loads(notebook.read_text("utf-8"))["cells"]
    except (OSError, ValueError, KeyError):
        raise DemoFailed(f"{notebook.name} is not a notebook in {HERE}.") from None
    return cells


def cloister(environ: dict[str, str], *arguments: str) -> str:
    """Runs a ``cloister`` command and returns what it printed.

    Raises:
        DemoFailed: It ended with a usage or input error; the message is the command's.
    """
    program = Path(sys.executable).with_name("cloister")
    if not program.is_file():
        raise DemoFailed("The command 'cloister' is not installed beside this Python. Run: make demo")
    done = subprocess.run(
        [program, *arguments], env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode not in {0, 1}:
        raise DemoFailed(f"cloister {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def cloister_json(environ: dict[str, str], *arguments: str) -> Any:
    """Runs a ``cloister`` command with ``--json`` and returns the document."""
    text = cloister(environ, *arguments, "--json")
    try:
        return json.loads(text)
    except ValueError:
        raise DemoFailed(f"cloister {' '.join(arguments)} --json printed no JSON.") from None


if __name__ == "__main__":
    sys.exit(main())
