"""Labels into and out of pandas: constructors, conversions, arrays, lists, dicts and files.

Arrays, lists and dicts have no place for a label; :mod:`cloister.hooks.value_memory` remembers
them. No wrapper changes a result or an exception.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

from cloister.hooks import value_memory
from cloister.hooks.display import patch
from cloister.hooks.pandas_index import carry_axes
from cloister.hooks.pandas_provenance import (
    FIELD,
    PLAIN,
    carried_attrs,
    columns_of,
    follow,
    index_traces,
    is_frame,
    provenance_of,
    set_provenance,
    value_trace,
)
from cloister.hooks.pandas_reshaping import argument
from cloister.hooks.provenance import Provenance, Trace, join_all

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from types import ModuleType

_log = logging.getLogger(__name__)


_CONVERSIONS = {
    "to_datetime": "conversion", "to_numeric": "conversion", "to_timedelta": "conversion",
    "cut": "bins", "qcut": "bins", "factorize": "codes", "unique": "distinct values",
    "array": "array",
}  # fmt: skip
_FRAME_EXPORTS = ("to_numpy", "__array__")
_SERIES_EXPORTS = ("to_numpy", "__array__", "unique")
# A column of rows that pandas builds itself is not looked into one by one.
_MOST_PARTS = 2_000


def install(pandas: ModuleType) -> None:
    """Follows labels into and out of pandas; does nothing the second time.

    Raises:
        AttributeError: This pandas has no such function.
    """
    from pandas.core.base import IndexOpsMixin
    from pandas.core.generic import NDFrame

    frame, series = pandas.DataFrame, pandas.Series
    for name, step in _CONVERSIONS.items():
        patch(pandas, name, functools.partial(_wrap_conversion, step))
    patch(NDFrame, "_where", _wrap_where)
    patch(frame, "eval", _wrap_eval)
    patch(series, "to_dict", _wrap_values)
    patch(IndexOpsMixin, "tolist", _wrap_values)
    IndexOpsMixin.to_list = IndexOpsMixin.tolist
    for owner, names in ((frame, _FRAME_EXPORTS), (series, _SERIES_EXPORTS)):
        for name in names:
            patch(owner, name, _wrap_array)
    for owner, name in ((frame, "values"), (series, "values"), (series, "array")):
        _patch_property(owner, name)
    for name in ("to_parquet", "to_feather"):
        patch(frame, name, _wrap_file)


def _patch_property(owner: Any, name: str) -> None:
    known = next(vars(base)[name] for base in owner.__mro__ if name in vars(base))
    if not hasattr(known.fget, "__cloister_original__"):
        wrapped = _wrap_array(known.fget)
        wrapped.__cloister_original__ = known.fget  # type: ignore[attr-defined]
        setattr(owner, name, property(wrapped, known.fset, known.fdel, known.__doc__))


def follow_construction(made: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Says what a new DataFrame or Series is made of, from its constructor's argument."""
    data = args[0] if args else kwargs.get("data")
    kind = type(data)
    try:
        if kind not in PLAIN and (kind.__module__ != "numpy" or value_memory.knows_arrays()):
            known = _of_data(made, data, kind)
            if known is not None and known:
                set_provenance(made, known)
        carry_axes(made)
    except Exception as error:  # noqa: BLE001 - labels are comfort, the user's table is not
        _log.debug("labels lost: %s", type(error).__name__)


def _of_data(made: Any, data: Any, kind: type) -> Provenance | None:
    if kind is dict:
        return _of_dict(made, data)
    if kind is list or kind is tuple:
        known = value_memory.of_values(data) or _of_parts(data)
        if known is None:
            known = value_memory.of_table(data)
    elif hasattr(data, "_mgr"):
        known = provenance_of(data)
        if known is not None and is_frame(made) and not is_frame(data):
            known = known.with_names({data.name: known.rest}).with_rest(known.rest)
    elif FIELD in getattr(data, "_cache", ()):  # row labels that became cells
        known = Provenance({}, join_all(index_traces(data)))
    else:
        known = value_memory.of_array(data)
    if known is None or is_frame(made):
        return None if known is None else known.at_positions(columns_of(made))
    return known if known.is_on_side or known.rest is not None else _collapsed(known)


def _collapsed(known: Provenance) -> Provenance:
    """A Series of what was a table may hold any of its cells."""
    return Provenance({}, join_all((known.rest, *known.names.values())))


def _of_dict(made: Any, data: dict[Any, Any]) -> Provenance | None:
    if len(data) > _MOST_PARTS:
        return value_memory.of_values(data)
    names: dict[Hashable, Trace | None] = {}
    for name, value in data.items():
        if isinstance(value, str | int | float) or value is None:
            break
        trace = value_trace(value)
        if trace is not None:
            names[name] = trace
    if not names:
        return value_memory.of_values(data)
    if not is_frame(made):
        return Provenance({}, join_all(names.values()))
    return Provenance(names)


def _of_parts(data: Any) -> Provenance | None:
    """Rows as Series, or arrays, in a list."""
    if not data or isinstance(data[0], str | int | float | None) or len(data) > _MOST_PARTS:
        return None
    known: Provenance | None = None
    for part in data:
        held = getattr(part, "__dict__", None)
        of_part = provenance_of(part) if held is not None else value_memory.of_array(part)
        if of_part is None or of_part is known:
            continue
        if not of_part.is_on_side:
            of_part = Provenance({}, of_part.rest)
        known = of_part if known is None else known.join(of_part)
    return known.turned() if known is not None and known.is_on_side else known


def _wrap_conversion(step: str, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def conversion(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        follow(lambda: _converted(result, args[0] if args else None, step))
        return result

    return conversion


def _converted(result: Any, given: Any, step: str) -> None:
    trace = value_trace(given)
    if trace is None:
        return
    known = Provenance(dict(provenance_of(given).names) if _has(given) else {}, trace.derived(step))  # type: ignore[union-attr]
    for part in result if isinstance(result, tuple) else (result,):
        if hasattr(part, "_mgr"):
            set_provenance(part, known)
        else:
            value_memory.remember_array(part, known)


def _has(given: Any) -> bool:
    return hasattr(given, "_mgr") and not is_frame(given) and provenance_of(given) is not None


def _wrap_where(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def _where(self: Any, cond: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, cond, *args, **kwargs)
        other = argument(args, kwargs, 0, "other")
        if hasattr(other, "_mgr") and result is not None:
            follow(lambda: _replaced(result, other))
        return result

    return _where


def _replaced(result: Any, other: Any) -> None:
    known = provenance_of(other)
    if known is not None:
        before = provenance_of(result)
        set_provenance(result, known if before is None else before.join(known))


def _wrap_eval(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def evaluate(self: Any, expr: Any, *args: Any, **kwargs: Any) -> Any:
        source = getattr(self, FIELD, None)
        result = original(self, expr, *args, **kwargs)
        if source is not None and hasattr(result, "_mgr") and isinstance(expr, str):
            follow(lambda: _evaluated(result, self, source, expr))
        return result

    return evaluate


def _evaluated(result: Any, frame: Any, source: Provenance, expr: str) -> None:
    if is_frame(result) or result.dtype == bool:
        return  # a condition of query(), or columns that were assigned one by one
    named = [n for n in columns_of(frame) if isinstance(n, str) and n in expr]
    trace = source.of_all(named)
    if trace is not None:
        set_provenance(result, Provenance(source.names, trace.derived("arithmetic")))


def _wrap_array(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def export(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        source = getattr(self, FIELD, None)
        if source is not None:
            follow(lambda: _exported(result, self, source))
        return result

    return export


def _exported(result: Any, obj: Any, source: Provenance) -> None:
    if not is_frame(obj):
        if source.rest is not None or source.is_on_side:
            known = source if source.rest is None else Provenance({}, source.rest)
            value_memory.remember_array(result, known)
            _remember_base(result, known)
        return
    known = source.by_position(columns_of(obj).tolist())
    value_memory.remember_array(result, known)
    _remember_base(result, Provenance({}, known.rest))


def _remember_base(array: Any, known: Provenance) -> None:
    """Slices of an array are views of its base, so this is what tells what they are."""
    base = getattr(array, "base", None)
    if base is not None and getattr(base, "size", 0) == array.size:
        value_memory.remember_array(base, known)


def _wrap_values(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def export(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        if isinstance(result, list | dict):
            source = getattr(self, FIELD, None)
            if source is not None:
                follow(lambda: listed_values(self, result, source))
            elif FIELD in getattr(self, "_cache", ()):
                cells = join_all(index_traces(self))
                follow(lambda: value_memory.remember_values(result, Provenance({}, cells)))
        return result

    return export


def listed_values(obj: Any, result: Any, source: Provenance) -> None:
    """Remembers a list or a dict of cells, and the lists and dicts in it."""
    value_memory.remember_values(result, source)
    if not is_frame(obj) or not isinstance(result, dict):
        return
    for name, part in result.items():
        trace = source.of(name)
        if trace is not None and isinstance(part, list | dict):
            value_memory.remember_values(part, Provenance({}, trace))


def _wrap_file(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def to_file(self: Any, *args: Any, **kwargs: Any) -> Any:
        carrier = self
        try:
            carried = carried_attrs(self)
            if carried is not None:
                carrier = self.copy(deep=False)
                carrier.attrs = carried
        except Exception as error:  # noqa: BLE001 - labels are comfort, the user's file is not
            _log.debug("labels not written: %s", type(error).__name__)
            carrier = self
        return original(carrier, *args, **kwargs)

    return to_file
