"""polars shows masked tables: ``repr``, ``str``, f-strings, HTML; frames, series, ``show``.

polars renders in native code, so a masked stand-in is rendered instead: the rows at both ends,
a few more than will be shown, so that polars cuts it in the same place; then the true shape is
written over the stand-in's. The user's frame is never touched.
"""

from __future__ import annotations

import functools
import os
from functools import partial
from typing import TYPE_CHECKING, Any

from cloister.hooks.display import (
    guard,
    is_rendering_masked,
    mask_or_fail,
    patch,
    placeholder,
    placeholder_html,
    rendering_masked,
)
from cloister.hooks.headers import ChipMarks, text_header, with_caption
from cloister.hooks.masking import REDACTED, is_null, mask_values
from cloister.hooks.observe import observe_polars
from cloister.hooks.polars_labels import polars_labels
from cloister.hooks.policyview import PolicyView, current_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from cloister.hooks.labels import ColumnLabel, FrameLabels

    Rename = Callable[[object, ColumnLabel], object]

_MORE_THAN_DEFAULT_ROWS = 48


def install(polars: ModuleType) -> None:
    """Patches polars' display; does nothing the second time.

    Raises:
        AttributeError: This polars has no such method.
    """
    patch(polars.DataFrame, "__str__", _wrap_frame_str)
    patch(polars.DataFrame, "__repr__", _wrap_frame_str)
    patch(polars.DataFrame, "_repr_html_", _wrap_frame_html)
    patch(polars.Series, "__str__", _wrap_series_str)
    patch(polars.Series, "__repr__", _wrap_series_str)
    # Builds a frame and shows that as HTML, so the frame's own mask applies.
    patch(polars.Series, "_repr_html_", guard(placeholder_html, never_raises=True))


def _masked_labels(frame: Any, policy: PolicyView) -> FrameLabels:
    labels = polars_labels(frame, policy).masked(policy)
    if labels:
        observe_polars(frame, labels)
    return labels


def _wrap_frame_str(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def frame_str(self: Any) -> str:
        if is_rendering_masked():
            return str(original(self))
        policy = current_policy()
        labels = mask_or_fail(lambda: _masked_labels(self, policy))
        if not labels:
            return str(original(self))
        stand_in = mask_polars(_ends(self), labels, policy, text_header)
        with rendering_masked():
            rendered = str(original(stand_in))
        return _with_shape(rendered, stand_in.shape, self.shape)

    return guard(placeholder, never_raises=True)(frame_str)


def _wrap_frame_html(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def frame_html(self: Any, **kwargs: Any) -> str:
        if is_rendering_masked():
            return str(original(self, **kwargs))
        policy = current_policy()
        labels = mask_or_fail(lambda: _masked_labels(self, policy))
        if not labels:
            return str(original(self, **kwargs))
        marks = ChipMarks()
        stand_in = mask_polars(_ends(self), labels, policy, marks.mark)
        with rendering_masked():
            rendered = str(original(stand_in, **kwargs))
        rendered = _with_shape(rendered, stand_in.shape, self.shape)
        return with_caption(marks.replace_in(rendered), labels, policy)

    return guard(placeholder_html, never_raises=True)(frame_html)


def _wrap_series_str(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def series_str(self: Any) -> str:
        if is_rendering_masked():
            return str(original(self))
        policy = current_policy()
        frame = self.to_frame()
        labels = mask_or_fail(lambda: _masked_labels(frame, policy))
        if not labels:
            return str(original(self))
        stand_in = mask_polars(_ends(frame), labels, policy, text_header).to_series(0)
        with rendering_masked():
            rendered = str(original(stand_in))
            kind = str(original(self.clear())).split("\n", 2)[1].rpartition(" [")[2]
        lines = _with_shape(rendered, stand_in.shape, self.shape).split("\n", 2)
        lines[1] = lines[1].rpartition(" [")[0] + " [" + kind
        return "\n".join(lines)

    return guard(placeholder, never_raises=True)(series_str)


def mask_polars(
    frame: Any, labels: FrameLabels, policy: PolicyView, rename: Rename | None = None
) -> Any:
    """Returns a masked copy of a polars DataFrame.

    Args:
        frame: The rows to mask.
        labels: Labels of its columns, only the masked ones set.
        policy: How each level is shown.
        rename: What to write over a masked column; ``None`` keeps the names.
    """
    import polars as pl

    columns = []
    for column, label in zip(frame.get_columns(), labels.columns, strict=True):
        if label is None:
            columns.append(column)
            continue
        name: object = column.name
        if rename is not None:
            name = rename(_with_type(column, frame.width), label)
        values = mask_values(column.to_list(), label, policy, partial(_cells_named, frame))
        columns.append(_typed(str(name), values, column.dtype))
    return pl.DataFrame(columns)


def _cells_named(frame: Any, name: str) -> list[object] | None:
    return frame.get_column(name).to_list() if name in frame.columns else None


def _typed(name: str, values: Sequence[object], dtype: Any) -> Any:
    """Returns masked cells in the type of their column where the mask has kept it, else as text."""
    import polars as pl

    if not any(isinstance(value, str) for value in values) and (
        dtype.is_numeric() or dtype.is_temporal()
    ):
        try:
            return pl.Series(name, values, dtype=dtype)
        except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError):
            pass  # noise has made a number that the type does not hold
    texts = [v if isinstance(v, str) or is_null(v) else REDACTED for v in values]
    return pl.Series(name, texts, dtype=pl.String)


def _with_type(column: Any, width: int) -> str:
    """Returns a column's name, with its type where the stand-in's own would mislead."""
    import polars as pl

    # A series says its type in its own line.
    if column.dtype == pl.String or width == 1:
        return str(column.name)
    (kind,) = column.to_frame()._df.dtype_strings()  # noqa: SLF001 - the short names that polars shows
    return f"{column.name} ({kind})"


def _ends(frame: Any) -> Any:
    """Returns the rows at both ends, more of them than polars will show."""
    limit = int(os.environ.get("POLARS_FMT_MAX_ROWS") or 0)
    kept = max(limit, _MORE_THAN_DEFAULT_ROWS) + 2
    if limit < 0 or frame.height <= kept:
        return frame
    half = kept // 2 + 1
    return frame[[*range(half), *range(frame.height - half, frame.height)]]


def _with_shape(rendered: str, shown: tuple[int, ...], true: tuple[int, ...]) -> str:
    return rendered.replace(f"shape: {_shape(shown)}", f"shape: {_shape(true)}", 1)


def _shape(shape: tuple[int, ...]) -> str:
    if len(shape) == 1:
        return f"({shape[0]:_},)"
    return "(" + ", ".join(f"{n:_}" for n in shape) + ")"
