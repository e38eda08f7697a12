"""Tables of the lineage log, and where tree nodes live in them.

Event ``seq`` completes one node on level 0 (its leaf) and one more on each further level while the
bits of ``seq`` are ones; their hashes stand in its row one after the other. So node
``(level, index)`` is in row ``(index + 1) * 2**level - 1`` and no table of nodes is needed.
``type`` and ``execution_id`` repeat what the header says, for the indexes; verification compares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cloister.store.merkle import HASH_BYTES

if TYPE_CHECKING:
    import sqlite3

APPLICATION_ID: Final = 0x434C4C47  # "CLLG"
SCHEMA_VERSION: Final = 1

SCHEMA_SQL: Final = (
    """CREATE TABLE event (
        seq INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, type TEXT NOT NULL, execution_id TEXT,
        header BLOB NOT NULL, payload BLOB, nodes BLOB NOT NULL)""",
    "CREATE INDEX event_by_type ON event (type)",
    "CREATE INDEX event_by_execution ON event (execution_id) WHERE execution_id IS NOT NULL",
    "CREATE TABLE checkpoint (size INTEGER PRIMARY KEY, note TEXT NOT NULL)",
    """CREATE TABLE head (
        id INTEGER PRIMARY KEY CHECK (id = 0), size INTEGER NOT NULL, frontier BLOB NOT NULL,
        last_leaf BLOB, note TEXT NOT NULL)""",
)


def read_node(connection: sqlite3.Connection, level: int, index: int) -> bytes:
    """Returns the stored hash of a complete subtree.

    Raises:
        LookupError: The row that completes it is missing or too short.
    """
    row = connection.execute(
        "SELECT substr(nodes, ?, ?) FROM event WHERE seq = ?",
        (level * HASH_BYTES + 1, HASH_BYTES, ((index + 1) << level) - 1),
    ).fetchone()
    if row is None or len(row[0]) != HASH_BYTES:
        raise LookupError("a tree node is missing")
    node: bytes = row[0]
    return node
