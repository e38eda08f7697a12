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
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NoReturn, Self, TypeVar

from cloister.core.errors import CloisterError, StoreUnavailable
from cloister.core.records import Record
from cloister.store.checkpoint import (
    Checkpoint,
    CheckpointError,
    sign_checkpoint,
    verify_checkpoint,
)
from cloister.store.clock import STEPPED, Clock
from cloister.store.database import BUSY_TIMEOUT_MS, damaged
from cloister.store.entry import (
    Entry,
    PayloadState,
    draft,
    parse_body,
)
from cloister.store.keys import key_id, open_keyring
from cloister.store.lineage_growth import Growth
from cloister.store.lineage_request import Change, Request, new_client
from cloister.store.lineage_store import WHAT, Batch, Head, read_head, read_node
from cloister.store.lineage_stores import settings_mark, writable_store
from cloister.store.merkle import EMPTY_ROOT, Frontier, leaf_hash, root_at
from cloister.store.payloads import PayloadBox, missing_generation
from cloister.store.signing import promote_signer
from cloister.store.witness import WitnessWriter, read_witness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cloister.core.records import Json
    from cloister.store.home import Home
    from cloister.store.keys import Keyring
    from cloister.store.lineage_store import LineageStore

_log = logging.getLogger(__name__)

KEEP_CHECKPOINT_EVERY: Final = 256
"""Events between two checkpoints that stay in the database beside the newest one."""

REMEMBER_EVENTS: Final = 65_536
"""Events after which a writer's last append is forgotten; who asks again does so in seconds."""

_T = TypeVar("_T")

_RETRY_PAUSE_S: Final = 0.1


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
        self._use(keyring)
        self._witness = WitnessWriter(home.witness_path, self._verifier)
        self._generation = 1
        self._signer: str | None = None
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

    def change(self, change: Change) -> Entry:
        """Adds one event together with a change beside the tree, both or neither.

        Raises:
            StoreUnavailable: As for :meth:`append`.
            ValueError: The event is not well formed. Nothing was changed.
        """
        with self._mutex:
            self._appends += 1
            request = Request(self._client, self._appends, (), change)
            return self._append_group([request])[0][0]

    def beside(self, work: Callable[[LineageStore], _T]) -> _T:
        """Does work beside the tree in one transaction, as the only writer; the log stays as it is.

        Args:
            work: Done again as a whole where a database server was lost in the middle.

        Raises:
            StoreUnavailable: As for :meth:`append`.
        """
        with self._mutex:
            return self._attempt(lambda: self._do_beside(work))

    @property
    def generation(self) -> int:
        """The workspace key that wraps data keys, when this log last looked."""
        return self._generation

    @property
    def signer(self) -> str | None:
        """Id of the signing key in force, ``None`` before one was ever replaced; as above."""
        return self._signer

    def forget_pages(self) -> None:
        """Sees to it that what a change deleted is not in the database's files any more."""
        with self._mutex:
            self._store.forget_pages()

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

    def _use(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._verifier = keyring.verifier
        self._key_id = key_id(keyring.key_name, keyring.public_key_bytes)
        self._sign = keyring.signer.sign
        self._box = PayloadBox(keyring)

    def _append_group(self, requests: Sequence[Request]) -> list[tuple[Entry, ...]]:
        entries = self._attempt(lambda: self._write(requests))
        self._publish()
        return entries

    def _attempt(self, work: Callable[[], _T]) -> _T:
        """Does a transaction, again where its failure may pass."""
        give_up_at = time.monotonic() + self._store.patience_s
        while True:
            failures = self._store.failures
            try:
                self._ready()
                return work()
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

    def _do_beside(self, work: Callable[[LineageStore], _T]) -> _T:
        self._store.begin()
        if not self._is_current():
            raise _Moved
        self._adopt_head()
        done = work(self._store)
        self._store.commit()
        return done

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
        self._adopt_keys(head)
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

    def _adopt_keys(self, head: Head) -> None:
        """Goes on with the keys that the log says are in force; they may have been rotated.

        Raises:
            StoreUnavailable: This home does not have them (``CLO-STORE-012``).
        """

        def is_right(keyring: Keyring) -> bool:
            in_force = keyring.signing_keys.keys[0].identifier
            return head.signer in {None, in_force} and (
                keyring.wrapping_key(head.generation) is not None
            )

        if not is_right(self._keyring):
            with _keys_as_store():
                keyring = open_keyring(self._home)
                if not is_right(keyring):
                    # Whoever rotated was stopped between the log and the file; the log decides.
                    keyring = promote_signer(self._home, self._store, head.signer) or keyring
                if not is_right(keyring):
                    raise missing_generation()
                self._use(keyring)
        self._generation, self._signer = head.generation, head.signer

    def _write(self, requests: Sequence[Request]) -> list[tuple[Entry, ...]]:
        store = self._store
        store.begin()
        if not self._is_current():
            # Writing on would reach a database that no reader will ever find.
            raise _Moved
        self._adopt_head()
        growth = Growth(self._frontier, self._last_leaf, self._box, self._generation)
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
                drafts = request.drafts_at(first)
                known = tuple(growth.add(reading.time_us, item) for item in drafts)
                writers[request.client] = (*key, first, len(known))
            placed[key] = known
            answers.append(known)
        if not writers:
            store.rollback()
            return answers
        head = growth.head(self._signed(growth.size, growth.frontier.root()))
        is_kept = self._frontier.size // KEEP_CHECKPOINT_EVERY != head.size // KEEP_CHECKPOINT_EVERY
        store.add(
            Batch(growth.events, growth.keys, growth.mentions, [*writers.values()], head, is_kept)
        )
        _apply_changes(store, requests, writers)
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
        payloads = [item.payload for item in request.drafts] or [b""]
        return tuple(
            Entry(
                seq,
                time_us,
                kind,
                parse_body(header),
                header,
                leaf_hash(header),
                payload,
                PayloadState.OPEN if payload else PayloadState.NONE,
            )
            for (seq, time_us, kind, header), payload in zip(rows, payloads, strict=True)
        )

    def _signed(self, size: int, root: bytes) -> str:
        name = self._verifier.name
        with _keys_as_store():
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
            pass
        try:  # the key may have been replaced since this log was opened
            self._use(open_keyring(self._home))
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


@contextmanager
def _keys_as_store() -> Iterator[None]:
    """Tells what is wrong with the keys as what it is for a writer: nothing can be recorded."""
    try:
        yield
    except StoreUnavailable:
        raise
    except CloisterError as error:
        raise StoreUnavailable(error.message, code=error.code, remedy=error.remedy) from error


def _apply_changes(
    store: LineageStore,
    requests: Sequence[Request],
    writers: dict[bytes, tuple[bytes, int, int, int]],
) -> None:
    for request in requests:
        if request.change is not None and request.client in writers:
            request.change.apply(store, writers[request.client][2])


class _Moved(Exception):
    """The record went to another database while this writer waited for its turn."""


def _refuse(reason: str) -> NoReturn:
    raise damaged(WHAT, reason)
