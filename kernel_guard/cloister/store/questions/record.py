"""The record as questions see it: executions with all that is known of them, found by an index."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cloister.store.entry import index_key, parse_body
from cloister.store.executions import INTENT, RESULT, join_execution
from cloister.store.mentions import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cloister.store.lineage_reader import LineageReader
    from cloister.store.lineage_store import Rows

MOST_OF_KERNEL: Final = 10_000
"""Executions of one kernel that a question looks at."""

_AT_ONCE: Final = 200
_PAGE: Final = 2_000
_NO_END: Final = 2**62
_SHORTEST_PREFIX: Final = 6
_COLUMNS: Final = "seq, time_us, type, execution_id, header"


@dataclass(frozen=True, slots=True)
class Event:
    """One event, without its payload.

    Attributes:
        seq: Its number.
        time_us: When, microseconds since 1970 UTC.
        type: What happened.
        execution_id: The execution that it belongs to, as the index has it.
        body: The facts.
    """

    seq: int
    time_us: int
    type: str
    execution_id: str | None
    body: dict[str, Any]


@dataclass(slots=True)
class Run:
    """One execution: its intent and the events that came after it.

    Attributes:
        intent: What was going to run.
        facts: The later events of it, in order.
    """

    intent: Event
    facts: list[Event] = field(default_factory=list)

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.intent.body.get("execution_id"))

    @property
    def result(self) -> dict[str, Any]:
        """The facts of its result, empty where it has none."""
        found = [event.body for event in self.facts if event.type == RESULT]
        return found[-1] if found else {}

    @property
    def sources(self) -> list[str]:
        """Datasets and files that it goes back to, directly or not."""
        return [str(item["source"]) for item in listed(self.result, "sources") if "source" in item]

    @property
    def parents(self) -> list[str]:
        """Ids of the executions that it goes back to directly."""
        return [str(item["parent"]) for item in listed(self.result, "parents") if "parent" in item]

    def row(self) -> dict[str, Any]:
        """Returns it as ``cloister lineage list --json`` does, and what it used and made."""
        result, intent = self.result, self.intent.body
        row = join_execution(
            self.intent.seq,
            self.intent.time_us,
            intent,
            [(event.type, event.body) for event in self.facts],
        )
        return {
            **row,
            "cell_id": intent.get("cell_id"),
            "parents": self.parents,
            "sources": self.sources,
            "names_used": result.get("names_used"),
            "names_defined": result.get("names_defined"),
            "writes": [item.get("written") for item in listed(result, "writes")],
            "columns": [
                {"of": item.get("of"), "column": item.get("column"), "level": item.get("level")}
                for item in listed(result, "columns_used")
            ],
            "spends": result.get("spends") or [],
            "environment": result.get("environment"),
        }


class Record:
    """One workspace's record, for questions.

    Args:
        reader: The log. Payloads are not asked of it.
    """

    def __init__(self, reader: LineageReader) -> None:
        self._reader = reader

    def about(
        self,
        key: str,
        value: str,
        *,
        kinds: Sequence[str] = (),
        before: int | None = None,
        limit: int = 1_000,
    ) -> list[Event]:
        """Returns the newest events that name something, newest first.

        Args:
            key: What it is, see :func:`cloister.store.mentions.name_of`.
            value: What the events say.
            kinds: Only events of these types; of any where none is given.
            before: Only events with a smaller number.
            limit: The most events.
        """
        parameters: dict[str, Any] = {
            "name": name_of(key, value),
            "before": _NO_END if before is None else before,
            "limit": limit,
        }
        chosen = _among("e.type", "kind", kinds, parameters)
        with self._reader.reading() as rows:
            if rows is None:
                return []
            found = rows.execute(
                f"SELECT e.{_COLUMNS.replace(', ', ', e.')} FROM mention m"  # noqa: S608 - constants and marks
                " JOIN event e ON e.seq = m.seq WHERE m.name = :name AND m.seq < :before"
                f"{chosen} ORDER BY m.seq DESC LIMIT :limit",
                parameters,
            )
            return [_event(row) for row in found]

    def runs(self, execution_ids: Iterable[str]) -> list[Run]:
        """Returns executions by their ids, in the order in which they were recorded."""
        wanted = [*dict.fromkeys(index_key(name) for name in execution_ids)]
        runs: dict[str, Run] = {}
        with self._reader.reading() as rows:
            if rows is None:
                return []
            for start in range(0, len(wanted), _AT_ONCE):
                for event in _of_executions(rows, wanted[start : start + _AT_ONCE]):
                    key = event.execution_id or ""
                    if event.type == INTENT:
                        runs[key] = Run(event)  # an id that is used again is another execution
                    elif key in runs:
                        runs[key].facts.append(event)
        return sorted(runs.values(), key=lambda run: run.intent.seq)

    def run(self, execution_id: str) -> Run | None:
        """Returns one execution by its id, or by six characters or more that begin only one."""
        found = self.runs([execution_id])
        key = index_key(execution_id)
        if not found and len(key) >= _SHORTEST_PREFIX:
            with self._reader.reading() as rows:
                names = [] if rows is None else _beginning(rows, key)
            found = self.runs(names) if len(names) == 1 else []
        return found[0] if found else None

    def of_kind(
        self, kind: str, *, since_us: int | None = None, until_us: int | None = None
    ) -> Iterator[Event]:
        """Yields all events of one type and time, in order, page by page."""
        after = self._before_time(since_us)
        while True:
            with self._reader.reading() as rows:
                page = [] if rows is None else _page(rows, kind, after)
            for event in page:
                if until_us is not None and event.time_us >= until_us:
                    return
                if since_us is None or event.time_us >= since_us:
                    yield event
            if len(page) < _PAGE:
                return
            after = page[-1].seq

    def ran_code(self, digests: Iterable[str], *, most: int = 200) -> dict[str, list[Run]]:
        """Returns the newest executions of some pieces of code, by its digest, the newest first.

        Code is not in the index, so this looks at the intents from the newest on, until there are
        ``most`` of each piece or no more intents.
        """
        wanted = {digest: [] for digest in digests}  # type: dict[str, list[str]]
        before: int | None = None
        while any(len(names) < most for names in wanted.values()):
            page = self.newest(INTENT, before=before, limit=_PAGE)
            for event in page:
                names = wanted.get(str(event.body.get("code_sha256")))
                if names is not None and len(names) < most:
                    names.append(str(event.body.get("execution_id")))
            if len(page) < _PAGE:
                break
            before = page[-1].seq
        runs = {run.id: run for run in self.runs(n for names in wanted.values() for n in names)}
        return {
            digest: [runs[name] for name in names if name in runs]
            for digest, names in wanted.items()
        }

    def newest(self, kind: str, *, before: int | None = None, limit: int) -> list[Event]:
        """Returns the newest events of one type, newest first."""
        with self._reader.reading() as rows:
            if rows is None:
                return []
            found = rows.execute(
                f"SELECT {_COLUMNS} FROM event WHERE type = :kind AND seq < :before"  # noqa: S608 - a constant
                " ORDER BY seq DESC LIMIT :limit",
                {"kind": kind, "before": _NO_END if before is None else before, "limit": limit},
            )
            return [_event(row) for row in found]

    def _before_time(self, time_us: int | None) -> int:
        """Returns a number that only events before a time have, or none at all.

        Events are in the order of their times but for steps of the clock, so this is where to
        begin to look, and whoever looks compares the times all the same.
        """
        if time_us is None:
            return -1
        with self._reader.reading() as rows:
            newest = None if rows is None else rows.execute("SELECT max(seq) FROM event").fetchone()
            if rows is None or newest is None or newest[0] is None:
                return -1
            low, high = -1, newest[0]
            while low < high:
                middle = (low + high + 1) // 2
                question = "SELECT time_us FROM event WHERE seq = :seq"
                found = rows.execute(question, {"seq": middle}).fetchone()
                if found is not None and found[0] < time_us:
                    low = middle
                else:
                    high = middle - 1
            return low


def runs_of_kernel(record: Record, kernel_id: str) -> list[Run]:
    """Returns the executions of a kernel, the newest :data:`MOST_OF_KERNEL`, in order."""
    intents = record.about("kernel_id", kernel_id, kinds=[INTENT], limit=MOST_OF_KERNEL)
    return record.runs(str(event.body.get("execution_id")) for event in intents)


def listed(facts: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Returns a list of objects in recorded facts, empty where there is none."""
    found = facts.get(key)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _event(row: Any) -> Event:
    return Event(row[0], row[1], row[2], row[3], parse_body(bytes(row[4])))


def _page(rows: Rows, kind: str, after: int) -> list[Event]:
    found = rows.execute(
        f"SELECT {_COLUMNS} FROM event WHERE type = :kind AND seq > :after"  # noqa: S608 - a constant
        " ORDER BY seq LIMIT :limit",
        {"kind": kind, "after": after, "limit": _PAGE},
    )
    return [_event(row) for row in found]


def _of_executions(rows: Rows, names: Sequence[str]) -> list[Event]:
    parameters: dict[str, Any] = {}
    chosen = _among("execution_id", "id", names, parameters)
    found = rows.execute(
        f"SELECT {_COLUMNS} FROM event WHERE 1 = 1{chosen} ORDER BY seq",  # noqa: S608 - constants and marks
        parameters,
    )
    return [_event(row) for row in found] if names else []


def _beginning(rows: Rows, key: str) -> list[str]:
    found = rows.execute(
        "SELECT DISTINCT execution_id FROM event"
        " WHERE execution_id >= :first AND execution_id < :after LIMIT 2",
        {"first": key, "after": key + "\U0010ffff"},
    )
    return [row[0] for row in found]


def _among(column: str, prefix: str, values: Sequence[str], parameters: dict[str, Any]) -> str:
    """Adds values to the parameters; returns the condition that a column has one of them."""
    if not values:
        return ""
    names = [f"{prefix}{i}" for i in range(len(values))]
    parameters.update(zip(names, values, strict=True))
    return f" AND {column} IN ({', '.join(f':{name}' for name in names)})"
