"""Tells the sidecar which values are sensitive, so that the gate knows them when they are printed.

Files are indexed outside the kernel when they are read. A table that was built in memory is known
only here: its sensitive values go to the broker when it is built by the user's own code, when it
is shown, and when the cell that made it ends, once for each content. Time and amount are bounded;
what is not told is still looked for by pattern.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from cloister.core.errors import CloisterError
from cloister.hooks import labels as lb
from cloister.hooks.client import client, is_guarded
from cloister.hooks.masking import UNKNOWN, batches, canonical_text, is_null, is_stand_in

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from cloister.hooks.labels import ColumnLabel, FrameLabels

_log = logging.getLogger(__name__)

MOST_VALUES = 50_000
#: A cell's end waits no longer than this for the walk over the user's variables.
WALK_BUDGET_S = 0.2
# A shorter text is in every output there is; the gate could do nothing with it.
_SHORTEST_VALUE = 3
_LONGEST_VALUE = 4_096
_CONTENTS_KEPT = 4_096

_sent: OrderedDict[Hashable, None] = OrderedDict()
_sent_lock = threading.Lock()


def observe_frame(frame: Any, labels: FrameLabels) -> None:
    """Sends the masked columns and index levels of a pandas DataFrame; never raises."""
    try:
        columns: list[tuple[ColumnLabel, Any]] = [
            (label, frame.iloc[:, i]) for i, label in enumerate(labels.columns) if label is not None
        ]
        columns += [
            (label, frame.index.get_level_values(i).to_series())
            for i, label in enumerate(labels.index)
            if label is not None
        ]
        columns += [
            (label, frame.columns.get_level_values(i).to_series())
            for i, label in enumerate(labels.header)
            if label is not None
        ]
        for label, column in columns:
            _observe(label, len(column), column, _pandas_probe, _pandas_unique)
        for row, row_label in enumerate(labels.rows):
            if row_label is not None and not (row_label.is_read or row_label.is_derived):
                _send({row_label.entity_type or UNKNOWN: frame.iloc[row, :].tolist()})
    except CloisterError as error:
        _log.debug("values not observed: %s", error.code)
    except Exception as error:  # noqa: BLE001 - comfort: a display must not fail for it
        _log.debug("values not observed: %s", type(error).__name__)


def observe_polars(frame: Any, labels: FrameLabels) -> None:
    """Sends the masked columns of a polars DataFrame; never raises."""
    try:
        for i, label in enumerate(labels.columns):
            if label is not None:
                column = frame.to_series(i)
                _observe(label, len(column), column, _polars_probe, _polars_unique)
    except CloisterError as error:
        _log.debug("values not observed: %s", error.code)
    except Exception as error:  # noqa: BLE001 - comfort: a display must not fail for it
        _log.debug("values not observed: %s", type(error).__name__)


def _observe(label: ColumnLabel, length: int, column: Any, probe: Any, unique: Any) -> None:
    # A file that was read has been indexed by the sidecar itself; and what was only computed from
    # sensitive values, such as the answers of a comparison, is no value to look for.
    if label.is_read or label.is_derived:
        return
    entity = label.entity_type or UNKNOWN
    key = (entity, length, lb.content_key(probe(column)))
    with _sent_lock:
        if key in _sent:
            return
    _send({entity: unique(column)})
    with _sent_lock:
        _sent[key] = None
        if len(_sent) > _CONTENTS_KEPT:
            _sent.popitem(last=False)


def _send(values: Mapping[str, Iterable[object]]) -> None:
    for entity, cells in values.items():
        texts: dict[str, None] = {}
        for cell in cells:
            text = None if is_null(cell) else canonical_text(cell)
            if text and _SHORTEST_VALUE <= len(text) <= _LONGEST_VALUE and not is_stand_in(text):
                texts[text] = None
            if len(texts) >= MOST_VALUES:
                break
        for batch in batches(texts):
            client().call("observe_values", values={entity: batch})


def _pandas_probe(column: Any) -> list[object]:
    return list(column.iloc[lb.spread(len(column), lb.PROBE_ROWS)].tolist())


def _pandas_unique(column: Any) -> Iterable[object]:
    head = column.iloc[: 20 * MOST_VALUES]
    try:
        return list(head.drop_duplicates().iloc[:MOST_VALUES].tolist())
    except TypeError:  # unhashable cells
        return list(head.iloc[:MOST_VALUES].tolist())


def _polars_probe(column: Any) -> list[object]:
    return list(column.gather(lb.spread(len(column), lb.PROBE_ROWS)).to_list())


def _polars_unique(column: Any) -> list[object]:
    return list(column.head(20 * MOST_VALUES).unique().head(MOST_VALUES).to_list())


def observe_object(obj: object) -> None:
    """Labels a pandas or polars object and sends its sensitive values; never raises."""
    from cloister.hooks.policyview import current_policy

    try:
        pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
        policy = current_policy()
        if not policy.digest:
            return
        if pandas is not None and isinstance(obj, pandas.DataFrame | pandas.Series):
            from cloister.hooks.pandas_labels import frame_labels, series_labels

            is_frame = isinstance(obj, pandas.DataFrame)
            labels = frame_labels(obj, policy) if is_frame else series_labels(obj, policy)
            observe_frame(obj if is_frame else obj.to_frame(), labels.masked(policy))
        elif polars is not None and isinstance(obj, polars.DataFrame | polars.Series):
            from cloister.hooks.polars_labels import polars_labels

            frame = obj if isinstance(obj, polars.DataFrame) else obj.to_frame()
            observe_polars(frame, polars_labels(frame, policy).masked(policy))
    except Exception as error:  # noqa: BLE001 - comfort: a cell must not fail for it
        _log.debug("object not observed: %s", type(error).__name__)


def observe_namespace(namespace: Mapping[str, object], budget_s: float = WALK_BUDGET_S) -> int:
    """Observes the tables among the user's variables, the newest names first.

    Args:
        namespace: The user's variables.
        budget_s: Seconds after which the walk stops.

    Returns:
        How many tables were looked at.
    """
    if not is_guarded() or not ({"pandas", "polars"} & sys.modules.keys()):
        return 0
    end = time.monotonic() + budget_s
    looked_at = 0
    seen: set[int] = set()
    for name, value in reversed(list(namespace.items())):
        if name.startswith("_") or id(value) in seen:
            continue
        if type(value).__module__.partition(".")[0] not in {"pandas", "polars"}:
            continue
        seen.add(id(value))
        observe_object(value)
        looked_at += 1
        if time.monotonic() > end:
            break
    return looked_at


_building = threading.local()


def observe_new(obj: object, depth: int = 2) -> None:
    """Observes a table that the user's own code has just built.

    Args:
        obj: The new table.
        depth: How many frames up the constructor's caller is.
    """
    # Libraries build tables all the time; those of the user's cells are few, and theirs alone
    # can be printed in the same cell before anything else has looked at them.
    caller = sys._getframe(depth)  # noqa: SLF001 - the documented way to the caller's module
    if caller.f_globals.get("__name__") != "__main__" or not is_guarded():
        return
    if getattr(_building, "active", False):
        return
    _building.active = True
    try:
        observe_object(obj)
    finally:
        _building.active = False
