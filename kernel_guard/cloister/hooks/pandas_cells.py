"""Labels through plain Python: loops over cells, rows as tuples or dicts, and text in memory.

``[x for x in df.ssn]``, ``dict(zip(df.id, df.ssn))``, ``pd.read_csv(StringIO(df.to_csv()))``: what
comes back as it went out is recognised by a few of its cells (:mod:`cloister.hooks.value_memory`).
What was changed on the way is not; it is classified by its values.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

from cloister.hooks import value_memory
from cloister.hooks.display import patch
from cloister.hooks.pandas_provenance import (
    FIELD,
    columns_of,
    follow,
    names_in,
    provenance_of,
    rows_of,
    set_provenance,
)
from cloister.hooks.pandas_values import listed_values
from cloister.hooks.provenance import Provenance

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from types import ModuleType

    from cloister.hooks.provenance import Trace

_log = logging.getLogger(__name__)

# Of a wider table, only the first columns are remembered or looked for.
_MOST_COLUMNS = 200
_ROWS_OUT = ("itertuples", "iterrows", "to_dict", "to_json", "to_csv", "to_records")


def install(pandas: ModuleType) -> None:
    """Follows labels through plain Python; does nothing the second time.

    Raises:
        AttributeError: This pandas has no such method.
    """
    from pandas.core.base import IndexOpsMixin
    from pandas.io.json._json import JsonReader
    from pandas.io.parsers import readers

    patch(IndexOpsMixin, "__iter__", _wrap_iteration)
    for name in _ROWS_OUT:
        patch(pandas.DataFrame, name, _wrap_rows_out)
    for name in ("to_json", "to_csv"):
        patch(pandas.Series, name, _wrap_iteration)
    for name in ("from_records", "from_dict"):
        _patch_factory(pandas.DataFrame, name)
    patch(readers, "_read", _wrap_reading)
    patch(JsonReader, "read", _wrap_reading)


def _wrap_iteration(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def iterate(self: Any, *args: Any, **kwargs: Any) -> Any:
        source = getattr(self, FIELD, None)
        if source is not None and source.rest is not None:
            follow(lambda: _remember(self, source.rest))
        return original(self, *args, **kwargs)

    return iterate


def _remember(series: Any, trace: Trace) -> None:
    cells = _cells(series)
    value_memory.remember_cells(len(series), cells, Provenance({}, trace))


def _cells(series: Any) -> list[object]:
    values = series._values  # noqa: SLF001 - as pandas itself iterates
    places = value_memory.places(len(values))
    return [cell.item() if hasattr(cell, "item") else cell for cell in (values[i] for i in places)]


def _wrap_rows_out(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def rows_out(self: Any, *args: Any, **kwargs: Any) -> Any:
        source = getattr(self, FIELD, None)
        if source is None:
            return original(self, *args, **kwargs)
        follow(lambda: _remember_columns(self, source))
        result = original(self, *args, **kwargs)
        if isinstance(result, list | dict):
            follow(lambda: listed_values(self, result, source))
        elif hasattr(result, "dtype"):
            follow(lambda: value_memory.remember_array(result, source))
        return result

    return rows_out


def _remember_columns(frame: Any, source: Provenance) -> None:
    for place, name in enumerate(names_in(columns_of(frame))[:_MOST_COLUMNS]):
        trace = source.of(name)
        if trace is not None:
            _remember(frame._ixs(place, axis=1), trace)  # noqa: SLF001 - by position: names repeat
    for level, name in enumerate(rows_of(frame).names):
        trace = None if name is None else source.names.get(name)
        if trace is not None:
            index = rows_of(frame).get_level_values(level)
            value_memory.remember_cells(len(index), _cells(index), Provenance({}, trace))


def _patch_factory(owner: Any, name: str) -> None:
    known = vars(owner)[name]
    if hasattr(known, "__cloister_original__"):
        return

    @functools.wraps(known.__func__)
    def factory(cls: type, data: Any, *args: Any, **kwargs: Any) -> Any:
        result = known.__func__(cls, data, *args, **kwargs)
        if value_memory.knows_values():
            follow(lambda: _recognise(result))
        return result

    wrapped: Any = classmethod(factory)
    wrapped.__cloister_original__ = known
    setattr(owner, name, wrapped)


def _wrap_reading(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def read(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if value_memory.knows_values() and hasattr(result, "_mgr"):
            follow(lambda: _recognise(result))
        return result

    return read


def _recognise(made: Any) -> None:
    """Gives a new table the labels of columns whose cells went out before."""
    known = provenance_of(made) or Provenance({})
    found: dict[Hashable, Trace | None] = {}
    if made.ndim == 1:
        trace = value_memory.of_cells(len(made), _cells(made))
        if trace is not None and known.rest is None:
            set_provenance(made, known.with_rest(trace))
        return
    for place, name in enumerate(names_in(columns_of(made))[:_MOST_COLUMNS]):
        if known.of(name) is None:
            trace = value_memory.of_cells(len(made), _cells(made._ixs(place, axis=1)))  # noqa: SLF001 - by position
            if trace is not None:
                found[name] = trace
    if found:
        set_provenance(made, known.with_names(found))
