"""The index of names knows what else events are about: notebooks, cells, columns, files, hosts.

It is made anew of the events themselves; the tree and the events are not touched.
"""

import sqlalchemy as sa
from alembic import op
from cloister.store.mentions import names_in

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ROWS_AT_ONCE = 1_000
_PAGE = sa.text("SELECT seq, type, header FROM event WHERE seq > :after ORDER BY seq LIMIT :limit")


def upgrade() -> None:
    """Makes the index anew, while no writer appends."""
    connection = op.get_bind()
    connection.execute(sa.text("LOCK TABLE head IN EXCLUSIVE MODE"))
    connection.execute(sa.text("DELETE FROM mention"))
    insert = sa.text("INSERT INTO mention (name, seq) VALUES (:name, :seq)")
    after = -1
    while rows := connection.execute(_PAGE, {"after": after, "limit": _ROWS_AT_ONCE}).fetchall():
        found = [
            {"name": name, "seq": seq}
            for seq, kind, header in rows
            for name in names_in(kind, bytes(header))
        ]
        if found:
            connection.execute(insert, found)
        after = rows[-1][0]


def downgrade() -> None:
    """Is refused: a record is not taken back by a migration."""
    raise NotImplementedError("the record is never taken back by a migration")
