"""What a case needs of a machine; what is missing is said, and never counted as held."""

from __future__ import annotations

import os
import socket
from importlib.util import find_spec
from shutil import which
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable


def first_missing(needs: tuple[str, ...], *, has_hooks: bool) -> str | None:
    """Returns the first need that is not met, ``None`` when all are.

    Args:
        needs: Each a kind, or a kind, a colon and a name: ``package:pyarrow``.
        has_hooks: Whether the kernel runs Cloister's hooks.
    """
    for need in needs:
        kind, _, name = need.partition(":")
        if kind in {"hooks", "bare"}:
            is_met = has_hooks == (kind == "hooks")
        else:
            is_met = _CHECKS[kind](name)
        if not is_met:
            return need
    return None


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # not even the package that it would lie in
        return False


def _walls(_name: str) -> bool:
    from cloister.sidecar.sandbox import probe

    return probe().holds


_CHECKS: Final[dict[str, Callable[[str], bool]]] = {
    "package": _is_installed,
    "program": lambda name: which(name) is not None,
    "root": lambda _: os.geteuid() == 0,
    "server": lambda _: find_spec("jupyterlab") is not None,
    "terminals": lambda _: find_spec("terminado") is not None,
    "ipv6": lambda _: socket.has_ipv6,
    "walls": _walls,
}
