"""Tells the sidecar which tables a cell has made, and what their columns were made of.

The record then holds column lineage: which columns of which file stand behind each column of a
table. It is said by the kernel, so the record marks it so. Only columns whose labels are followed
have a history; a table is told again when it, or what is known of it, is another one.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Final

from cloister.hooks.client import client, is_guarded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cloister.hooks.provenance import Trace

_log = logging.getLogger(__name__)

MOST_FRAMES: Final = 50
MOST_COLUMNS: Final = 200
_MOST_ORIGINS: Final = 50

_told: dict[str, tuple[int, int]] = {}


def report_frames(namespace: Mapping[str, object]) -> None:
    """Reports the tables among the user's variables that were not told yet; never raises."""
    if not is_guarded():
        return
    try:
        frames = [*_new(namespace)][-MOST_FRAMES:]
        if frames:
            client().call("observe_frames", frames=frames)
    except Exception as error:  # noqa: BLE001 - comfort: a cell must not fail for it
        _log.debug("tables not reported: %s", type(error).__name__)


def _new(namespace: Mapping[str, object]) -> Iterable[dict[str, object]]:
    for name, value in list(namespace.items()):
        library = type(value).__module__.partition(".")[0]
        if name.startswith("_") or library not in {"pandas", "polars"}:
            continue
        known = _known(library, value)
        mark = id(value), hash(known)
        if known is None or _told.get(name) == mark:
            continue
        _told[name] = mark
        columns = [
            {
                "column": str(column),
                "from": list(trace.origins[:_MOST_ORIGINS]),
                "steps": list(trace.steps),
            }
            for column, trace in _traces(library, value)[:MOST_COLUMNS]
            if trace is not None
        ]
        if columns:
            yield {"name": name, "kind": f"{library}.{type(value).__name__}", "columns": columns}


def _known(library: str, value: Any) -> Any:
    """Returns what a table is known to be made of, ``None`` where nothing is; cheap."""
    if not isinstance(value, _kinds(library)):
        return None
    if library == "pandas":
        from cloister.hooks.pandas_provenance import provenance_of

        return provenance_of(value)
    from cloister.hooks.polars_provenance import provenance_of as provenance_in_polars

    return provenance_in_polars(value)


def _traces(library: str, value: Any) -> list[tuple[object, Trace | None]]:
    known = _known(library, value)
    if library == "pandas":
        names = list(value.columns) if value.ndim == 2 else [value.name]
    else:
        names = list(value.columns) if hasattr(value, "columns") else [value.name]
    if len(names) == 1 and not hasattr(value, "columns"):
        return [(names[0], known.rest if known.rest is not None else known.of(names[0]))]
    return [(name, known.of(name)) for name in names]


def _kinds(library: str) -> tuple[type, ...]:
    loaded = sys.modules.get(library)
    found = (getattr(loaded, name, None) for name in ("DataFrame", "Series"))
    return tuple(kind for kind in found if kind is not None)
