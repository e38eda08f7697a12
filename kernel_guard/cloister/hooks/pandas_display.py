"""pandas shows masked tables: ``repr``, ``str``, f-strings, ``to_string``, ``to_html``, IPython.

pandas renders every one of these through two formatter classes that first cut a table down to the
rows and columns that fit. The hooks work between the cut and the rendering: the few rows that will
be seen are replaced by a masked copy, so the user's data is never touched, the shape line stays
true, and a million rows cost as much as ten. ``to_csv``, ``to_parquet``, ``.values`` and the like
are left alone: data in memory is real, and files stay in the workspace.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
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
from cloister.hooks.imports import when_imported
from cloister.hooks.labels import FrameLabels
from cloister.hooks.masking import mask_values
from cloister.hooks.observe import observe_frame
from cloister.hooks.pandas_labels import (
    frame_labels,
    index_labels,
    series_labels,
    shown_labels,
)
from cloister.hooks.pandas_masking import mask_frame, mask_index, mask_series
from cloister.hooks.policyview import PolicyView, current_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

    from cloister.hooks.labels import ColumnLabel
    from cloister.hooks.pandas_masking import Rename

# pandas shows ten values at each end of a longer sequence; any longer stand-in renders the same.
_STAND_IN_LENGTH = 101


def install(pandas: ModuleType) -> None:
    """Patches pandas' display; does nothing the second time.

    Raises:
        AttributeError: This pandas has no such formatter.
    """
    import pandas.io.formats.format as formats
    from pandas.api.extensions import ExtensionArray

    patch(formats.DataFrameRenderer, "to_html", _wrap_frame_html)
    patch(formats.DataFrameRenderer, "to_string", _wrap_frame_text)
    patch(formats.SeriesFormatter, "to_string", _wrap_series_text)
    for owner in (pandas.DataFrame, pandas.Series):
        patch(owner, "__repr__", guard(placeholder, never_raises=True))
        patch(owner, "to_string", guard(placeholder, never_raises=False))
        patch(owner, "to_latex", guard(placeholder, never_raises=False))
        patch(owner, "to_markdown", _wrap_markdown)
        patch(owner, "_repr_latex_", guard(placeholder, never_raises=True))
        patch(owner, "_repr_data_resource_", _wrap_data_resource)
    patch(pandas.DataFrame, "info", _wrap_info)
    patch(pandas.DataFrame, "_repr_html_", guard(placeholder_html, never_raises=True))
    patch(pandas.DataFrame, "to_html", guard(placeholder_html, never_raises=False))
    patch(pandas.Index, "__repr__", _wrap_index_repr)
    for owner in _defining(pandas.Index, "_summary"):
        patch(owner, "_summary", _wrap_index_summary)
    for owner in _defining(ExtensionArray, "__repr__"):
        patch(owner, "__repr__", _wrap_array_repr)
    when_imported("pandas.io.formats.style", _install_styler)


def _defining(owner: Any, name: str) -> Iterable[Any]:
    """Yields a class and those of its subclasses that have a method of their own by this name."""
    if name in vars(owner):
        yield owner
    for child in owner.__subclasses__():
        yield from _defining(child, name)


def _install_styler(style: ModuleType) -> None:
    from cloister.hooks.pandas_styler import install as install_styler

    install_styler(style)


def _masked_frame_labels(fmt: Any, policy: PolicyView) -> FrameLabels:
    """Returns the masked labels of a frame, and sees to it that the gate knows its values."""
    labels, is_new = shown_labels(fmt.frame, fmt.tr_frame, policy)
    masked = labels.masked(policy)
    if masked and is_new:
        observe_frame(fmt.frame, masked)
    return masked


def _masked_series_labels(fmt: Any, policy: PolicyView) -> FrameLabels:
    """Does the same for a Series."""
    labels, is_new = shown_labels(fmt.series, fmt.tr_series, policy)
    masked = labels.masked(policy)
    if masked and is_new:
        observe_frame(fmt.series.to_frame(), masked)
    return masked


# --- DataFrame ---


def _wrap_frame_html(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def to_html(self: Any, buf: Any = None, encoding: Any = None, **kwargs: Any) -> Any:
        if is_rendering_masked():
            return original(self, buf, encoding, **kwargs)
        policy = current_policy()
        labels = mask_or_fail(lambda: _masked_frame_labels(self.fmt, policy))
        if not labels:
            return original(self, buf, encoding, **kwargs)
        marks = ChipMarks()
        mask_or_fail(lambda: _mask_formatter(self.fmt, labels, policy, marks.mark))
        with rendering_masked():
            rendered = original(self, None, encoding, **kwargs)
        return _write(with_caption(marks.replace_in(rendered), labels, policy), buf, encoding)

    return to_html


def _wrap_frame_text(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def to_string(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not is_rendering_masked():
            policy = current_policy()
            labels = mask_or_fail(lambda: _masked_frame_labels(self.fmt, policy))
            if labels:
                mask_or_fail(lambda: _mask_formatter(self.fmt, labels, policy, text_header))
        with rendering_masked():
            return original(self, *args, **kwargs)

    return to_string


def _mask_formatter(fmt: Any, labels: FrameLabels, policy: PolicyView, rename: Rename) -> None:
    """Puts a masked copy of the rows that will be shown where the formatter looks for them."""
    shown = fmt.tr_frame
    columns = _kept(len(fmt.frame.columns), shown.shape[1], getattr(fmt, "tr_col_num", 0))
    rows = _kept(len(fmt.frame), shown.shape[0], getattr(fmt, "tr_row_num", 0) or 0)
    part = FrameLabels(
        tuple(labels.columns[i] for i in columns),
        labels.index,
        labels.header,
        tuple(labels.rows[i] for i in rows) if labels.rows else (),
    )
    masked = mask_frame(shown, part, policy, rename)
    if isinstance(fmt.formatters, list | tuple):
        on_side = any(part.rows)
        fmt.formatters = [
            None if on_side or label is not None else formatter
            for formatter, label in zip(fmt.formatters, part.columns, strict=False)
        ]
    elif fmt.formatters:
        plain = {
            name: formatter
            for name, formatter in fmt.formatters.items()
            if name != "__index__" or not any(labels.index)
        }
        fmt.formatters = {} if any(part.rows) else plain
    fmt.tr_frame = masked
    # Names of index levels are read from the whole frame; its copy shares the data.
    if fmt.frame.shape == masked.shape:
        fmt.frame = masked  # an empty table lists its labels from here
    elif any(labels.index) or any(labels.header):
        whole = fmt.frame.copy(deep=False)
        whole.index = whole.index.set_names(masked.index.names)
        whole.columns = whole.columns.set_names(masked.columns.names)
        fmt.frame = whole


def _kept(total: int, shown: int, half: int) -> list[int]:
    """Returns the positions that pandas kept when it cut ``total`` down to ``shown``."""
    if shown == total:
        return list(range(total))
    if shown == 2 * half:
        return [*range(half), *range(total - half, total)]
    return list(range(shown))


def _wrap_markdown(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def to_markdown(self: Any, *args: Any, **kwargs: Any) -> Any:
        if is_rendering_masked():
            return original(self, *args, **kwargs)
        with rendering_masked():
            return original(mask_or_fail(lambda: masked_copy(self, text_header)), *args, **kwargs)

    return guard(placeholder, never_raises=False)(to_markdown)


def _wrap_data_resource(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def data_resource(self: Any) -> Any:
        # This form carries types as well as values, so a masked one would be wrong: it is left
        # out, and the front end takes the HTML.
        if self.ndim == 2:
            labels = frame_labels(self, current_policy())
        else:
            labels = series_labels(self, current_policy())
        return None if labels.masked(current_policy()) else original(self)

    return guard(lambda _: None, never_raises=True)(data_resource)


def masked_copy(obj: Any, rename: Rename) -> Any:
    """Returns a masked copy of a whole DataFrame, Series or Index; the object itself if public."""
    policy = current_policy()
    if not hasattr(obj, "columns") and hasattr(obj, "nlevels"):
        kept = FrameLabels((), index_labels(obj, policy)).masked(policy).index
        return mask_index(obj, kept, policy, rename)
    if obj.ndim == 1:
        labels = series_labels(obj, policy).masked(policy)
        return mask_series(obj, labels, policy, rename) if labels else obj
    labels = frame_labels(obj, policy).masked(policy)
    return mask_frame(obj, labels, policy, rename) if labels else obj


# --- Series ---


def _wrap_series_text(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def to_string(self: Any) -> Any:
        if not is_rendering_masked():
            policy = current_policy()
            labels = mask_or_fail(lambda: _masked_series_labels(self, policy))
            if labels:
                mask_or_fail(lambda: _mask_series_formatter(self, labels, policy))
        with rendering_masked():
            return original(self)

    return to_string


def _mask_series_formatter(fmt: Any, labels: FrameLabels, policy: PolicyView) -> None:
    import pandas as pd

    rows = _kept(len(fmt.series), len(fmt.tr_series), fmt.tr_row_num or 0)
    part = FrameLabels(
        labels.columns,
        labels.index,
        labels.header,
        tuple(labels.rows[i] for i in rows) if labels.rows else (),
    )
    masked = mask_series(fmt.tr_series, part, policy, text_header)
    fmt.series = fmt.series.rename(masked.name)
    # The footer names the true type; the list of a categorical's values below it is dropped.
    footer = fmt._get_footer()  # noqa: SLF001 - the seam that pandas has
    if isinstance(fmt.tr_series.dtype, pd.CategoricalDtype):
        values = fmt.tr_series.array._get_repr_footer()  # noqa: SLF001 - what is to be dropped
        footer = footer.removesuffix(values).removesuffix("\n")
    fmt._get_footer = lambda: footer  # noqa: SLF001 - shadows the method for this one rendering
    fmt.tr_series = masked


# --- Index and arrays ---


def _wrap_index_repr(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def index_repr(self: Any) -> str:
        if is_rendering_masked() or type(self).__name__ == "RangeIndex":
            return str(original(self))
        policy = current_policy()
        labels = FrameLabels((), index_labels(self, policy)).masked(policy)
        if not labels:
            return str(original(self))
        stand_in = mask_index(_ends(self), labels.index, policy, text_header)
        attributes = dict(self._format_attrs())
        attributes.pop("categories", None)
        if "name" in attributes:
            attributes["name"] = repr(stand_in.name)
        if "names" in attributes:
            attributes["names"] = repr(list(stand_in.names))
        if "name" not in attributes and "names" not in attributes:
            attributes = {"name": repr(stand_in.name), **attributes}
        with rendering_masked():
            data = stand_in._format_data()  # noqa: SLF001 - how an Index lays out its values
        details = ", ".join(f"{k}={v}" for k, v in attributes.items())
        return f"{type(self).__name__}({data}{details})"

    return guard(placeholder, never_raises=True)(index_repr)


def _wrap_info(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def info(self: Any, *args: Any, **kwargs: Any) -> Any:
        """Lists the columns, whose labels may be data themselves."""
        policy = current_policy()
        shown = self
        if not is_rendering_masked():
            header = mask_or_fail(lambda: frame_labels(self, policy).masked(policy).header)
            if any(header):
                shown = self.copy(deep=False)
                shown.columns = mask_index(self.columns, header, policy, text_header)
        return original(shown, *args, **kwargs)

    return guard(placeholder, never_raises=False)(info)


def _wrap_index_summary(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def summary(self: Any, name: object = None) -> str:
        """Leaves the first and the last label out of the line that ``info()`` shows."""
        if is_rendering_masked() or type(self).__name__ == "RangeIndex":
            return str(original(self, name=name))
        policy = current_policy()
        labels = index_labels(self, policy)
        masked = [x.words for x in labels if x is not None and policy.masks(x.level)]
        if not masked:
            return str(original(self, name=name))
        return f"{type(self).__name__ if name is None else name}: {len(self)} entries [{masked[0]}]"

    return guard(placeholder, never_raises=True)(summary)


def _wrap_array_repr(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def array_repr(self: Any) -> str:
        import pandas as pd

        if is_rendering_masked() or self.ndim != 1:
            return str(original(self))
        policy = current_policy()
        label: ColumnLabel | None = series_labels(pd.Series(self), policy).masked(policy).columns[0]
        if label is None:
            return str(original(self))
        masked = pd.array(mask_values(list(_ends(self)), label, policy), dtype=object)
        with rendering_masked():
            body = repr(masked).split("\n", 1)[1]
        body = re.sub(r"\nLength: \d+, dtype: .*\Z", "", body)
        footer = f"Length: {len(self)}, dtype: {self.dtype.name}"
        return f"<{type(self).__name__} [{label.words}]>\n{body}\n{footer}"

    return guard(placeholder, never_raises=True)(array_repr)


def _ends(values: Any) -> Any:
    """Returns a short stand-in for a long sequence: what is shown of both is the same."""
    if len(values) <= _STAND_IN_LENGTH:
        return values
    half = _STAND_IN_LENGTH // 2
    return values.take([*range(half), *range(len(values) - half - 1, len(values))])


def _write(text: str, buf: Any, encoding: str | None) -> str | None:
    """Does with a rendered table what pandas does: returns it, or writes it where asked."""
    if buf is None:
        return text
    if hasattr(buf, "write"):
        buf.write(text)
    else:
        Path(buf).write_text(text, encoding=encoding or "utf-8")
    return None
