"""The keys of payloads beside their events, and the tombstones of those that were erased.

Payloads that are there keep the key that they have, which derives from the workspace's root.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the tables, and says which keys are in force."""
    op.create_table(
        "data_key",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "erased",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("tombstone", sa.BigInteger, nullable=False),
    )
    op.execute("ALTER TABLE data_key ALTER COLUMN wrapped SET STORAGE PLAIN")
    op.add_column("head", sa.Column("generation", sa.Integer, nullable=False, server_default="1"))
    op.add_column("head", sa.Column("signer", sa.Text))


def downgrade() -> None:
    """Is refused: payloads could not be read without their keys."""
    raise NotImplementedError("keys are never dropped by a migration")
