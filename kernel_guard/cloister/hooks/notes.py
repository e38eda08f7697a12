"""Reads what followed the data into a table, a column or an array, as notes for other rooms."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from cloister.core.carried import ColumnNote, read_notes_with

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloister.hooks.provenance import Trace


def install() -> None:
    """Lets :func:`cloister.core.carried.column_notes` read what the hooks know."""
    read_notes_with(notes_of)


def notes_of(data: Any) -> dict[str, ColumnNote]:
    """Returns notes by column; never raises for what ``data`` is."""
    if _is_of("pandas", data):
        return _of_pandas(data)
    if _is_of("polars", data):
        return _of_polars(data)
    from cloister.hooks import value_memory

    known = value_memory.of_array(data)
    return {} if known is None else _notes([("", known.rest), *known.names.items()])


def _of_pandas(data: Any) -> dict[str, ColumnNote]:
    from cloister.hooks.pandas_labels import frame_traces

    names = list(data.columns) if data.ndim == 2 else [data.name]
    return _notes(zip(names, frame_traces(data).columns, strict=True))


def _of_polars(data: Any) -> dict[str, ColumnNote]:
    from cloister.hooks.polars_labels import frame_traces

    frame = data if hasattr(data, "width") else data.to_frame()
    return _notes(zip(frame.columns, frame_traces(frame).columns, strict=True))


def _notes(traces: Iterable[tuple[object, Trace | None]]) -> dict[str, ColumnNote]:
    return {
        "" if name is None else str(name): ColumnNote(trace.label.entity_type, trace.label.source)
        for name, trace in traces
        if trace is not None
    }


def _is_of(library: str, data: Any) -> bool:
    loaded = sys.modules.get(library)
    kinds = tuple(
        kind
        for name in ("DataFrame", "Series")
        if (kind := getattr(loaded, name, None)) is not None
    )
    return bool(kinds) and isinstance(data, kinds)
