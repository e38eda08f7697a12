"""Whether a saved notebook is what was really executed.

Each cell is compared with the executions of the same code: its outputs have to be, form by form,
those that its client got. What an output elsewhere changed later (a display id) counts, and what
came after its cell had ended may stand there or not: clients differ in that. A cell may show an
older execution of its code; that is said. Metadata, Markdown and attachments are not compared, for
nobody executed them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cloister.core.outputdigest import UNKNOWN
from cloister.store.executions import INTENT, LATE_OUTPUT
from cloister.store.questions.record import listed, runs_of_kernel
from cloister.store.questions.saved import Output, recorded_output, saved_cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloister.store.questions.record import Record, Run
    from cloister.store.questions.saved import Cell

MATCHES: Final = "matches"
CLEARED: Final = "cleared"
NOT_RUN: Final = "not run"
OUTPUTS_DIFFER: Final = "outputs differ"
EDITED: Final = "edited since it ran"
NEVER_RAN: Final = "never ran"
NUMBER_DIFFERS: Final = "number differs"

FLAGGED: Final = frozenset({OUTPUTS_DIFFER, EDITED, NEVER_RAN, NUMBER_DIFFERS})
"""What does not agree with the record."""

_MOST_RUNS: Final = 10_000


@dataclass(slots=True)
class _Finding:
    verdict: str
    run: Run | None = None
    differs: list[dict[str, Any]] = field(default_factory=list)


def match(record: Record, notebook: object, *, name: str | None = None) -> dict[str, Any]:
    """Compares a notebook with the record.

    Args:
        record: The record.
        notebook: Its parsed JSON.
        name: Path of the notebook as the record has it; where one is given, executions in it come
            before others of the same code.

    Returns:
        ``ok``, counts by verdict, whether the cells that ran did so in order in one kernel, and a
        line for each code cell.

    Raises:
        NotebookUnreadable: It is no notebook.
    """
    lines, runs = [], []
    changes = _Changes(record)
    cells = saved_cells(notebook)
    ran = _Ran(record, cells, name)
    for cell in cells:
        finding = _find(cell, ran, changes)
        if finding.run is not None and finding.verdict in {MATCHES, CLEARED}:
            runs.append(finding.run)
        lines.append(_line(cell, finding))
    verdicts = [line["verdict"] for line in lines]
    kernels = {run.intent.body.get("kernel_id") for run in runs}
    seqs = [run.intent.seq for run in runs]
    return {
        "ok": not FLAGGED & set(verdicts),
        "verdicts": {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))},
        "one_kernel": len(kernels) <= 1,
        "in_order": seqs == sorted(seqs),
        "cells": lines,
    }


def outputs_of(run: Run, changes: dict[str, list[Any]] | None = None) -> list[list[Output]]:
    """Returns what may stand below a cell that an execution filled.

    Args:
        run: The execution.
        changes: Forms of outputs that were changed later, by display.
    """
    items = [_changed(item, changes or {}) for item in listed(run.result, "displayed")]
    shown = [recorded_output(item) for item in items]
    late = [
        recorded_output(_changed(item, changes or {}))
        for event in run.facts
        if event.type == LATE_OUTPUT
        for item in listed(event.body, "displayed")
    ]
    return [shown, _joined(shown, late)] if late else [shown]


def are_equal(saved: Sequence[Output], recorded: Sequence[Output]) -> bool:
    """Returns whether outputs are the same, form by form."""
    return len(saved) == len(recorded) and all(
        one.kind == other.kind
        and one.name == other.name
        and one.forms == other.forms
        and UNKNOWN not in one.forms.values()
        for one, other in zip(saved, recorded, strict=True)
    )


class _Changes:
    """Outputs that later executions of the same kernel have changed, by display id."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._known: dict[str, dict[str, list[Any]]] = {}

    def after(self, run: Run) -> dict[str, list[Any]]:
        """Returns the newest forms by display, where an output of this execution can change."""
        if not any("display" in item for item in listed(run.result, "displayed")):
            return {}
        kernel = str(run.intent.body.get("kernel_id"))
        if kernel not in self._known:
            self._known[kernel] = self._of(kernel)
        return self._known[kernel]

    def _of(self, kernel: str) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for run in runs_of_kernel(self._record, kernel):
            for event in run.facts:
                for update in listed(event.body, "display_updates"):
                    found[str(update.get("display"))] = update.get("forms") or []
        return found


class _Ran:
    """The executions that a notebook may show: of its own, and others of the same code."""

    def __init__(self, record: Record, cells: Sequence[Cell], name: str | None) -> None:
        self._name = name
        self._own: list[Run] = []
        if name is not None:
            intents = record.about("notebook", name, kinds=[INTENT], limit=_MOST_RUNS)
            self._own = record.runs(str(event.body.get("execution_id")) for event in intents)
        codes = {run.intent.body.get("code_sha256") for run in self._own}
        # Where a notebook was moved, or ran without a server, the record has another name or none.
        missing = {cell.code_sha256 for cell in cells} - codes
        self._others = record.ran_code(missing) if missing else {}

    def of(self, cell: Cell) -> list[Run]:
        """Returns the executions of a cell's code, those first that fit it best."""
        own = [r for r in self._own if r.intent.body.get("code_sha256") == cell.code_sha256]
        found = own or self._others.get(cell.code_sha256, [])
        return sorted(found, key=lambda run: _fitness(run, cell), reverse=True)

    def of_cell(self, cell: Cell) -> list[Run]:
        """Returns the executions of a cell, whatever its code was then."""
        return [r for r in self._own if cell.id and r.intent.body.get("cell_id") == cell.id]


def _find(cell: Cell, ran: _Ran, changes: _Changes) -> _Finding:
    runs = ran.of(cell)
    if not cell.outputs:
        if not runs:
            return _Finding(NOT_RUN)
        showed = any(listed(runs[0].result, "displayed"))
        return _Finding(CLEARED if showed else MATCHES, runs[0])
    for run in runs:
        if any(are_equal(cell.outputs, o) for o in outputs_of(run, changes.after(run))):
            count = run.result.get("execution_count")
            same = cell.execution_count is None or count in {None, cell.execution_count}
            return _Finding(MATCHES if same else NUMBER_DIFFERS, run)
    if runs:
        expected = outputs_of(runs[0], changes.after(runs[0]))[0]
        return _Finding(OUTPUTS_DIFFER, runs[0], _differences(cell.outputs, expected))
    if others := ran.of_cell(cell):
        return _Finding(EDITED, others[-1])
    return _Finding(NEVER_RAN)


def _fitness(run: Run, cell: Cell) -> tuple[bool, bool, int]:
    """Ranks executions of the same code: whose number and cell agree; then the newest."""
    return (
        run.result.get("execution_count") == cell.execution_count,
        cell.id is not None and run.intent.body.get("cell_id") == cell.id,
        run.intent.seq,
    )


def _changed(item: dict[str, Any], changes: dict[str, list[Any]]) -> dict[str, Any]:
    forms = changes.get(str(item.get("display", "")))
    return item if forms is None else {**item, "forms": forms}


def _joined(shown: list[Output], late: list[Output]) -> list[Output]:
    # The digest of two pieces of a stream cannot be made of theirs; as one output it is none.
    ends = [(output.kind, output.name) for output in (*shown[-1:], *late[:1])]
    if ends in ([("stream", "stdout")] * 2, [("stream", "stderr")] * 2):
        return [*shown[:-1], Output("stream", late[0].name, {"": UNKNOWN}), *late[1:]]
    return [*shown, *late]


def _differences(saved: Sequence[Output], recorded: Sequence[Output]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for i in range(max(len(saved), len(recorded))):
        one = saved[i] if i < len(saved) else None
        other = recorded[i] if i < len(recorded) else None
        if one is None or other is None or not are_equal([one], [other]):
            what = "missing" if one is None else "added" if other is None else "changed"
            kind = (one or other or Output("", "", {})).kind
            found.append({"output": i + 1, "kind": kind, "what": what})
    return found


def _line(cell: Cell, finding: _Finding) -> dict[str, Any]:
    run = finding.run
    row = run.row() if run else {}
    return {
        "cell": cell.number,
        "cell_id": cell.id,
        "verdict": finding.verdict,
        "execution_count": cell.execution_count,
        "outputs": len(cell.outputs),
        "differs": finding.differs,
        "execution": row.get("id"),
        "time": row.get("time"),
        "user": row.get("user"),
        "status": row.get("status"),
    }
