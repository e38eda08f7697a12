"""Labels through what pandas builds of one column without saying so: accessors, explode, aggregate.

Most of ``.str``, ``.dt`` and ``.cat`` goes through ``__finalize__``; these few do not.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from cloister.hooks.display import patch
from cloister.hooks.pandas_groups import aggregate
from cloister.hooks.pandas_provenance import (
    FIELD,
    columns_of,
    follow,
    index_traces,
    is_frame,
    provenance_of,
    rows_of,
    set_provenance,
    tag,
    value_trace,
)
from cloister.hooks.provenance import Provenance, join_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from cloister.hooks.provenance import Trace


def install(pandas: ModuleType) -> None:
    """Follows labels through accessors and the like; does nothing the second time.

    Raises:
        AttributeError: This pandas has no such accessor.
    """
    from pandas.core.arrays.categorical import CategoricalAccessor
    from pandas.core.indexes.accessors import DatetimeProperties, TimedeltaProperties
    from pandas.core.strings.accessor import StringMethods

    frame = pandas.DataFrame
    patch(pandas.Series, "explode", functools.partial(_wrap_of_column, None))
    patch(StringMethods, "extractall", functools.partial(_wrap_of_column, "text operation"))
    patch(StringMethods, "_wrap_result", _wrap_index_text)
    patch(DatetimeProperties, "isocalendar", functools.partial(_wrap_of_column, "part of a date"))
    _patch_property(TimedeltaProperties, "components", "part of a duration")
    _patch_property(CategoricalAccessor, "codes", "codes")
    _patch_property(CategoricalAccessor, "categories", None)
    patch(CategoricalAccessor, "_delegate_method", functools.partial(_wrap_of_column, None))
    patch(frame, "aggregate", _wrap_aggregate)
    frame.agg = frame.aggregate


def _wrap_of_column(step: str | None, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def of_column(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        follow(lambda: _of_column(result, self, step))
        return result

    return of_column


def _patch_property(owner: Any, name: str, step: str | None) -> None:
    known = getattr(owner, name)
    if isinstance(known, property) and not hasattr(known.fget, "__cloister_original__"):
        wrapped = _wrap_of_column(step, known.fget)  # type: ignore[arg-type]
        wrapped.__cloister_original__ = known.fget  # type: ignore[attr-defined]
        setattr(owner, name, property(wrapped, known.fset, known.fdel, known.__doc__))


def _column_behind(obj: Any) -> Any:
    """Returns the column, or its cells, that an accessor was asked of."""
    for name in ("_orig", "orig", "_parent"):
        behind = getattr(obj, name, None)
        if behind is not None:
            return behind
    return obj


def _of_column(result: Any, obj: Any, step: str | None) -> None:
    column = obj if hasattr(obj, "_mgr") else _column_behind(obj)
    trace = value_trace(column)
    if trace is None:
        return
    trace = trace if step is None else trace.derived(step)
    if hasattr(result, "nlevels") and not hasattr(result, "_mgr"):
        tag(result, (trace,) * int(result.nlevels))
    elif hasattr(result, "_mgr"):
        known = provenance_of(column)
        names = {} if known is None else known.names
        rows = rows_of(result).names
        set_provenance(result, Provenance({n: names.get(n) for n in rows if n is not None}, trace))


def _wrap_index_text(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def wrap_result(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        if FIELD in getattr(self._orig, "_cache", ()) and hasattr(result, "nlevels"):
            follow(lambda: _index_text(result, self._orig))
        return result

    return wrap_result


def _index_text(result: Any, index: Any) -> None:
    trace = join_all(index_traces(index))
    if trace is not None and not hasattr(result, "_mgr"):
        tag(result, (trace.derived("text operation"),) * int(result.nlevels))


def _wrap_aggregate(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def aggregated(self: Any, func: Any = None, *args: Any, **kwargs: Any) -> Any:
        result = original(self, func, *args, **kwargs)
        source = getattr(self, FIELD, None)
        if source is not None and isinstance(func, dict) and hasattr(result, "_mgr"):
            follow(lambda: _aggregated(result, self, source, func))
        return result

    return aggregated


def _aggregated(result: Any, frame: Any, source: Provenance, asked: dict[Any, Any]) -> None:
    if provenance_of(result):
        return
    count = len(rows_of(frame))
    names: dict[Any, Trace | None] = {}
    for name, statistic in asked.items():
        trace = source.of(name)
        names[name] = None if trace is None else aggregate(trace, statistic, count)
    on_side = not (is_frame(result) and set(columns_of(result)) & names.keys())
    set_provenance(result, Provenance(names, is_on_side=on_side))
