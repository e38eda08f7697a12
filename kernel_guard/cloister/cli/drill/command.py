"""``cloister drill``: tries the leak corpus on this installation and says what got out."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Final

import click

from cloister.cli.output import json_option, print_json, print_table
from cloister.core.modes import Mode

if TYPE_CHECKING:
    from cloister.cli.drill.cases import Case
    from cloister.cli.drill.outcomes import Result

_MOST_WORKERS: Final = 8


@click.command()
@click.option("--only", "ids", multiple=True, metavar="ID", help="Only this case; repeatable.")
@click.option("--family", "families", multiple=True, metavar="F", help="Only this family.")
@click.option("--all", "everything", is_flag=True, help="Slow cases, too, and without hooks.")
@click.option("--list", "only_list", is_flag=True, help="Name the cases and run none.")
@click.option(
    "--mode",
    type=click.Choice(["current", *(mode.value for mode in Mode)]),
    default="current",
    help="Of the policy's copy that is tried; the live policy's when left out.",
)
@json_option
def drill(
    *,
    ids: tuple[str, ...],
    families: tuple[str, ...],
    everything: bool,
    only_list: bool,
    mode: str,
    as_json: bool,
) -> None:
    """Try every known way out with canary data; exit with 1 when anything gets out."""
    from cloister.cli.drill.cases import load_corpus

    corpus = load_corpus()
    cases = _chosen(corpus, ids, families, everything=everything or bool(ids))
    if only_list:
        _list(cases, as_json=as_json)
        return
    from cloister.cli.drill import table

    started = time.monotonic()
    chosen_mode, results = _run(cases, mode, everything=everything, quiet=as_json)
    if as_json:
        print_json(table.as_document(results, chosen_mode))
    else:
        table.print_results(results, chosen_mode, time.monotonic() - started)
    if table.failures(results, chosen_mode):
        click.get_current_context().exit(1)


def _chosen(
    corpus: tuple[Case, ...], ids: tuple[str, ...], families: tuple[str, ...], *, everything: bool
) -> list[Case]:
    from cloister.cli.drill.running import by_id

    cases: list[Case] = by_id(corpus, ids) if ids else list(corpus)
    if families:
        unknown = set(families) - {case.family for case in corpus}
        if unknown:
            known = ", ".join(sorted({case.family for case in corpus}))
            raise click.UsageError(f"There is no family {min(unknown)}. Families: {known}")
        cases = [case for case in cases if case.family in families]
    return [case for case in cases if everything or case.quick]


def _list(cases: list[Case], *, as_json: bool) -> None:
    rows = [(case.id, case.technique, case.channel, case.title) for case in cases]
    if as_json:
        names = ("id", "technique", "channel", "title")
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        print_table(["case", "technique", "channel", "title"], rows, "")


def _run(
    cases: list[Case], mode_name: str, *, everything: bool, quiet: bool
) -> tuple[Mode, list[Result]]:
    from cloister.cli.drill.canaries import fresh_canaries
    from cloister.cli.drill.ground import GUARDED, WITHOUT_HOOKS, Ground
    from cloister.cli.drill.running import run_cases
    from cloister.cli.drill.table import leaks
    from cloister.cli.workspace import current_home, current_policy, recorded_change

    home = current_home()
    live = current_policy(home)
    forced = None if mode_name == "current" else Mode(mode_name)
    mode = forced or live.mode
    canaries = fresh_canaries()
    kernels = (GUARDED, WITHOUT_HOOKS) if everything else (GUARDED,)
    workers = min(os.cpu_count() or 1, _MOST_WORKERS, max(1, len(cases) // 4))
    with (
        recorded_change(home) as record,
        Ground(canaries, home.policy_path.read_bytes(), forced) as ground,
        click.progressbar(
            length=len(cases) * len(kernels), label="drill", file=sys.stderr, hidden=quiet
        ) as bar,
    ):
        record("drill.started", {"cases": len(cases), "mode": mode.value})
        results: list[Result] = []
        for kernel in kernels:
            done = run_cases(
                cases,
                ground,
                canaries,
                workers=workers,
                kernel=kernel,
                done=lambda _: bar.update(1),
            )
            results = _worse(results, done)
        record(
            "drill.finished",
            {
                "mode": mode.value,
                "policy_digest": live.digest,
                "leaked": [r.case.id for r in leaks(results)],
                "outcomes": {r.case.id: r.outcome.value for r in results},
            },
        )
    return mode, results


def _worse(first: list[Result], second: list[Result]) -> list[Result]:
    """Returns for each case the result that is worse: a guarantee holds with hooks and without."""
    from cloister.cli.drill.cases import Outcome

    order = list(Outcome)  # from the best to the worst; what was skipped once is known by the other
    rank = {outcome: order.index(outcome) for outcome in order} | {Outcome.SKIPPED: -1}
    if not first:
        return second
    return [
        a if rank[a.outcome] >= rank[b.outcome] else b for a, b in zip(first, second, strict=True)
    ]
