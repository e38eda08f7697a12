"""Cells and outputs of a saved notebook, in the terms of the record. Pure.

Streams of one name that follow each other are one output, as clients join them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cloister.core.errors import CloisterError
from cloister.core.outputdigest import ERROR, STREAM, StreamText, error_digest, form_digests

if TYPE_CHECKING:
    from collections.abc import Mapping


class NotebookUnreadable(CloisterError):
    """A file that is no notebook of Jupyter, version 4."""

    default_code = "CLO-LINEAGE-001"


@dataclass(frozen=True, slots=True)
class Output:
    """One output by its digests.

    Attributes:
        kind: ``stream``, ``display``, ``result`` or ``error``.
        name: Of a stream, its name.
        forms: Digests by media type.
    """

    kind: str
    name: str
    forms: Mapping[str, str] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Cell:
    """One code cell.

    Attributes:
        number: Its place among all cells, from 1.
        id: Its id, or ``None`` in older notebooks.
        code_sha256: What its source is known by in the record.
        execution_count: The number at its prompt.
        outputs: What stands below it.
    """

    number: int
    id: str | None
    code_sha256: str
    execution_count: int | None
    outputs: tuple[Output, ...]


def saved_cells(notebook: object) -> list[Cell]:
    """Returns the code cells of a notebook that are not empty.

    Raises:
        NotebookUnreadable: It is none.
    """
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise NotebookUnreadable(
            "This is no notebook of Jupyter, version 4.",
            remedy="Convert it with: jupyter nbconvert --to notebook --nbformat 4 FILE",
        )
    found = []
    for number, cell in enumerate(cells, 1):
        source = _text(cell.get("source"))
        if cell.get("cell_type") != "code" or not (source.strip() or cell.get("outputs")):
            continue
        name, count = cell.get("id"), cell.get("execution_count")
        found.append(
            Cell(
                number,
                name if isinstance(name, str) else None,
                hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest(),
                count if isinstance(count, int) else None,
                tuple(_outputs(cell.get("outputs"))),
            )
        )
    return found


def _outputs(outputs: object) -> list[Output]:
    found: list[Output] = []
    stream: StreamText | None = None
    for output in outputs if isinstance(outputs, list) else []:
        if not isinstance(output, dict):
            raise NotebookUnreadable("An output in this notebook is no object.")
        kind = output.get("output_type")
        if kind == "stream":
            name = str(output.get("name", "stdout"))
            if stream is None or found[-1].name != name:
                stream = StreamText()
                found.append(Output("stream", name, {}))
            stream.add(_text(output.get("text")))
            found[-1] = Output("stream", name, {STREAM: stream.digest()})
            continue
        stream = None
        if kind == "error":
            found.append(Output("error", "", {ERROR: error_digest(output)}))
        else:
            name = "result" if kind == "execute_result" else "display"
            found.append(Output(name, "", form_digests(output.get("data"))))
    return found


def _text(source: object) -> str:
    if isinstance(source, list):
        return "".join(str(line) for line in source)
    return source if isinstance(source, str) else ""


def recorded_output(item: dict[str, Any]) -> Output:
    """Returns an output as a result in the record lists it."""
    kind = str(item.get("kind"))
    names = {"display_data": "display", "execute_result": "result"}
    forms = {
        str(form.get("type")): str(form.get("sha256"))
        for form in item.get("forms") or []
        if isinstance(form, dict)
    }
    return Output(names.get(kind, kind), str(item.get("name", "")), forms)
