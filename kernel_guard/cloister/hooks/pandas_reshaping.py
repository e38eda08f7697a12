"""Labels through pivots, melts, stacks and tables of counts in pandas.

Cells come to stand below other headers, and values become headers themselves: an axis keeps the
trace of the column that it is named after, and the cells have that of the columns they come from.
"""

from __future__ import annotations

import functools
import sys
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from cloister.hooks.display import patch
from cloister.hooks.pandas_groups import COUNTS, aggregate, least_count_within, statistics_in
from cloister.hooks.pandas_provenance import (
    FIELD,
    columns_of,
    follow,
    is_frame,
    provenance_of,
    rows_of,
    set_provenance,
    tag_index,
    value_trace,
)
from cloister.hooks.provenance import Provenance, Trace, join_all

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from types import ModuleType

_inside = threading.local()


def install(pandas: ModuleType) -> None:
    """Follows labels through reshaping; does nothing the second time.

    Raises:
        AttributeError: This pandas has no such function.
    """
    from pandas.core.base import IndexOpsMixin
    from pandas.core.reshape import encoding, pivot, reshape

    melting = sys.modules["pandas.core.reshape.melt"]  # a function elsewhere has its name
    for module, name, wrap in (
        (melting, "melt", _wrap_melt),
        (pivot, "pivot", _wrap_pivot),
        (pivot, "pivot_table", _wrap_pivot_table),
        (pivot, "crosstab", _wrap_crosstab),
        (encoding, "get_dummies", _wrap_dummies),
    ):
        patch(module, name, wrap)
        setattr(pandas, name, getattr(module, name))
    patch(reshape, "unstack", _wrap_unstack)
    patch(IndexOpsMixin, "value_counts", _wrap_value_counts)
    for name, wrap in (
        ("pivot_table", _wrap_pivot_table),
        ("melt", _wrap_melt),
        ("value_counts", _wrap_value_counts),
        ("nunique", _wrap_uncounted),
    ):
        patch(pandas.DataFrame, name, wrap)


def argument(args: tuple[Any, ...], kwargs: dict[str, Any], place: int, name: str) -> Any:
    """Returns an argument that may be given by place or by name."""
    return args[place] if len(args) > place else kwargs.get(name)


def _listed(names: Any) -> list[Any]:
    if names is None:
        return []
    if hasattr(names, "tolist") and not hasattr(names, "_mgr"):
        return list(names.tolist())  # an Index or an array of names
    return list(names) if isinstance(names, list | tuple) else [names]


def _wrap_pivot(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def pivot(data: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(data, *args, **kwargs)
        source = provenance_of(data)
        if source is not None:
            follow(lambda: _pivoted(result, data, source, kwargs))
        return result

    return pivot


def _pivoted(result: Any, data: Any, source: Provenance, kwargs: dict[str, Any]) -> None:
    values = kwargs.get("values")
    axes = {*_listed(kwargs.get("index")), *_listed(kwargs.get("columns"))}
    cells = [c for c in columns_of(data) if c not in axes]
    if values is not None and not hasattr(values, "name"):
        cells = _listed(values)
    trace = source.of_all(cells)
    rest = None if trace is None else trace.moved("pivoted")
    set_provenance(result, _around(result, source, rest))


def _around(result: Any, source: Provenance, rest: Trace | None) -> Provenance:
    """Returns the provenance of a table whose axes hold columns and whose cells are ``rest``."""
    axes = [*rows_of(result).names, *columns_of(result).names]
    names = {name: source.names.get(name) for name in axes if name is not None}
    if columns_of(result).nlevels > 1:  # the columns' names stand above those of the values
        names = {**source.names, **names}
    return Provenance(names, rest)


def _wrap_melt(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def melt(frame: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(frame, *args, **kwargs)
        source = provenance_of(frame)
        if source is not None:
            follow(lambda: _melted(result, frame, source, argument(args, kwargs, 1, "value_vars")))
        return result

    return melt


def _melted(result: Any, frame: Any, source: Provenance, value_vars: Any) -> None:
    """The last column holds all cells; those before it that are new hold column names."""
    before = columns_of(frame)
    *kept, last = columns_of(result)
    names: dict[Hashable, Trace | None] = {
        name: source.of(name) if name in before else source.names.get(name) for name in kept
    }
    melted = _listed(value_vars) or [name for name in before if name not in names]
    cells = source.of_all(melted)
    names[last] = None if cells is None else cells.moved("melted")
    set_provenance(result, Provenance(names))


def _wrap_unstack(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def unstack(obj: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(obj, *args, **kwargs)
        source = provenance_of(obj)
        if source is not None and result is not obj:
            follow(lambda: _unstacked(result, obj, source))
        return result

    return unstack


def _unstacked(result: Any, obj: Any, source: Provenance) -> None:
    cells = source.of_all(columns_of(obj)) if is_frame(obj) else source.rest
    rest = None if cells is None else cells.moved("unstacked")
    if not is_frame(obj):
        set_provenance(result, _around(result, source, rest))
    else:
        names = {name: source.of(name) for name in columns_of(obj)}
        axes = {name: source.names.get(name) for name in _names(result)}
        set_provenance(result, Provenance({**names, **axes}, rest))


def _wrap_value_counts(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def value_counts(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        source = getattr(self, FIELD, None)
        if source is not None:
            follow(lambda: _value_counts(result, self, source))
        return result

    return value_counts


def _value_counts(result: Any, obj: Any, source: Provenance) -> None:
    """The values are the index now; how often each occurs says nothing of what it is."""
    names = dict(source.names) if is_frame(obj) else {obj.name: source.rest}
    set_provenance(result, Provenance(names))
    tag_index(result)


class _Asked(NamedTuple):
    """A call of ``pivot_table``, and the rows of the smallest group behind its result."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    least: int | None


def _wrap_pivot_table(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def pivot_table(data: Any, *args: Any, **kwargs: Any) -> Any:
        source = provenance_of(data)
        if source is None or getattr(_inside, "pivot", False):
            return original(data, *args, **kwargs)
        _inside.pivot = True
        try:
            result, least = least_count_within(lambda: original(data, *args, **kwargs))
        finally:
            _inside.pivot = False
        follow(lambda: _pivot_table(result, data, source, _Asked(args, kwargs, least)))
        return result

    return pivot_table


def _pivot_table(result: Any, data: Any, source: Provenance, call: _Asked) -> None:
    values, index, columns, asked = (
        argument(call.args, call.kwargs, i, name)
        for i, name in enumerate(("values", "index", "columns", "aggfunc"))
    )
    asked = "mean" if asked is None else asked
    axes = [*_listed(index), *_listed(columns)]
    cells = _listed(values)
    if not cells:
        plain = [key for key in axes if isinstance(key, str)]
        cells = [name for name in columns_of(data) if name not in plain]
    names = dict.fromkeys(_names(result))
    names |= {name: source.names.get(name) for name in names}
    traces: dict[Hashable, Trace | None] = {}
    if not set(statistics_in(asked)) <= set(COUNTS):
        for cell in cells:
            trace = source.of(cell)
            traces[cell] = None if trace is None else aggregate(trace, asked, call.least)
    set_provenance(result, Provenance({**traces, **names}, join_all(traces.values())))


def _names(result: Any) -> list[Hashable]:
    axes = (*rows_of(result).names, *columns_of(result).names)
    return [name for name in axes if name is not None]


def _wrap_crosstab(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def crosstab(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        follow(lambda: _crossed(result, args, kwargs))
        return result

    return crosstab


def _crossed(result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    names: dict[Hashable, Trace | None] = {}
    for place, name in enumerate(("index", "columns")):
        given = argument(args, kwargs, place, name)
        for part in given if isinstance(given, list) else [given]:
            names[getattr(part, "name", None)] = value_trace(part)
    trace = value_trace(argument(args, kwargs, 2, "values"))
    if trace is not None:
        trace = aggregate(trace, argument(args, kwargs, 5, "aggfunc"), None)
    known = Provenance({n: t for n, t in names.items() if n is not None}, trace)
    set_provenance(result, known or None)


def _wrap_dummies(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def get_dummies(data: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(data, *args, **kwargs)
        source = provenance_of(data)
        if source is not None:
            follow(lambda: _encoded(result, data, source))
        return result

    return get_dummies


def _encoded(result: Any, data: Any, source: Provenance) -> None:
    if not is_frame(data):
        trace = source.rest
        names: dict[Hashable, Trace | None] = {}
    else:
        kept = set(columns_of(result))
        trace = source.of_all(name for name in columns_of(data) if name not in kept)
        names = {name: source.of(name) for name in columns_of(data) if name in kept}
    trace = None if trace is None else trace.derived("indicator columns")
    # Values are part of the new columns' names.
    set_provenance(result, Provenance(names, trace, header=trace))


def _wrap_uncounted(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def uncounted(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        follow(lambda: set_provenance(result, None))
        return result

    return uncounted
