"""Joins the events of one execution to the one row that people read. Pure.

The sidecar writes ``cell.intent`` before code runs and ``cell.result`` after it. Facts that come
later (``output.late``) or that the kernel's end cut off (``egress.denied`` without a result) are
joined here, so that the row tells what is known now.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

INTENT: Final = "cell.intent"
RESULT: Final = "cell.result"
LATE_OUTPUT: Final = "output.late"
UNFINISHED: Final = "unfinished"

_EGRESS_FIELDS: Final = ("host", "port", "decision", "rule", "attested_by")


def join_execution(
    seq: int, time_us: int, intent: dict[str, Any], facts: Iterable[tuple[str, dict[str, Any]]]
) -> dict[str, Any]:
    """Returns one row of ``cloister lineage list --json``.

    Args:
        seq: Number of the intent.
        time_us: Its time, microseconds since 1970 UTC.
        intent: Its body.
        facts: Type and body of the later events of the same execution, in order.
    """
    row: dict[str, Any] = {
        "id": intent.get("execution_id"),
        "seq": seq,
        "time": iso_time(time_us),
        "user": intent.get("user"),
        "notebook": intent.get("notebook"),
        "kernel_id": intent.get("kernel_id"),
        "execution_count": intent.get("execution_count"),
        "code_sha256": intent.get("code_sha256"),
        "status": UNFINISHED,
        "duration_s": None,
        "reads": [],
        "outputs": {"shown": 0, "masked": 0, "blocked": 0},
        "egress": [],
        "labels": [],
        "trace_id": intent.get("trace_id"),
    }
    egress: list[dict[str, Any]] = []
    for kind, body in facts:
        if kind == RESULT:
            _add_result(row, body)
        elif kind == LATE_OUTPUT:
            _add_late_output(row, body)
        elif kind.startswith("egress."):
            egress.append({name: body.get(name) for name in _EGRESS_FIELDS})
    # A result repeats the connections that were recorded on their own while the code ran.
    seen = [_connection(item) for item in row["egress"]]
    row["egress"] += [item for item in egress if _connection(item) not in seen]
    return row


def iso_time(time_us: int) -> str:
    """Returns microseconds since 1970 as ISO 8601 in UTC, to the microsecond."""
    seconds, rest = divmod(time_us, 1_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:06d}Z"


def _add_result(row: dict[str, Any], body: dict[str, Any]) -> None:
    row["status"] = body.get("status")
    if body.get("execution_count") is not None:
        row["execution_count"] = body["execution_count"]
    if isinstance(body.get("duration_us"), int):
        row["duration_s"] = body["duration_us"] / 1_000_000
    for name, count in (body.get("outputs") or {}).items():
        if name in row["outputs"]:
            row["outputs"][name] += count
    row["reads"] += body.get("reads") or []
    row["egress"] += body.get("egress") or []
    _add_labels(row, body)


def _add_late_output(row: dict[str, Any], body: dict[str, Any]) -> None:
    """Counts outputs that came after the result; they count as masked when any of them was."""
    counts = body.get("outputs")
    if isinstance(counts, dict):
        for name, count in counts.items():
            if name in row["outputs"]:
                row["outputs"][name] += count
    else:
        row["outputs"]["masked" if body.get("labels") else "shown"] += body.get("count") or 0
    _add_labels(row, body)


def _add_labels(row: dict[str, Any], body: dict[str, Any]) -> None:
    row["labels"] = sorted({*row["labels"], *(body.get("labels") or [])})


def _connection(item: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(item.get(name) for name in _EGRESS_FIELDS)
