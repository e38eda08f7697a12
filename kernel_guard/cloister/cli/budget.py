"""``cloister budget``: what datasets have cost, and their limits."""

from __future__ import annotations

import click

from cloister.cli.output import json_option, print_json, print_table
from cloister.cli.workspace import current_home, current_policy, recorded_change
from cloister.store.budget import BudgetLedger, Row
from cloister.store.catalog import Catalog

_COLUMNS = (
    "dataset",
    "epsilon_limit",
    "epsilon_spent",
    "epsilon_reserved",
    "delta_limit",
    "delta_spent",
)


@click.group()
def budget() -> None:
    """Show and set privacy budgets."""


@budget.command()
@click.argument("dataset", required=False)
@json_option
def show(dataset: str | None, *, as_json: bool) -> None:
    """Show the budget of DATASET, or of all."""
    home = current_home()
    policy = current_policy(home)
    with BudgetLedger(home) as ledger:
        if dataset is not None:
            rows = [ledger.row(dataset, policy.budget_for(dataset))]
        else:
            named = {d.name for d in Catalog(home).list()} | set(policy.budgets) - {"default"}
            rows = ledger.rows(policy.budget_for, tuple(sorted(named)))
    _print(rows, as_json=as_json)


@budget.command("set")
@click.argument("dataset")
@click.option("--epsilon", type=float, required=True, help="The most epsilon it may ever cost.")
@click.option("--delta", type=float, required=True, help="The most delta it may ever cost.")
@json_option
def set_command(dataset: str, epsilon: float, delta: float, *, as_json: bool) -> None:
    """Set the limit of DATASET, in place of the policy's."""
    home = current_home()
    with recorded_change(home) as record, BudgetLedger(home) as ledger:
        row = ledger.set_limit(dataset, epsilon, delta)
        record(
            "budget.limit_set",
            {"dataset": dataset, "epsilon": repr(epsilon), "delta": repr(delta)},
        )
    _print([row], as_json=as_json)


def _print(rows: list[Row], *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    print_table(
        [name.replace("_", " ") for name in _COLUMNS],
        [[row[name] for name in _COLUMNS] for row in rows],
        "No dataset has a budget yet; the policy's default applies to each.",
    )
