"""Everything that touched a dataset, a column, a file, a host or a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cloister.store.executions import iso_time
from cloister.store.questions.record import listed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloister.store.questions.record import Event, Record, Run

LEVEL_RAISED: Final = "kernel.level_raised"
_HOW: Final = ("read", "opened", "derived", "named", "carried", "wrote", "showed", "sent", "spent")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked about; one of the fields is given, ``column`` may go with ``dataset``.

    Attributes:
        dataset: Name in the catalogue.
        column: Name of a column.
        path: Path of a file, as the record has it.
        host: Name or address.
        people: Pseudonyms of a person's values, see :func:`pseudonym`.
    """

    dataset: str | None = None
    column: str | None = None
    path: str | None = None
    host: str | None = None
    people: tuple[str, ...] = ()

    def names(self) -> list[tuple[str, str]]:
        """Returns what events about it say, as key and value."""
        if self.column is not None:
            return [("column", self.column)]
        if self.dataset is not None:
            return [("dataset", self.dataset), ("source", self.dataset)]
        if self.path is not None:
            return [("path", self.path), ("written", self.path), ("source", self.path)]
        if self.host is not None:
            return [("host", self.host)]
        return [("subject", person) for person in self.people]


def touched(
    record: Record, subject: Subject, *, limit: int = 100, before: int | None = None
) -> dict[str, Any]:
    """Returns the newest executions and other events that touched something, newest first.

    Args:
        record: The record.
        subject: What.
        limit: The most events that are looked at for each of its names.
        before: Only events with a smaller number.

    Returns:
        ``executions``: rows of the timeline with ``how`` each touched it: ``read`` it, ``derived``
        from it, ``opened`` it for the first time in its kernel (seen from outside), ``named`` its
        column, ``carried`` a column made of it, ``wrote`` it, ``showed``
        the person's stand-in, ``sent`` to the host, ``spent`` its budget. ``events``: what happened
        outside of executions.
    """
    found: dict[int, Event] = {}
    for key, value in subject.names():
        for event in record.about(key, value, before=before, limit=limit):
            found[event.seq] = event
    ids = {str(e.body["execution_id"]) for e in found.values() if e.execution_id is not None}
    runs = [(run, _how(run, subject)) for run in record.runs(ids)]
    executions = [{**run.row(), "how": how} for run, how in reversed(runs) if how]
    return {
        "executions": executions[:limit],
        "events": [
            _as_dict(event)
            for event in sorted(found.values(), key=lambda event: -event.seq)
            if event.execution_id is None
        ][:limit],
    }


def _how(run: Run, subject: Subject) -> list[str]:
    """Returns the ways in which an execution touched something; none where only a name is alike."""
    result = run.result
    ways: set[str] = set()
    if subject.column is not None:
        ways |= _column_ways(result, subject)
    elif subject.dataset is not None or subject.path is not None:
        reads = listed(result, "reads")
        is_read = any(
            read.get("dataset") == subject.dataset if subject.dataset else
            read.get("path") == subject.path for read in reads
        )  # fmt: skip
        ways |= {"read"} if is_read else set()
        if not is_read and (subject.dataset or subject.path) in run.sources:
            ways.add("derived")
        if subject.path and any(w.get("written") == subject.path for w in listed(result, "writes")):
            ways.add("wrote")
        if subject.dataset and _names_dataset(run, subject.dataset):
            ways.add("spent")
        if subject.dataset and any(
            fact.type == LEVEL_RAISED and fact.body.get("dataset") == subject.dataset
            for fact in run.facts
        ):
            ways.add("opened")
    elif subject.host is not None:
        hosts = [fact.body.get("host") for fact in run.facts]
        hosts += [item.get("host") for item in listed(result, "egress")]
        ways |= {"sent"} if subject.host in hosts else set()
    elif {str(item.get("subject")) for item in _subjects(run)} & set(subject.people):
        ways.add("showed")
    return [way for way in _HOW if way in ways]


def _column_ways(result: dict[str, Any], subject: Subject) -> set[str]:
    ways: set[str] = set()
    of = subject.dataset or subject.path
    for read in listed(result, "reads"):
        is_of = of is None or of in {read.get("dataset"), read.get("path")}
        if is_of and any(c.get("column") == subject.column for c in listed(read, "columns")):
            ways.add("read")
    for item in listed(result, "columns_used"):
        if item.get("column") == subject.column and of in {None, item.get("of")}:
            ways.add("named")
    for frame in listed(result, "frames"):
        for column in listed(frame, "columns"):
            origins = [str(origin) for origin in column.get("from") or []]
            if of is None and column.get("column") == subject.column:
                ways.add("carried")
            if any(origin.partition(" of ")[0] == subject.column for origin in origins):
                ways.add("carried")
    return ways


def _names_dataset(run: Run, dataset: str) -> bool:
    return any(item.get("dataset") == dataset for item in listed(run.result, "spends"))


def _subjects(run: Run) -> Iterable[dict[str, Any]]:
    for event in run.facts:
        yield from listed(event.body, "subjects")


def _as_dict(event: Event) -> dict[str, Any]:
    return {
        "seq": event.seq,
        "time": iso_time(event.time_us),
        "type": event.type,
        "body": event.body,
    }
