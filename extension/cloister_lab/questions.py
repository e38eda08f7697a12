"""Questions to the record under ``lineage/``: the same answers as ``cloister lineage`` gives.

Nothing here opens a payload. A person's value and a notebook come in the body of a request, never
in its address, which servers log.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from cloister.store.questions import drawing
from cloister.store.questions.difference import difference, runs_of
from cloister.store.questions.graph import Graph, Way, graph
from cloister.store.questions.left import left
from cloister.store.questions.match import match
from cloister.store.questions.starts import NothingFound, executions_named
from cloister.store.questions.timeline import timeline
from cloister.store.questions.touched import Subject, touched
from cloister.store.questions.viewers import viewers
from jupyter_server.auth.decorator import authorized
from tornado import web

from cloister_lab.handlers import CloisterHandler
from cloister_lab.query import QueryError, parse_before, parse_limit

if TYPE_CHECKING:
    from cloister_lab.archive import Archive

_LONGEST: Final = 4_096  # of a name in a question
_SUBJECTS: Final = ("dataset", "column", "path", "host")


class QuestionHandler(CloisterHandler):
    """What questions share: the record, and what a request has to hold."""

    def initialize(self, workspace: Any) -> None:
        """Takes what the route was registered with."""
        super().initialize(workspace)
        self.archive: Archive = workspace.archive

    def required(self, query: dict[str, str], name: str) -> str:
        """Returns a parameter that has to be there.

        Raises:
            QueryError: It is not, or is too long.
        """
        value = query.get(name, "")
        if not 0 < len(value) <= _LONGEST:
            raise QueryError(f"{name} is missing or too long.", remedy=f"Give {name}.")
        return value

    def recorded(self, path: str) -> str:
        """Returns a path of the server's contents as the record has it: absolute."""
        root = getattr(self.contents_manager, "root_dir", "")
        return os.path.realpath(os.path.join(root, path)) if root else path  # noqa: PTH118 - texts

    def body(self) -> dict[str, Any]:
        """Returns the JSON object of the request.

        Raises:
            QueryError: It holds none.
        """
        try:
            found = json.loads(self.request.body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise QueryError("The request holds no JSON object.", remedy="Send a JSON object.")
        return found


class TimelineHandler(QuestionHandler):
    """``GET lineage/timeline?notebook=&limit=&before=``."""

    @web.authenticated
    @authorized("read")  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """Answers with what ran in a notebook, in order."""
        query = self.query("notebook", "limit", "before")
        notebook = self.recorded(self.required(query, "notebook"))
        limit, before = parse_limit(query.get("limit")), parse_before(query.get("before"))
        await self.answer(
            lambda: {
                "executions": timeline(self.archive.record(), notebook, limit=limit, before=before)
            }
        )


class TouchedHandler(QuestionHandler):
    """``GET lineage/touched?dataset=&column=&path=&host=``; ``POST`` with ``{"person": VALUE}``."""

    @web.authenticated
    @authorized("read")  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """Answers with everything that touched a dataset, column, file or host."""
        query = self.query(*_SUBJECTS, "limit", "before")
        limit, before = parse_limit(query.get("limit")), parse_before(query.get("before"))
        subject = Subject(
            dataset=query.get("dataset"),
            column=query.get("column"),
            path=self.recorded(query["path"]) if query.get("path") else None,
            host=query.get("host"),
        )
        if subject == Subject():
            remedy = f"Give one of: {', '.join(_SUBJECTS)}."
            raise QueryError("Nothing is asked about.", remedy=remedy)
        await self.answer(
            lambda: touched(self.archive.record(), subject, limit=limit, before=before)
        )

    @web.authenticated
    @authorized("read")  # type: ignore[untyped-decorator]
    async def post(self) -> None:
        """Answers with everything that showed a person's stand-ins. It changes nothing."""
        value = self.required(self.body(), "person")
        await self.answer(
            lambda: touched(self.archive.record(), Subject(people=self.archive.pseudonyms(value)))
        )


class GraphHandler(QuestionHandler):
    """``GET lineage/graph?of=&way=back|on&format=json|mermaid|dot``."""

    @web.authenticated
    @authorized("read")  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """Answers with what something came from, or what came of it."""
        query = self.query("of", "way", "format")
        what, shape = self.required(query, "of"), query.get("format", "json")
        if query.get("way", "back") not in {way.value for way in Way}:
            raise QueryError("way is neither back nor on.", remedy="Use back or on.")
        if shape not in {"json", "mermaid", "dot"}:
            raise QueryError("This format is unknown.", remedy="Use json, mermaid or dot.")
        way = Way(query.get("way", "back"))
        await self.answer(lambda: _drawn(self._graph(what, way), shape))

    def _graph(self, what: str, way: Way) -> Graph:
        record = self.archive.record()
        return graph(record, executions_named(record, what), way=way)


class LeftHandler(QuestionHandler):
    """``GET lineage/left?user=&limit=&before=``."""

    @web.authenticated
    @authorized("read")  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """Answers with what left, where to and by which rule."""
        query = self.query("user", "limit", "before")
        limit, before = parse_limit(query.get("limit")), parse_before(query.get("before"))
        await self.answer(
            lambda: {
                "left": left(
                    self.archive.record(), limit=limit, before=before, user=query.get("user")
                )
            }
        )


class ViewersHandler(QuestionHandler):
    """``GET lineage/viewers?since=&until=&source=&user=``, times as ISO 8601."""

    @web.authenticated
    @authorized("read")  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """Answers with who saw the most."""
        query = self.query("since", "until", "source", "user")
        since, until = (_micros(query.get(name), name) for name in ("since", "until"))
        await self.answer(
            lambda: {
                "viewers": viewers(
                    self.archive.record(),
                    since_us=since,
                    until_us=until,
                    source=query.get("source"),
                    user=query.get("user"),
                )
            }
        )


class DiffHandler(QuestionHandler):
    """``GET lineage/diff?before=&after=``: ids of kernels or executions."""

    @web.authenticated
    @authorized("read")  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """Answers with what changed between two runs."""
        query = self.query("before", "after")
        names = [self.required(query, name) for name in ("before", "after")]
        await self.answer(lambda: self._difference(names))

    def _difference(self, names: list[str]) -> dict[str, Any]:
        record = self.archive.record()
        found = [runs_of(record, name) for name in names]
        if not all(found):
            raise NothingFound("The record has no such kernel or execution.")
        return difference(*found)


class MatchHandler(QuestionHandler):
    """``POST lineage/match`` with ``{"notebook": {...}, "name": PATH}``."""

    @web.authenticated
    @authorized("read")  # type: ignore[untyped-decorator]
    async def post(self) -> None:
        """Answers with whether a notebook is what was executed. It changes nothing."""
        body = self.body()
        name = body.get("name")
        await self.answer(
            lambda: match(
                self.archive.record(),
                body.get("notebook"),
                name=self.recorded(name) if isinstance(name, str) else None,
            )
        )


QUESTIONS: Final[tuple[tuple[str, type[QuestionHandler]], ...]] = (
    ("lineage/timeline", TimelineHandler),
    ("lineage/touched", TouchedHandler),
    ("lineage/graph", GraphHandler),
    ("lineage/left", LeftHandler),
    ("lineage/viewers", ViewersHandler),
    ("lineage/diff", DiffHandler),
    ("lineage/match", MatchHandler),
)
"""Every address of a question. Tests walk this table as they do that of the other routes."""


def _drawn(found: Graph, shape: str) -> dict[str, Any]:
    if shape == "json":
        return found.as_dict()
    return {
        "format": shape,
        "text": (drawing.mermaid if shape == "mermaid" else drawing.dot)(found),
    }


def _micros(text: str | None, name: str) -> int | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise QueryError(f"{name} is no time.", remedy="Use ISO 8601 in UTC.") from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return int(time.timestamp() * 1_000_000)
