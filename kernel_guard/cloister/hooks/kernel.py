"""The kernel application: ipykernel's own, with what needs a running shell added to it."""

from __future__ import annotations

import logging
import sys
from typing import Any

import zmq
from ipykernel.kernelapp import IPKernelApp

_log = logging.getLogger(__name__)

_TABLE_LIBRARIES = {"pandas", "polars"}


class GuardedKernelApp(IPKernelApp):  # type: ignore[misc]
    """ipykernel, observing new tables when a cell has ended."""

    def init_iopub(self, context: zmq.Context[Any]) -> None:
        """Lets outputs wait in the kernel's own memory when the gate is slow.

        ZMQ drops what goes beyond a thousand messages without a word, a status among them.
        """
        context.setsockopt(zmq.SNDHWM, 0)  # what a new socket of this context begins with
        super().init_iopub(context)

    def init_shell(self) -> None:
        """Registers the end-of-cell hook once the shell exists."""
        super().init_shell()
        try:
            register(self.shell)
        except Exception as error:  # noqa: BLE001 - the kernel starts without its comfort
            _log.warning("the end-of-cell hook could not be installed: %s", type(error).__name__)


def register(shell: Any) -> None:
    """Makes a shell observe the user's new tables after each cell."""
    if shell is None:
        return

    def after_cell(_result: Any) -> None:
        if not _TABLE_LIBRARIES & sys.modules.keys():
            return  # there can be no table yet, and what follows costs the first cell 20 ms
        from cloister.hooks.frames import report_frames
        from cloister.hooks.observe import observe_namespace

        hidden = shell.user_ns_hidden
        names = {k: v for k, v in shell.user_ns.items() if k not in hidden}
        observe_namespace(names)
        report_frames(names)

    shell.events.register("post_run_cell", after_cell)


def launch() -> None:
    """Runs the kernel until it is shut down; arguments are those of ipykernel."""
    GuardedKernelApp.launch_instance()
