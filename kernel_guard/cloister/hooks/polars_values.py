"""Labels into and out of polars: constructors, conversions, arrays, lists, rows and dicts.

Arrays, lists and dicts have no place for a label; :mod:`cloister.hooks.value_memory` remembers
them.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from cloister.hooks import value_memory
from cloister.hooks.display import patch
from cloister.hooks.polars_provenance import (
    FIELD,
    follow,
    is_series,
    is_table,
    provenance_of,
    set_provenance,
    wrapper,
)
from cloister.hooks.provenance import COLUMNS, Provenance, Trace, join_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

#: What gives cells away; these have rules of their own here.
EXPORTS: Final = (
    "to_numpy", "to_dict", "to_dicts", "rows", "to_list", "to_pandas", "to_arrow", "iter_rows",
    "__iter__",
)  # fmt: skip
_CONSTRUCTORS = (
    "from_pandas",
    "from_dicts",
    "from_dict",
    "from_records",
    "from_numpy",
    "from_arrow",
)
# Of a wider table, only the first columns are remembered.
_MOST_COLUMNS = 200


def install(polars: ModuleType) -> None:
    """Follows labels into and out of polars; does nothing the second time.

    Raises:
        AttributeError: This polars has no such function.
    """
    for owner in (polars.DataFrame, polars.LazyFrame, polars.Series):
        for name in EXPORTS:
            if hasattr(owner, name):
                patch(owner, name, _wrap_rows_out if name.count("iter") else _wrap_export)
    patch(polars, "concat", _wrap_concat)
    patch(polars, "collect_all", _wrap_collect_all)
    patch(polars, "lit", _wrap_literal)
    patch(polars.Expr, "alias", _wrap_alias)
    for name in _CONSTRUCTORS:
        patch(polars, name, _wrap_constructing)
    for owner in (polars.DataFrame, polars.Series):
        patch(owner, "__init__", _wrap_init)
    patch(polars.SQLContext, "__init__", _wrap_queries)
    patch(polars.SQLContext, "register", _wrap_registration)
    patch(polars.SQLContext, "execute", _wrap_query)


def _wrap_concat(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def concat(items: Any, *args: Any, **kwargs: Any) -> Any:
        parts = list(items)
        result = original(parts, *args, **kwargs)
        follow(_concatenated, result, parts)
        return result

    return concat


def _concatenated(result: Any, parts: list[Any]) -> None:
    known = [p for p in map(provenance_of, parts) if p is not None]
    if not known:
        return
    joined = functools.reduce(Provenance.join, known)
    set_provenance(result, joined if len(parts) == 1 else joined.moved("concatenated"))


def _wrap_init(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the name users see
        original(self, *args, **kwargs)
        given = (*args, *kwargs.values())
        if given:
            follow(_constructed, self, given)

    return __init__


def _wrap_constructing(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def constructing(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        given = (*args, *kwargs.values())
        if given:
            follow(_constructed, result, given)
        return result

    return constructing


def _constructed(made: Any, given: Iterable[Any]) -> None:
    for data in given:
        if isinstance(data, str | int | float | None):
            continue
        known = _of_data(made, data)
        if known is not None and known:
            set_provenance(made, known)
            return


def _of_data(made: Any, data: Any) -> Provenance | None:  # noqa: PLR0911 - one rule a kind
    makes_table = is_table(made)
    if isinstance(data, dict):
        names = {name: _trace(value) for name, value in data.items()}
        if any(names.values()):
            return Provenance(names)
        return value_memory.of_values(data)
    if isinstance(data, list):
        if data and all(is_series(part) for part in data):
            names = {part.name: _trace(part) for part in data}
            return Provenance(names) if makes_table else None
        known = value_memory.of_values(data) or (
            value_memory.of_table(data) if makes_table else None
        )
    elif hasattr(data, "__dict__") and FIELD in data.__dict__:
        known = data.__dict__[FIELD]
        if makes_table and hasattr(data, "name"):
            return Provenance({data.name: known.rest})
    else:
        known = value_memory.of_array(data)
    if known is None:
        return None
    if not makes_table:
        return Provenance({}, join_all((known.rest, *known.names.values())))
    if COLUMNS in known.names:
        return known.at_positions(made.columns)
    return known


def _trace(value: Any) -> Trace | None:
    known = provenance_of(value)
    if known is None:
        if isinstance(value, list):
            known = value_memory.of_values(value)
        elif hasattr(value, "__array__"):
            known = value_memory.of_array(value)
    return None if known is None else known.rest


def _wrap_export(original: Callable[..., Any]) -> Callable[..., Any]:
    return wrapper(_exported)(original)


def _exported(result: Any, table: Any, source: Provenance, _args: Any, _kwargs: Any) -> None:
    if isinstance(result, dict | list):
        value_memory.remember_values(result, source)
        for name, part in result.items() if isinstance(result, dict) else ():
            if is_series(part):
                set_provenance(part, Provenance({}, source.of(name)))
            elif isinstance(part, list) and source.of(name) is not None:
                value_memory.remember_values(part, Provenance({}, source.of(name)))
    elif hasattr(result, "_mgr"):
        from cloister.hooks.pandas_provenance import set_provenance as set_pandas

        set_pandas(result, source)
    elif is_table(table):
        value_memory.remember_array(result, source.by_position(table.columns))
    else:
        value_memory.remember_array(result, source)


def _wrap_rows_out(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def rows_out(self: Any, *args: Any, **kwargs: Any) -> Any:
        source = provenance_of(self)
        if source is not None:
            follow(_remember_columns, self, source)
        return original(self, *args, **kwargs)

    return rows_out


def _remember_columns(obj: Any, source: Provenance) -> None:
    places = value_memory.places(len(obj))
    if is_series(obj):
        if source.rest is not None:
            value_memory.remember_cells(len(obj), [obj[i] for i in places], source)
        return
    for name in obj.columns[:_MOST_COLUMNS]:
        trace = source.of(name)
        if trace is not None:
            cells = [obj.item(i, name) for i in places]
            value_memory.remember_cells(obj.height, cells, Provenance({}, trace))


def _wrap_collect_all(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def collect_all(queries: Any, *args: Any, **kwargs: Any) -> Any:
        parts = list(queries)
        results = original(parts, *args, **kwargs)
        if isinstance(results, list):
            for part, result in zip(parts, results, strict=False):
                follow(set_provenance, result, provenance_of(part))
        return results

    return collect_all


def _wrap_literal(original: Callable[..., Any]) -> Callable[..., Any]:
    """An expression does not say which column it holds as a literal."""

    @functools.wraps(original)
    def lit(value: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(value, *args, **kwargs)
        known = provenance_of(value)
        if known is not None:
            follow(set_provenance, result, known)
        return result

    return lit


def _wrap_alias(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def alias(self: Any, name: str) -> Any:
        result = original(self, name)
        if FIELD in self.__dict__:
            follow(set_provenance, result, self.__dict__[FIELD])
        return result

    return alias


def _wrap_queries(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the name users see
        original(self, *args, **kwargs)
        for given in (*args, kwargs):
            for frame in given.values() if isinstance(given, dict) else ():
                follow(_registered, self, frame)

    return __init__


def _wrap_registration(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def register(self: Any, name: str, frame: Any = None, *args: Any, **kwargs: Any) -> Any:
        result = original(self, name, frame, *args, **kwargs)
        follow(_registered, self, frame)
        return result

    return register


def _registered(context: Any, frame: Any) -> None:
    known = provenance_of(frame)
    if known is not None:
        before = provenance_of(context)
        set_provenance(context, known if before is None else before.join(known))


def _wrap_query(original: Callable[..., Any]) -> Callable[..., Any]:
    def queried(result: Any, _context: Any, source: Provenance, _args: Any, _kwargs: Any) -> None:
        if is_table(result):
            set_provenance(result, of_query(source))

    return wrapper(queried)(original)


def of_query(source: Provenance) -> Provenance:
    """Returns what the result of an SQL query is made of: a column of a new name, of anything."""
    trace = source.of_all([*source.names, None])
    return source.with_rest(None if trace is None else trace.derived("SQL"))
