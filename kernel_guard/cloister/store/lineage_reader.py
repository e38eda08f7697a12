"""Reads the lineage log: events, executions and proofs. Never takes a lock that a writer waits for.

A reader trusts the database as it finds it; whether it is whole is
:func:`cloister.store.lineage_verify.verify_log`'s question. A log that does not exist yet reads as
an empty one, so that a server can start before the first kernel.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cloister.store.checkpoint import Checkpoint, CheckpointError, parse_checkpoint
from cloister.store.database import damaged
from cloister.store.entry import (
    Entry,
    Erasure,
    PayloadState,
    committed_digest,
    index_key,
    parse_body,
)
from cloister.store.executions import INTENT, RESULT, join_execution
from cloister.store.lineage_schema import SINCE_DATA_KEYS
from cloister.store.lineage_sqlite import SqliteSource
from cloister.store.lineage_store import WHAT, LineageSource, Rows, read_node
from cloister.store.lineage_stores import readable_source, settings_mark
from cloister.store.mentions import name_of
from cloister.store.merkle import inclusion_proof, leaf_hash
from cloister.store.payloads import PayloadBox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from cloister.store.home import Home
    from cloister.store.keys import Keyring

_EVENTS = "SELECT e.seq, e.time_us, e.type, e.header, e.payload, {} FROM event e{}"
_WITH_KEYS = _EVENTS.format(
    "k.generation, k.wrapped, x.tombstone, t.time_us, t.header",
    " LEFT JOIN data_key k ON k.seq = e.seq LEFT JOIN erased x ON x.seq = e.seq"
    " LEFT JOIN event t ON t.seq = x.tombstone",
)
_WITHOUT_KEYS = _EVENTS.format("NULL, NULL, NULL, NULL, NULL", "")  # a copy from an older version
_SHORTEST_PREFIX = 6
_NO_END = 2**62
_CHUNK = 200
_NEVER = object()


class LineageReader:
    """Reads one log; safe to call from several threads.

    Args:
        source: A home, or a database file such as a reviewer's copy.
        keyring: Opens payloads; without it they stay sealed.
    """

    def __init__(self, source: Home | Path, keyring: Keyring | None = None) -> None:
        self._place = source
        self._box = None if keyring is None else PayloadBox(keyring, _reload_from(source))
        self._mark: object = _NEVER
        self._open: LineageSource | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the database; a later call opens it again."""
        if self._open is not None:
            self._open.close()

    def checkpoint(self) -> Checkpoint | None:
        """Returns the newest checkpoint as it stands there, or ``None`` in an empty log.

        Raises:
            StoreUnavailable: The log cannot be read.
        """
        with self._reading() as rows:
            if rows is None:
                return None
            return parse_checkpoint(_head_note(rows))

    def entries(self, *, after: int = -1, limit: int = 1000) -> tuple[Entry, ...]:
        """Returns events in order, without payloads.

        Args:
            after: Only events with a larger number.
            limit: The most events.

        Raises:
            StoreUnavailable: The log cannot be read.
        """
        with self._reading() as rows:
            if rows is None:
                return ()
            found = rows.execute(
                f"{_events(rows)} WHERE e.seq > :after ORDER BY e.seq LIMIT :limit",
                {"after": after, "limit": limit},
            )
            return tuple(_sealed_entry(row) for row in found)

    def opened(self, *, after: int = -1, limit: int = 1000) -> tuple[Entry, ...]:
        """Returns events in order, payloads opened where the key is there; see :meth:`entries`."""
        with self._reading() as rows:
            if rows is None:
                return ()
            found = rows.execute(
                f"{_events(rows)} WHERE e.seq > :after ORDER BY e.seq LIMIT :limit",
                {"after": after, "limit": limit},
            ).fetchall()
            return tuple(self._opened(row) for row in found)

    def executions(
        self,
        limit: int = 50,
        before: int | None = None,
        *,
        kernel_id: str | None = None,
        user: str | None = None,
        dataset: str | None = None,
        notebook: str | None = None,
    ) -> list[dict[str, Any]]:
        """Returns executions in the shape of ``cloister lineage list --json``, newest first.

        Args:
            limit: The most executions.
            before: Only executions whose ``seq`` is smaller; the last ``seq`` of the page before.
            kernel_id: Only those of this kernel.
            user: Only those of this user.
            dataset: Only those that read this dataset of the catalogue.
            notebook: Only those of this notebook, named as the record has it.

        Raises:
            StoreUnavailable: The log cannot be read.
        """
        names = {"notebook": notebook, "kernel_id": kernel_id, "user": user}
        wanted = [name_of(key, value) for key, value in names.items() if value is not None]
        last = _NO_END if before is None else before
        with self._reading() as rows:
            if rows is None:
                return []
            if dataset is None:
                intents = _intents(rows, wanted, last, limit)
            else:
                found = _readers_of(rows, name_of("dataset", dataset), wanted, last, limit)
                intents = _intents_at(rows, found)
            return _joined(rows, intents)

    def get(self, execution_id: str) -> tuple[Entry, ...]:
        """Returns all events of one execution, payloads opened where the key is there.

        Args:
            execution_id: The whole id, or at least six characters that begin only one.

        Returns:
            Its events in order; empty when there is no such execution, or more than one.

        Raises:
            StoreUnavailable: The log cannot be read.
        """
        with self._reading() as rows:
            if rows is None:
                return ()
            key = index_key(execution_id)
            events = _of_execution(rows, key)
            if not events and len(key) >= _SHORTEST_PREFIX:
                names = rows.execute(
                    "SELECT DISTINCT execution_id FROM event"
                    " WHERE execution_id >= :first AND execution_id < :after LIMIT 2",
                    {"first": key, "after": key + "\U0010ffff"},
                ).fetchall()
                if len(names) == 1:
                    events = _of_execution(rows, names[0][0])
            return tuple(self._opened(row) for row in events)

    def event(self, seq: int) -> Entry | None:
        """Returns one event, payload opened where the key is there.

        Raises:
            StoreUnavailable: The log cannot be read.
        """
        with self._reading() as rows:
            if rows is None:
                return None
            row = rows.execute(f"{_events(rows)} WHERE e.seq = :seq", {"seq": seq}).fetchone()
            return self._opened(row) if row else None

    def prove(self, seq: int) -> dict[str, Any] | None:
        """Returns an offline proof that an event is in the log, or ``None`` if it is not there.

        The proof holds the exact header, the path of RFC 9162 section 2.1.3 and the signed
        checkpoint; whoever has the public key needs nothing else. It holds no payload.

        Raises:
            StoreUnavailable: The log cannot be read, or tree nodes are missing.
        """
        with self._reading() as rows:
            if rows is None:
                return None
            row = rows.execute("SELECT header FROM event WHERE seq = :seq", {"seq": seq}).fetchone()
            if row is None:
                return None
            note = _head_note(rows)
            size = parse_checkpoint(note).size
            try:
                path = inclusion_proof(seq, size, lambda level, i: read_node(rows, level, i))
            except (LookupError, ValueError):
                raise damaged(WHAT, "events are missing") from None
            return {
                "format": "cloister-proof-v1",
                "seq": seq,
                "header": row[0].decode("utf-8", "surrogatepass"),
                "leaf": leaf_hash(row[0]).hex(),
                "path": [node.hex() for node in path],
                "checkpoint": note,
            }

    def _opened(self, row: tuple[Any, ...]) -> Entry:
        found = _sealed_entry(row)
        if found.payload_state is not PayloadState.SEALED or self._box is None:
            return found
        key = None if row[5] is None else (row[5], bytes(row[6]))
        payload = self._box.open(found.seq, found.type, bytes(row[4]), key)
        if payload is None:
            return replace(found, payload_state=PayloadState.DAMAGED)
        return replace(found, payload=payload, payload_state=PayloadState.OPEN)

    def reading(self) -> AbstractContextManager[Rows | None]:
        """Opens a transaction in which all answers fit together; ``None`` where no log is yet.

        Raises:
            StoreUnavailable: The log cannot be read.
        """
        return self._reading()

    @contextmanager
    def _reading(self) -> Iterator[Rows | None]:
        """Opens a transaction in the database that holds the record now."""
        try:
            with self._source().reading() as rows:
                yield rows
        except (ValueError, CheckpointError) as error:
            raise damaged(WHAT, "an event or checkpoint cannot be read") from error

    def _source(self) -> LineageSource:
        mark = None if isinstance(self._place, Path) else settings_mark(self._place)
        if self._open is None or mark != self._mark:
            self.close()
            place = self._place
            self._open = SqliteSource(place) if isinstance(place, Path) else readable_source(place)
            self._mark = mark
        return self._open


_INTENT_COLUMNS = "e.seq, e.time_us, e.header, e.execution_id"


def _intents(rows: Rows, names: list[int], before: int, limit: int) -> list[Any]:
    """Returns the intents that mention all names, newest first."""
    parameters: dict[str, Any] = {"type": INTENT, "before": before, "limit": limit}
    if not names:
        source, place = "event e", "e.seq"
    else:
        # The index is read from its end, so a page costs the same wherever it lies.
        source, place = "mention m JOIN event e ON e.seq = m.seq AND m.name = :first", "m.seq"
        parameters["first"] = names[0]
    conditions = _mentioning("e.seq", names[1:], parameters)
    return [
        *rows.execute(
            f"SELECT {_INTENT_COLUMNS} FROM {source}"  # noqa: S608 - constants and marks
            f" WHERE e.type = :type AND {place} < :before{conditions}"
            f" ORDER BY {place} DESC LIMIT :limit",
            parameters,
        )
    ]


def _intents_at(rows: Rows, numbers: list[int]) -> list[Any]:
    """Returns the intents with these numbers, newest first."""
    parameters: dict[str, Any] = {}
    marks = _marks("seq", numbers, parameters)
    if not marks:
        return []
    return [
        *rows.execute(
            f"SELECT {_INTENT_COLUMNS} FROM event e"  # noqa: S608 - constants and marks
            f" WHERE e.seq IN ({marks}) ORDER BY e.seq DESC",
            parameters,
        )
    ]


def _readers_of(rows: Rows, dataset: int, names: list[int], before: int, limit: int) -> list[int]:
    """Returns the numbers of the newest intents whose results read a dataset.

    Results are looked at from the newest on. A result comes after its intent, so once ``limit``
    intents are found, no result older than the oldest of them can add another one.
    """
    found: list[int] = []
    cursor = _NO_END
    while True:
        parameters: dict[str, Any] = {"dataset": dataset, "result": RESULT, "type": INTENT}
        parameters |= {"cursor": cursor, "chunk": _CHUNK}
        conditions = _mentioning("i.seq", names, parameters)
        page = rows.execute(
            "SELECT r.seq, (SELECT i.seq FROM event i WHERE i.execution_id = r.execution_id"  # noqa: S608 - constants and marks
            f" AND i.type = :type AND i.seq < r.seq{conditions} ORDER BY i.seq DESC LIMIT 1)"
            " FROM mention m JOIN event r ON r.seq = m.seq"
            " WHERE m.name = :dataset AND m.seq < :cursor AND r.type = :result"
            " ORDER BY m.seq DESC LIMIT :chunk",
            parameters,
        ).fetchall()
        found += [intent for _, intent in page if intent is not None and intent < before]
        found = sorted(set(found), reverse=True)[:limit]
        if len(page) < _CHUNK or (len(found) == limit and page[-1][0] < found[-1]):
            return found
        cursor = page[-1][0]


def _joined(rows: Rows, intents: list[Any]) -> list[dict[str, Any]]:
    """Joins each intent with the later events of its execution."""
    parameters: dict[str, Any] = {}
    marks = _marks("id", [row[3] for row in intents if row[3] is not None], parameters)
    facts: dict[str, list[tuple[int, str, dict[str, Any]]]] = {}
    if marks:
        for execution_id, seq, kind, header in rows.execute(
            "SELECT execution_id, seq, type, header FROM event"  # noqa: S608 - marks
            f" WHERE execution_id IN ({marks}) ORDER BY seq",
            parameters,
        ):
            facts.setdefault(execution_id, []).append((seq, kind, parse_body(header)))
    return [
        join_execution(
            seq,
            time_us,
            parse_body(header),
            [(kind, body) for fact, kind, body in facts.get(execution_id, ()) if fact > seq],
        )
        for seq, time_us, header, execution_id in intents
    ]


def _mentioning(place: str, names: list[int], parameters: dict[str, Any]) -> str:
    """Adds names to the parameters; returns the condition that an event mentions them all."""
    marks = [f"name{i}" for i in range(len(names))]
    parameters.update(zip(marks, names, strict=True))
    question = "SELECT 1 FROM mention x WHERE x.name = :{} AND x.seq = {}"
    return "".join(f" AND EXISTS ({question.format(mark, place)})" for mark in marks)


def _marks(prefix: str, values: list[Any], parameters: dict[str, Any]) -> str:
    """Adds values to the parameters; returns their marks for ``IN``."""
    names = [f"{prefix}{i}" for i in range(len(values))]
    parameters.update(zip(names, values, strict=True))
    return ", ".join(f":{name}" for name in names)


def _of_execution(rows: Rows, execution_id: str) -> list[Any]:
    return [
        *rows.execute(
            f"{_events(rows)} WHERE e.execution_id = :execution_id ORDER BY e.seq",
            {"execution_id": execution_id},
        )
    ]


def _head_note(rows: Rows) -> str:
    row = rows.execute("SELECT note FROM head").fetchone()
    if row is None:
        raise CheckpointError("the head is missing")
    note: str = row[0]
    return note


def _events(rows: Rows) -> str:
    """Returns the question for events with what is needed to open their payloads."""
    return _WITH_KEYS if rows.version >= SINCE_DATA_KEYS else _WITHOUT_KEYS


def _sealed_entry(row: tuple[Any, ...]) -> Entry:
    """Returns an event as it is stored: its payload is sealed, erased, lost or was never there."""
    seq, time_us, kind, header, payload = row[:5]
    tombstone, erased_us, tombstone_header = row[7:10]
    erasure = None
    if tombstone is not None:
        rule = "" if tombstone_header is None else str(parse_body(tombstone_header).get("rule"))
        erasure, state = Erasure(tombstone, erased_us or 0, rule), PayloadState.ERASED
    elif payload is not None:
        state = PayloadState.SEALED
    else:
        state = PayloadState.NONE if committed_digest(header) is None else PayloadState.DAMAGED
    return Entry(
        seq,
        time_us,
        kind,
        parse_body(header),
        header,
        leaf_hash(header),
        payload_state=state,
        erasure=erasure,
    )


def _reload_from(source: Home | Path) -> Callable[[], Keyring] | None:
    """Returns what reads the keys anew: a home's may have been rotated while it was open."""
    if isinstance(source, Path):
        return None
    from cloister.store.keys import open_keyring

    return lambda: open_keyring(source)
