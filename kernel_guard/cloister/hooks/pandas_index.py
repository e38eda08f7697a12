"""Labels through row labels: out of an Index into columns, lists and other Indexes, and back.

An Index tells by itself what it is made of (:func:`~cloister.hooks.pandas_provenance.tag_index`), a
trace for each of its levels. What pandas makes of one has none of its own, so it is given here.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from cloister.hooks import value_memory
from cloister.hooks.display import patch
from cloister.hooks.pandas_provenance import (
    FIELD,
    follow,
    index_traces,
    provenance_of,
    set_provenance,
    tag,
    value_trace,
)
from cloister.hooks.provenance import Provenance, Trace, join_all

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from types import ModuleType

#: Cells in other places, or fewer of them.
_MOVES = (
    "take", "__getitem__", "unique", "drop_duplicates", "sort_values", "rename", "set_names",
    "dropna", "repeat", "append", "fillna", "astype", "union", "intersection", "drop", "insert",
    "swaplevel", "reorder_levels", "droplevel", "get_level_values", "_get_level_values",
)  # fmt: skip
_OUT = ("to_numpy", "__array__", "to_series", "to_frame")


def install(pandas: ModuleType) -> None:
    """Follows labels through row labels; does nothing the second time.

    Raises:
        AttributeError: This pandas has no such method.
    """
    for owner in (pandas.Index, pandas.MultiIndex):
        for name in _MOVES:
            if name in vars(owner):
                patch(owner, name, _wrap_moved)
        for name in _OUT:
            patch(owner, name, _wrap_out)
        if "map" in vars(owner):
            patch(owner, "map", functools.partial(_wrap_moved, step="map"))
    for name in ("from_frame", "from_arrays"):
        _patch_factory(pandas.MultiIndex, name)


def _wrap_moved(original: Callable[..., Any], step: str | None = None) -> Callable[..., Any]:
    @functools.wraps(original)
    def moved(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        if FIELD in self._cache:
            follow(lambda: _moved(result, self, args, step))
        return result

    return moved


def _moved(result: Any, index: Any, args: tuple[Any, ...], step: str | None) -> None:
    if not hasattr(result, "nlevels") or result is index:
        return
    before = index_traces(index)
    if result.nlevels == len(before) and list(result.names) == list(index.names):
        traces: tuple[Trace | None, ...] = before
    else:
        # A level goes by its name; what has none may be any of them.
        by_name = dict(zip(index.names, before, strict=True))
        level = args[0] if args else None
        if isinstance(level, int) and result.nlevels == 1 and -len(before) <= level < len(before):
            traces = (before[level],)
        elif len(before) == 1:
            traces = before * int(result.nlevels)
        else:
            traces = tuple(
                by_name[n] if n is not None and n in by_name else join_all(before)
                for n in result.names
            )
    if step is not None:
        traces = tuple(None if t is None else t.derived(step) for t in traces)
    tag(result, traces)


def _wrap_out(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def out(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        if FIELD in self._cache:
            follow(lambda: _given_out(result, self))
        return result

    return out


def _given_out(result: Any, index: Any) -> None:
    traces = index_traces(index)
    cells = join_all(traces)
    if cells is None:
        return
    names: dict[Hashable, Trace | None] = {
        name: trace for name, trace in zip(index.names, traces, strict=True) if name is not None
    }
    if hasattr(result, "columns"):
        shown = zip(result.columns, traces, strict=False)
        set_provenance(result, Provenance({**names, **dict(shown)}))
    elif hasattr(result, "_mgr"):
        set_provenance(result, Provenance(names, cells))
    else:
        value_memory.remember_array(result, Provenance({}, cells))


def _patch_factory(owner: Any, name: str) -> None:
    known = vars(owner)[name]
    if hasattr(known, "__cloister_original__"):
        return

    @functools.wraps(known.__func__)
    def factory(cls: type, given: Any, *args: Any, **kwargs: Any) -> Any:
        result = known.__func__(cls, given, *args, **kwargs)
        follow(lambda: _of_columns(result, given))
        return result

    wrapped: Any = classmethod(factory)
    wrapped.__cloister_original__ = known
    setattr(owner, name, wrapped)


def _of_columns(result: Any, given: Any) -> None:
    if hasattr(given, "columns"):
        known = provenance_of(given)
        traces = () if known is None else tuple(known.of(name) for name in given.columns)
    else:
        traces = tuple(value_trace(part) for part in given)
    if any(traces) and len(traces) == result.nlevels:
        tag(result, traces)


def carry_axes(made: Any) -> None:
    """Lets a table know what the row and column labels that it was given are made of."""
    axes = made._mgr.axes  # noqa: SLF001 - the properties take longer
    if FIELD in axes[-1]._cache or (len(axes) > 1 and FIELD in axes[0]._cache):  # noqa: SLF001 - hot
        _carry(made, axes[0], axes[-1])


def _carry(made: Any, columns: Any, index: Any) -> None:
    if columns is not index and FIELD in columns._cache:  # noqa: SLF001 - see tag
        header = join_all(index_traces(columns))
        known = provenance_of(made) or Provenance({})
        set_provenance(made, Provenance(known.names, known.rest, header=header))
    if FIELD not in index._cache:  # noqa: SLF001 - see tag
        return
    names = dict(zip(index.names, index_traces(index), strict=True))
    known = provenance_of(made) or Provenance({})
    new = {
        n: t for n, t in names.items() if n is not None and t is not None and n not in known.names
    }
    if new:
        set_provenance(made, known.with_names(new))
