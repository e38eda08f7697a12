"""Puts the hooks in place, each on its own: one that fails is named, and the others still work."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from cloister.hooks.imports import when_imported

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

_log = logging.getLogger(__name__)


def install_all() -> list[str]:
    """Installs every hook that can be installed before IPython runs.

    Returns:
        Names of the hooks that failed. They are also said once on stderr; the kernel starts
        anyway, because the guard outside it does not depend on them.
    """
    steps: dict[str, Callable[[], Any]] = {
        "egress relay": _relay,
        "egress errors": _egress,
        "display": _display,
        "labels": _labels,
        "notes": _notes,
        "reads": _reads,
        "tracebacks": _errors,
    }
    failed = [name for name, step in steps.items() if not _succeeds(step)]
    if failed:
        print(  # noqa: T201 - said once, where the user looks
            f"cloister: these hooks could not be installed: {', '.join(failed)}. What leaves the "
            "kernel is still masked and checked outside it. Run: cloister doctor",
            file=sys.stderr,
        )
    return failed


def _succeeds(step: Callable[[], Any]) -> bool:
    try:
        step()
    except Exception as error:  # noqa: BLE001 - whatever a hook needs, the kernel starts without it
        _log.debug("a hook failed to install: %s", type(error).__name__)
        return False
    return True


def _relay() -> None:
    from cloister.hooks.relay import start_from_environment

    start_from_environment()


def _egress() -> None:
    from cloister.hooks.egress import install

    install()


def _display() -> None:
    when_imported("pandas", _pandas)
    when_imported("polars", _polars)


def _labels() -> None:
    when_imported("pandas", _follow_pandas)
    when_imported("polars", _follow_polars)


def _notes() -> None:
    from cloister.hooks.notes import install

    install()


def _reads() -> None:
    from cloister.hooks import reads

    reads.install_open()
    for name in reads.arrow_modules():
        when_imported(name, reads.install_arrow)


def _errors() -> None:
    from cloister.hooks.errors import install

    install()


def _pandas(pandas: ModuleType) -> None:
    from cloister.hooks import construction, pandas_display, reads

    pandas_display.install(pandas)
    reads.install_pandas(pandas)
    construction.install(pandas)


def _follow_pandas(pandas: ModuleType) -> None:
    from cloister.hooks import pandas_tracking

    # A pandas that is made otherwise is no reason to warn: its tables are classified by value.
    _succeeds(lambda: pandas_tracking.install(pandas))


def _follow_polars(polars: ModuleType) -> None:
    from cloister.hooks import polars_tracking

    _succeeds(lambda: polars_tracking.install(polars))


def _polars(polars: ModuleType) -> None:
    from cloister.hooks import construction, polars_display, reads

    polars_display.install(polars)
    reads.install_polars(polars)
    construction.install(polars)
