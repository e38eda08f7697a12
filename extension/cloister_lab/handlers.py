"""HTTP handlers: check the request, read off the event loop, answer or say why not."""

from __future__ import annotations

import asyncio
import json
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from cloister.core.errors import CloisterError
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web

from cloister_lab.problem import (
    CONTENT_TYPE,
    Problem,
    problem_from_error,
    problem_from_status,
)
from cloister_lab.query import (
    QueryError,
    parse_before,
    parse_kernel_id,
    parse_limit,
    read_query,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from cloister_lab.workspace import Workspace

_log = logging.getLogger(__name__)

AUTH_RESOURCE = "cloister"
"""What an Authorizer is asked about; the action is ``read`` for everything here."""


class CloisterHandler(APIHandler):  # type: ignore[misc]  # jupyter_server has no types
    """What all routes share: the resource's name, the way errors look, reads in a thread."""

    auth_resource = AUTH_RESOURCE

    def initialize(self, workspace: Workspace) -> None:
        """Takes what the route was registered with."""
        self.workspace = workspace

    def query(self, *allowed: str) -> dict[str, str]:
        """Returns the request's query parameters; see :func:`cloister_lab.query.read_query`."""
        return read_query(self.request.query_arguments, frozenset(allowed))

    async def answer(self, read: Callable[[], dict[str, Any]]) -> None:
        """Answers with what ``read`` returns; it runs in a thread and may block.

        Args:
            read: Parameters must have been checked before.
        """
        body = await asyncio.get_running_loop().run_in_executor(None, read)
        self.set_header("Cache-Control", "no-store")
        await self.finish(json.dumps(body))

    def write_error(self, status_code: int, **kwargs: object) -> None:
        """Writes every failure as a problem: ours in words, others by status only."""
        info = kwargs.get("exc_info")
        error = info[1] if isinstance(info, tuple) else None
        problem = self._problem(status_code, error)
        self.clear()
        self.set_status(problem.status)
        _log.warning(
            "Request refused: %s %s, id %s (%s)",
            problem.status,
            problem.code,
            problem.id,
            type(error).__name__,
        )
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(problem.as_dict()), set_content_type=CONTENT_TYPE)

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        _tb: TracebackType | None,
    ) -> None:
        """Keeps expected refusals, and the text of exceptions, out of the server's log."""
        if isinstance(value, CloisterError | web.HTTPError):
            return
        # Without the message, which may hold a path or a value; write_error adds the id.
        _log.error("A request failed with %s.", getattr(typ, "__name__", "an exception"))

    @staticmethod
    def _problem(status_code: int, error: BaseException | None) -> Problem:
        if isinstance(error, QueryError):
            return Problem(HTTPStatus.BAD_REQUEST, error.code, error.message, error.remedy)
        if isinstance(error, CloisterError):
            return problem_from_error(error)
        return problem_from_status(status_code)


class StatusHandler(CloisterHandler):
    """``GET status?kernel_id=``: posture of the workspace and of one kernel."""

    @web.authenticated
    @authorized("read")  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """Answers with :meth:`Workspace.status`."""
        kernel_id = parse_kernel_id(self.query("kernel_id").get("kernel_id"))
        await self.answer(lambda: self.workspace.status(kernel_id))


class ExecutionsHandler(CloisterHandler):
    """``GET executions?limit=&before=&kernel_id=``: a page of the record, newest first."""

    @web.authenticated
    @authorized("read")  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """Answers with :meth:`Workspace.executions`."""
        query = self.query("limit", "before", "kernel_id")
        limit = parse_limit(query.get("limit"))
        before = parse_before(query.get("before"))
        kernel_id = parse_kernel_id(query.get("kernel_id"))
        await self.answer(
            lambda: self.workspace.executions(limit=limit, before=before, kernel_id=kernel_id)
        )


class VerifyHandler(CloisterHandler):
    """``GET verify``: the last check, renewed if the record grew. ``POST verify``: check now."""

    @web.authenticated
    @authorized("read")  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """Answers with a check that may be remembered."""
        self.query()
        await self.answer(lambda: self.workspace.verify(is_forced=False).as_dict())

    @web.authenticated
    @authorized("read")  # type: ignore[untyped-decorator]
    async def post(self) -> None:
        """Answers with a fresh check. It changes nothing, so ``read`` is the action asked for."""
        self.query()
        await self.answer(lambda: self.workspace.verify(is_forced=True).as_dict())
