"""The tables of the record, as :mod:`cloister.store.lineage_schema` has them in SQLite.

Texts compare by their bytes (``C``), as in SQLite: the beginning of an id is looked up by range.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TEXT = sa.Text(collation="C")


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "event",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("time_us", sa.BigInteger, nullable=False),
        sa.Column("type", _TEXT, nullable=False),
        sa.Column("execution_id", _TEXT),
        sa.Column("header", sa.LargeBinary, nullable=False),
        sa.Column("payload", sa.LargeBinary),
        sa.Column("nodes", sa.LargeBinary, nullable=False),
    )
    op.create_index("event_by_type", "event", ["type", "seq"])
    op.create_index(
        "event_by_execution",
        "event",
        ["execution_id"],
        postgresql_where=sa.text("execution_id IS NOT NULL"),
    )
    # Ciphertext does not compress: trying costs time on every append.
    op.execute("ALTER TABLE event ALTER COLUMN payload SET STORAGE EXTERNAL")
    op.execute("ALTER TABLE event ALTER COLUMN nodes SET STORAGE PLAIN")
    op.create_table(
        "mention",
        sa.Column("name", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    )
    op.create_table(
        "checkpoint",
        sa.Column("size", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("note", sa.Text, nullable=False),
    )
    op.create_table(
        "writer",
        sa.Column("client", sa.LargeBinary, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("first_seq", sa.BigInteger, nullable=False),
        sa.Column("events", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "head",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 0"), primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("frontier", sa.LargeBinary, nullable=False),
        sa.Column("last_leaf", sa.LargeBinary),
        sa.Column("note", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Is refused: a record is not taken away by a migration."""
    raise NotImplementedError("the record is never dropped by a migration")
