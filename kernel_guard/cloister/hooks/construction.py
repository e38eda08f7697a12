"""Observes tables that the user's own code builds from values in memory, as they are built.

Labels of what a table is built of go on to the table (:mod:`cloister.hooks.pandas_values`).

``df = pd.DataFrame({...}); print(df.name[0])`` in one cell is the case: nothing was read and
nothing shown before the print. Constructor calls from libraries are left alone.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from cloister.hooks.display import patch
from cloister.hooks.observe import observe_new
from cloister.hooks.pandas_values import follow_construction

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


def install(library: ModuleType) -> None:
    """Wraps the constructors of ``DataFrame`` and ``Series``; does nothing the second time."""
    wrap = _wrap_pandas if library.__name__ == "pandas" else _wrap
    for name in ("DataFrame", "Series"):
        patch(getattr(library, name), "__init__", wrap)


def _wrap(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the name users see
        original(self, *args, **kwargs)
        observe_new(self)

    return __init__


def _wrap_pandas(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the name users see
        original(self, *args, **kwargs)
        follow_construction(self, args, kwargs)
        observe_new(self)

    return __init__
