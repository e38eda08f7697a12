"""Observes tables that the user's own code builds from values in memory, as they are built.

``df = pd.DataFrame({...}); print(df.name[0])`` in one cell is the case: nothing was read and
nothing shown before the print. Constructor calls from libraries are left alone.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from cloister.hooks.display import patch
from cloister.hooks.observe import observe_new

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


def install(library: ModuleType) -> None:
    """Wraps the constructors of ``DataFrame`` and ``Series``; does nothing the second time."""
    for name in ("DataFrame", "Series"):
        patch(getattr(library, name), "__init__", _wrap)


def _wrap(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the name users see
        original(self, *args, **kwargs)
        observe_new(self)

    return __init__
