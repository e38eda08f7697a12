"""Whether a widget would fetch its code or its picture from another place than the server."""

from __future__ import annotations

import re
from typing import Final

_PACKAGE: Final = re.compile(r"(?:@[a-z0-9][a-z0-9._-]*/)?[A-Za-z0-9][A-Za-z0-9._-]*")
_MODULES: Final = ("_model_module", "_view_module", "model_module")


def calls_elsewhere(state: object) -> bool:
    """Returns whether a widget in this state names an address where a package belongs.

    Args:
        state: What the kernel sent (``_model_module``, ``_view_module``), or an entry of the states
            that a notebook keeps (``model_module``).
    """
    if not isinstance(state, dict):
        return False
    modules = [state.get(name) for name in _MODULES]
    return state.get("format") == "url" or not all(map(_is_package, modules))


def _is_package(module: object) -> bool:
    return module is None or (isinstance(module, str) and bool(_PACKAGE.fullmatch(module)))
