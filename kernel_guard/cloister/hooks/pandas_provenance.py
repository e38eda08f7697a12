"""What a pandas object is known to be made of, and where that is kept.

A table's :class:`~cloister.hooks.provenance.Provenance` lies in its instance dictionary, next to
pandas' own fields: it dies with the table, is in no pickle, and clearing ``attrs`` does not clear
it. ``attrs["cloister"]`` is the form in which labels travel through pickles and Parquet files, and
is read where it is met.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, Final

from cloister.hooks import value_memory
from cloister.hooks.labels import ATTRS_KEY, from_attrs, to_attrs
from cloister.hooks.provenance import Provenance, declared, join_all

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from cloister.hooks.labels import ColumnLabel
    from cloister.hooks.provenance import Trace

_log = logging.getLogger(__name__)

#: Field in the instance dictionary of a DataFrame or a Series.
FIELD = "_cloister_provenance"
#: Sets a field of an object. Not through ``__dict__``: Python then makes a dictionary for it, and
#: everything that pandas does with the object is slower from there on.
put: Final = object.__setattr__
#: Types of values that nothing is known of.
PLAIN: Final = frozenset({str, int, float, bool, type(None)})
_NAMES = "_cloister_names"
# Of a wider table, only the first columns are carried one by one.
_MOST_CARRIED = 2_000


def provenance_of(obj: Any) -> Provenance | None:
    """Returns what a DataFrame or Series is known to be made of; never raises."""
    try:
        known = getattr(obj, FIELD, None)
        if known is None and hasattr(obj, "_mgr") and getattr(obj, "_attrs", None):
            known = _from_attrs(obj)
    except Exception:  # noqa: BLE001 - a subclass of the user's may hold its fields elsewhere
        return None
    return known if isinstance(known, Provenance) else None


def set_provenance(obj: Any, provenance: Provenance | None) -> None:
    """Says what an object is made of; ``None`` forgets it."""
    put(obj, FIELD, provenance)


def declare(obj: Any, labels: Mapping[str, ColumnLabel], place: str = "") -> None:
    """Says that a table was read, and what its columns hold, besides what the file says itself."""
    read = declared(labels, place)
    written = provenance_of(obj)
    obj.attrs.pop(ATTRS_KEY, None)  # pandas would copy it deeply at every step
    set_provenance(obj, read if written is None else read.join(written))


def _from_attrs(obj: Any) -> Provenance | None:
    labels = from_attrs(obj.__dict__["_attrs"].get(ATTRS_KEY))
    if not labels:
        return None
    known = declared(labels)
    if obj.ndim == 1:
        known = known.column("" if obj.name is None else obj.name)
    set_provenance(obj, known)
    return known


def release(obj: Any, names: Iterable[Hashable]) -> None:
    """Forgets what columns were made of whose cells have been masked, which is a gate."""
    known = provenance_of(obj)
    if known is not None:
        masked = set(names)
        kept = {n: t for n, t in known.names.items() if n not in masked}
        set_provenance(obj, Provenance(kept))


def tag_index(obj: Any) -> None:
    """Lets the row labels of a table tell by themselves what they are made of.

    An Index shares its cache with its views, which is what ``df.index`` gives, and with nothing
    else; it is in no pickle.
    """
    known = provenance_of(obj)
    if known is not None:
        index = rows_of(obj)
        traces = tuple(known.level(name) for name in index.names)
        if any(traces):
            tag(index, traces)


def tag(index: Any, traces: tuple[Trace | None, ...]) -> None:
    """Says what each level of an Index is made of."""
    index._cache[FIELD] = traces  # noqa: SLF001 - the one place that views have in common


def index_traces(index: Any) -> tuple[Trace | None, ...]:
    """Returns what each level of an Index is known to be made of."""
    traces = getattr(index, "_cache", {}).get(FIELD)
    if isinstance(traces, tuple) and len(traces) == index.nlevels:
        return traces
    return (None,) * int(index.nlevels)


def columns_of(frame: Any) -> Any:
    """Returns the column labels of a DataFrame, without the cost of the property."""
    return frame._mgr.axes[0]  # noqa: SLF001 - the property takes longer than all that follows


def rows_of(obj: Any) -> Any:
    """Returns the row labels of a DataFrame or Series, without the cost of the property."""
    return obj._mgr.axes[-1]  # noqa: SLF001 - as above


def names_in(index: Any) -> list[Any]:
    """Returns the labels of an Index as a list, kept with the Index for the next time."""
    known: list[Any] | None = index._cache.get(_NAMES)  # noqa: SLF001 - shared with its views only
    if known is None:
        if index.nlevels > 1:
            # The tuples of a MultiIndex, without the arrays that pandas makes on the way to them.
            levels = [(*names_in(level), math.nan) for level in index.levels]
            codes = zip(*(part.tolist() for part in index.codes), strict=True)
            known = [tuple(x[i] for x, i in zip(levels, row, strict=True)) for row in codes]
        else:
            held = getattr(index._values, "_pa_array", None)  # noqa: SLF001 - Arrow lists it fast
            known = index.tolist() if held is None or held.null_count else held.to_pylist()
        index._cache[_NAMES] = known  # noqa: SLF001 - as above
    return known


def is_frame(obj: Any) -> bool:
    """Returns whether an object of pandas is a table, not a column."""
    return bool(obj._typ == "dataframe")  # noqa: SLF001 - pandas' own way to ask cheaply


def value_trace(value: Any) -> Trace | None:
    """Returns what the cells of any value are known to be made of."""
    if type(value) in PLAIN:
        return None
    held = getattr(value, "__dict__", None)
    known: Provenance | None = None
    if held is not None and FIELD in held:
        known = held[FIELD]
        if known is not None and is_frame(value):
            return known.of_all(columns_of(value))
    elif isinstance(value, list | tuple | dict):
        known = value_memory.of_values(value)
    else:
        known = value_memory.of_array(value)
    if known is None:
        return None
    if known.rest is not None or not known.is_on_side:
        return known.rest
    return join_all(known.names.values())


def carried_attrs(obj: Any) -> dict[Any, Any] | None:
    """Returns ``attrs`` with the labels in them, ``None`` when there are none to carry."""
    known: Provenance | None = obj.__dict__.get(FIELD)
    if not known:
        return None
    labels = {n: t.label for n, t in known.names.items() if t is not None and isinstance(n, str)}
    if not is_frame(obj):
        name = "" if obj.name is None else obj.name
        if known.rest is not None and isinstance(name, str):
            labels[name] = known.rest.label
        else:
            labels.pop(name, None)
    elif known.rest is not None:
        for column in columns_of(obj)[:_MOST_CARRIED]:
            if isinstance(column, str) and column not in known.names:
                labels[column] = known.rest.label
    return {**obj.attrs, ATTRS_KEY: to_attrs(labels)} if labels else None


def follow(action: Callable[[], None]) -> None:
    """Runs a step that follows labels; whatever goes wrong in it is not the user's."""
    try:
        action()
    except Exception as error:  # noqa: BLE001 - labels are comfort, the user's result is not
        _log.debug("labels lost: %s", type(error).__name__)
