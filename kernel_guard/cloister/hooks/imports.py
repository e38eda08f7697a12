"""Runs a function once a module has been imported, and not before.

pandas and polars are patched when, and only when, the user imports them. A finder at the front of
``sys.meta_path`` recognises the few watched names, finds the module the usual way and wraps its
loader for the length of one import. An import that fails stays the user's error, a reload patches
again (patches are idempotent), and an error in a patch never becomes an import error.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

_log = logging.getLogger(__name__)

_watched: dict[str, list[Callable[[ModuleType], None]]] = {}
_failed: set[str] = set()


def when_imported(name: str, action: Callable[[ModuleType], None]) -> None:
    """Calls ``action(module)`` after ``name`` is imported; at once if it already is.

    Args:
        name: Full module name.
        action: Must be idempotent, because a reload calls it again.
    """
    _watched.setdefault(name, []).append(action)
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    module = sys.modules.get(name)
    if module is not None and not _is_initialising(module):
        _run(name, module, [action])


def failures() -> frozenset[str]:
    """Returns the names of modules whose patch did not succeed."""
    return frozenset(_failed)


def _is_initialising(module: ModuleType) -> bool:
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


def _run(name: str, module: ModuleType, actions: list[Callable[[ModuleType], None]]) -> None:
    for action in actions:
        try:
            action(module)
        except Exception:  # noqa: BLE001 - comfort must not break an import; the gate still guards
            if name not in _failed:
                _failed.add(name)
                print(  # noqa: T201 - said once, where the user looks
                    f"cloister: the display hooks for {name} could not be installed. Outputs are "
                    "still masked outside the kernel. Run: cloister doctor",
                    file=sys.stderr,
                )
            _log.debug("import hook for %s failed", name)


class _Loader(importlib.abc.Loader):
    """Delegates to the real loader, puts it back, and runs the actions after a good import."""

    def __init__(self, name: str, real: Any) -> None:
        self._name = name
        self._real = real

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._real.create_module(spec)  # type: ignore[no-any-return]

    def exec_module(self, module: ModuleType) -> None:
        # The module must see its own loader, for resources, source and tracebacks.
        if module.__spec__ is not None:
            module.__spec__.loader = self._real
        module.__loader__ = self._real
        self._real.exec_module(module)
        # The module may have replaced itself while it ran.
        _run(self._name, sys.modules.get(self._name, module), list(_watched.get(self._name, ())))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self) -> None:
        self._searching = threading.local()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Finds a watched module with the other finders and wraps its loader."""
        if fullname not in _watched or getattr(self._searching, "name", None) == fullname:
            return None
        self._searching.name = fullname
        try:
            for finder in sys.meta_path:
                if finder is self or not hasattr(finder, "find_spec"):
                    continue
                spec = finder.find_spec(fullname, path, target)
                if spec is not None:
                    if spec.loader is not None and hasattr(spec.loader, "exec_module"):
                        spec.loader = _Loader(fullname, spec.loader)
                    return spec
        finally:
            self._searching.name = None
        return None
