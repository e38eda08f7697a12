"""How a case is put to a kernel: a client of Jupyter, which keeps all that it is told.

A case sees the same kernel through whatever client, so runners take a :class:`Client`.
"""

from __future__ import annotations

import queue
import subprocess
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from cloister.cli.drill.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloister.cli.drill.cases import Case

START_LIMIT_S: Final = 60.0
_CELL_LIMIT_S: Final = 30.0
_UNTIL_LIMIT_S: Final = 10.0
_UNANSWERED: Final = frozenset({"comm_open", "comm_msg", "comm_close"})
_SHARE_S: Final = 0.02  # for what a thread says after the cell has ended


class Client(Protocol):
    """Somebody who runs cells and sees what comes of it."""

    def run(self, code: str) -> bool:
        """Runs a cell of the drill's own and returns whether it went well."""

    def attempt(self, case: Case) -> Evidence:
        """Runs a case."""

    def does_as_told(self) -> bool:
        """Returns whether the kernel still runs what it is given."""

    def close(self) -> None:
        """Ends the kernel."""


class KernelClient:
    """A kernel of its own, spoken to through ``jupyter_client`` as every client does.

    Args:
        kernel_name: A kernel spec.
        cwd: Where the kernel starts.
    """

    def __init__(self, kernel_name: str, cwd: Path) -> None:
        from jupyter_client.manager import KernelManager

        self._manager = KernelManager(kernel_name=kernel_name)
        # What a process writes past the kernel's messages is not for this terminal.
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._manager.start_kernel(cwd=str(cwd), **quiet)
        self._client = self._manager.client()
        self._client.start_channels()
        try:
            self._client.wait_for_ready(timeout=START_LIMIT_S)
        except BaseException:
            self.close()
            raise

    @property
    def is_alive(self) -> bool:
        """Whether the kernel is there for another case."""
        return bool(self._manager.is_alive())

    @property
    def kernel_id(self) -> str:
        """What the record calls the kernel."""
        return str(self._manager.kernel_id)

    def run(self, code: str) -> bool:
        """Runs a cell of the drill's own and returns whether it went well."""
        evidence = Evidence()
        self._execute(evidence, code)
        return not evidence.errors and evidence.problem is None

    def does_as_told(self) -> bool:
        """Returns whether the kernel still runs what it is given, whatever a case has changed."""
        evidence = Evidence()
        self._execute(evidence, "assert False")
        return evidence.errors == ["AssertionError"]

    def attempt(self, case: Case) -> Evidence:
        """Runs a case and returns everything that came of it."""
        evidence = Evidence()
        for number, cell in enumerate(case.cells):
            extra = {"user_expressions": dict(case.expressions or {})} if number == 0 else {}
            self._execute(evidence, cell, answer=case.answer, **extra)
        for request in case.requests:
            self._request(evidence, request.type, request.channel, dict(request.content))
        if case.until is not None:
            text = case.until
            self._wait_for(evidence, lambda m: text in str(m["content"].get("text")))
        self._drain(evidence, _SHARE_S)
        return evidence

    def close(self) -> None:
        """Ends the kernel."""
        self._client.stop_channels()
        if self._manager.has_kernel:
            self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()

    # --- messages -----------------------------------------------------------------------

    def _execute(
        self, evidence: Evidence, code: str, answer: str | None = None, **extra: Any
    ) -> None:
        msg_id = self._client.execute(code, allow_stdin=answer is not None, **extra)
        evidence.execution_ids.append(msg_id)
        reply = self._until_answered(evidence, msg_id, "shell", answer)
        if reply is not None and reply["content"].get("status") == "error":
            evidence.errors.append(str(reply["content"].get("ename")))

    def _request(
        self, evidence: Evidence, kind: str, channel: str, content: dict[str, Any]
    ) -> None:
        message = self._client.session.msg(kind, content)
        getattr(self._client, f"{channel}_channel").send(message)
        msg_id = message["header"]["msg_id"]
        if kind in _UNANSWERED:
            self._wait_for(evidence, lambda m: _is_idle(m, msg_id))
        else:
            self._until_answered(evidence, msg_id, channel, None)

    def _until_answered(
        self, evidence: Evidence, msg_id: str, channel: str, answer: str | None
    ) -> dict[str, Any] | None:
        """Gathers until the reply and the idle status of a request are here."""
        deadline = time.monotonic() + _CELL_LIMIT_S
        reply: dict[str, Any] | None = None
        is_idle = False
        while time.monotonic() < deadline:
            if reply is None:
                reply = self._reply(evidence, msg_id, channel)
            if answer is not None:
                self._answer(evidence, answer)
            if reply is not None and is_idle:
                return reply
            if message := self._next_output(evidence, 0.02 if not is_idle else 0.0):
                is_idle = is_idle or _is_idle(message, msg_id)
            elif reply is None:
                if not self._manager.is_alive():
                    self._drain(evidence, 0.5)
                    return None
            elif channel == "control":
                return reply  # some kernels give no status for it
        evidence.problem = "no answer in time"
        return None

    def _reply(self, evidence: Evidence, msg_id: str, channel: str) -> dict[str, Any] | None:
        get = self._client.get_shell_msg if channel == "shell" else self._client.get_control_msg
        try:
            message: dict[str, Any] = get(timeout=0)
        except queue.Empty:
            return None
        evidence.add_message(message)
        return message if message["parent_header"].get("msg_id") == msg_id else None

    def _answer(self, evidence: Evidence, answer: str) -> None:
        try:
            evidence.add_message(self._client.get_stdin_msg(timeout=0))
        except queue.Empty:
            return
        self._client.input(answer)

    def _next_output(self, evidence: Evidence, wait_s: float) -> dict[str, Any] | None:
        try:
            message: dict[str, Any] = self._client.get_iopub_msg(timeout=wait_s)
        except queue.Empty:
            return None
        evidence.add_message(message)
        return message

    def _wait_for(
        self, evidence: Evidence, is_it: Callable[[dict[str, Any]], bool], since: int = 0
    ) -> None:
        """Gathers until a message comes, or one that came with the cells is the one."""
        deadline = time.monotonic() + _UNTIL_LIMIT_S
        while time.monotonic() < deadline:
            if any(is_it(m) for m in evidence.messages[since:]):
                return
            since = len(evidence.messages)
            self._next_output(evidence, 0.1)
        evidence.problem = "what it was waiting for did not come"

    def _drain(self, evidence: Evidence, wait_s: float) -> None:
        while self._next_output(evidence, wait_s) is not None:
            pass


def _is_idle(message: dict[str, Any], msg_id: str) -> bool:
    is_parent = message["parent_header"].get("msg_id") == msg_id
    return bool(is_parent and message["content"].get("execution_state") == "idle")
