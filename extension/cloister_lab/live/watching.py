"""Puts together what a server tells while the record grows, and ends it with the server."""

from __future__ import annotations

import atexit
import logging
from typing import TYPE_CHECKING

import prometheus_client
from cloister.core.errors import CloisterError
from cloister.core.telemetry import TelemetryRules
from cloister.store.keys import open_keyring
from cloister.store.policy import load_policy

from cloister_lab.live.following import Follower, Listener
from cloister_lab.live.metrics import Metrics
from cloister_lab.live.notices import Notices
from cloister_lab.live.traces import Traces

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister.store.home import Home
    from jupyter_server.serverapp import ServerApp

    from cloister_lab.record import Check

_log = logging.getLogger(__name__)


def watch_record(
    serverapp: ServerApp, home: Home, last_check: Callable[[], tuple[Check | None, bool]]
) -> None:
    """Begins to tell: metrics, Jupyter events, and spans where the policy names a collector.

    Args:
        serverapp: The server.
        home: Its workspace. Without usable keys no spans are sent; ``status`` says what is wrong.
        last_check: Returns the last verification.
    """
    metrics = Metrics(home.lineage_path, last_check)
    listeners: list[Listener] = [
        metrics,
        Notices(serverapp.event_logger, serverapp.io_loop.add_callback),
    ]
    try:
        origin = open_keyring(home).key_name
        listeners.append(Traces(home, origin, LiveTelemetry(home)))
    except CloisterError as error:
        _log.warning("No spans are sent: %s", error.code)
    metrics.follower = Follower(home, listeners)
    prometheus_client.REGISTRY.register(metrics)
    metrics.follower.start()
    atexit.register(metrics.follower.stop)


class LiveTelemetry:
    """What the policy says about telemetry now; costs one ``stat`` while its file is unchanged.

    A policy that is broken changes nothing.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._stamp: tuple[int, int, int] | None = None
        self._rules = TelemetryRules()

    def __call__(self) -> TelemetryRules:
        """Returns the rules."""
        try:
            found = self._home.policy_path.stat()
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp != self._stamp:
                self._stamp = stamp
                self._rules = load_policy(self._home).telemetry
        except (OSError, CloisterError):
            pass
        return self._rules
