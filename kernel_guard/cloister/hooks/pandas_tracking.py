"""Labels follow data through pandas.

pandas calls ``__finalize__`` wherever one object is made of another, and says how; that one method
carries most labels. Renaming and assignment (:mod:`cloister.hooks.pandas_assignment`) and what
pandas builds anew (groups, reshaping, conversions, exports) have modules of their own.

All of it is comfort. Whatever goes wrong is swallowed and the result has no label of its own; it is
then classified by its values, and the gate outside recognises them.
"""

from __future__ import annotations

import functools
import logging
import sys
from typing import TYPE_CHECKING, Any

from cloister.hooks import (
    pandas_accessors,
    pandas_assignment,
    pandas_cells,
    pandas_groups,
    pandas_index,
    pandas_reshaping,
    pandas_values,
)
from cloister.hooks.display import patch
from cloister.hooks.pandas_provenance import (
    FIELD,
    columns_of,
    is_frame,
    provenance_of,
    put,
    rows_of,
    value_trace,
)
from cloister.hooks.provenance import Provenance, Trace, join_all

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from types import ModuleType

_log = logging.getLogger(__name__)

# A wider table is not looked at column by column.
_MOST_COLUMNS = 2_000


# What tells how many cells there are, or whether, but not what is in them.
_COUNTS = frozenset({"isna", "isnull", "notna", "notnull", "duplicated", "count"})
_STATISTICS = frozenset(
    {"mean", "sum", "std", "var", "sem", "skew", "kurt", "median", "prod", "all", "any"}
    | {"min", "max", "mode", "describe", "quantile", "corr", "cov", "idxmin", "idxmax"}
)
_COMPUTED = {
    "str": "text operation", "str_cat": "text operation", "map": "map", "apply": "apply",
    "diff": "difference", "pct_change": "change", "rank": "rank", "round": "rounding",
    "__round__": "rounding", "__neg__": "arithmetic", "__pos__": "arithmetic",
    "__invert__": "arithmetic", "dot": "arithmetic", "isin": "comparison", "argsort": "order",
    "combine": "combination",
}  # fmt: skip
# Where pandas does not say how, the function that asks does.
_COMPUTING_CALLERS = {
    "_construct_result": "arithmetic", "_reconstruct": "numpy function",
    "_accum_func": "running total", "block_accum_func": "running total", "clip": "clipping",
    "_delegate_property_get": "part of a date", "_delegate_method": "part of a date",
    "isocalendar": "part of a date", "abs": "arithmetic",
}  # fmt: skip
# Cells in other rows, or of another type, and nothing else.
_MOVES = frozenset(
    {"copy", "take", "reindex", "sort_values", "sort_index", "shift", "interpolate"}
    | {"tz_localize", "tz_convert", "repeat", "reset_index"}
)
# Results whose parts have brought what is known of them.
_BUILT_OF_PARTS = frozenset({"pivot_table", "groupby", "squeeze"})
# Results of which the source says everything, whatever pandas built them from.
_KNOWN_WHOLLY = frozenset(
    {"melt", "explode", "transpose", "astype", "convert_dtypes", "infer_objects"}
)
# Arguments that a result is made of as well, by what pandas calls the step and then the argument.
_OPERANDS = {
    "fillna": "value",
    "combine_first": "other",
    "combine": "other",
    "replace": "value",
    "str_cat": "others",
    "map": "func",
}


def install(pandas: ModuleType) -> None:
    """Follows labels through pandas from now on; does nothing the second time.

    Raises:
        AttributeError: This pandas makes its objects in another way.
    """
    from pandas.core.generic import NDFrame

    # Found by a plain look, where an object has none: pandas' own __getattr__ is slow.
    setattr(NDFrame, FIELD, None)
    patch(NDFrame, "__finalize__", _wrap_finalize)
    for part in (
        pandas_assignment,
        pandas_groups,
        pandas_reshaping,
        pandas_values,
        pandas_index,
        pandas_cells,
        pandas_accessors,
    ):
        part.install(pandas)


def _wrap_finalize(original: Callable[..., Any]) -> Callable[..., Any]:  # noqa: C901 - hot: no calls
    caller_at = sys._getframe  # noqa: SLF001 - pandas does not always say how; its caller's name does

    @functools.wraps(original)
    def __finalize__(  # noqa: C901, N807 - hot; the name that pandas calls
        self: Any, other: Any, method: str | None = None, **kwargs: Any
    ) -> Any:
        if kwargs:
            result = original(self, other, method, **kwargs)
        else:
            result = original(self, other, method)
        try:
            source = getattr(other, FIELD, None)
            if source is None:
                if _says_nothing(other, method):
                    return result
            elif method is None:
                if type(self) is type(other):
                    step = _COMPUTING_CALLERS.get(caller_at(1).f_code.co_name)
                    if step is not None:
                        is_series = self._typ == "series"
                        source = source.cells_derived(step) if is_series else source.derived(step)
                    _add(self, source)
                    return result
                # A column that was taken before, by its name and with all rows.
                if self._typ == "series" and self._mgr.axes[-1].is_(other._mgr.axes[-1]):  # noqa: SLF001 - hot
                    column = source.known_column(self._name)
                    if column is not None:
                        put(self, FIELD, column)
                        return result
            elif method in _MOVES and type(self) is type(other):
                _add(self, source)
                return result
            _finalize(self, other, source, method)
        except Exception as error:  # noqa: BLE001 - labels are comfort, the user's result is not
            _log.debug("labels lost: %s", type(error).__name__)
        return result

    return __finalize__


def _says_nothing(other: Any, method: str | None) -> bool:
    """Returns whether nothing is known of what something is made of, itself or its operands."""
    attrs = getattr(other, "_attrs", None)
    if attrs is None:  # neither a table nor a column
        return not hasattr(other, "input_objs")
    if attrs and provenance_of(other) is not None:
        return False
    return method not in _OPERANDS


def _add(made: Any, source: Provenance) -> None:
    before = getattr(made, FIELD, None)
    put(made, FIELD, source if before is None else before.join(source))


def _finalize(  # noqa: C901, PLR0912 - one rule after the other, each of two lines
    made: Any, other: Any, source: Provenance | None, method: str | None
) -> None:
    is_of_several = not hasattr(other, "_mgr")
    if source is None:
        source = getattr(other, FIELD, None) or _source(made, other, method)
        if source is None:
            return
    before: Provenance | None = getattr(made, FIELD, None)
    if before is source:
        return
    if method in _COUNTS:
        put(made, FIELD, None)
        return
    if method == "rename" and before is not None and is_frame(made):
        return  # renamed column by column when the labels were set
    if method in _BUILT_OF_PARTS and before is not None and not before.is_on_side:
        return
    if is_of_several:
        after: Provenance | None = source
    elif method in _OPERANDS:
        operand = sys._getframe(2).f_locals.get(_OPERANDS[method])  # noqa: SLF001 - as above
        after = _with_operand(source, operand)
        if method in _COMPUTED:
            after = after.derived(_COMPUTED[method])
    else:
        after = _followed(made, other, source, method)
    if after is None:
        return
    if before is None or method in _KNOWN_WHOLLY or (after.is_on_side and not before.names):
        put(made, FIELD, after)
    else:
        put(made, FIELD, before.join(after))


def _source(made: Any, other: Any, method: str | None) -> Provenance | None:
    if not hasattr(other, "_mgr"):
        return _of_several(made, other.input_objs, method)
    # Nothing is known of the object itself, but perhaps of what went into it.
    frame = sys._getframe(3)  # noqa: SLF001 - the caller's argument, which pandas does not pass on
    operand = frame.f_locals.get(_OPERANDS[method or ""])
    return Provenance({}) if _operand_traces(operand) else None


def _with_operand(source: Provenance, operand: object) -> Provenance:
    for other in _operand_traces(operand):
        source = source.join(other)
    return source


def _operand_traces(operand: object) -> list[Provenance]:
    """Returns what is known of a table, a column, a dict of replacements or a list of these."""
    if isinstance(operand, list | tuple) and any(hasattr(part, "_mgr") for part in operand):
        return [known for part in operand if (known := provenance_of(part)) is not None]
    if isinstance(operand, dict | list | tuple):
        trace = value_trace(operand)
        return [] if trace is None else [Provenance({}, trace)]
    known = provenance_of(operand)
    return [] if known is None else [known]


def _followed(made: Any, other: Any, source: Provenance, method: str | None) -> Provenance | None:
    if is_frame(other):
        if is_frame(made):
            return _frame_of_frame(made, other, source, method)
        return _series_of_frame(made, other, source, method)
    if is_frame(made):
        return _frame_of_series(made, other, source, method)
    return _series_of_series(other, source, method)


def _step(method: str | None) -> str | None:
    """Returns the words for a computation, ``None`` where cells only moved."""
    if method is None:
        # _step ← the rule ← _followed ← _finalize ← __finalize__ ← pandas
        return _COMPUTING_CALLERS.get(sys._getframe(5).f_code.co_name)  # noqa: SLF001 - see above
    return _COMPUTED.get(method)


def _frame_of_frame(
    made: Any, other: Any, source: Provenance, method: str | None
) -> Provenance | None:
    step = _step(method)
    if step is not None:
        derived = source.derived(step)
        if (
            method != "apply"
            or source.is_on_side
            or _are_among(columns_of(made), columns_of(other))
        ):
            return derived
        # A function of rows made columns of its own, which may hold any cell of theirs.
        return derived.with_rest(derived.of_all(columns_of(other)))
    if method in _STATISTICS and method is not None:
        return source.aggregated(method, len(rows_of(other)))
    if method == "transpose":
        return source.turned()
    if method == "stack":
        return source.with_rest(join_all((source.rest, source.of_all(columns_of(other)))))
    return source


def _series_of_frame(  # noqa: C901, PLR0911 - a case for each way to lie
    made: Any, other: Any, source: Provenance, method: str | None
) -> Provenance | None:
    if method is None and rows_of(made).is_(rows_of(other)):
        name = made._name  # noqa: SLF001 - the property takes longer
        if not source.is_on_side:
            step = _step(None)
            if step is None and name in columns_of(other):
                return source.column(name)
        elif name in columns_of(other):
            return source
    is_of_columns = _are_equal(rows_of(made), columns_of(other))
    step = _step(method)
    count = len(rows_of(other))
    if is_of_columns and not source.is_on_side:
        turned = source.turned()
        if method is None:
            # A row goes by its label, which may be a value of a labelled column.
            label = join_all(source.names.get(n) for n in rows_of(other).names)
            if label is not None:
                return Provenance(source.names, source.rest, header=label, is_on_side=True)
        if method in _STATISTICS:
            return turned.aggregated(method, count)
        return turned if step is None else turned.derived(step)
    cells = join_all((source.of_all(columns_of(other)), source.rest))
    if source.is_on_side:
        cells = join_all((cells, *source.names.values()))
        if _are_equal(rows_of(made), rows_of(other)):
            return source.aggregated(method, len(columns_of(other))) if method else source
    if cells is not None:
        cells = (
            cells.moved("stacked")
            if method == "stack"
            else cells.derived(step or method or "values of a row")
        )
    return Provenance(source.names, cells)


def _are_among(some: Any, others: Any) -> bool:
    return some.is_(others) or bool(some.isin(others).all())


def _are_equal(one: Any, other: Any) -> bool:
    return one.is_(other) or (len(one) == len(other) and bool(one.equals(other)))


def _frame_of_series(
    made: Any, other: Any, source: Provenance, method: str | None
) -> Provenance | None:
    step = _step(method)
    rest = source.rest
    if method in _STATISTICS and rest is not None:
        rest = rest.aggregated(method, len(rows_of(other)))
    elif step is not None and rest is not None:
        rest = rest.derived(step)
    if source.is_on_side:
        if _are_equal(columns_of(made), rows_of(other)):
            source = source.turned()  # set against the rows of a table
        return source.derived(step) if step is not None else source.with_rest(rest)
    names = dict(source.names)
    columns = columns_of(made)
    for name in rows_of(other).names:
        names.setdefault(name, None)
    name = other._name  # noqa: SLF001 - the property takes longer
    for column in columns if len(columns) <= _MOST_COLUMNS else ():
        if column == name or column not in source.names:
            names[column] = rest if column not in rows_of(other).names else names[column]
    return Provenance(names, rest)


def _series_of_series(other: Any, source: Provenance, method: str | None) -> Provenance | None:
    step = _step(method)
    if step is not None:
        return source.cells_derived(step)
    if method is None:
        return source
    if method == "rename":
        return source if source.rest is None else source.with_rest(source.rest.moved("renamed"))
    if method in _STATISTICS and source.rest is not None:
        return source.with_rest(source.rest.aggregated(method, len(rows_of(other))))
    return source


def _of_several(made: Any, objs: Any, method: str | None) -> Provenance | None:
    """Returns what a concatenation or a merge is made of."""
    known = [provenance_of(obj) for obj in objs]
    if not any(known):
        return None
    step = "merged" if method == "merge" else "concatenated"
    before: Provenance | None = getattr(made, FIELD, None)
    if method == "merge" and before is not None:
        # Renamed and put side by side by pandas itself; only the word is missing.
        put(made, FIELD, None)
        return before.restepped("concatenated", step)
    if not is_frame(made):
        parts = [p.rest for p in known if p is not None]
        cells = join_all(parts)
        names = _names_of(known)
        return Provenance(names, None if cells is None else cells.moved(step))
    put(made, FIELD, None)
    columns = columns_of(made)
    if not any(is_frame(obj) for obj in objs) and len(columns) == len(objs):
        traces = {
            column: None if p is None or p.rest is None else p.rest.moved(step)
            for column, p in zip(columns, known, strict=True)
        }
        return Provenance({**_names_of(known), **traces})
    joined: Provenance | None = None
    for obj, part in zip(objs, known, strict=True):
        if part is None:
            continue
        present = part
        if not is_frame(obj):
            present = part.with_names({obj.name: part.rest}).with_rest(None)
        joined = present if joined is None else joined.join(present)
    if joined is None or (len(objs) == 1 and known[0] is not None):
        return joined
    return joined.moved(step)


def _names_of(known: list[Provenance | None]) -> dict[Hashable, Trace | None]:
    names: dict[Hashable, Trace | None] = {}
    for part in known:
        if part is not None:
            for name, trace in part.names.items():
                names[name] = join_all((names.get(name), trace))
    return names
