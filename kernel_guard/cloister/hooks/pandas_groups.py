"""Labels through groups and windows of pandas, whose results are made of bare arrays.

A statistic over groups carries the number of rows in its smallest group, so that a disclosure rule
can judge it later. A function of the user's may return a cell as it is, so it counts as one row.
"""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any

from cloister.hooks.display import patch
from cloister.hooks.pandas_provenance import (
    FIELD,
    columns_of,
    follow,
    is_frame,
    rows_of,
    set_provenance,
    tag_index,
)
from cloister.hooks.provenance import ONE_ROW, Provenance, Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable
    from types import ModuleType


_GROUP_STATISTICS = (
    "mean", "sum", "std", "var", "sem", "skew", "kurt", "median", "prod", "quantile", "corr", "cov",
    "any", "all", "min", "max", "first", "last", "idxmin", "idxmax", "ohlc", "describe", "corrwith",
)  # fmt: skip
#: What tells how many rows there are, and nothing of what is in them.
COUNTS = ("size", "count", "nunique", "ngroup", "cumcount", "value_counts")
_GROUP_COMPUTED = {
    "transform": "transform of groups", "apply": "apply to groups", "cumsum": "running total",
    "cumprod": "running total", "cummax": "running total", "cummin": "running total",
    "rank": "rank", "diff": "difference", "pct_change": "change", "ffill": "filling",
    "bfill": "filling",
}  # fmt: skip
_WINDOW_METHODS = (
    "mean", "sum", "std", "var", "sem", "skew", "kurt", "median", "quantile", "rank", "min", "max",
    "corr", "cov", "apply", "aggregate", "agg", "first", "last", "nunique",
)  # fmt: skip
_KNOWN_STATISTICS = frozenset({*_GROUP_STATISTICS, "average", "amin", "amax", *COUNTS})

_inside = threading.local()


def install(pandas: ModuleType) -> None:
    """Follows labels through groups and windows; does nothing the second time.

    Raises:
        AttributeError: This pandas has no such class.
    """
    groups_of = pandas.core.groupby
    for groups in (groups_of.DataFrameGroupBy, groups_of.SeriesGroupBy):
        patch(groups, "aggregate", functools.partial(_wrap_statistic, None))
        groups.agg = groups.aggregate
        for name in _GROUP_STATISTICS:
            _patch_own(groups, name, functools.partial(_wrap_statistic, name))
        for name in COUNTS:
            _patch_own(groups, name, _wrap_count)
        for name, step in _GROUP_COMPUTED.items():
            _patch_own(groups, name, functools.partial(_wrap_computed, step))
    from pandas.core.groupby import ops
    from pandas.core.window.rolling import BaseWindow

    for splitter in (ops.FrameSplitter, ops.SeriesSplitter):
        patch(splitter, "_chop", _wrap_chop)
    for window in _subclasses(BaseWindow):
        for name in vars(window).keys() & set(_WINDOW_METHODS):
            patch(window, name, functools.partial(_wrap_computed, "window"))


def _wrap_chop(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def chop(self: Any, sdata: Any, *args: Any, **kwargs: Any) -> Any:
        """Labels the table of one group, for which pandas leaves ``__finalize__`` out."""
        group = original(self, sdata, *args, **kwargs)
        source = getattr(sdata, FIELD, None)
        if source is not None:
            set_provenance(group, source)
        return group

    return chop


def _patch_own(owner: Any, name: str, wrap: Any) -> None:
    if hasattr(owner, name):
        patch(owner, name, wrap)


def _subclasses(owner: Any) -> Iterable[Any]:
    yield owner
    for child in owner.__subclasses__():
        yield from _subclasses(child)


def _wrap_statistic(name: str | None, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def statistic(self: Any, *args: Any, **kwargs: Any) -> Any:
        source = getattr(self.obj, FIELD, None)
        if source is None or getattr(_inside, "groups", False):
            return original(self, *args, **kwargs)
        _inside.groups = True
        try:
            result = original(self, *args, **kwargs)
        finally:
            _inside.groups = False
        follow(lambda: _aggregated(result, self, source, name, args, kwargs))
        return result

    return statistic


def _aggregated(  # noqa: C901, PLR0917 - agg takes its statistics in four shapes
    result: Any,
    groups: Any,
    source: Provenance,
    name: str | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    least = _least_group(groups)
    counted = getattr(_inside, "least", None)
    _inside.least = least if counted is None or least is None else min(counted, least)

    def of(trace: Trace | None, asked: object) -> Trace | None:
        return None if trace is None else aggregate(trace, asked, least)

    asked = name if name is not None else (args[0] if args else kwargs.get("func"))
    whole: object = asked if asked is not None else list(kwargs.values())
    keys = groups._grouper.names  # noqa: SLF001 - the groups' own names, which are not public
    if isinstance(asked, str) and is_frame(result) == is_frame(groups.obj):

        def of_one() -> Provenance:
            kept = {n: source.names.get(n) for n in keys}
            made = {n: of(t, asked) for n, t in source.names.items() if n not in kept}
            return Provenance({**made, **kept}, of(source.rest, asked))

        set_provenance(result, source.remembered(("groups", asked, least, *keys), of_one))
        tag_index(result)
        return
    names: dict[Hashable, Trace | None] = {key: source.names.get(key) for key in keys}
    if not is_frame(groups.obj):
        if is_frame(result):
            each = set(statistics_in(asked)) if isinstance(asked, list | tuple) else set()
            for column in columns_of(result).tolist():
                if column not in keys:
                    names[column] = of(source.rest, column if column in each else whole)
            names |= {c: of(source.rest, f) for c, f in kwargs.items() if c in names}
    else:
        shown = columns_of(result) if is_frame(result) else ()
        for column, trace in source.names.items():
            if trace is not None and column not in keys and column in shown:
                names[column] = of(trace, whole)
        for column, named in asked.items() if isinstance(asked, dict) else ():
            names[column] = of(source.of(column), named)
            names |= {(column, s): of(source.of(column), s) for s in statistics_in(named)}
        for new, named in kwargs.items() if name is None and asked is None else ():
            if isinstance(named, tuple) and len(named) == 2:
                names[new] = of(source.of(named[0]), named[1])
    set_provenance(result, Provenance(names, of(source.rest, whole)))
    tag_index(result)


def aggregate(trace: Trace, asked: object, least: int | None) -> Trace:
    """Returns the trace of one or more statistics; one that is not known may return a cell."""
    statistics = statistics_in(asked)
    if any(s not in _KNOWN_STATISTICS or s in ONE_ROW for s in statistics) or not statistics:
        least = 1
    return trace.aggregated(" and ".join(dict.fromkeys(statistics)) or "statistic", least)


def statistics_in(asked: object) -> list[str]:
    """Returns the names of the statistics in any shape that ``agg`` takes."""
    if isinstance(asked, str):
        return [asked]
    if isinstance(asked, dict):
        asked = list(asked.values())
    if isinstance(asked, tuple) and len(asked) == 2 and not callable(asked[0]):
        return statistics_in(asked[1])  # a column, or a name, and its statistic
    if isinstance(asked, list | tuple):
        return [name for part in asked for name in statistics_in(part)]
    return [] if asked is None else [str(getattr(asked, "__name__", "function"))]


def _least_group(groups: Any) -> int | None:
    """Returns the rows of the smallest group; one pass over the group numbers."""
    import numpy as np

    numbers = groups._grouper.ids  # noqa: SLF001 - the numbers that pandas has computed already
    if not len(numbers):
        return None
    try:
        sizes = np.bincount(numbers)
    except ValueError:  # rows whose key is null are in no group
        sizes = np.bincount(numbers[numbers >= 0])
    least = int(sizes.min()) if sizes.size else 0
    if least == 0:  # a category that no row has is nobody's group
        sizes = sizes[sizes > 0]
        return int(sizes.min()) if sizes.size else None
    return least


def _wrap_count(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def count(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        source = getattr(self.obj, FIELD, None)
        if source is not None:
            follow(lambda: _counted(result, self, source))
        return result

    return count


def _counted(result: Any, groups: Any, source: Provenance) -> None:
    keys = groups._grouper.names  # noqa: SLF001 - the groups' own names, which are not public
    names = {key: source.names.get(key) for key in keys}
    axes = (*rows_of(result).names, *(columns_of(result) if is_frame(result) else ()))
    if not is_frame(groups.obj) and groups.obj.name in axes:
        names[groups.obj.name] = source.rest
    elif "count" in axes or getattr(result, "name", None) == "count":
        names = dict(source.names)  # of value_counts: the values themselves are in the index
    set_provenance(result, Provenance(names))


def _wrap_computed(step: str, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def computed(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        source = getattr(self.obj, FIELD, None)
        if source is not None:
            follow(lambda: _computed(result, self.obj, source, step))
        return result

    return computed


def _computed(result: Any, obj: Any, source: Provenance, step: str) -> None:
    if not hasattr(result, "_mgr"):
        return
    if is_frame(obj) and step.startswith("apply"):
        # The function was given whole rows of all columns.
        cells = source.of_all(columns_of(obj))
        names = set(rows_of(obj).names) | set(columns_of(obj)) if is_frame(result) else set()
        kept = {n: None if t is None else t.derived(step) for n, t in source.names.items()}
        known = Provenance(kept, None if cells is None else cells.derived(step))
        if names:
            known = known.with_names({n: kept.get(n) for n in names})
        set_provenance(result, known)
    elif is_frame(obj) and not is_frame(result):
        set_provenance(result, source.column(result.name).cells_derived(step))
    else:
        set_provenance(result, source.derived(step))


def least_count_within(action: Callable[[], Any]) -> tuple[Any, int | None]:
    """Returns a result, and the rows of the smallest group that pandas made on the way to it."""
    _inside.least = None
    result = action()
    return result, getattr(_inside, "least", None)
