"""Labels of pandas objects, found from a few rows and kept for the next look.

What is labelled: columns; levels of the row index; column labels where they are data themselves
(after a pivot or a transposition); and the rows of a table that lies on its side, like
``df.iloc[0]`` or ``df.head().T``, whose row names are column names.
"""

from __future__ import annotations

import logging
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cloister.hooks import labels as lb
from cloister.hooks.labels import ColumnLabel, FrameLabels
from cloister.hooks.pandas_provenance import (
    index_traces,
    provenance_of,
    set_provenance,
    tag_index,
)
from cloister.hooks.provenance import FrameTraces, Provenance, Trace, join_all

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from cloister.hooks.policyview import PolicyView

_log = logging.getLogger(__name__)

# A table on its side has one row for each column of the original.
_MOST_ROWS_ON_SIDE = 200
_MOST_HEADER_LABELS = 400
# HTML and text of one table show different columns; a few views of each object are enough.
_VIEWS_KEPT = 8
_NOTHING = Provenance({})


def frame_labels(frame: Any, policy: PolicyView) -> FrameLabels:
    """Returns the labels of a DataFrame; costs about one small ``take`` when it was seen before."""
    return _labels_of(frame, frame, policy)


def _labels_of(frame: Any, owner: Any, policy: PolicyView) -> FrameLabels:
    """Finds the labels of a table; they follow ``owner``, the object that the user has, from here.

    What followed the data decides as well, so it is part of what a second look is known by.
    """
    content = _content(frame, policy)
    followed = _followed(owner)
    known = lb.cached((content, followed))
    if known is None:
        known = _find(frame, followed, policy)
        lb.remember((content, followed), known)
    # What is strict only because the policy cannot be read now must not stay so.
    if policy.digest and _attach(owner, known):
        lb.remember((content, _followed(owner)), known)
    return known


def _content(frame: Any, policy: PolicyView) -> Hashable:
    probe = _take(frame, lb.PROBE_ROWS)
    return (
        policy.digest,
        frame.shape,
        lb.content_key(frame.columns),
        lb.content_key(probe.to_numpy(dtype=object).ravel()),
        _index_key(probe.index),
        lb.content_key(frame.dtypes.array),
    )


def frame_traces(obj: Any) -> FrameTraces:
    """Returns what followed the data into a DataFrame or a Series, whatever its values are."""
    is_frame = obj.ndim == 2
    known = provenance_of(obj) or _NOTHING
    names = list(obj.columns) if is_frame else [obj.name]
    index = tuple(known.level(name) for name in obj.index.names)
    header: tuple[Trace | None, ...] = (known.header,)
    if is_frame:
        header = tuple(known.level(name) for name in obj.columns.names)
        if known.header is not None and not any(header):
            header = (known.header,) * len(header)
    if known.is_on_side and len(obj.index) <= _MOST_ROWS_ON_SIDE:
        rows = tuple(known.of(name) for name in obj.index)
        return FrameTraces((known.rest,) * len(names), index, header, rows, tuple(obj.index))
    if known.is_on_side:
        # Too many rows to label one by one: every column may hold a cell of each.
        cells = join_all((known.rest, *known.names.values()))
        return FrameTraces((cells,) * len(names), index, header)
    columns = tuple(known.of(name) for name in names) if is_frame else (known.rest,)
    return FrameTraces(columns, index, header)


def _followed(obj: Any) -> FrameLabels:
    """Returns the labels that followed the data into a DataFrame or a Series."""
    traces = frame_traces(obj)
    return FrameLabels(
        _labels(traces.columns), _labels(traces.index), _labels(traces.header), _labels(traces.rows)
    )


def _labels(traces: tuple[Trace | None, ...]) -> tuple[ColumnLabel | None, ...]:
    return tuple(None if trace is None else trace.label for trace in traces)


def _attach(obj: Any, labels: FrameLabels) -> bool:
    """Lets what was found in values follow the data from here on; returns whether that is news."""
    if not any((*labels.columns, *labels.index)):
        return False
    try:
        known = provenance_of(obj)
        if known is not None and known.is_on_side:
            return False
        before = known or Provenance({})
        is_frame = obj.ndim == 2
        names = list(obj.columns) if is_frame else [obj.name]
        found: dict[Hashable, Trace | None] = {}
        pairs = [*zip(obj.index.names, labels.index, strict=True)]
        pairs += [*zip(names, labels.columns, strict=True)] if is_frame else []
        for name, label in pairs:
            if label is None or (name is None and not is_frame):
                continue
            trace = before.of(name)
            if trace is None or trace.label != label:
                found[name] = _found(trace, label, name)
        rest = before.rest
        if not is_frame and labels.columns[0] is not None:
            label = labels.columns[0]
            if rest is None or rest.label != label:
                rest = _found(rest, label, obj.name)
        is_new = bool(found) or rest is not before.rest
        if is_new:
            set_provenance(obj, before.with_names(found).with_rest(rest))
        tag_index(obj)
        return is_new
    except Exception as error:  # noqa: BLE001 - labels are comfort, and the display goes on
        _log.debug("labels not attached: %s", type(error).__name__)
    return False


def _found(trace: Trace | None, label: ColumnLabel, name: object) -> Trace:
    if trace is not None:
        return replace(trace, label=label)
    return Trace(label, () if name is None else (lb.name_text(name),))


def shown_labels(whole: Any, shown: Any, policy: PolicyView) -> tuple[FrameLabels, bool]:
    """Returns the labels of a DataFrame or Series of which only some rows will be shown.

    When the same object shows the same cells again, its labels are those of the time before; only
    the cells that will be shown are compared, which are at hand.

    Args:
        whole: The user's object.
        shown: The part of it that will be shown.
        policy: The policy in force.

    Returns:
        The labels, and whether this view was seen for the first time.
    """
    key = (
        policy.digest,
        whole.shape,
        lb.content_key(shown.to_numpy(dtype=object).ravel()),
        _index_key(shown.index),
        lb.content_key(shown.columns if shown.ndim == 2 else (shown.name,)),
    )
    known = _seen.get(whole, key)
    if known is not None:
        return known, False
    find = frame_labels if whole.ndim == 2 else series_labels
    found = find(whole, policy)
    _seen.put(whole, key, found)
    return found, True


class _Seen:
    """Labels of objects that were shown before, for as long as the objects live."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[Any], dict[Hashable, FrameLabels]]] = {}

    def get(self, obj: object, key: Hashable) -> FrameLabels | None:
        entry = self._entries.get(id(obj))
        # Another object may have been given the same id since.
        return entry[1].get(key) if entry is not None and entry[0]() is obj else None

    def put(self, obj: object, key: Hashable, labels: FrameLabels) -> None:
        entry = self._entries.get(id(obj))
        if entry is None or entry[0]() is not obj:
            number = id(obj)
            entry = (weakref.ref(obj, lambda _: self._entries.pop(number, None)), {})
            self._entries[number] = entry
        if len(entry[1]) >= _VIEWS_KEPT:
            entry[1].clear()
        entry[1][key] = labels


_seen = _Seen()


def series_labels(series: Any, policy: PolicyView) -> FrameLabels:
    """Returns the labels of a Series, as those of a table with one column."""
    frame = series.to_frame()
    frame.attrs = series.attrs
    return _labels_of(frame, series, policy)


def index_labels(index: Any, policy: PolicyView) -> tuple[ColumnLabel | None, ...]:
    """Returns a label for each level of an Index."""
    probe = _take_index(index, lb.PROBE_ROWS)
    followed = _labels(index_traces(index))
    key = (policy.digest, type(index).__name__, len(index), _index_key(probe), followed)
    known = lb.cached(key)
    if known is not None:
        return known.index
    labels = _axis_labels(index, followed, policy)
    lb.remember(key, FrameLabels((), labels))
    return labels


def level_values(index: Any) -> list[list[object]]:
    """Returns the values of an Index, a list for each of its levels."""
    if index.nlevels == 1:
        return [list(index)]
    return [list(index.get_level_values(i)) for i in range(index.nlevels)]


def _find(frame: Any, followed: FrameLabels, policy: PolicyView) -> FrameLabels:
    sample = _take(frame, lb.DETECTION_ROWS)
    columns = lb.label_columns(
        list(frame.columns),
        [_cells(frame, sample, i) for i in range(sample.shape[1])],
        followed.columns,
        policy,
    )
    header = _header_labels(frame.columns, followed.header, policy)
    rows = _row_labels(frame, followed.rows, policy)
    return FrameLabels(columns, _axis_labels(frame.index, followed.index, policy), header, rows)


def _axis_labels(
    index: Any, followed: Sequence[ColumnLabel | None], policy: PolicyView
) -> tuple[ColumnLabel | None, ...]:
    if type(index).__name__ == "RangeIndex":
        return (None,)
    if (
        not any(followed)
        and index.nlevels == 1
        and index.name is None
        and index.dtype.kind in "iub"
    ):
        return (None,)  # row numbers, what is left of a RangeIndex after a filter
    sample = _take_index(index, lb.DETECTION_ROWS)
    names: list[object] = list(index.names)
    found = lb.label_columns(names, level_values(sample), followed, policy)
    # Without a name there is only the look of the values; prose and the like is too weak a sign.
    return tuple(
        None if name is None and label is not None and _is_weak(label) else label
        for name, label in zip(names, found, strict=True)
    )


def _is_weak(label: ColumnLabel) -> bool:
    return label.free_text and not label.is_stated and not label.is_derived


def _header_labels(
    columns: Any, followed: Sequence[ColumnLabel | None], policy: PolicyView
) -> tuple[ColumnLabel | None, ...]:
    """Labels column labels that are data: ``pivot`` and ``.T`` turn values into columns."""
    if type(columns).__name__ == "RangeIndex" or len(columns) == 0:
        return tuple(followed) or (None,) * int(columns.nlevels)
    found = _axis_labels(columns[:_MOST_HEADER_LABELS], followed, policy)
    names: list[object] = list(columns.names)
    # An ordinary header has no name, and its words ("city", "name") are not values of anything.
    return tuple(
        label
        if label is not None and (name is not None or came or "values" in label.source)
        else None
        for name, label, came in zip(names, found, followed or (None,) * len(names), strict=True)
    )


def _row_labels(
    frame: Any, followed: Sequence[ColumnLabel | None], policy: PolicyView
) -> tuple[ColumnLabel | None, ...]:
    """Labels the rows of a table on its side; long text there is no sign of prose."""
    index = frame.index
    if not 0 < len(index) <= _MOST_ROWS_ON_SIDE or frame.shape[1] == 0:
        return ()
    names = list(index)
    if index.nlevels != 1 or not all(isinstance(name, str) for name in names):
        # Such names say nothing of what a row holds.
        return tuple(followed) if any(followed) else ()
    side = _take_columns(frame)
    found = lb.label_columns(names, [list(row) for row in side], followed, policy)
    kept: tuple[ColumnLabel | None, ...] = tuple(
        None if label is not None and _is_weak(label) else label for label in found
    )
    return kept if any(label is not None for label in kept) else ()


def _cells(frame: Any, sample: Any, column: int) -> list[object]:
    """Returns the sample of a column, or its first values when the sample met only nulls."""
    cells = sample.iloc[:, column]
    if len(sample) < len(frame) and not cells.notna().any():
        cells = frame.iloc[:, column].dropna().iloc[: lb.DETECTION_ROWS]
    return list(cells.tolist())


def _take(frame: Any, rows: int) -> Any:
    return frame if len(frame) <= rows else frame.iloc[lb.spread(len(frame), rows)]


def _take_index(index: Any, rows: int) -> Any:
    return index if len(index) <= rows else index.take(lb.spread(len(index), rows))


def _take_columns(frame: Any) -> Any:
    positions = lb.spread(frame.shape[1], 20)
    return frame.iloc[:, positions].to_numpy(dtype=object)


def _index_key(index: Any) -> int:
    # RangeIndex: the values follow from its shape, which is in the key already.
    if type(index).__name__ == "RangeIndex":
        return hash((index.start, index.step))
    return hash((lb.content_key(index), lb.content_key(index.names)))
