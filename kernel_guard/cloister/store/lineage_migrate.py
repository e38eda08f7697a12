"""Moves the record of a workspace from SQLite to PostgreSQL, whole or not at all.

While it runs no writer can append: it holds the database file as an appending transaction does. It
copies the bytes as they are, checks the copy from its first event against the same key and witness
as any verification, and only then tells the workspace where its record is. Writers that waited, and
those that start later, go on in PostgreSQL; the old file stays beside it under another name.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloister.core.errors import CloisterError
from cloister.core.records import Record
from cloister.store.database import NO_TABLES, connect, damaged, refused, unavailable
from cloister.store.files import write_atomic
from cloister.store.lineage import LineageLog
from cloister.store.lineage_postgres import (
    PostgresSource,
    make_engine,
    refusal_of,
    require_driver,
)
from cloister.store.lineage_schema import upgrade
from cloister.store.lineage_store import WHAT
from cloister.store.lineage_verify import verify_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from cloister.core.records import Json
    from cloister.store.home import Home
    from cloister.store.keys import Keyring
    from cloister.store.store_settings import StoreSettings

_ROWS_AT_ONCE: Final = 1_000
_TABLES: Final = {
    "event": ("seq", "time_us", "type", "execution_id", "header", "payload", "nodes"),
    "data_key": ("seq", "generation", "wrapped"),
    "erased": ("seq", "tombstone"),
    "mention": ("name", "seq"),
    "checkpoint": ("size", "note"),
    "writer": ("client", "number", "first_seq", "events"),
    "head": ("id", "size", "frontier", "last_leaf", "note", "generation", "signer"),
}
_OLD_NAME: Final = "lineage-until-migration.db"


@dataclass(frozen=True, slots=True)
class Migration:
    """What was moved.

    Attributes:
        events: How many events.
        root: Root hash over them, hex; the same in both databases.
        old: The database file that is not written any more.
    """

    events: int
    root: str
    old: Path


class MigrationRefused(CloisterError):
    """The record stays where it is."""

    default_code = "CLO-STORE-011"


def make_tables(settings: StoreSettings) -> None:
    """Makes the tables of the record, or brings them up to date (Alembic).

    Raises:
        StoreUnavailable: The server is out of reach, or refuses.
    """
    require_driver()
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with make_engine(settings).begin() as connection:
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError as error:
        reason = "its tables in PostgreSQL were made by a newer version"
        raise refused(NO_TABLES, WHAT, reason) from error
    except (SQLAlchemyError, OSError) as error:
        raise refusal_of(error) from error


def migrate(home: Home, keyring: Keyring, settings: StoreSettings, content: bytes) -> Migration:
    """Moves the record of a workspace to PostgreSQL.

    Args:
        home: The workspace.
        keyring: Its keys.
        settings: Where the record goes.
        content: The same, as ``store.yaml`` will hold it.

    Raises:
        MigrationRefused: The record is in PostgreSQL already, or there is one over there.
        StoreUnavailable: One of the databases fails, or the record is not whole.
    """
    from sqlalchemy.exc import SQLAlchemyError

    if home.store_settings_path.exists():
        raise MigrationRefused(
            "The record of this workspace is in PostgreSQL already.",
            remedy="Run: cloister lineage verify",
        )
    LineageLog(home, keyring).close()  # makes the file, brings it up to date, checks the witness
    make_tables(settings)
    verifier = keyring.verifier
    try:
        connection = connect(home.lineage_path)
    except (sqlite3.Error, OSError) as error:
        raise unavailable(error, WHAT, home.lineage_path) from error
    try:
        upgrade(connection)
        connection.execute("BEGIN IMMEDIATE")
        with make_engine(settings).begin() as target:
            _copy(connection, target)
        report = verify_source(
            PostgresSource(settings), verifier, home.witness_path, needs_witness=True
        )
        if not report.ok:
            raise damaged(WHAT, report.problems[0])
        write_atomic(home.store_settings_path, content)
        old = _put_away(home, connection)
    except SQLAlchemyError as error:
        raise refusal_of(error) from error
    except (sqlite3.Error, OSError) as error:
        raise unavailable(error, WHAT, home.lineage_path) from error
    finally:
        connection.close()
    with LineageLog(home, keyring) as log:
        body: dict[str, Json] = {
            "events": report.events,
            "root": report.root,
            "to": "postgresql",
            "attested_by": "cli",
        }
        log.append([Record("lineage.moved", body)])
    return Migration(report.events, report.root, old)


def _copy(source: sqlite3.Connection, target: Connection) -> None:
    from sqlalchemy import text

    target.execute(text("LOCK TABLE head IN EXCLUSIVE MODE"))
    if target.execute(text("SELECT 1 FROM event LIMIT 1")).fetchone() is not None:
        raise MigrationRefused(
            "The database there holds a record already.",
            remedy="Name an empty database, or a schema of its own in it.",
        )
    target.execute(text("DELETE FROM head"))
    for table, columns in _TABLES.items():
        names = ", ".join(columns)
        insert = text(
            f"INSERT INTO {table} ({names})"  # noqa: S608 - constants
            f" VALUES ({', '.join(f':{name}' for name in columns)})"
        )
        rows = iter(source.execute(f"SELECT {names} FROM {table}"))  # noqa: S608 - constants
        for some in _in_parts(rows):
            target.execute(insert, [dict(zip(columns, row, strict=True)) for row in some])


def _in_parts(rows: Iterator[Any]) -> Iterator[list[Any]]:
    while some := list(islice(rows, _ROWS_AT_ONCE)):
        yield some


def _put_away(home: Home, connection: sqlite3.Connection) -> Path:
    """Renames the old file; who waits for it finds that it is not the record any more."""
    connection.execute("ROLLBACK")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    old = home.lineage_path.with_name(_OLD_NAME)
    home.lineage_path.rename(old)
    for suffix in ("-wal", "-shm"):
        home.lineage_path.with_name(home.lineage_path.name + suffix).unlink(missing_ok=True)
    return old
