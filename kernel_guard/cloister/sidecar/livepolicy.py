"""The policy in force, read again when its file changes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cloister.core.errors import SandboxUnavailable
from cloister.store.policy import load_policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister.core.policy import Policy
    from cloister.sidecar.walls import Walls
    from cloister.store.home import Home


class LivePolicy:
    """Gives the policy in force to all parts of a sidecar.

    Args:
        home: Where ``policy.yaml`` is.
        walls: What stands around this kernel.
        on_change: Called with the new policy after a change.
    """

    def __init__(self, home: Home, *, walls: Walls, on_change: Callable[[Policy], None]) -> None:
        self._home = home
        self._walls = walls
        self._on_change = on_change
        self._lock = threading.Lock()
        self._stamp = self._read_stamp()
        self.last_valid = load_policy(home)

    def check(self) -> Policy:
        """Returns the policy in force; costs one ``stat`` while the file is unchanged.

        Raises:
            PolicyInvalid: The file is broken or gone: nothing may run until it is repaired.
            SandboxUnavailable: The policy now requires walls that this kernel does not have.
        """
        with self._lock:
            stamp = self._read_stamp()
            if stamp is None or stamp != self._stamp:
                self._stamp = None  # stays so if the next line raises
                policy = load_policy(self._home)
                self._stamp, self.last_valid = stamp, policy
                self._on_change(policy)
        if not self._walls.suffice(self.last_valid.sandbox):
            raise SandboxUnavailable(
                f"The policy now requires more around a kernel than this one has "
                f"(sandbox: {self.last_valid.sandbox.value}; here: {self._walls.value}).",
                rule="sandbox",
                remedy="Restart the kernel.",
            )
        return self.last_valid

    def _read_stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._home.policy_path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
