"""pandas' Styler shows masked cells; colours and bars of masked columns are dropped as well.

A Styler computes its styles on the real values, which is right, and formats each cell through a
table of functions, which is where the masks go. The functions are looked up by position.
"""

from __future__ import annotations

import functools
from collections import defaultdict
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
from cloister.hooks.headers import caption_html, text_header
from cloister.hooks.masking import REDACTED
from cloister.hooks.observe import observe_frame
from cloister.hooks.pandas_labels import frame_labels
from cloister.hooks.pandas_masking import mask_frame
from cloister.hooks.policyview import PolicyView, current_policy

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from cloister.hooks.labels import FrameLabels

_FUNCTION_TABLES = ("_display_funcs", "_display_funcs_index", "_display_funcs_columns")


def install(style: ModuleType) -> None:
    """Patches the Styler; does nothing the second time.

    Raises:
        AttributeError: This pandas renders its Styler in another way.
    """
    styler = style.Styler
    patch(styler, "_translate", _wrap_translate)
    patch(styler, "_repr_html_", _wrap_html)
    patch(styler, "to_html", guard(placeholder_html, never_raises=False))
    for name in ("to_latex", "to_string", "to_typst"):
        if hasattr(styler, name):
            patch(styler, name, guard(placeholder, never_raises=False))
    patch(styler, "_repr_latex_", guard(placeholder, never_raises=True))


def _wrap_html(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def repr_html(self: Any) -> Any:
        rendered = original(self)
        policy = current_policy()
        labels = frame_labels(self.data, policy).masked(policy)
        return rendered + caption_html(labels, policy) if rendered and labels else rendered

    return guard(placeholder_html, never_raises=True)(repr_html)


def _wrap_translate(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def translate(self: Any, *args: Any, **kwargs: Any) -> Any:
        if is_rendering_masked():
            return original(self, *args, **kwargs)
        policy = current_policy()
        labels = mask_or_fail(lambda: frame_labels(self.data, policy).masked(policy))
        if not labels:
            return original(self, *args, **kwargs)
        changes = mask_or_fail(lambda: _masked_attributes(self, labels, policy))
        # The Styler is the user's: what is changed for this rendering is put back after it.
        before = {name: getattr(self, name) for name in changes}
        try:
            for name, value in changes.items():
                setattr(self, name, value)
            with rendering_masked():
                return original(self, *args, **kwargs)
        finally:
            for name, value in before.items():
                setattr(self, name, value)

    return translate


def _masked_attributes(styler: Any, labels: FrameLabels, policy: PolicyView) -> dict[str, Any]:
    observe_frame(styler.data, labels)
    masked = mask_frame(styler.data, labels, policy, text_header)
    cells, index, columns = (dict(getattr(styler, name)) for name in _FUNCTION_TABLES)
    cells |= {
        (row, column): _constant(masked.iat[row, column])
        for column, column_label in enumerate(labels.columns)
        for row in range(len(masked))
        if column_label is not None or (labels.rows and labels.rows[row] is not None)
    }
    for level in range(masked.index.nlevels):
        if labels.index[level] is not None or any(labels.rows):
            values = masked.index.get_level_values(level)
            index |= {(row, level): _constant(value) for row, value in enumerate(values)}
    for level in range(masked.columns.nlevels):
        values = masked.columns.get_level_values(level)
        columns |= {(level, column): _constant(value) for column, value in enumerate(values)}
    ctx = defaultdict(list)
    for (row, column), styles in styler.ctx.items():
        if not labels.columns[column] and not any(labels.rows):
            ctx[row, column] = styles
    tables = [
        _table(getattr(styler, name), functions)
        for name, functions in zip(_FUNCTION_TABLES, (cells, index, columns), strict=True)
    ]
    # Tooltips are a second table of text in the rendering, which nobody can mask cell by cell.
    return {**dict(zip(_FUNCTION_TABLES, tables, strict=True)), "ctx": ctx, "tooltips": None}


def _table(original: Any, functions: dict[Any, Any]) -> Any:
    default = getattr(original, "default_factory", None) or (lambda: _redact)
    return defaultdict(default, functions)


def _constant(shown: object) -> Callable[[object], object]:
    return lambda _value: shown


def _redact(_value: object) -> object:
    return REDACTED
