"""Answers in the place of what a server must not serve: no, why, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_server.base.handlers import APIHandler
from tornado import web

from cloister_lab.guardedcontents import RefusedByDesk

if TYPE_CHECKING:
    from cloister.core.errors import CloisterError

_FORBIDDEN = 403


class RefusingHandler(APIHandler):  # type: ignore[misc]  # jupyter_server has no types
    """Refuses every method of an address."""

    def initialize(self, refusal: CloisterError, **_: Any) -> None:
        """Takes what the route was registered with."""
        self.refusal = refusal

    async def prepare(self) -> None:
        """Finds out who asks, and refuses."""
        await super().prepare()
        if self.current_user is None:
            raise web.HTTPError(_FORBIDDEN)
        raise RefusedByDesk(self.refusal)
