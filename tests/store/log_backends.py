"""The two databases of a record, and how an insider gets at them."""

import sqlite3

from sqlalchemy import text


class Backend:
    """The database of one workspace's record, and how an insider gets at it."""

    def __init__(self, home, server=None, database=None):
        self.home = home
        self.server = server
        self.database = database
        if server is not None:
            self.use_postgres()

    @property
    def is_postgres(self):
        return self.server is not None

    def use_postgres(self):
        self.home.store_settings_path.write_text(self.server.content(self.database))
        self.home.store_settings_path.chmod(0o600)

    def connect(self):
        """A connection that commits each statement; both take SQL with :names."""
        if self.server is None:
            return sqlite3.connect(self.home.lineage_path, isolation_level=None)
        return _Portable(self.server.connect(self.database))

    def tamper(self, *statements):
        connection = self.connect()
        for statement in statements:
            connection.execute(statement)
        connection.close()

    def set_head(self, column, value):
        """Changes the edge of the tree."""
        connection = self.connect()
        connection.execute(f"UPDATE head SET {column} = :value", {"value": value})
        connection.close()

    def writing(self):
        """A connection that holds the log as a writer does, until it is rolled back."""
        if self.server is None:
            other = sqlite3.connect(self.home.lineage_path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            return other
        other = self.server.connect(self.database).execution_options(
            isolation_level="READ COMMITTED"
        )
        other.execute(text("SELECT id FROM head FOR UPDATE"))
        return other

    def change(self, column, seq, how):
        """Changes one value of one event; ``how`` takes it and returns another."""
        connection = self.connect()
        question = f"SELECT {column} FROM event WHERE seq = :seq"
        value = how(connection.execute(question, {"seq": seq}).fetchone()[0])
        statement = f"UPDATE event SET {column} = :value WHERE seq = :seq"
        connection.execute(statement, {"value": value, "seq": seq})
        connection.close()


class _Portable:
    def __init__(self, connection):
        self._connection = connection

    def execute(self, statement, parameters=None):
        return self._connection.execute(text(statement), parameters or {})

    def close(self):
        self._connection.close()
