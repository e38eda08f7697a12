"""The server keeps the record's witnesses up to date, too: it outlives kernels.

A kernel that is killed leaves its last events to whoever asks next, and a home that was put back
from an older copy should be contradicted before anything runs in it. One asker at a time is enough;
:mod:`cloister.store.evidence.witnessing` sees to that.
"""

from __future__ import annotations

import atexit
import logging
from typing import TYPE_CHECKING

from cloister.core.errors import CloisterError
from cloister.core.recordrules import RecordRules
from cloister.store.evidence.witnessing import Witnessing
from cloister.store.keys import open_keyring
from cloister.store.policy import load_policy

if TYPE_CHECKING:
    from cloister.store.home import Home

_log = logging.getLogger(__name__)


def keep_witnesses(home: Home) -> None:
    """Asks the witnesses that the policy names, until the server ends.

    A home whose keys cannot be used has nobody asked; ``status`` says what is wrong with it.
    """
    try:
        keyring = open_keyring(home)
        witnesses = Witnessing(home, keyring, LiveRules(home))
    except CloisterError as error:
        _log.warning("The record's witnesses are not asked: %s", error.code)
        return
    witnesses.start()
    atexit.register(witnesses.stop)


class LiveRules:
    """What the policy says about the record now; costs one ``stat`` while its file is unchanged.

    A policy that is broken changes nothing: witnesses that were named go on being asked.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._stamp: tuple[int, int, int] | None = None
        self._rules = RecordRules()

    def __call__(self) -> RecordRules:
        """Returns the rules."""
        try:
            found = self._home.policy_path.stat()
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp != self._stamp:
                self._stamp = stamp
                self._rules = load_policy(self._home).record
        except (OSError, CloisterError):
            pass
        return self._rules
