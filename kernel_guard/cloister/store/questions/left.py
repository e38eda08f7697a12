"""What left, where to, and by which rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cloister.store.executions import iso_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister.store.questions.record import Event, Record, Run


def _connection(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "where": f"{body.get('host')}:{body.get('port')}",
        "decision": body.get("decision"),
        "rule": body.get("rule"),
        "bytes": body.get("bytes_out"),
        "found": body.get("found") or {},
    }


def _provider(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "where": body.get("provider") or body.get("host"),
        "decision": body.get("decision"),
        "rule": body.get("rule"),
        "bytes": body.get("bytes"),
        "found": body.get("found") or {},
    }


def _file(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "where": body.get("destination"),
        "decision": body.get("outcome"),
        "rule": body.get("rule") or f"files.{body.get('destination')}",
        "bytes": body.get("bytes"),
        "found": body.get("values") or {},
        "file": body.get("file"),
    }


_WAYS: Final[dict[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]]] = {
    "egress.allowed": ("connection", _connection),
    "egress.denied": ("connection", _connection),
    "llm.sent": ("provider", _provider),
    "llm.refused": ("provider", _provider),
    "enrichment.decided": ("provider", _provider),
    "file.leaving": ("file", _file),
}
"""Types of events by which something leaves, or is kept from it."""


def left(
    record: Record, *, limit: int = 100, before: int | None = None, user: str | None = None
) -> list[dict[str, Any]]:
    """Returns the newest things that left or were kept, newest first.

    A connection gives one line when it was opened and one with its bytes when it was closed.

    Args:
        record: The record.
        limit: The most lines.
        before: Only events with a smaller number.
        user: Only what this user's kernels or clients sent.
    """
    lines: list[dict[str, Any]] = []
    cursor = before
    while len(lines) < limit:
        page = _page(record, limit, cursor)
        runs = record.runs(str(e.body["execution_id"]) for e in page if e.execution_id is not None)
        by_id = {run.id: run for run in runs}
        lines += [
            line for line in (_line(e, by_id) for e in page) if user is None or line["user"] == user
        ]
        if len(page) < limit:
            break
        cursor = page[-1].seq
    return lines[:limit]


def _page(record: Record, limit: int, before: int | None) -> list[Event]:
    events = [e for kind in _WAYS for e in record.newest(kind, before=before, limit=limit)]
    return sorted(events, key=lambda event: -event.seq)[:limit]


def _line(event: Event, runs: dict[str, Run]) -> dict[str, Any]:
    what, facts = _WAYS[event.type]
    run = runs.get(str(event.body.get("execution_id")))
    intent = run.intent.body if run else {}
    return {
        "seq": event.seq,
        "time": iso_time(event.time_us),
        "what": what,
        "type": event.type,
        "phase": event.body.get("phase"),
        "user": event.body.get("user") or intent.get("user"),
        "notebook": intent.get("notebook"),
        "execution": event.body.get("execution_id"),
        "sources": run.sources if run else [],
        "attested_by": event.body.get("attested_by"),
        **facts(event.body),
    }
