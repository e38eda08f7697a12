"""Jupyter events for executions, what was blocked, and changes of the policy.

Schemas are versioned files in ``cloister_lab/schemas/events``. Whoever runs the server sets where
events go (``EventLogger.handlers``), and clients subscribe at ``api/events/subscribe``.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import yaml
from cloister.store.executions import RESULT, iso_time
from cloister.store.exports import facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cloister.store.entry import Entry
    from jupyter_events import EventLogger

EXECUTION: Final = "urn:cloister:event:execution"
BLOCK: Final = "urn:cloister:event:block"
POLICY_CHANGE: Final = "urn:cloister:event:policy-change"
_FILES: Final = ("execution.yaml", "block.yaml", "policy-change.yaml")


def schemas() -> Iterator[dict[str, Any]]:
    """Yields the schemas."""
    folder = files("cloister_lab").joinpath("schemas", "events")
    for name in _FILES:
        yield yaml.safe_load(folder.joinpath(name).read_text("utf-8"))


class Notices:
    """Emits Jupyter events.

    Args:
        logger: The server's event logger.
        later: Calls a function in the server's event loop, from any thread.
    """

    def __init__(self, logger: EventLogger, later: Callable[..., Any]) -> None:
        self._logger = logger
        self._later = later
        for schema in schemas():
            logger.register_event_schema(schema)

    def take(self, event: Entry) -> None:
        """Emits what an event of the record gives rise to."""
        for schema_id, data in notices_of(event):
            self._later(self._logger.emit, schema_id=schema_id, data=data)

    def stop(self) -> None:
        """Nothing waits here."""


def notices_of(event: Entry) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields schema and data of each Jupyter event that an event of the record gives rise to."""
    body = event.body
    told: dict[str, Any] = {"seq": event.seq, "time": iso_time(event.time_us)}
    for name in ("execution_id", "kernel_id"):
        told[name] = facts.text(body, name)
    if event.type == RESULT:
        counts = facts.counts(body)
        duration = facts.number(body, "duration_us")
        yield (
            EXECUTION,
            {
                **told,
                "status": facts.text(body, "status") or "unknown",
                "duration_us": duration,
                "outputs": counts,
                "labels": facts.texts(body, "labels"),
            },
        )
        if counts["blocked"]:
            yield BLOCK, {**told, "what": "output", "count": counts["blocked"], "rule": None}
    elif event.type == "egress.denied":
        rule = facts.text(body, "rule")
        yield BLOCK, {**told, "what": "egress", "count": 1, "rule": rule}
    elif event.type == "file.leaving" and body.get("outcome") == "block":
        yield BLOCK, {**told, "what": "file", "count": 1, "rule": None}
    elif event.type.startswith("policy."):
        yield (
            POLICY_CHANGE,
            {
                "seq": event.seq,
                "time": told["time"],
                "change": event.type.partition(".")[2],
                "user": facts.text(body, "user"),
                "digest": facts.text(body, "policy_digest"),
            },
        )
