"""What ran in a notebook, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloister.store.executions import INTENT

if TYPE_CHECKING:
    from cloister.store.questions.record import Record


def timeline(
    record: Record, notebook: str, *, limit: int = 100, before: int | None = None
) -> list[dict[str, Any]]:
    """Returns the newest executions of a notebook, the oldest of them first.

    Args:
        record: The record.
        notebook: Path, as the record has it.
        limit: The most executions.
        before: Only executions whose ``seq`` is smaller; the first ``seq`` of the page after.
    """
    intents = record.about("notebook", notebook, kinds=[INTENT], before=before, limit=limit)
    wanted = {event.seq for event in intents}
    runs = record.runs(str(event.body.get("execution_id")) for event in intents)
    return [run.row() for run in runs if run.intent.seq in wanted]
