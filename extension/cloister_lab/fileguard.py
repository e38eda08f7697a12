"""Puts the file desk before everything that a server gives away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cloister.core.errors import CloisterError
from jupyter_server.base.handlers import path_regex
from jupyter_server.utils import url_path_join

from cloister_lab.filedesk import FileDesk
from cloister_lab.fileshandler import (
    GuardedConversionHandler,
    GuardedExportHandler,
    GuardedFilesHandler,
)
from cloister_lab.guardedcontents import guard_contents
from cloister_lab.refusing import RefusingHandler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloister.store.home import Home
    from jupyter_server.serverapp import ServerApp

_FORMAT = r"(?P<format>\w+)"


_REFUSAL: Final = CloisterError(
    "Files of this server cannot be guarded: its contents manager does not allow it.",
    code="CLO-FILES-008",
    remedy="Use a contents manager that is written in Python without slots.",
)


def guard_files(serverapp: ServerApp, home: Home, environ: Mapping[str, str]) -> bool:
    """Guards a server's files; returns whether that worked. Where it did not, none is served."""
    desk = FileDesk(home, environ)
    web_app = serverapp.web_app
    base_url = web_app.settings["base_url"]
    routes: list[Any]
    try:
        guard_contents(serverapp.contents_manager, desk)
    except TypeError:
        serverapp.log.error("CLO-FILES-008: the contents manager cannot be guarded")
        refused = (r"/api/contents.*", r"/files/.*", r"/nbconvert/.*")
        routes = [(address, RefusingHandler, {"refusal": _REFUSAL}) for address in refused]
    else:
        routes = [
            (r"/files/(.*)", GuardedFilesHandler),
            (rf"/nbconvert/{_FORMAT}", GuardedConversionHandler, {"desk": desk}),
            (rf"/nbconvert/{_FORMAT}{path_regex}", GuardedExportHandler),
        ]
    web_app.add_handlers(
        ".*$", [(url_path_join(base_url, route[0]), *route[1:]) for route in routes]
    )
    return routes[0][1] is not RefusingHandler
