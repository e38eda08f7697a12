"""What changed between two runs: of one cell, or of everything that two kernels ran."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, Final

from cloister.store.questions.match import are_equal, outputs_of
from cloister.store.questions.record import listed, runs_of_kernel

if TYPE_CHECKING:
    from cloister.store.questions.record import Record, Run

_FACTS: Final = ("environment", "policy_digest", "user", "notebook")


def runs_of(record: Record, name: str) -> list[Run]:
    """Returns an execution, or all of a kernel, in order; nothing where there is neither.

    Args:
        record: The record.
        name: Id of a kernel, or of an execution (its first characters do).
    """
    runs = runs_of_kernel(record, name)
    if runs:
        return runs
    run = record.run(name)
    return [] if run is None else [run]


def difference(before: list[Run], after: list[Run]) -> dict[str, Any]:
    """Returns what differs between two lists of executions.

    Executions belong together by the id of their cell, the last one of each, and where there is
    none by their code, in order.

    Args:
        before: The earlier ones.
        after: The later ones.
    """
    facts = {
        name: {"before": _fact(before, name), "after": _fact(after, name)}
        for name in _FACTS
        if _fact(before, name) != _fact(after, name)
    }
    cells = [_compared(one, other) for one, other in _pairs(before, after)]
    return {
        "same": not facts and all(cell["change"] == "same" for cell in cells),
        "facts": facts,
        "cells": cells,
    }


def _pairs(before: list[Run], after: list[Run]) -> list[tuple[Run | None, Run | None]]:
    if len(before) == len(after) == 1:
        return [(before[0], after[0])]
    one, other = _last_of_cells(before), _last_of_cells(after)
    keys, others = [_key(run) for run in one], [_key(run) for run in other]
    found: list[tuple[Run | None, Run | None]] = []
    for tag, i, j, k, m in SequenceMatcher(None, keys, others, autojunk=False).get_opcodes():
        if tag == "equal" or (tag == "replace" and j - i == m - k):
            found += zip(one[i:j], other[k:m], strict=True)
        else:
            found += [(run, None) for run in one[i:j]] + [(None, run) for run in other[k:m]]
    return found


def _last_of_cells(runs: list[Run]) -> list[Run]:
    last = {run.intent.body.get("cell_id") or run.id: run for run in runs}
    return sorted(last.values(), key=lambda run: run.intent.seq)


def _key(run: Run) -> str:
    return str(run.intent.body.get("cell_id") or run.intent.body.get("code_sha256"))


def _compared(one: Run | None, other: Run | None) -> dict[str, Any]:
    run = other or one
    assert run is not None  # noqa: S101 - pairs have one side at least
    line = {
        "cell_id": run.intent.body.get("cell_id"),
        "before": one.id if one else None,
        "after": other.id if other else None,
    }
    if one is None or other is None:
        return {**line, "change": "added" if one is None else "removed", "what": []}
    what = []
    if one.intent.body.get("code_sha256") != other.intent.body.get("code_sha256"):
        what.append("code")
    if _reads(one) != _reads(other):
        what.append("data")
    if one.result.get("status") != other.result.get("status"):
        what.append("status")
    if not are_equal(outputs_of(one)[0], outputs_of(other)[0]):
        what.append("outputs")
    if _dispositions(one) != _dispositions(other):
        what.append("dispositions")
    return {**line, "change": "changed" if what else "same", "what": what}


def _reads(run: Run) -> list[tuple[Any, ...]]:
    """Returns what an execution read, with the content where that is known."""
    held = {
        event.body.get("path"): event.body.get("sha256")
        for event in run.facts
        if event.type == "file.fingerprinted" and event.body.get("how") == "read"
    }
    return sorted(
        (str(read.get("path")), read.get("sha256") or held.get(read.get("path")) or "")
        for read in listed(run.result, "reads")
    )


def _dispositions(run: Run) -> list[tuple[Any, Any]]:
    items = listed(run.result, "displayed")
    return [(item.get("disposition"), item.get("rule")) for item in items]


def _fact(runs: list[Run], name: str) -> Any:
    for run in reversed(runs):
        found = run.intent.body.get(name) or run.result.get(name)
        if found is not None:
            return found
    return None
