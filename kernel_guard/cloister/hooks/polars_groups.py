"""Labels through groups of polars: what they hold, and how many rows the smallest one has."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from cloister.hooks.display import patch
from cloister.hooks.polars_expressions import GROUP, outputs_of
from cloister.hooks.polars_provenance import (
    FIELD,
    follow,
    is_table,
    provenance_of,
    set_provenance,
    wrapper,
)
from cloister.hooks.provenance import ONE_ROW, Provenance, Trace

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

_ROWS_IN_GROUP = "cloister: rows in the group"
_GROUPING = ("group_by", "group_by_dynamic", "rolling")


def install(polars: ModuleType) -> None:
    """Follows labels through groups; does nothing the second time.

    Raises:
        AttributeError: This polars has no such class.
    """
    from polars.dataframe.group_by import DynamicGroupBy, GroupBy, RollingGroupBy
    from polars.lazyframe.group_by import LazyGroupBy

    for owner in (polars.DataFrame, polars.LazyFrame):
        for name in _GROUPING:
            patch(owner, name, _wrap_group)
    patch(LazyGroupBy, "agg", _wrap_lazy_agg)
    patch(GroupBy, "agg", _wrap_agg)
    for owner in (LazyGroupBy, GroupBy, DynamicGroupBy, RollingGroupBy):
        patch(owner, "map_groups", _wrap_map)


def _wrap_group(original: Callable[..., Any]) -> Callable[..., Any]:
    def grouped(result: Any, _table: Any, source: Provenance, _args: Any, _kwargs: Any) -> None:
        result.__dict__[FIELD] = source

    return wrapper(grouped)(original)


def _wrap_lazy_agg(original: Callable[..., Any]) -> Callable[..., Any]:
    def aggregated(result: Any, _groups: Any, source: Provenance, args: Any, kwargs: Any) -> None:
        names, rest = outputs_of(args, kwargs, source, provenance_of, how=GROUP)
        # What is not an output is a key of the groups, whose values only moved.
        set_provenance(result, Provenance({**source.names, **names}, rest))

    return wrapper(aggregated)(original)


def _wrap_agg(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def agg(self: Any, *args: Any, **kwargs: Any) -> Any:
        source = self.__dict__.get(FIELD)
        if source is None or not source or "predicates" not in self.__dict__:
            return original(self, *args, **kwargs)
        import polars as pl

        # Counted in the same pass, and taken off again before anyone sees it.
        counted = original(self, *args, **kwargs, **{_ROWS_IN_GROUP: pl.len()})
        result = counted.drop(_ROWS_IN_GROUP)
        follow(_counted, result, counted, source, args, kwargs)
        return result

    return agg


def _counted(result: Any, counted: Any, source: Provenance, args: Any, kwargs: Any) -> None:
    least = counted.get_column(_ROWS_IN_GROUP).min()
    names, rest = outputs_of(args, kwargs, source, provenance_of, how=GROUP)
    outputs = {name: _with_count(trace, least) for name, trace in names.items()}
    set_provenance(result, Provenance({**source.names, **outputs}, _with_count(rest, least)))


def _with_count(trace: Trace | None, least: int | None) -> Trace | None:
    if trace is None or trace.aggregate is None or trace.aggregate in ONE_ROW:
        return trace
    return Trace(trace.label, trace.origins, trace.steps, trace.aggregate, least)


def _wrap_map(original: Callable[..., Any]) -> Callable[..., Any]:
    def mapped(result: Any, _groups: Any, source: Provenance, _args: Any, _kwargs: Any) -> None:
        """A function of whole groups may put any cell anywhere."""
        if is_table(result):
            made = source.derived("apply to groups")
            set_provenance(result, made.with_rest(made.of_all([*made.names, None])))

    return wrapper(mapped)(original)
