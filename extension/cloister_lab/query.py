"""Query parameters, checked once where they enter."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cloister.core.errors import CloisterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_LIMIT: Final = 25
MAX_LIMIT: Final = 200  # executions in one page; more would only slow the panel down
MAX_SEQ: Final = 2**63 - 1  # SQLite's largest integer
_KERNEL_ID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}")


class QueryError(CloisterError):
    """A parameter that this API does not take."""

    default_code = "CLO-LAB-001"


def read_query(arguments: Mapping[str, Sequence[bytes]], allowed: frozenset[str]) -> dict[str, str]:
    """Returns the parameters of a request, each given at most once.

    Args:
        arguments: As Tornado parsed them.
        allowed: The names that this route takes. Jupyter's own ``token`` and
            ``no_track_activity`` and a cache-buster without name (digits) pass unread.

    Raises:
        QueryError: An unknown name, a repeated one, or text that is not UTF-8.
    """
    values: dict[str, str] = {}
    for name, given in arguments.items():
        if name not in allowed:
            if name in {"token", "no_track_activity"} or name.isdigit():
                continue
            known = ", ".join(sorted(allowed)) or "none"
            raise QueryError(
                "A parameter is unknown.", remedy=f"Parameters of this address: {known}."
            )
        if len(given) != 1:
            raise QueryError(f"{name} is given more than once.", remedy=f"Give {name} once.")
        try:
            values[name] = given[0].decode("utf-8")
        except UnicodeDecodeError:
            raise QueryError(f"{name} is not UTF-8 text.", remedy="Encode it as UTF-8.") from None
    return values


def parse_limit(text: str | None) -> int:
    """Returns how many executions to list.

    Raises:
        QueryError: Not a whole number from 1 to 200.
    """
    if text is None:
        return DEFAULT_LIMIT
    return _integer(text, "limit", 1, MAX_LIMIT)


def parse_before(text: str | None) -> int | None:
    """Returns the sequence number below which to list, or ``None`` for the newest.

    Raises:
        QueryError: Not a whole number from 0 up.
    """
    return None if text is None else _integer(text, "before", 0, MAX_SEQ)


def parse_kernel_id(text: str | None) -> str | None:
    """Returns a kernel id that is safe as a directory name, or ``None``.

    Raises:
        QueryError: Anything but 1 to 64 letters, digits and hyphens.
    """
    if text is None:
        return None
    if not _KERNEL_ID.fullmatch(text):
        raise QueryError(
            "kernel_id is not a kernel's id.",
            remedy="Use 1 to 64 ASCII letters, digits and hyphens, as in /api/kernels.",
        )
    return text


def _integer(text: str, name: str, low: int, high: int) -> int:
    remedy = f"Use a whole number from {low} to {high}."
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise QueryError(f"{name} is not a whole number.", remedy=remedy)
    value = int(text)
    if not low <= value <= high:
        raise QueryError(f"{name} is out of range.", remedy=remedy)
    return value
