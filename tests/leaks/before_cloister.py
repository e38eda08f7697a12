"""A server extension that switches controls of Cloister's off; Jupyter loads it first, by its name.

``CLOISTER_TEST_WITHOUT`` names the controls. Tests only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any


def _replace(place: Any, name: str, by: object) -> None:
    assert hasattr(place, name), f"{place.__name__} has no {name}: this switch needs another place"
    setattr(place, name, by)


def no_page_policy() -> None:
    from cloister_lab import fileshandler, routes

    _replace(routes, "restrict_pages", lambda *_, **__: True)
    _replace(fileshandler, "FILE_POLICY", "frame-ancestors 'self'")


def no_saving() -> None:
    from cloister_lab import guardedcontents

    _replace(guardedcontents, "prepare_notebook", lambda *_: None)


SWITCHES: dict[str, Callable[[], None]] = {"page-policy": no_page_policy, "saving": no_saving}


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "before_cloister"}]


def _load_jupyter_server_extension(_serverapp: Any) -> None:
    for name in os.environ["CLOISTER_TEST_WITHOUT"].split(","):
        SWITCHES[name]()
