"""Who uses a server: its start, its users' sessions and refused logins, for the record.

Jupyter's identity provider says who it is; what is noted is what it said. A user is noted once for
each way in (cookie, token) and server; with Jupyter's own login every browser is a user, and who
shows the token alone is nobody in particular, so those are noted once together. Requests are looked
at when they are answered, off the way of the answer. A record that cannot be written is said in the
log and stops nobody here: nothing runs in it either.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from cloister.core.errors import CloisterError
from cloister.core.records import Record
from cloister.store.keys import open_keyring
from cloister.store.lineage import LineageLog

if TYPE_CHECKING:
    from cloister.core.records import Json
    from cloister.store.home import Home
    from tornado.web import RequestHandler

_log = logging.getLogger(__name__)

_MOST_USERS: Final = 10_000
_REFUSALS_EVERY_S: Final = 10.0
_REFUSED: Final = frozenset({401, 403})
_NAME_CHARS: Final = 128
_MADE_UP: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
"""Names that Jupyter makes up for each request that shows the token and no cookie."""


class Visits:
    """Notes who comes to one server. Safe to use from several threads.

    Args:
        home: Whose record it is.
        login_path: Where people log in.
    """

    def __init__(self, home: Home, login_path: str) -> None:
        self._home = home
        self._login_path = login_path
        self._known: set[tuple[str, str]] = set()
        self._refusals = 0
        self._refused_at = float("-inf")
        self._lock = threading.Lock()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="cloister-visits")

    def started(self, version: str) -> None:
        """Records that the server has started."""
        self._record("server.started", {"version": version})

    def answered(self, handler: RequestHandler) -> None:
        """Looks at a request that was answered; called on the event loop."""
        is_login = handler.request.method == "POST" and handler.request.path == self._login_path
        if is_login and handler.get_status() in _REFUSED:
            self._refused()
            return
        # What Jupyter has found out, and nothing for a request that it did not look at: asking the
        # property would look now.
        user = getattr(handler, "_current_user", None)
        name = getattr(user, "username", None)
        if not isinstance(name, str) or handler.get_status() in _REFUSED:
            return
        way = "token" if getattr(handler, "token_authenticated", False) else "cookie"
        is_nobody = way == "token" and _MADE_UP.fullmatch(name) is not None
        key = ("" if is_nobody else name, way)
        with self._lock:
            if key in self._known or len(self._known) >= _MOST_USERS:
                return
            self._known.add(key)
        self._record("server.session", {"user": key[0][:_NAME_CHARS] or None, "by": way})

    def _refused(self) -> None:
        """Counts a refused login; one event for many, so that trying does not fill the record."""
        with self._lock:
            self._refusals += 1
            now = time.monotonic()
            if now - self._refused_at < _REFUSALS_EVERY_S:
                return
            self._refused_at, count, self._refusals = now, self._refusals, 0
        self._record("server.login_refused", {"count": count})

    def _record(self, kind: str, body: dict[str, Json]) -> None:
        self._writer.submit(self._append, kind, {**body, "attested_by": "server"})

    def _append(self, kind: str, body: dict[str, Json]) -> None:
        try:
            with LineageLog(self._home, open_keyring(self._home)) as log:
                log.append([Record(kind, body)])
        except CloisterError as error:
            _log.warning("%s is not on record: %s", kind, error.code)


def note_visits(settings: dict[str, Any], visits: Visits) -> None:
    """Shows every answered request of a server to ``visits``, after its own log function."""
    before = settings.get("log_function")

    def answered(handler: RequestHandler) -> None:
        if before is not None:
            before(handler)
        try:
            visits.answered(handler)
        except Exception as error:  # noqa: BLE001 - an answer must not fail for it
            _log.warning("a visit was not noted (%s)", type(error).__name__)

    settings["log_function"] = answered
