"""Cloister: a JupyterLab that you can let near real data.

The guard is on without this import. What is here explains and helps:

``explain(df)`` says how each column is labelled and what the policy does with it; ``mask(obj)``
returns a masked copy, ``preview(df)`` invented rows that look like a table, ``tokenize(series)``
tokens; ``reveal(tokens)`` undoes reversible ones where the policy allows it. Errors are subclasses
of :class:`CloisterError` with ``code``, ``rule`` and ``remedy``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloister.core.errors import BudgetExceeded, CloisterError, EgressDenied
    from cloister.hooks.api import explain, mask, preview, reveal, tokenize

__version__ = "0.1.0"
__all__ = [
    "BudgetExceeded",
    "CloisterError",
    "EgressDenied",
    "__version__",
    "explain",
    "mask",
    "preview",
    "reveal",
    "tokenize",
]

_ERRORS = frozenset({"BudgetExceeded", "CloisterError", "EgressDenied"})


def __getattr__(name: str) -> object:
    # Lazy: the server and the sidecar import this package too, and need none of the hooks.
    if name in _ERRORS:
        from cloister.core import errors

        return getattr(errors, name)
    if name in __all__:
        from cloister.hooks import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
