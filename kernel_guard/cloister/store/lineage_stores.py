"""Chooses the database of a record: PostgreSQL where ``store.yaml`` names one, otherwise SQLite."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cloister.store.database import BUSY_TIMEOUT_MS
from cloister.store.store_settings import read_settings

if TYPE_CHECKING:
    from cloister.store.home import Home
    from cloister.store.lineage_store import LineageSource, LineageStore

SettingsMark = tuple[int, int, int] | None
"""Tells one ``store.yaml`` from the next."""


def settings_mark(home: Home) -> SettingsMark:
    """Returns what changes when the record moves to another database."""
    try:
        status = home.store_settings_path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def writable_store(home: Home, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> LineageStore:
    """Returns the database that a workspace appends to, not opened yet.

    Raises:
        StoreSettingsInvalid: ``store.yaml`` cannot be used.
        StoreUnavailable: What PostgreSQL needs is not installed.
    """
    settings = read_settings(home)
    if settings is None:
        from cloister.store.lineage_sqlite import SqliteStore

        return SqliteStore(home.lineage_path, busy_timeout_ms=busy_timeout_ms)
    from cloister.store.lineage_postgres import PostgresStore

    return PostgresStore(settings, busy_timeout_ms=busy_timeout_ms)


def source_at(place: Home | Path) -> LineageSource:
    """Returns the database of a workspace, or a copy of one in SQLite, to read, not opened yet.

    Raises:
        StoreSettingsInvalid, StoreUnavailable: As for :func:`writable_store`.
    """
    if isinstance(place, Path):
        from cloister.store.lineage_sqlite import SqliteSource

        return SqliteSource(place)
    return readable_source(place)


def readable_source(home: Home) -> LineageSource:
    """Returns the database that a workspace's record is read from, not opened yet.

    Raises:
        StoreSettingsInvalid, StoreUnavailable: As for :func:`writable_store`.
    """
    settings = read_settings(home)
    if settings is None:
        from cloister.store.lineage_sqlite import SqliteSource

        return SqliteSource(home.lineage_path)
    from cloister.store.lineage_postgres import PostgresSource

    return PostgresSource(settings)
