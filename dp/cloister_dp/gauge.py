"""Budgets as a small table: text for terminals, a bar of spent epsilon for notebooks."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloister_dp.ledger import BudgetRow

_BAR_WIDTH = 24
_HEADINGS = ("dataset", "ε spent", "ε reserved", "ε left", "ε limit", "δ spent", "δ limit")


@dataclass(frozen=True, slots=True)
class BudgetTable:
    """Budgets of some datasets.

    Attributes:
        rows: One for each dataset.
    """

    rows: tuple[BudgetRow, ...]

    def __iter__(self) -> Iterator[BudgetRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, dataset: str) -> BudgetRow:
        return next(row for row in self.rows if row.dataset == dataset)

    def __repr__(self) -> str:
        if not self.rows:
            return "No dataset has spent any budget."
        table = [(*_HEADINGS, ""), *((*_cells(row), _text_bar(row)) for row in self.rows)]
        widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
        return "\n".join(
            "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip()
            for line in table
        )

    def _repr_html_(self) -> str:
        if not self.rows:
            return "<p>No dataset has spent any budget.</p>"
        left = 'style="text-align:left"'
        head = "".join(f"<th {left}>{h}</th>" for h in (*_HEADINGS, ""))
        body = "".join(
            "<tr>"
            + "".join(f"<td {left}>{html.escape(c)}</td>" for c in _cells(row))
            + f"<td>{_html_bar(row)}</td></tr>"
            for row in self.rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cells(row: BudgetRow) -> tuple[str, ...]:
    return (
        row.dataset,
        *(
            f"{x:.4g}"
            for x in (
                row.epsilon_spent,
                row.epsilon_reserved,
                row.epsilon_left,
                row.epsilon_limit,
                row.delta_spent,
                row.delta_limit,
            )
        ),
    )


def _shares(row: BudgetRow) -> tuple[float, float]:
    """Returns the spent and the reserved share of the limit, each between 0 and 1."""
    if row.epsilon_limit <= 0:
        return 1.0, 0.0
    spent = min(row.epsilon_spent / row.epsilon_limit, 1.0)
    return spent, min(row.epsilon_reserved / row.epsilon_limit, 1.0 - spent)


def _text_bar(row: BudgetRow) -> str:
    spent, reserved = (round(x * _BAR_WIDTH) for x in _shares(row))
    reserved = min(reserved, _BAR_WIDTH - spent)
    return f"[{'#' * spent}{'+' * reserved}{'.' * (_BAR_WIDTH - spent - reserved)}]"


def _html_bar(row: BudgetRow) -> str:
    spent, reserved = _shares(row)
    text = html.escape(
        f"{row.epsilon_spent:.4g} spent and {row.epsilon_reserved:.4g} reserved"
        f" of {row.epsilon_limit:.4g}"
    )
    return (
        f'<div role="img" aria-label="{text}" title="{text}" style="width:12em;height:0.8em;'
        'display:flex;border:1px solid var(--jp-border-color1,#9e9e9e)">'
        f'<div style="width:{spent:.1%};background:var(--jp-brand-color1,#1976d2)"></div>'
        f'<div style="width:{reserved:.1%};background:var(--jp-brand-color3,#90caf9)"></div></div>'
    )
