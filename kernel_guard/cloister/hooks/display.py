"""Display that cannot fail open: what is shown is masked, or withheld with a reason.

The renderers for pandas and polars live in their own modules; here is what they share: the
placeholder, the wrapper that keeps every error inside, and a switch for our own rendering.
"""

from __future__ import annotations

import contextvars
import functools
import html
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_log = logging.getLogger(__name__)

WITHHELD_CODE = "CLO-OUTPUT-002"

_rendering_masked: contextvars.ContextVar[bool] = contextvars.ContextVar(
    "cloister_rendering_masked", default=False
)


class MaskingFailed(Exception):
    """A table could not be masked; holds nothing of it."""


def is_rendering_masked() -> bool:
    """Returns whether what is being rendered now has already been masked."""
    return _rendering_masked.get()


@contextmanager
def rendering_masked() -> Iterator[None]:
    """Renders an already masked object with the library's own code."""
    token = _rendering_masked.set(True)
    try:
        yield
    finally:
        _rendering_masked.reset(token)


def placeholder(obj: object) -> str:
    """Returns what is shown when masking failed: kind, size and code, and no data."""
    return (
        f"<{type(obj).__name__}{_size(obj)}: display withheld, {WITHHELD_CODE}: its masked view "
        "could not be made. The data is unchanged; cloister.explain(obj) lists its labels.>"
    )


def placeholder_html(obj: object) -> str:
    """Returns the placeholder for HTML output."""
    return f"<pre>{html.escape(placeholder(obj))}</pre>"


def _size(obj: object) -> str:
    try:
        shape: Any = obj.shape  # type: ignore[attr-defined]
        if len(shape) == 2:
            return f" {int(shape[0]):,} × {int(shape[1]):,}"  # noqa: RUF001 - a size
        return f" of {int(shape[0]):,}"
    except Exception:  # noqa: BLE001 - a placeholder must come out, whatever the object is
        return ""


def guard(
    instead: Callable[[object], Any], *, never_raises: bool
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Returns a decorator for methods that show an object.

    Args:
        instead: Makes the placeholder from the object.
        never_raises: True for ``__repr__`` and its like, which must always return. Otherwise only
            a failure to mask becomes the placeholder, and a wrong argument is reported as usual.
    """

    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def shown(self: object, *args: Any, **kwargs: Any) -> Any:
            if _rendering_masked.get():
                return method(self, *args, **kwargs)
            try:
                return method(self, *args, **kwargs)
            except MaskingFailed:
                return instead(self)
            except Exception as error:
                if not never_raises:
                    raise
                _log.debug("a %s could not be rendered: %s", type(self).__name__, type(error))
                return instead(self)

        return shown

    return decorate


def patch(owner: Any, name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replaces ``owner.name`` by ``wrap`` of it, once; a second call changes nothing.

    Raises:
        AttributeError: There is no such method, so this version of the library is not known.
    """
    original = getattr(owner, name)
    if hasattr(original, "__cloister_original__"):
        return
    wrapped = wrap(original)
    wrapped.__cloister_original__ = original  # type: ignore[attr-defined]
    setattr(owner, name, wrapped)


def mask_or_fail(action: Callable[[], Any]) -> Any:
    """Runs a masking step; any error becomes :class:`MaskingFailed` without its text or cause."""
    try:
        return action()
    except Exception as error:  # noqa: BLE001 - its text may hold a value: only its kind is kept
        _log.debug("masking failed: %s", type(error).__name__)
    raise MaskingFailed
