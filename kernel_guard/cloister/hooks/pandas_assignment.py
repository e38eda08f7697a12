"""Labels through renaming, assignment and pickling in pandas, which change an object in place.

A column that is written over keeps what it was declared to be: labels only rise.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

from cloister.hooks.display import patch
from cloister.hooks.pandas_index import carry_axes
from cloister.hooks.pandas_provenance import (
    FIELD,
    carried_attrs,
    columns_of,
    follow,
    is_frame,
    names_in,
    provenance_of,
    put,
    set_provenance,
    tag_index,
    value_trace,
)
from cloister.hooks.provenance import Provenance, Trace, join_all

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from types import ModuleType

    from cloister.hooks.labels import ColumnLabel

_log = logging.getLogger(__name__)

# A wider table's columns are not renamed one by one.
_MOST_RENAMED = 2_000


def install(pandas: ModuleType) -> None:
    """Follows labels through changes in place; does nothing the second time.

    Raises:
        AttributeError: This pandas makes its objects in another way.
    """
    from pandas.core.generic import NDFrame
    from pandas.core.indexing import _iLocIndexer

    frame = pandas.DataFrame
    patch(NDFrame, "_set_axis", _wrap_set_axis)
    patch(NDFrame, "_update_inplace", _wrap_update_inplace)
    patch(NDFrame, "__getstate__", _wrap_getstate)
    patch(frame, "set_index", _wrap_set_index)
    if not hasattr(pandas.Index.__new__, "__cloister_original__"):
        pandas.Index.__new__ = staticmethod(_wrap_new_index(pandas.Index.__new__, pandas.Series))
    patch(pandas.Series, "_set_name", _wrap_set_name)
    patch(frame, "_set_item", _wrap_set_item)
    patch(frame, "_set_item_frame_value", _wrap_set_item)
    patch(frame, "insert", _wrap_insert)
    patch(_iLocIndexer, "_setitem_with_indexer", _wrap_set_part)


def _wrap_set_axis(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def _set_axis(self: Any, axis: int, labels: Any) -> None:
        source = getattr(self, FIELD, None)
        if source is None:
            original(self, axis, labels)
            if FIELD in getattr(labels, "_cache", ()):
                follow(lambda: carry_axes(self))
            return
        before = self._mgr.axes[axis]
        original(self, axis, labels)
        try:
            after = self._mgr.axes[axis]
            if after is not before:
                _rename(self, source, axis, before, after)
        except Exception as error:  # noqa: BLE001 - labels are comfort
            _log.debug("labels lost in renaming: %s", type(error).__name__)

    return _set_axis


def _rename(obj: Any, source: Provenance, axis: int, before: Any, after: Any) -> None:
    changes: dict[Hashable, Trace | None] = {}
    # Names are those of the columns, or of the rows of what lies on its side.
    is_of_names = source.is_on_side == (axis == 1) if is_frame(obj) else source.is_on_side
    if is_of_names and len(before) == len(after):
        if len(before) <= _MOST_RENAMED:
            changes = _renamed(source, names_in(before), names_in(after))
        elif not before.equals(after):
            source = source.with_rest(join_all((source.rest, source.of_all(before))))
            put(obj, FIELD, source)
    if before.nlevels > 1 or after.nlevels > 1 or before.name != after.name:
        changes |= _levels_renamed(source, before.names, after.names)
    if changes:
        put(obj, FIELD, source.with_names(changes))


def _levels_renamed(source: Provenance, before: Any, after: Any) -> dict[Hashable, Trace | None]:
    if len(before) != len(after) or set(before) == set(after):  # or levels that changed places
        return {}
    changes: dict[Hashable, Trace | None] = {}
    for old, new in zip(before, after, strict=True):
        trace = None if old is None else source.names.get(old)
        if trace is not None and new is not None and new != old:
            changes[new] = trace.moved("renamed")
    return changes


def _renamed(
    source: Provenance, before: list[Any], after: list[Any]
) -> dict[Hashable, Trace | None]:
    changes: dict[Hashable, Trace | None] = {}
    for old, new in zip(before, after, strict=True):
        if old is new or old == new:
            continue
        trace = source.of(old)
        if trace is not None:
            # Numbers are what pandas puts where there is no name yet.
            changes[new] = trace.moved("renamed") if isinstance(old, str) else trace
        elif new in source.names or source.rest is not None:
            changes[new] = None
    return changes


def _wrap_new_index(original: Callable[..., Any], series: type) -> Callable[..., Any]:
    @functools.wraps(original)
    def __new__(cls: type, data: Any = None, *args: Any, **kwargs: Any) -> Any:  # noqa: N807 - the name that Python calls
        made = original(cls, data, *args, **kwargs)
        if data.__class__ is series:
            try:
                trace = value_trace(data)
                if trace is not None:
                    made._cache[FIELD] = (trace,)  # noqa: SLF001 - see tag_index
            except Exception as error:  # noqa: BLE001 - labels are comfort
                _log.debug("labels lost: %s", type(error).__name__)
        return made

    __new__.__cloister_original__ = original  # type: ignore[attr-defined]
    return __new__


def _wrap_set_index(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def set_index(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        try:
            keys = args[0] if args else kwargs.get("keys")
            made = self if result is None else result
            traces = {
                key.name: value_trace(key)
                for key in (keys if isinstance(keys, list) else [keys])
                if key is not None and hasattr(key, "_mgr")
            }
            if any(traces.values()):
                set_provenance(made, (provenance_of(made) or Provenance({})).with_names(traces))
            tag_index(made)
        except Exception as error:  # noqa: BLE001 - labels are comfort
            _log.debug("labels lost: %s", type(error).__name__)
        return result

    return set_index


def _wrap_set_name(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def _set_name(self: Any, name: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, name, *args, **kwargs)
        source = None if result is None else getattr(result, FIELD, None)
        if source is not None and source.rest is not None:
            put(result, FIELD, source.with_rest(source.rest.moved("renamed")))
        return result

    return _set_name


def _wrap_update_inplace(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def _update_inplace(self: Any, result: Any) -> Any:
        returned = original(self, result)
        known = getattr(result, FIELD, None)
        if known is not None:
            put(self, FIELD, known)
        return returned

    return _update_inplace


def _wrap_set_item(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def _set_item(self: Any, key: Any, value: Any) -> Any:
        returned = original(self, key, value)
        _assigned(self, key, value)
        return returned

    return _set_item


def _wrap_insert(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def insert(self: Any, loc: Any, column: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        returned = original(self, loc, column, value, *args, **kwargs)
        _assigned(self, column, value)
        return returned

    return insert


def _assigned(frame: Any, key: Any, value: Any) -> None:
    """Follows ``frame[key] = value``; what a column was declared to be, it stays."""
    try:
        mine: Provenance | None = getattr(frame, FIELD, None)
        trace = value_trace(value)
        if mine is None:
            if trace is not None:
                put(frame, FIELD, Provenance({key: trace}))
            return
        old = mine.names.get(key)
        if old is not None:
            if trace is old:
                return
            if not _is_passing(old.label):
                trace = join_all((trace, old))
        if trace is not None or old is not None or mine.rest is not None:
            put(frame, FIELD, mine.with_names({key: trace}))
    except Exception as error:  # noqa: BLE001 - labels are comfort
        _log.debug("labels lost in an assignment: %s", type(error).__name__)


def _is_passing(label: ColumnLabel) -> bool:
    """Returns whether a label was only detected in values that have been written over now."""
    return not (label.is_stated or label.is_read or label.is_derived)


def _wrap_set_part(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def _setitem_with_indexer(self: Any, indexer: Any, value: Any, name: str = "iloc") -> Any:
        returned = original(self, indexer, value, name)
        try:
            trace = value_trace(value)
            if trace is not None:
                _part_assigned(self.obj, indexer, trace)
        except Exception as error:  # noqa: BLE001 - labels are comfort
            _log.debug("labels lost in an assignment: %s", type(error).__name__)
        return returned

    return _setitem_with_indexer


def _part_assigned(obj: Any, indexer: Any, trace: Trace) -> None:
    mine: Provenance = getattr(obj, FIELD, None) or Provenance({})
    if not is_frame(obj):
        put(obj, FIELD, mine.with_rest(join_all((mine.rest, trace))))
        return
    columns = columns_of(obj)
    place = indexer[1] if isinstance(indexer, tuple) and len(indexer) == 2 else slice(None)
    if isinstance(place, dict):  # a column that was new
        place = slice(-1, None)
    names = columns[place]
    names = list(names) if hasattr(names, "get_indexer") else [names]
    put(obj, FIELD, mine.with_names({n: join_all((mine.of(n), trace)) for n in names}))


def _wrap_getstate(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def __getstate__(self: Any) -> Any:  # noqa: N807 - the name that pickle calls
        state = original(self)
        try:
            carried = carried_attrs(self)
            if carried is not None:
                state["attrs"] = carried
        except Exception as error:  # noqa: BLE001 - labels are comfort, the user's pickle is not
            _log.debug("labels not pickled: %s", type(error).__name__)
        return state

    return __getstate__
