"""``/files/`` and exports: downloads pass the file desk.

Both read through the guarded contents manager and only tell it that what they read is a download.
``/files/`` always answers with all of a file: a part of a masked file has no meaning, and parts put
together must not give more than the whole.
"""

from __future__ import annotations

import base64
import json
import mimetypes
from typing import Any

from cloister.core.errors import CloisterError
from cloister.core.filerules import Destination
from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.nbconvert.handlers import NbconvertFileHandler, NbconvertPostHandler
from tornado import web

from cloister_lab.browser import FILE_POLICY, would_run
from cloister_lab.filedesk import FileDesk, FileRefused
from cloister_lab.guardedcontents import RefusedByDesk, destination_now
from cloister_lab.problem import CONTENT_TYPE, Problem

_FORBIDDEN = 403
_TYPES = {".ipynb": "application/x-ipynb+json"}


class ProblemPages:
    """Mixed into handlers whose refusals a person reads: code, message, rule and remedy."""

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Writes a refusal of the desk as a problem, and anything else as Jupyter does."""
        info = kwargs.get("exc_info")
        error = info[1] if info else None
        refusal = error.error if isinstance(error, RefusedByDesk) else error
        if not isinstance(refusal, CloisterError):
            super().write_error(status_code, **kwargs)  # type: ignore[misc]
            return
        handler: Any = self
        problem = Problem(_FORBIDDEN, refusal.code, refusal.message, refusal.remedy)
        handler.clear()
        handler.set_status(problem.status)
        handler.set_header("Content-Type", CONTENT_TYPE)
        handler.set_header("Cache-Control", "no-store")
        handler.finish(json.dumps({**problem.as_dict(), "rule": refusal.rule}))


class Opened:
    """Mixed into handlers whose answer a browser may show as a page of its own.

    Where the policy lets scripts out, Jupyter's own confinement holds: an origin of their own.
    """

    @property
    def content_security_policy(self) -> str:
        """What the page may do."""
        if self.has_scripts:
            return str(super().content_security_policy)  # type: ignore[misc]
        return FILE_POLICY

    @property
    def has_scripts(self) -> bool:
        """Whether what a kernel wrote may run in the browser."""
        handler: Any = self
        try:
            policy = handler.contents_manager.cloister_desk.rules().policy
        except FileRefused:
            return False  # nothing is served then
        return bool(policy.output.allows_scripts)


class _Confined(JupyterHandler):  # type: ignore[misc]  # no types
    """As Jupyter's handler of files: scripts run in an origin of their own."""

    @property
    def content_security_policy(self) -> str:
        return str(super().content_security_policy) + "; sandbox allow-scripts"


class GuardedFilesHandler(ProblemPages, Opened, _Confined):
    """``GET`` and ``HEAD /files/<path>``."""

    auth_resource = "contents"

    @web.authenticated
    @authorized("read")  # type: ignore[untyped-decorator]
    async def head(self, path: str) -> None:
        """Answers what ``get`` would, without the file."""
        await self._serve(path, has_body=False)

    @web.authenticated
    @authorized("read")  # type: ignore[untyped-decorator]
    async def get(self, path: str) -> None:
        """Answers with what may leave of a file."""
        await self._serve(path, has_body=True)

    async def _serve(self, path: str, *, has_body: bool) -> None:
        self.check_xsrf_cookie()
        if would_run(self.request.headers) and not self.has_scripts:
            raise FileRefused(
                "A page asked for a file of the workspace in order to run it.",
                code="CLO-FILES-010",
                rule="output.scripts",
                remedy="Scripts of the workspace run nowhere in the browser, unless an admin sets "
                "output.scripts: allow.",
            )
        manager = self.contents_manager
        if not manager.allow_hidden and await ensure_async(manager.is_hidden(path)):
            raise web.HTTPError(404)
        path = path.strip("/")
        destination_now.set(Destination.DOWNLOAD)
        model = await ensure_async(manager.get(path, type="file", format="base64"))
        data = base64.decodebytes(str(model["content"]).encode("ascii"))
        name = path.rpartition("/")[2]
        if self.get_argument("download", None) or name.lower().endswith(".ipynb"):
            self.set_attachment_header(name)
        self.set_header("Content-Type", _type_of(name))
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Accept-Ranges", "none")
        self.set_header("Content-Length", str(len(data)))
        if has_body:
            self.write(data)
        await self.finish()

    def compute_etag(self) -> None:
        """Gives no tag: one would tell apart contents that look the same when masked."""


class GuardedExportHandler(ProblemPages, Opened, NbconvertFileHandler):  # type: ignore[misc]  # no types
    """``GET /nbconvert/<format>/<path>``."""

    async def get(self, format: str, path: str) -> None:  # noqa: A002 - Jupyter's name
        """Exports what may leave of a notebook."""
        destination_now.set(Destination.DOWNLOAD)
        await super().get(format, path)


class GuardedConversionHandler(ProblemPages, Opened, NbconvertPostHandler):  # type: ignore[misc]
    """``POST /nbconvert/<format>``: the client's own notebook, which may come from elsewhere."""

    def initialize(self, desk: FileDesk) -> None:
        """Takes what the route was registered with."""
        self.desk = desk

    async def post(self, format: str) -> None:  # noqa: A002 - Jupyter's name
        """Converts a notebook that has no values, so that an export is as clean as a download."""
        model = self.get_json_body() if self.current_user else None
        if isinstance(model, dict) and isinstance(model.get("content"), dict):
            text = json.dumps(model["content"], ensure_ascii=False).encode("utf-8", "replace")
            released = self.desk.release("notebook.ipynb", text, Destination.DOWNLOAD)
            content = json.loads(released.data)
            shown = self.desk.without_calls(content, Destination.DOWNLOAD)
            if released.is_masked or shown is not content:
                model["content"] = shown
                self.request.body = json.dumps(model).encode()
        await super().post(format)


def _type_of(name: str) -> str:
    kind, encoding = mimetypes.guess_type(name)
    if name.lower().endswith(".ipynb"):
        return _TYPES[".ipynb"]
    if encoding is not None:
        return "application/gzip" if encoding == "gzip" else "application/octet-stream"
    if kind is None:
        return "application/octet-stream"
    return f"{kind}; charset=UTF-8" if kind.startswith("text/") else kind
