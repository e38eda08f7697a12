"""Labels follow data through polars, eager and lazy.

An expression names the columns that it reads, so the label of an output column is the join over the
roots of its expression; nothing of a lazy query has to run for it. Most eager methods of polars are
lazy ones inside, so the methods of the lazy frame carry most labels. Groups, columns, and what goes
in and out have modules of their own.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from cloister.hooks import polars_columns, polars_groups, polars_values
from cloister.hooks.display import patch
from cloister.hooks.polars_columns import is_method
from cloister.hooks.polars_expressions import outputs_of
from cloister.hooks.polars_provenance import (
    FIELD,
    follow,
    is_series,
    is_table,
    provenance_of,
    set_provenance,
    wrapper,
)
from cloister.hooks.polars_values import EXPORTS, of_query
from cloister.hooks.provenance import Provenance, Trace, join_all

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from types import ModuleType

_SELECTIONS = ("select", "select_seq")
_ADDITIONS = ("with_columns", "with_columns_seq")
_JOINS = ("join", "join_asof", "join_where", "hstack", "vstack", "extend", "merge_sorted", "update")
_INSERTIONS = ("insert_column", "replace_column")
_STATISTICS = (
    "mean", "sum", "std", "var", "median", "min", "max", "quantile", "product", "describe",
)  # fmt: skip
_COUNTS = frozenset({"null_count", "n_unique", "approx_n_unique", "count", "is_duplicated"})
_MIXING = ("transpose", "pivot", "unpivot", "unstack", "to_dummies", "map_rows", "fold")


def install(polars: ModuleType) -> None:
    """Follows labels through polars from now on; does nothing the second time.

    Raises:
        AttributeError: This polars has no such class.
    """
    polars_groups.install(polars)
    polars_values.install(polars)
    special: dict[str, Any] = {name: _wrap_selection(keeps=False) for name in _SELECTIONS}
    special |= {name: _wrap_selection(keeps=True) for name in _ADDITIONS}
    special |= dict.fromkeys(_JOINS, _wrap_join)
    special |= dict.fromkeys(_INSERTIONS, _wrap_insertion)
    special |= {name: _wrap_statistic(name) for name in _STATISTICS}
    special |= dict.fromkeys(_MIXING, _wrap_mixed)
    special |= dict.fromkeys(("get_column", "to_series", "drop_in_place"), _wrap_parts)
    special |= {"rename": _wrap_rename, "get_columns": _wrap_columns, "sql": _wrap_sql}
    special |= {"unnest": _wrap_unnest, "partition_by": _wrap_partition}
    for owner in (polars.DataFrame, polars.LazyFrame):
        for name in special.keys() & set(dir(owner)):
            patch(owner, name, special[name])
        for name, value in list(vars(owner).items()):
            if is_method(value) and not name.startswith("_") and name not in (*EXPORTS, *_COUNTS):
                patch(owner, name, _wrap_same)
    patch(polars.DataFrame, "__getitem__", _wrap_parts)
    patch(polars.LazyFrame, "_collect_eager", _wrap_same)
    polars_columns.install(polars)


def _wrap_same(original: Callable[..., Any]) -> Callable[..., Any]:
    return wrapper(_same)(original)


def _same(result: Any, _table: Any, source: Provenance, _args: Any, _kwargs: Any) -> None:
    if FIELD in getattr(result, "__dict__", {FIELD: None}):
        return
    if is_table(result):
        set_provenance(result, source)
    elif is_series(result):
        set_provenance(result, Provenance({}, join_all((source.rest, *source.names.values()))))


def _wrap_mixed(original: Callable[..., Any]) -> Callable[..., Any]:
    return wrapper(_mixed)(original)


def _mixed(result: Any, table: Any, source: Provenance, args: Any, kwargs: Any) -> None:
    """Cells went to other columns; those that stayed keep what is known of them."""
    if not is_table(result):
        return
    present = table.columns if hasattr(table, "height") else list(source.names)
    over = kwargs.get("on") or (args[0] if args else None) if "unpivot" in kwargs else None
    trace = source.of_all([over] if isinstance(over, str) else over or present)
    kept = {n: t for n, t in source.names.items() if n in present}
    rest = None if trace is None else trace.moved("reshaped")
    set_provenance(result, Provenance(kept, rest))


def _wrap_selection(*, keeps: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def selected(result: Any, _table: Any, source: Provenance, args: Any, kwargs: Any) -> None:
        names, rest = outputs_of(args, kwargs, source, provenance_of)
        if keeps:
            set_provenance(result, Provenance({**source.names, **names}, rest or source.rest))
        else:
            set_provenance(result, Provenance(names, rest))

    return _also_of_unlabelled(wrapper(selected))


def _also_of_unlabelled(
    rule: Callable[[Callable[..., Any]], Callable[..., Any]],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A public table may be given labelled Series."""

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        followed = rule(original)

        @functools.wraps(original)
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            if FIELD not in self.__dict__ and any(
                provenance_of(x) is not None for x in (*args, *kwargs.values())
            ):
                self.__dict__[FIELD] = Provenance({})
            return followed(self, *args, **kwargs)

        return method

    return wrap


def _wrap_statistic(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def statistic(result: Any, table: Any, source: Provenance, _args: Any, _kwargs: Any) -> None:
        if is_table(result):
            count = table.height if hasattr(table, "height") else None
            set_provenance(result, source.aggregated(name, count))

    return wrapper(statistic)


def _wrap_rename(original: Callable[..., Any]) -> Callable[..., Any]:
    def renamed(result: Any, _table: Any, source: Provenance, args: Any, kwargs: Any) -> None:
        mapping = args[0] if args else kwargs.get("mapping")
        names = dict(source.names)
        for old, trace in source.names.items():
            new = mapping(old) if callable(mapping) else mapping.get(old, old)
            if new != old:
                names[new] = None if trace is None else trace.moved("renamed")
        if not callable(mapping):
            for old, new in mapping.items():
                if old not in source.names and new in source.names:
                    names[new] = source.rest
        set_provenance(result, Provenance(names, source.rest))

    return wrapper(renamed)(original)


def _wrap_join(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def join(self: Any, other: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, other, *args, **kwargs)
        follow(_joined, result, self, other, kwargs)
        return result

    return join


def _joined(result: Any, table: Any, other: Any, kwargs: dict[str, Any]) -> None:
    left = provenance_of(table)
    parts = other if isinstance(other, list) else [other]
    names: dict[Hashable, Trace | None] = {} if left is None else dict(left.names)
    rest = None if left is None else left.rest
    suffix = str(kwargs.get("suffix", "_right"))
    is_known = False
    for part in parts:
        right = provenance_of(part)
        if right is None:
            continue
        is_known = True
        traces = dict(right.names)
        if is_series(part):
            traces = {part.name: right.rest}
        else:
            rest = join_all((rest, right.rest))
        for name, trace in traces.items():
            moved = None if trace is None else trace.moved("joined")
            names[f"{name}{suffix}"] = moved
            names[name] = join_all((names.get(name), moved))
    if left is not None or is_known:
        set_provenance(result, Provenance(names, rest))


def _wrap_parts(original: Callable[..., Any]) -> Callable[..., Any]:
    def part(result: Any, table: Any, source: Provenance, args: Any, kwargs: Any) -> None:
        if is_series(result):
            set_provenance(result, Provenance({}, source.of(result.name)))
        else:
            _same(result, table, source, args, kwargs)

    return wrapper(part)(original)


def _wrap_columns(original: Callable[..., Any]) -> Callable[..., Any]:
    def columns(result: Any, _table: Any, source: Provenance, _args: Any, _kwargs: Any) -> None:
        for column in result:
            set_provenance(column, Provenance({}, source.of(column.name)))

    return wrapper(columns)(original)


def _wrap_insertion(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def insert(self: Any, index: int, column: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, index, column, *args, **kwargs)
        follow(_inserted, self, column)
        return result

    return insert


def _inserted(table: Any, column: Any) -> None:
    known = provenance_of(column)
    mine = provenance_of(table)
    if known is not None or mine is not None:
        trace = None if known is None else known.rest
        set_provenance(table, (mine or Provenance({})).with_names({column.name: trace}))


def _wrap_sql(original: Callable[..., Any]) -> Callable[..., Any]:
    def queried(result: Any, _table: Any, source: Provenance, _args: Any, _kwargs: Any) -> None:
        set_provenance(result, of_query(source))

    return wrapper(queried)(original)


def _wrap_unnest(original: Callable[..., Any]) -> Callable[..., Any]:
    def unnested(result: Any, _table: Any, source: Provenance, args: Any, _kwargs: Any) -> None:
        given = [name for arg in args for name in (arg if isinstance(arg, list | tuple) else [arg])]
        names = given if all(isinstance(name, str) for name in given) else source.names
        set_provenance(result, source.with_rest(join_all((source.rest, source.of_all(names)))))

    return wrapper(unnested)(original)


def _wrap_partition(original: Callable[..., Any]) -> Callable[..., Any]:
    def parted(result: Any, _table: Any, source: Provenance, _args: Any, _kwargs: Any) -> None:
        for part in result.values() if isinstance(result, dict) else result:
            set_provenance(part, source)

    return wrapper(parted)(original)
