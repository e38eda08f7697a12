"""Labels through columns of polars: their methods, namespaces like ``.str``, and arithmetic."""

from __future__ import annotations

import functools
import importlib
import re
from typing import TYPE_CHECKING, Any

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
from cloister.hooks.provenance import Provenance, join_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

_NAMESPACES = {
    "string": "StringNameSpace", "datetime": "DateTimeNameSpace", "list": "ListNameSpace",
    "array": "ArrayNameSpace", "struct": "StructNameSpace", "categorical": "CatNameSpace",
    "binary": "BinaryNameSpace",
}  # fmt: skip
_ARITHMETIC = re.compile(
    r"__r?(add|sub|mul|truediv|floordiv|mod|pow|and|or|xor)__|__(eq|ne|lt|le|gt|ge|neg|invert)__"
    r"|__array_ufunc__"
)


def install(polars: ModuleType) -> None:
    """Follows labels through columns; does nothing the second time.

    Raises:
        AttributeError: This polars has no such class.
    """
    column = polars.Series
    patch(column, "to_frame", _wrap_to_frame)
    for name, value in list(vars(column).items()):
        if is_method(value) and (not name.startswith("_") or _ARITHMETIC.fullmatch(name)):
            patch(column, name, _wrap_column)
    for space in namespaces():
        patch(space, "__init__", _wrap_space_init)
        for name, value in list(vars(space).items()):
            if is_method(value) and not name.startswith("_"):
                patch(space, name, functools.partial(_wrap_column, moves=frozenset()))


def is_method(value: object) -> bool:
    """Returns whether what a class holds is a method of its instances."""
    return callable(value) and not isinstance(value, type | staticmethod | classmethod)


def namespaces() -> list[type]:
    """Returns the classes behind ``series.str``, ``series.dt`` and their like."""
    found = []
    for module, name in _NAMESPACES.items():
        space = getattr(importlib.import_module(f"polars.series.{module}"), name, None)
        if isinstance(space, type):
            found.append(space)
    return found


_MOVES = frozenset(
    {"alias", "rename", "clone", "head", "tail", "limit", "slice", "sort", "filter", "sample"}
    | {"gather", "reverse", "drop_nulls", "fill_null", "unique", "cast", "shuffle", "rechunk"}
    | {"shift", "gather_every", "top_k", "bottom_k", "explode", "append", "extend"}
)


def _wrap_column(
    original: Callable[..., Any], moves: frozenset[str] = _MOVES
) -> Callable[..., Any]:
    name = getattr(original, "__name__", "")
    step = "arithmetic" if name.startswith("__") else name.replace("_", " ")
    if name in moves:
        step = None

    @functools.wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        fields = self.__dict__
        if result is not self and (FIELD in fields or args):
            follow(_column, result, fields.get(FIELD), step, args)
        return result

    return method


def _column(result: Any, source: Provenance | None, step: str | None, args: Any) -> None:
    if not (is_series(result) or is_table(result)):
        return
    others = [known.rest for arg in args if (known := provenance_of(arg)) is not None]
    trace = join_all((None if source is None else source.rest, *others))
    if trace is None:
        return
    trace = trace if step is None else trace.derived(step)
    if step == "value counts":
        set_provenance(result, Provenance({"count": None, "proportion": None}, trace))
    else:
        set_provenance(result, Provenance({}, trace))


def _wrap_to_frame(original: Callable[..., Any]) -> Callable[..., Any]:
    def to_frame(result: Any, _series: Any, source: Provenance, _args: Any, _kwargs: Any) -> None:
        set_provenance(result, Provenance(dict.fromkeys(result.columns, source.rest)))

    return wrapper(to_frame)(original)


def _wrap_space_init(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def __init__(self: Any, series: Any) -> None:  # noqa: N807 - the name that polars calls
        original(self, series)
        known = provenance_of(series)
        if known is not None:
            follow(set_provenance, self, known)

    return __init__
