"""Runs a notebook again in a guarded kernel and compares what it shows."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloister.core.errors import CloisterError
from cloister.store.questions.match import are_equal
from cloister.store.questions.saved import saved_cells

if TYPE_CHECKING:
    from pathlib import Path

    from cloister.store.questions.saved import Cell

KERNEL = "cloister"


class RerunUnavailable(CloisterError):
    """What runs notebooks is not installed, or no guarded kernel starts."""

    default_code = "CLO-LINEAGE-003"


@dataclass(frozen=True, slots=True)
class Again:
    """A notebook that ran again.

    Attributes:
        notebook: With the outputs that it has now.
        kernel_id: Under which the record has it.
        error: Name of the error that ended it, ``None`` when all cells ran.
    """

    notebook: Any
    kernel_id: str
    error: str | None


def run_again(content: Any, path: Path, *, timeout_s: int) -> Again:
    """Runs a copy of a notebook from top to bottom in a fresh guarded kernel.

    Args:
        content: Its parsed JSON; not changed.
        path: Where it is: its cells find their files from there.
        timeout_s: Seconds for each cell.

    Raises:
        RerunUnavailable: It cannot be run.
    """
    try:
        import nbclient
        import nbformat
        from jupyter_client.manager import AsyncKernelManager
    except ImportError:
        raise RerunUnavailable(
            "What runs notebooks is not installed.", remedy="Run: pip install nbclient"
        ) from None
    notebook = nbformat.from_dict(copy.deepcopy(content))  # type: ignore[no-untyped-call]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            cell.source = "".join(cell.source) if isinstance(cell.source, list) else cell.source
    manager = AsyncKernelManager(kernel_name=KERNEL)
    resources = {"metadata": {"path": str(path.resolve().parent)}}
    client = nbclient.NotebookClient(notebook, km=manager, timeout=timeout_s, resources=resources)
    error: str | None = None
    try:
        client.execute(env=_environment(path))
    except nbclient.exceptions.CellExecutionError as failure:
        error = failure.ename
    except CloisterError:
        raise
    except Exception as failure:  # noqa: BLE001 - its text may hold what a cell printed
        raise RerunUnavailable(
            f"The notebook could not be run again ({type(failure).__name__}).",
            remedy="Run: cloister doctor",
        ) from None
    return Again(notebook, manager.kernel_id, error)


def compare(before: Any, after: Any) -> list[dict[str, Any]]:
    """Returns a line for each code cell: ``same``, ``differs``, ``failed`` or ``did not run``."""
    others = {cell.number: cell for cell in saved_cells(after)}
    return [
        _line(cell, others[cell.number])
        for cell in saved_cells(before)
        if cell.number in others  # a cell without code, whatever stood below it
    ]


def _line(one: Cell, other: Cell) -> dict[str, Any]:
    differs = []
    for i in range(max(len(one.outputs), len(other.outputs))):
        if not are_equal(one.outputs[i : i + 1], other.outputs[i : i + 1]):
            missing, added = i >= len(other.outputs), i >= len(one.outputs)
            what = "missing" if missing else "added" if added else "changed"
            differs.append({"output": i + 1, "kind": (one.outputs + other.outputs)[i].kind,
                            "what": what})  # fmt: skip
    if other.execution_count is None:
        verdict = "did not run"
    elif any(output.kind == "error" for output in other.outputs) and differs:
        verdict = "failed"
    else:
        verdict = "differs" if differs else "same"
    return {
        "cell": one.number,
        "cell_id": one.id,
        "execution_count": other.execution_count,
        "verdict": verdict,
        "differs": differs,
    }


def _environment(path: Path) -> dict[str, str]:
    import os

    # As Jupyter Server names the notebook, so that the record has it under its path.
    return {**os.environ, "JPY_SESSION_NAME": str(path.resolve())}
