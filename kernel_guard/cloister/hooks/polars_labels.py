"""Labels of polars tables, found from a few rows and kept for the next look.

A polars frame has no place for notes, so declared labels are known by column name: what a file
read in this session declared for ``ssn`` holds for every ``ssn``. Renamed columns are detected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloister.hooks import labels as lb
from cloister.hooks.labels import FrameLabels

if TYPE_CHECKING:
    from cloister.hooks.policyview import PolicyView


def polars_labels(frame: Any, policy: PolicyView) -> FrameLabels:
    """Returns the labels of a polars DataFrame."""
    declared = {n: x for n, x in lb.session_names.snapshot().items() if n in set(frame.columns)}
    probe = _take(frame, lb.PROBE_ROWS)
    key = (
        "polars",
        policy.digest,
        tuple(sorted(declared.items(), key=lambda item: item[0])),
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
        known = FrameLabels(lb.label_columns(frame.columns, samples, declared, policy))
        lb.remember(key, known)
    return known


def _take(frame: Any, rows: int) -> Any:
    return frame if frame.height <= rows else frame[lb.spread(frame.height, rows)]
