"""The lineage log in PostgreSQL, for teams: same bytes, same tree, same proofs as in SQLite.

The row of ``head`` is locked (``FOR UPDATE``) by whoever appends, and so orders all writers of all
machines. A server that restarts or hands over to its standby in the middle of an append leaves the
outcome unknown; the append is then sent again under its old number
(:class:`cloister.store.lineage_request.Request`), and what had been committed is found, not added
twice.

What is trusted: that the server flushes what it commits (``fsync``, ``synchronous_commit``, both
checked), and that a standby that takes over has it (``synchronous_standby_names``, the admin's). A
standby without it is shorter than the witness, and then nothing is appended.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloister.store.database import (
    BUSY_TIMEOUT_MS,
    DAMAGED,
    DISK_FULL,
    LOCKED,
    NO_DRIVER,
    NO_SERVER,
    NO_TABLES,
    NOT_DURABLE,
    NOT_WRITABLE,
    refused,
    unavailable,
)
from cloister.store.lineage_schema import SCHEMA_VERSION
from cloister.store.lineage_store import WHAT, Answer, Batch, Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection, Engine, TextClause

    from cloister.core.errors import StoreUnavailable
    from cloister.store.store_settings import StoreSettings

_log = logging.getLogger(__name__)

REVISION: Final = "0003"
"""The newest migration in ``store/migrations``; tables of another one are not touched."""

VERSION_TABLE: Final = "lineage_version"

_PATIENCE_S: Final = 15.0
_ROWS_AT_ONCE: Final = 2_000
_NOTHING: Mapping[str, Any] = {}
_IS_THERE: Final = "SELECT EXISTS (SELECT 1 FROM head) OR EXISTS (SELECT 1 FROM event)"
_CONNECT: Final = {
    "connect_timeout": 5,
    # A server that vanishes without a word is noticed in seconds, not in hours.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "cloister",
}

# One statement, so that a transaction is five messages and not one for each table.
_ADD: Final = """
WITH new_event AS (
  INSERT INTO event (seq, time_us, type, execution_id, header, payload, nodes)
  SELECT * FROM unnest(CAST(:seq AS bigint[]), CAST(:time_us AS bigint[]), CAST(:type AS text[]),
    CAST(:execution_id AS text[]), CAST(:header AS bytea[]), CAST(:payload AS bytea[]),
    CAST(:nodes AS bytea[]))
), new_key AS (
  INSERT INTO data_key (seq, generation, wrapped)
  SELECT * FROM unnest(CAST(:keyed AS bigint[]), CAST(:generation AS integer[]),
    CAST(:wrapped AS bytea[]))
), new_mention AS (
  INSERT INTO mention (name, seq)
  SELECT * FROM unnest(CAST(:name AS bigint[]), CAST(:mentioned AS bigint[]))
), new_writer AS (
  INSERT INTO writer (client, number, first_seq, events)
  SELECT * FROM unnest(CAST(:client AS bytea[]), CAST(:number AS bigint[]),
    CAST(:first_seq AS bigint[]), CAST(:events AS bigint[]))
  ON CONFLICT (client) DO UPDATE SET
    number = excluded.number, first_seq = excluded.first_seq, events = excluded.events
), new_checkpoint AS (
  INSERT INTO checkpoint (size, note) SELECT CAST(:size AS bigint), CAST(:note AS text)
  WHERE CAST(:is_kept AS boolean)
)
UPDATE head SET size = CAST(:size AS bigint), frontier = CAST(:frontier AS bytea),
  last_leaf = CAST(:last_leaf AS bytea), note = CAST(:note AS text)
"""


class PostgresStore:
    """Appends to a server; see :class:`cloister.store.lineage_store.LineageStore`.

    Args:
        settings: Where the server is.
        busy_timeout_ms: How long to wait for another writer.

    Raises:
        StoreUnavailable: SQLAlchemy or psycopg is not installed (``CLO-STORE-008``).
    """

    patience_s = _PATIENCE_S

    def __init__(self, settings: StoreSettings, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> None:
        require_driver()
        self._settings = settings
        self._busy_timeout_ms = busy_timeout_ms
        self._engine: Engine | None = None
        self._connection: Connection | None = None

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """What SQLAlchemy raises, and the disk of the home, where the witness is."""
        from sqlalchemy.exc import SQLAlchemyError

        return SQLAlchemyError, OSError

    def open(self, first_note: Callable[[], str], before_commit: Callable[[str], None]) -> None:
        """Connects, checks that commits are durable, and begins a log where there is none."""
        if self._engine is None:
            self._engine = make_engine(self._settings)
        connection = self._engine.connect()
        try:
            _check_server(connection)
            connection.execute(_text(f"SET lock_timeout = {int(self._busy_timeout_ms)}"))
            connection.execute(_text("SET synchronous_commit = on"))
            connection.commit()
            if not connection.execute(_text(_IS_THERE)).scalar_one():
                connection.rollback()
                connection.execute(_text("LOCK TABLE head IN EXCLUSIVE MODE"))
                if not connection.execute(_text(_IS_THERE)).scalar_one():
                    note = first_note()
                    connection.execute(
                        _text("INSERT INTO head VALUES (0, 0, '', NULL, :note, 1, NULL)"),
                        {"note": note},
                    )
                    before_commit(note)
            connection.commit()
        except BaseException:
            _discard(connection)
            raise
        self._connection = connection

    def is_current(self) -> bool:
        """Returns whether it is open; the head says whether it is the same log."""
        return self._connection is not None

    def begin(self) -> None:
        """Takes the head's row, as the only writer."""
        self._live.rollback()  # what was asked outside a transaction had opened one
        self.execute("SELECT id FROM head FOR UPDATE")

    def execute(self, sql: str, parameters: Mapping[str, Any] = _NOTHING, /) -> Answer:
        """Asks."""
        return self._live.execute(_text(sql), parameters)

    def execute_many(self, sql: str, rows: Sequence[Mapping[str, Any]], /) -> None:
        """Does the same with many rows, in a pipeline."""
        if rows:
            self._live.execute(_text(sql), list(rows))

    def add(self, batch: Batch) -> None:
        """Adds events and moves the edge, in one statement."""
        columns = _columns(batch.events, _EVENT_COLUMNS)
        columns |= _columns(batch.keys, ("keyed", "generation", "wrapped"))
        columns |= _columns(batch.mentions, ("name", "mentioned"))
        columns |= _columns(batch.writers, ("client", "number", "first_seq", "events"))
        head = batch.head
        self._live.execute(
            _text(_ADD),
            {
                **columns,
                "size": head.size,
                "frontier": head.frontier,
                "last_leaf": head.last_leaf,
                "note": head.note,
                "is_kept": batch.is_kept,
            },
        )

    def commit(self) -> None:
        """Makes the transaction durable."""
        self._live.commit()

    def rollback(self) -> None:
        """Ends the transaction without a trace."""
        self._live.rollback()

    def forget_pages(self) -> None:
        """Vacuums what rows were deleted from; the server's own log and backups are the admin's."""
        from sqlalchemy.exc import SQLAlchemyError

        if self._engine is None:  # pragma: no cover - it was opened to delete
            return
        try:
            with self._engine.connect() as connection:
                alone = connection.execution_options(isolation_level="AUTOCOMMIT")
                alone.execute(_text("VACUUM data_key"))
                alone.execute(_text("VACUUM event"))
        except SQLAlchemyError:
            _log.warning("The tables of the record could not be vacuumed; autovacuum will do it.")

    def close(self) -> None:
        """Closes the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            _discard(connection)

    def may_pass(self, error: Exception) -> bool:
        """Returns whether the server was lost, and may be back, or be another one, in a moment."""
        return not isinstance(error, OSError) and _code_of(error) == NO_SERVER

    def refusal(self, error: Exception) -> StoreUnavailable:
        """Turns a failure of the server into a refusal; never its text, which names hosts."""
        return refusal_of(error)

    @property
    def _live(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("the log is not open")
        return self._connection


_EVENT_COLUMNS: Final = ("seq", "time_us", "type", "execution_id", "header", "payload", "nodes")


class PostgresSource:
    """Reads from a server. Readers and writers never wait for each other there.

    Args:
        settings: Where the server is.

    Raises:
        StoreUnavailable: SQLAlchemy or psycopg is not installed (``CLO-STORE-008``).
    """

    def __init__(self, settings: StoreSettings) -> None:
        require_driver()
        self._settings = settings
        self._mutex = threading.Lock()
        self._engine: Engine | None = None
        self._connection: Connection | None = None

    @contextmanager
    def reading(self) -> Iterator[Rows | None]:
        """Opens a transaction on one snapshot; ``None`` where no log is yet."""
        from sqlalchemy.exc import SQLAlchemyError

        with self._mutex:
            try:
                connection = self._ready()
                is_there = connection.execute(_text(_IS_THERE)).scalar_one()
                yield _PostgresRows(connection) if is_there else None
                connection.rollback()
            except SQLAlchemyError as error:
                self._close()
                raise refusal_of(error) from error
            except BaseException:
                self._close()
                raise

    def close(self) -> None:
        """Closes the connection; a later reading opens it again."""
        with self._mutex:
            self._close()

    def _ready(self) -> Connection:
        """Returns a connection that answers; the server may have restarted since the last time."""
        from sqlalchemy.exc import DBAPIError

        if self._connection is not None:
            try:
                self._connection.execute(_text("SELECT 1"))
            except DBAPIError:
                self._close()
        if self._connection is None:
            if self._engine is None:
                self._engine = make_engine(self._settings)
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            connection = self._engine.connect().execution_options(**options)
            try:
                _check_tables(connection)
            except BaseException:
                _discard(connection)
                raise
            self._connection = connection
        return self._connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            _discard(connection)


class _PostgresRows:
    version = SCHEMA_VERSION  # tables of another one are not read

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Mapping[str, Any] = _NOTHING, /) -> Answer:
        return self._connection.execute(_text(sql), parameters)

    def stream(self, sql: str) -> Iterable[Any]:
        options = {"stream_results": True, "yield_per": _ROWS_AT_ONCE}
        return self._connection.execute(_text(sql), execution_options=options)


def require_driver() -> None:
    """Checks that the packages of the extra are there.

    Raises:
        StoreUnavailable: They are not (``CLO-STORE-008``).
    """
    try:
        import alembic  # noqa: F401 - whether it is there
        import psycopg  # noqa: F401
        import sqlalchemy  # noqa: F401
    except ImportError:
        raise refused(
            NO_DRIVER, WHAT, "it is in PostgreSQL, and what that needs is not installed"
        ) from None


def make_engine(settings: StoreSettings) -> Engine:
    """Returns an engine that logs no values and pools no connections."""
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.pool import NullPool

    url = make_url(settings.url).set(drivername="postgresql+psycopg")
    password = settings.password()
    if password is not None:
        url = url.set(password=password)
    given = {key: value for key, value in _CONNECT.items() if key not in url.query}
    return create_engine(url, poolclass=NullPool, connect_args=given, hide_parameters=True)


@lru_cache(maxsize=256)
def _text(sql: str) -> TextClause:
    from sqlalchemy import text

    return text(sql)


def _columns(rows: Iterable[tuple[Any, ...]], names: tuple[str, ...]) -> dict[str, list[Any]]:
    turned = [list(column) for column in zip(*rows, strict=True)]
    return dict(zip(names, turned or [[] for _ in names], strict=True))


def _check_server(connection: Connection) -> None:
    _check_tables(connection)
    if connection.execute(_text("SHOW fsync")).scalar_one() != "on":
        raise refused(NOT_DURABLE, WHAT, "its server runs with fsync off")


def _check_tables(connection: Connection) -> None:
    """Checks that the tables are those of this version; only the migration makes or changes any."""
    exists = connection.execute(
        _text("SELECT to_regclass(:name) IS NOT NULL"), {"name": VERSION_TABLE}
    ).scalar_one()
    found = None
    if exists:
        found = connection.execute(
            _text(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608 - a constant
        ).scalar_one_or_none()
    if found != REVISION:
        reason = "have not been made" if found is None else "are of another version"
        raise refused(NO_TABLES, WHAT, f"its tables in PostgreSQL {reason}")
    connection.rollback()


def _discard(connection: Connection) -> None:
    """Closes a connection that may be broken, whatever it says about that."""
    with suppress(Exception):
        connection.invalidate()
    with suppress(Exception):
        connection.close()


def refusal_of(error: Exception) -> StoreUnavailable:
    """Turns a failure of the server into a refusal; never its text, which names hosts."""
    if isinstance(error, OSError):  # the server's failures are all SQLAlchemy's
        return unavailable(error, WHAT, Path())
    code = _code_of(error)
    reason = {
        DISK_FULL: "the disk of its server is full",
        LOCKED: "another writer holds it locked",
        NOT_WRITABLE: "this account may not write it",
        NO_TABLES: "its tables in PostgreSQL have not been made",
        NO_SERVER: "its server is out of reach, or refuses this account",
        DAMAGED: "its server reports damage, or an answer that fits no record",
    }[code]
    return refused(code, WHAT, reason)


#: SQLSTATEs (PostgreSQL documentation, appendix A), a whole one before its class.
_STATES: Final = {
    "53100": DISK_FULL,
    "55P03": LOCKED,  # lock_timeout
    "57014": LOCKED,  # statement_timeout
    "42501": NOT_WRITABLE,
    "42P01": NO_TABLES,
    "25006": NO_SERVER,  # this server has become a standby
    "25P03": NO_SERVER,  # it closed a connection that had been idle
    "08": NO_SERVER,
    "28": NO_SERVER,  # it does not know this account
    "3D": NO_SERVER,  # it does not know this database
    "40": NO_SERVER,  # the transaction lost against another one
    "53": NO_SERVER,  # too many connections
    "57": NO_SERVER,  # it is starting, or going down
}


def _code_of(error: Exception) -> str:
    from sqlalchemy.exc import DBAPIError, OperationalError

    if not isinstance(error, DBAPIError):
        return DAMAGED
    state = getattr(error.orig, "sqlstate", None) or ""
    code = _STATES.get(state) or _STATES.get(state[:2])
    if code is None and (error.connection_invalidated or isinstance(error, OperationalError)):
        return NO_SERVER
    return code or DAMAGED
