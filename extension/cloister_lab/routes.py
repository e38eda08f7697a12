"""The addresses under ``cloister/api/v1`` and how a server loads them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from cloister.core.errors import CloisterError
from cloister.store.home import locate_home
from cloister.store.policy import load_policy
from jupyter_server.utils import url_path_join

from cloister_lab.browser import HEADER, restrict_pages
from cloister_lab.fileguard import guard_files
from cloister_lab.guardedkernels import guard_kernels
from cloister_lab.handlers import (
    CloisterHandler,
    ExecutionsHandler,
    StatusHandler,
    VerifyHandler,
)
from cloister_lab.languageservers import close_language_servers
from cloister_lab.live.watching import watch_record
from cloister_lab.questions import QUESTIONS
from cloister_lab.terminals import close_terminals
from cloister_lab.visits import Visits, note_visits
from cloister_lab.witnesses import keep_witnesses
from cloister_lab.workspace import Workspace

if TYPE_CHECKING:
    from cloister.store.home import Home
    from jupyter_server.serverapp import ServerApp

API_ROOT: Final = "cloister/api/v1"

ROUTES: Final[tuple[tuple[str, type[CloisterHandler]], ...]] = (
    ("status", StatusHandler),
    ("executions", ExecutionsHandler),
    ("verify", VerifyHandler),
)
"""Every address of the API. Tests walk this table and ask each for what it must refuse."""


def load_extension(serverapp: ServerApp) -> None:
    """Makes the default home, restricts pages, asks witnesses and adds the routes to a server.

    A home or policy that is not usable does not stop the server; ``status`` says what is wrong.
    """
    workspace = Workspace(os.environ)
    workspace.prepare()
    home = locate_home(os.environ)
    if not restrict_pages(serverapp.web_app.settings, allows_scripts=_allows_scripts(home)):
        serverapp.log.warning("Cloister: the server's own %s stays in force", HEADER)
    guard_files(serverapp, home, os.environ)
    keep_witnesses(home)
    watch_record(serverapp, home, workspace.last_check)
    base_url = serverapp.web_app.settings["base_url"]
    visits = Visits(home, url_path_join(base_url, "login"))
    note_visits(serverapp.web_app.settings, visits)
    visits.started(workspace.version)
    rules = workspace.server_rules()
    if not rules.terminals:
        close_terminals(serverapp)
    if not rules.language_servers:
        close_language_servers(serverapp)
    if not rules.unguarded_kernels:
        guard_kernels(serverapp)
    serverapp.web_app.add_handlers(
        ".*$",
        [
            (url_path_join(base_url, API_ROOT, name), handler, {"workspace": workspace})
            for name, handler in (*ROUTES, *QUESTIONS)
        ],
    )
    serverapp.log.info("Cloister: its status and its record are served under %s", API_ROOT)


def _allows_scripts(home: Home) -> bool:
    """Returns whether the policy lets scripts out; one that cannot be read does not."""
    try:
        return load_policy(home).output.allows_scripts
    except (CloisterError, OSError):
        return False
