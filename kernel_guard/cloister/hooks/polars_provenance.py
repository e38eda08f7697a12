"""What a polars object is known to be made of, and where that is kept.

As in pandas, it lies in the instance dictionary (:mod:`cloister.hooks.provenance`); a result that
is not understood has no label of its own, and no wrapper changes a result or an exception.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

from cloister.hooks.provenance import Provenance, declared

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cloister.hooks.labels import ColumnLabel

_log = logging.getLogger(__name__)

#: Field in the instance dictionary of a frame, lazy frame, Series or group.
FIELD = "_cloister_provenance"


def provenance_of(obj: Any) -> Provenance | None:
    """Returns what a polars object is known to be made of; never raises."""
    try:
        known: Provenance | None = obj.__dict__.get(FIELD)
    except Exception:  # noqa: BLE001 - an object of another kind
        return None
    return known


def set_provenance(obj: Any, known: Provenance | None) -> None:
    """Says what an object is made of; ``None`` forgets it."""
    if known is None:
        obj.__dict__.pop(FIELD, None)
    else:
        obj.__dict__[FIELD] = known


def declare(obj: Any, labels: Mapping[str, ColumnLabel], place: str = "") -> None:
    """Says that a table was read, and what its columns hold."""
    if is_table(obj):
        set_provenance(obj, declared(labels, place))


def is_table(obj: object) -> bool:
    """Returns whether an object is a frame or a lazy frame of polars."""
    return type(obj).__name__ in {"DataFrame", "LazyFrame"} and _is_polars(obj)


def is_series(obj: object) -> bool:
    """Returns whether an object is a column of polars."""
    return type(obj).__name__ == "Series" and _is_polars(obj)


def _is_polars(obj: object) -> bool:
    return type(obj).__module__.startswith("polars")


def follow(action: Callable[..., None], *args: Any) -> None:
    """Runs a step that follows labels; whatever goes wrong in it is not the user's."""
    try:
        action(*args)
    except Exception as error:  # noqa: BLE001 - labels are comfort, the user's result is not
        _log.debug("labels lost: %s", type(error).__name__)


def wrapper(rule: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Returns a decorator that runs a method and then lets ``rule`` say what its result is."""

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(self, *args, **kwargs)
            source = self.__dict__.get(FIELD)
            if source is not None and result is not self:
                follow(rule, result, self, source, args, kwargs)
            return result

        return method

    return wrap
