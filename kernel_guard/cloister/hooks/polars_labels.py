"""Labels of polars tables, found from a few rows and kept for the next look.

Labels follow the data (:mod:`cloister.hooks.polars_tracking`). A step that is not followed loses
them, so what a file that was read in this session declared for ``ssn`` holds for every ``ssn``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cloister.hooks import labels as lb
from cloister.hooks.labels import ColumnLabel, FrameLabels
from cloister.hooks.polars_provenance import provenance_of, set_provenance
from cloister.hooks.provenance import FrameTraces, Provenance, Trace

if TYPE_CHECKING:
    from cloister.hooks.policyview import PolicyView


def polars_labels(frame: Any, policy: PolicyView) -> FrameLabels:
    """Returns the labels of a polars DataFrame."""
    followed = _followed(frame)
    probe = _take(frame, lb.PROBE_ROWS)
    key = (
        "polars",
        policy.digest,
        followed,
        frame.shape,
        tuple(frame.columns),
        tuple(str(dtype) for dtype in frame.dtypes),
        tuple(lb.content_key(column.to_list()) for column in probe.get_columns()),
    )
    known = lb.cached(key)
    if known is None:
        sample = _take(frame, lb.DETECTION_ROWS)
        samples = [
            column.to_list()
            if column.null_count() < len(column)
            else whole.drop_nulls().head(lb.DETECTION_ROWS).to_list()
            for column, whole in zip(sample.get_columns(), frame.get_columns(), strict=True)
        ]
        known = FrameLabels(lb.label_columns(frame.columns, samples, followed, policy))
        lb.remember(key, known)
    # What is strict only because the policy cannot be read now must not stay so.
    if policy.digest and _attach(frame, known):
        lb.remember((*key[:2], _followed(frame), *key[3:]), known)
    return known


def frame_traces(frame: Any) -> FrameTraces:
    """Returns what followed the data into a DataFrame, whatever its values look like."""
    known = provenance_of(frame)
    if known is None:
        return FrameTraces((None,) * frame.width)
    return FrameTraces(tuple(known.of(name) for name in frame.columns))


def _followed(frame: Any) -> tuple[ColumnLabel | None, ...]:
    by_name = lb.session_names.snapshot()
    found: list[ColumnLabel | None] = []
    for name, trace in zip(frame.columns, frame_traces(frame).columns, strict=True):
        label = None if trace is None else trace.label
        said = by_name.get(name)
        found.append(said.join(label) if said is not None and label is not None else said or label)
    return tuple(found)


def _attach(frame: Any, labels: FrameLabels) -> bool:
    """Lets what was found in values follow the data from here on; returns whether that is news."""
    before = provenance_of(frame) or Provenance({})
    found = {}
    for name, label in zip(frame.columns, labels.columns, strict=True):
        trace = before.of(name)
        if label is not None and (trace is None or trace.label != label):
            found[name] = Trace(label, (name,)) if trace is None else replace(trace, label=label)
    if found:
        set_provenance(frame, before.with_names(found))
    return bool(found)


def _take(frame: Any, rows: int) -> Any:
    return frame if frame.height <= rows else frame[lb.spread(frame.height, rows)]
