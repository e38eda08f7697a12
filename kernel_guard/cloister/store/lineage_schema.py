"""Tables of the lineage log in SQLite, and where tree nodes live in them.

Event ``seq`` completes one node on level 0 (its leaf) and one more on each further level while the
bits of ``seq`` are ones; their hashes stand in its row one after the other. So node
``(level, index)`` is in row ``(index + 1) * 2**level - 1`` and no table of nodes is needed.
``type`` and ``execution_id`` repeat what the header says, for the indexes; verification compares.
``mention`` is an index, too, see :mod:`cloister.store.mentions`; ``writer`` says which append of
which writer came last, see :mod:`cloister.store.lineage_request`. ``data_key`` has the wrapped key
of each payload, see :mod:`cloister.store.payloads`, and ``erased`` the tombstone of each that is
gone, see :mod:`cloister.store.erasure`; no hash covers either, so keys can be wrapped anew.

PostgreSQL has the same tables, made by the migrations in ``store/migrations``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cloister.store.mentions import names_in

if TYPE_CHECKING:
    import sqlite3

APPLICATION_ID: Final = 0x434C4C47  # "CLLG"
SCHEMA_VERSION: Final = 4
OLDER_VERSIONS: Final = (1, 2, 3)
"""Versions that a writer brings up to date; the index was then missing, or knew fewer names."""

SINCE_DATA_KEYS: Final = 3

_SINCE_2: Final = (
    "CREATE TABLE mention (name INTEGER, seq INTEGER, PRIMARY KEY (name, seq)) WITHOUT ROWID",
    """CREATE TABLE writer (
        client BLOB PRIMARY KEY, number INTEGER NOT NULL, first_seq INTEGER NOT NULL,
        events INTEGER NOT NULL) WITHOUT ROWID""",
)
_SINCE_3: Final = (
    """CREATE TABLE data_key (
        seq INTEGER PRIMARY KEY, generation INTEGER NOT NULL, wrapped BLOB NOT NULL)""",
    "CREATE TABLE erased (seq INTEGER PRIMARY KEY, tombstone INTEGER NOT NULL)",
    "ALTER TABLE head ADD COLUMN generation INTEGER NOT NULL DEFAULT 1",
    "ALTER TABLE head ADD COLUMN signer TEXT",
)
SCHEMA_SQL: Final = (
    """CREATE TABLE event (
        seq INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, type TEXT NOT NULL, execution_id TEXT,
        header BLOB NOT NULL, payload BLOB, nodes BLOB NOT NULL)""",
    "CREATE INDEX event_by_type ON event (type)",  # SQLite adds the row's number by itself
    "CREATE INDEX event_by_execution ON event (execution_id) WHERE execution_id IS NOT NULL",
    "CREATE TABLE checkpoint (size INTEGER PRIMARY KEY, note TEXT NOT NULL)",
    """CREATE TABLE head (
        id INTEGER PRIMARY KEY CHECK (id = 0), size INTEGER NOT NULL, frontier BLOB NOT NULL,
        last_leaf BLOB, note TEXT NOT NULL)""",
    *_SINCE_2,
    *_SINCE_3,
)


def upgrade(connection: sqlite3.Connection) -> None:
    """Brings tables of an older version up to date, all or nothing. The tree is not touched."""
    connection.execute("BEGIN IMMEDIATE")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version < SCHEMA_VERSION:  # nobody else was faster
        since = (_SINCE_2 if version < 2 else ()) + (_SINCE_3 if version < SINCE_DATA_KEYS else ())
        for statement in since:
            connection.execute(statement)
        connection.execute("DELETE FROM mention")
        connection.executemany(
            "INSERT INTO mention VALUES (?, ?)",
            (
                (name, seq)
                for seq, kind, header in connection.execute("SELECT seq, type, header FROM event")
                for name in names_in(kind, header)
            ),
        )
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute("COMMIT")
