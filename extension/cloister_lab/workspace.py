"""The workspace as the browser may know it. Blocking reads; call them off the event loop.

Nothing here may stop Jupyter from starting: a home that cannot be made or a policy that is not
valid is an answer (degraded, why, what to do), not an exception. Executions are still refused in
that state, by the provisioner and the gate, which read the same files themselves.
"""

from __future__ import annotations

import logging
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from cloister.core.errors import CloisterError
from cloister.core.serverrules import CLOSED, ServerRules
from cloister.store.home import Home, check_private, ensure_home, locate_home
from cloister.store.lineage_reader import LineageReader
from cloister.store.policy import load_policy

from cloister_lab.archive import Archive
from cloister_lab.kernels import KernelState, Posture, read_kernel
from cloister_lab.record import Check, RecordChecker, read_page, verify_record

if TYPE_CHECKING:
    from collections.abc import Mapping

_log = logging.getLogger(__name__)


class Workspace:
    """One home, read for the API.

    Args:
        environ: Names the home, see :func:`cloister.store.home.locate_home`.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._home: Home = locate_home(environ)
        self._reader = LineageReader(self._home)
        self._checker = RecordChecker(self._home, verify_record)
        self.archive = Archive(self._home)

    @property
    def version(self) -> str:
        """The version of Cloister that serves it."""
        return _version()

    def prepare(self) -> None:
        """Makes the home if there is none. What goes wrong is logged and shown by ``status``."""
        try:
            ensure_home(self._home)
        except CloisterError as error:
            _log.warning("Cloister's home is not usable: %s", error)

    def server_rules(self) -> ServerRules:
        """Returns what this server may offer beside guarded kernels; nothing without a policy."""
        try:
            check_private(self._home)
            return load_policy(self._home).server
        except CloisterError:
            return CLOSED

    def status(self, kernel_id: str | None) -> dict[str, Any]:
        """Returns posture, policy, record and the facts of one kernel.

        Args:
            kernel_id: A checked kernel id, or ``None`` for the workspace only.
        """
        problems: list[CloisterError] = []
        is_home_ok = self._check_home(problems)
        policy, mode = self._policy(problems) if is_home_ok else (_no_policy(problems[-1]), None)
        check, is_current = self._checker.last()
        kernel = None
        if kernel_id is not None:
            kernel = read_kernel(self._home, kernel_id)
        return {
            "mode": mode,
            "version": _version(),
            "posture": (Posture.DEGRADED if problems else Posture.GUARDED).value,
            "problems": [_shown(problem) for problem in problems],
            "policy": policy,
            "home_ok": is_home_ok,
            "record": {
                # A record that was once found broken stays broken until it is checked again.
                "ok": check.ok if check and (is_current or not check.ok) else None,
                "last": check.as_dict() if check else None,
            },
            "kernel": _kernel(kernel, problems),
        }

    def executions(
        self, *, limit: int, before: int | None, kernel_id: str | None
    ) -> dict[str, Any]:
        """Returns a page of executions, newest first.

        Raises:
            CloisterError: The home or the record cannot be read.
        """
        check_private(self._home)
        return read_page(self._reader.executions, limit=limit, before=before, kernel_id=kernel_id)

    def verify(self, *, is_forced: bool) -> Check:
        """Checks the whole record; see :meth:`RecordChecker.check`.

        Raises:
            CloisterError: The home or the record cannot be read.
        """
        check_private(self._home)
        return self._checker.check(is_forced=is_forced)

    def last_check(self) -> tuple[Check | None, bool]:
        """Returns the last verification, and whether the record is still what was verified."""
        return self._checker.last()

    def _check_home(self, problems: list[CloisterError]) -> bool:
        try:
            check_private(self._home)
        except CloisterError as error:
            problems.append(error)
            return False
        return True

    def _policy(self, problems: list[CloisterError]) -> tuple[dict[str, Any], str | None]:
        """Returns what is said about the policy, and its mode."""
        try:
            policy = load_policy(self._home)
        except CloisterError as error:
            problems.append(error)
            return _no_policy(error), None
        facts = {"name": policy.name, "digest": policy.digest, "valid": True}
        return facts, policy.mode.value


def _no_policy(error: CloisterError) -> dict[str, Any]:
    return {"name": None, "digest": None, "valid": False, "problem": _shown(error)}


def _shown(error: CloisterError) -> dict[str, str]:
    return {"code": error.code, "message": error.message, "remedy": error.remedy}


def _kernel(kernel: KernelState | None, problems: list[CloisterError]) -> dict[str, object] | None:
    """Returns a kernel's facts; with a broken workspace no kernel is called guarded."""
    if kernel is None:
        return None
    facts = kernel.as_dict()
    if problems and kernel.posture is Posture.GUARDED:
        facts["posture"] = Posture.DEGRADED.value
    return facts


def _version() -> str:
    try:
        return version("cloister")
    except PackageNotFoundError:  # run from source without an installation
        return "unknown"
