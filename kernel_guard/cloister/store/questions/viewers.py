"""Who saw the most: rows, cells and bytes of outputs by user and source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloister.store.executions import RESULT
from cloister.store.questions.record import listed

if TYPE_CHECKING:
    from cloister.store.questions.record import Record


@dataclass(slots=True)
class _Sum:
    executions: int = 0
    rows: int = 0
    cells: int = 0
    bytes: int = 0
    masked: int = 0
    blocked: int = 0


def viewers(
    record: Record,
    *,
    since_us: int | None = None,
    until_us: int | None = None,
    source: str | None = None,
    user: str | None = None,
) -> list[dict[str, Any]]:
    """Returns one line for each user and source, the one with the most cells first.

    What an execution showed counts for everything that it goes back to: a table made of two
    datasets counts for both. Outputs of executions that go back to no data have no source. Reads
    all results of the time in question.

    Args:
        record: The record.
        since_us: From this time on, microseconds since 1970 UTC.
        until_us: Before this time.
        source: Only this dataset, or file.
        user: Only this user.
    """
    sums: dict[tuple[str | None, str | None], _Sum] = {}
    for event in record.of_kind(RESULT, since_us=since_us, until_us=until_us):
        body = event.body
        who = body.get("user")
        if user is not None and who != user:
            continue
        sources: list[str | None] = [item.get("source") for item in listed(body, "sources")]
        for of in sources or [None]:
            if source is None or of == source:
                _add(sums.setdefault((who, of), _Sum()), body)
    lines = [
        {
            "user": who,
            "source": of,
            "executions": total.executions,
            "rows": total.rows,
            "cells": total.cells,
            "bytes": total.bytes,
            "masked": total.masked,
            "blocked": total.blocked,
        }
        for (who, of), total in sums.items()
    ]
    return sorted(lines, key=lambda line: (-line["cells"], -line["bytes"], str(line["user"])))


def _add(total: _Sum, body: dict[str, Any]) -> None:
    amount, outputs = body.get("amount") or {}, body.get("outputs") or {}
    total.executions += 1
    total.rows += amount.get("rows", 0)
    total.cells += amount.get("cells", 0)
    total.bytes += amount.get("bytes", 0)
    total.masked += outputs.get("masked", 0)
    total.blocked += outputs.get("blocked", 0)
