"""What Alembic runs to bring the tables in PostgreSQL up to date; called by the migration command.

The connection comes from :mod:`cloister.store.lineage_migrate`; there is no ``alembic.ini``, so no
file holds an address or a password.
"""

from alembic import context
from cloister.store.lineage_postgres import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=None,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
