"""The lineage log: what happened, durable before anyone is told that it happened.

Events are leaves of an RFC 9162 Merkle tree in a database (SQLite, or PostgreSQL for teams). One
transaction holds the events, the tree nodes that they complete, the tree's new edge and a
checkpoint signed with Ed25519; the checkpoint then goes to the witness file outside the database.
Any number of processes may append to one log: the transaction is what orders them.

The log refuses to grow when its past does not fit: a database that is shorter than its witness,
differs from it, was swapped while open, or lost its witness takes no more events, because new
events would hide the damage. After a failure the next append opens everything again, so the log
recovers by itself when the cause is gone, and a failed append leaves nothing behind.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn, Self

from cloister.core.errors import StoreUnavailable
from cloister.core.records import Record
from cloister.store.checkpoint import (
    Checkpoint,
    CheckpointError,
    Verifier,
    sign_checkpoint,
    verify_checkpoint,
)
from cloister.store.clock import STEPPED, Clock
from cloister.store.database import BUSY_TIMEOUT_MS, damaged
from cloister.store.entry import (
    Draft,
    Entry,
    PayloadBox,
    PayloadState,
    draft,
    header_bytes,
    header_tail,
    parse_body,
    payload_digest,
)
from cloister.store.keys import key_id
from cloister.store.lineage_store import WHAT, Batch, Head, read_head, read_node
from cloister.store.lineage_stores import settings_mark, writable_store
from cloister.store.mentions import names_in
from cloister.store.merkle import EMPTY_ROOT, Frontier, leaf_hash, root_at
from cloister.store.witness import WitnessWriter, read_witness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloister.core.records import Json
    from cloister.store.home import Home
    from cloister.store.keys import Keyring

_log = logging.getLogger(__name__)

KEEP_CHECKPOINT_EVERY: Final = 256
"""Events between two checkpoints that stay in the database beside the newest one."""

REMEMBER_EVENTS: Final = 65_536
"""Events after which a writer's last append is forgotten; who asks again does so in seconds."""

_CLIENT_BYTES: Final = 16
_RETRY_PAUSE_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Request:
    """One append of one writer, which may be asked for twice and happens once.

    A writer numbers its appends upwards and sends the next one only after the answer to the last.
    The log keeps the newest number of each writer in the same transaction as the events, so that an
    append whose outcome is unknown (a connection broke, a process was killed) can be sent again, to
    whoever appends now.

    Attributes:
        client: 16 random bytes that name the writer.
        number: The number of this append.
        drafts: What happened, in order.
    """

    client: bytes
    number: int
    drafts: Sequence[Draft]


def new_client() -> bytes:
    """Returns a name for a writer."""
    return os.urandom(_CLIENT_BYTES)


class LineageLog:
    """Appends to the record of one workspace. Safe to call from several threads.

    Construction opens the log and checks it against its witness.

    Args:
        home: The workspace.
        keyring: Its keys; the signer signs each checkpoint.
        clock: The time for events.
        busy_timeout_ms: How long to wait for another process.

    Raises:
        StoreUnavailable: As for :meth:`append`.
    """

    def __init__(
        self,
        home: Home,
        keyring: Keyring,
        *,
        clock: Clock | None = None,
        busy_timeout_ms: int = BUSY_TIMEOUT_MS,
    ) -> None:
        self._home = home
        self._clock = clock or Clock()
        self._busy_timeout_ms = busy_timeout_ms
        self._verifier = Verifier(keyring.key_name, keyring.public_key_bytes)
        self._key_id = key_id(keyring.key_name, keyring.public_key_bytes)
        self._sign = keyring.signer.sign
        self._box = PayloadBox(keyring)
        self._witness = WitnessWriter(home.witness_path, self._verifier)
        self._mutex = threading.Lock()
        self._mark = settings_mark(home)
        self._store = writable_store(home, busy_timeout_ms=busy_timeout_ms)
        self._is_open = False
        self._frontier = Frontier.empty()
        self._last_leaf: bytes | None = None
        self._last_us: int | None = None
        self._note = ""
        self._is_witnessed = True
        self._client = new_client()
        self._appends = 0
        self.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, records: Sequence[Record]) -> tuple[Entry, ...]:
        """Adds events, all or none; they are on the disk when this returns.

        Args:
            records: What happened, in order.

        Returns:
            The events with their numbers.

        Raises:
            StoreUnavailable: The log cannot take them: the disk is full (``CLO-STORE-001``), the
                log is damaged or does not fit its witness (``-002``), another process holds it
                locked (``-003``), it cannot be written (``-004``), or the database server is out of
                reach (``-007``). Nothing was added; only where the server was lost for good after
                the last word was sent, the events may be there without anyone having been told.
            ValueError: A record is not well formed. Nothing was added.
        """
        drafts = [draft(record) for record in records]
        if not drafts:
            return ()
        with self._mutex:
            self._appends += 1
            return self._append_group([Request(self._client, self._appends, drafts)])[0]

    def append_group(self, requests: Sequence[Request]) -> list[tuple[Entry, ...]]:
        """Adds the appends of several writers in one transaction, all or none.

        What was added before by a request of the same writer and number is not added again.

        Returns:
            The events of each request.

        Raises:
            StoreUnavailable: As for :meth:`append`.
        """
        with self._mutex:
            return self._append_group(requests)

    def open(self) -> None:
        """Opens the log and checks it against its witness, without adding anything.

        Raises:
            StoreUnavailable: As for :meth:`append`.
        """
        with self._mutex:
            try:
                if self._is_open and not self._is_current():
                    self._close()
                self._ready()
            except self._store.failures as error:
                self._close()
                raise self._store.refusal(error) from error
            except BaseException:
                self._close()
                raise

    def close(self) -> None:
        """Closes the database; a later append opens it again."""
        with self._mutex:
            self._close()

    @property
    def size(self) -> int:
        """Number of events when this log last looked."""
        return self._frontier.size

    def _append_group(self, requests: Sequence[Request]) -> list[tuple[Entry, ...]]:
        give_up_at = time.monotonic() + self._store.patience_s
        while True:
            failures = self._store.failures
            try:
                self._ready()
                entries = self._write(requests)
                break
            except _Moved:
                self._close()
            except failures as error:
                self._close()
                if not self._store.may_pass(error) or time.monotonic() >= give_up_at:
                    raise self._store.refusal(error) from error
                time.sleep(_RETRY_PAUSE_S)
            except BaseException:
                self._close()
                raise
        self._publish()
        return entries

    def _ready(self) -> None:
        """Sees to a connection; each write looks by itself whether it is still the right log."""
        if not self._is_open:
            self._open()
        if not self._is_witnessed:
            # At most one append goes unwitnessed: the next one waits until the witness is written.
            self._advance_witness()

    def _is_current(self) -> bool:
        return self._store.is_current() and settings_mark(self._home) == self._mark

    def _open(self) -> None:
        mark = settings_mark(self._home)
        if mark != self._mark:
            self._store = writable_store(self._home, busy_timeout_ms=self._busy_timeout_ms)
            self._mark = mark
        witness = self._read_witness()

        def first_note() -> str:
            if witness is not None and witness.size:
                _refuse(f"its database is gone or empty, its witness knows {witness.size} events")
            return self._signed(0, EMPTY_ROOT)

        # First the witness: a log whose witness is missing has then lost it, and says so.
        self._store.open(first_note, lambda note: self._witness.advance(note, 0, durable=True))
        try:
            self._note = ""
            self._frontier = Frontier.empty()
            if witness is None:
                # A new log's witness is written before its database, so it is there by now. It is
                # read before the head: then other writers can only make the log the longer one.
                witness = self._read_witness()
            self._adopt_head()
            self._check_witness(witness)
            self._store.rollback()  # nothing was written; PostgreSQL had a transaction open to read
        except BaseException:
            self._store.close()
            raise
        self._is_open = True

    def _adopt_head(self) -> None:
        """Reads the edge of the tree; does the work only when another process moved it."""
        head = read_head(self._store)
        if head is None:
            _refuse("its head is missing")
        if self._note and head.note == self._note and head.size == self._frontier.size:
            return
        if head.size < self._frontier.size:
            _refuse("it became shorter while it was open")
        try:
            parsed = Frontier.parse(head.size, head.frontier)
            if verify_checkpoint(head.note, self._verifier) != Checkpoint(
                self._verifier.name, head.size, parsed.root()
            ):
                _refuse("its newest checkpoint does not fit its events")
        except (CheckpointError, ValueError, TypeError, AttributeError):
            _refuse("its newest checkpoint is not valid")
        last = self._store.execute(
            "SELECT time_us FROM event WHERE seq = :seq", {"seq": head.size - 1}
        ).fetchone()
        self._last_us = None if last is None else last[0]
        self._frontier, self._last_leaf, self._note = parsed, head.last_leaf, head.note

    def _write(self, requests: Sequence[Request]) -> list[tuple[Entry, ...]]:
        store = self._store
        store.begin()
        if not self._is_current():
            # Writing on would reach a database that no reader will ever find.
            raise _Moved
        self._adopt_head()
        growth = _Growth(self._frontier, self._last_leaf, self._box)
        reading = self._clock.read(self._last_us)
        if reading.step_us:
            body: dict[str, Json] = {"step_us": reading.step_us, "attested_by": "log"}
            growth.add(reading.time_us, draft(Record(STEPPED, body)))
        answers: list[tuple[Entry, ...]] = []
        writers: dict[bytes, tuple[bytes, int, int, int]] = {}
        placed: dict[tuple[bytes, int], tuple[Entry, ...]] = {}
        for request in requests:
            key = request.client, request.number
            known = placed.get(key)
            if known is None:
                known = self._already_written(request)
            if known is None:
                first = growth.size
                known = tuple(growth.add(reading.time_us, item) for item in request.drafts)
                writers[request.client] = (*key, first, len(known))
            placed[key] = known
            answers.append(known)
        if not writers:
            store.rollback()
            return answers
        head = growth.head(self._signed(growth.size, growth.frontier.root()))
        is_kept = self._frontier.size // KEEP_CHECKPOINT_EVERY != head.size // KEEP_CHECKPOINT_EVERY
        store.add(Batch(growth.events, growth.mentions, [*writers.values()], head, is_kept))
        if is_kept:
            oldest = {"oldest": head.size - REMEMBER_EVENTS}
            store.execute("DELETE FROM writer WHERE first_seq < :oldest", oldest)
        store.commit()
        self._clock.accept(reading)
        self._frontier, self._last_leaf, self._note = growth.frontier, growth.prev, head.note
        self._last_us = reading.time_us
        return answers

    def _already_written(self, request: Request) -> tuple[Entry, ...] | None:
        """Returns the events of a request that came before, ``None`` if it is new."""
        row = self._store.execute(
            "SELECT number, first_seq, events FROM writer WHERE client = :client",
            {"client": request.client},
        ).fetchone()
        if row is None or row[0] < request.number:
            return None
        if row[0] > request.number:
            return ()  # somebody asked a second time, went on, and waits for this no more
        rows = self._store.execute(
            "SELECT seq, time_us, type, header FROM event WHERE seq >= :first AND seq < :after"
            " ORDER BY seq",
            {"first": row[1], "after": row[1] + row[2]},
        )
        return tuple(
            Entry(
                seq,
                time_us,
                kind,
                parse_body(header),
                header,
                leaf_hash(header),
                item.payload,
                PayloadState.OPEN if item.payload else PayloadState.NONE,
            )
            for (seq, time_us, kind, header), item in zip(rows, request.drafts, strict=True)
        )

    def _signed(self, size: int, root: bytes) -> str:
        name = self._verifier.name
        return sign_checkpoint(Checkpoint(name, size, root), name, self._key_id, self._sign)

    def _publish(self) -> None:
        """Moves the witness forward; a failure stops the *next* append, this one is durable."""
        try:
            self._advance_witness()
        except (OSError, StoreUnavailable):
            self._is_witnessed = False
            _log.warning("The witness could not be written; the next record waits for it.")

    def _advance_witness(self) -> None:
        try:
            self._witness.advance(self._note, self._frontier.size)
        except CheckpointError:
            _refuse("its witness is damaged")
        self._is_witnessed = True

    def _read_witness(self) -> Checkpoint | None:
        try:
            return read_witness(self._home.witness_path, self._verifier)
        except CheckpointError:
            _refuse("its witness is damaged")

    def _check_witness(self, witness: Checkpoint | None) -> None:
        size = self._frontier.size
        if witness is None:
            _refuse("its witness is missing")
        if witness.size > size:
            _refuse(f"it has {size} events, while its witness knows {witness.size}")
        try:
            root = root_at(witness.size, lambda level, i: read_node(self._store, level, i))
        except LookupError:
            _refuse("events are missing")
        if root != witness.root:
            _refuse("its events differ from what its witness knows")
        if witness.size < size:
            self._advance_witness()

    def _close(self) -> None:
        self._is_open = False
        self._store.close()
        self._witness.close()


class _Growth:
    """The tree while a transaction adds to it; the log keeps it only when that was committed."""

    def __init__(self, frontier: Frontier, last_leaf: bytes | None, box: PayloadBox) -> None:
        self.frontier = Frontier(frontier.size, list(frontier.hashes))
        self.prev = last_leaf
        self.events: list[tuple[int, int, str, str | None, bytes, bytes | None, bytes]] = []
        self.mentions: list[tuple[int, int]] = []
        self._box = box

    @property
    def size(self) -> int:
        return self.frontier.size

    def add(self, now_us: int, item: Draft) -> Entry:
        seq = self.size
        sealed = self._box.seal(seq, item.payload) if item.payload else None
        tail = header_tail(seq, now_us, item.type, self.prev, payload_digest(sealed))
        header = header_bytes(item.body_bytes, tail)
        self.prev = leaf_hash(header)
        nodes = b"".join(self.frontier.append(self.prev))
        self.events.append((seq, now_us, item.type, item.execution_id, header, sealed, nodes))
        self.mentions += [(name, seq) for name in names_in(item.type, item.body_bytes)]
        state = PayloadState.OPEN if item.payload else PayloadState.NONE
        return Entry(seq, now_us, item.type, item.body, header, self.prev, item.payload, state)

    def head(self, note: str) -> Head:
        return Head(self.size, self.frontier.serialize(), self.prev, note)


class _Moved(Exception):
    """The record went to another database while this writer waited for its turn."""


def _refuse(reason: str) -> NoReturn:
    raise damaged(WHAT, reason)
