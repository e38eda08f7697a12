"""A real PostgreSQL for tests: a directory of its own, a Unix socket, a password, no root."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from cloister.store.lineage_migrate import make_tables
from cloister.store.store_settings import StoreSettings, parse_settings
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

PASSWORD = "kept in a file"
_TEMPLATE = "cloister_template"
_START_TIMEOUT_S = 60
_ROOM_BYTES = 2 * 1024**3


class PostgresServer:
    """One cluster. Databases come from a template that has the tables of the record."""

    def __init__(self) -> None:
        # Not below pytest's directory, which only its owner may enter: root cannot run PostgreSQL.
        # In memory where there is some: a crash of the server, unlike one of the machine, keeps it.
        memory = Path("/dev/shm")
        has_room = memory.is_dir() and shutil.disk_usage(memory).free > _ROOM_BYTES
        self.root = Path(tempfile.mkdtemp(prefix="cloister-pg-", dir=memory if has_room else None))
        self._as_user: list[str] = []
        if os.geteuid() == 0:
            self._as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        self.password_file = self.root / "password"
        self.password_file.write_text(PASSWORD)
        self.password_file.chmod(0o644)
        self.data = self.root / "data"
        self.data.mkdir()
        if self._as_user:
            for path in (self.root, self.data):
                shutil.chown(path, "postgres", "postgres")
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0
        self._shared: str | None = None
        options = ["--auth=scram-sha-256", f"--pwfile={self.password_file}", "-U", "cloister"]
        self._run("initdb", "-D", self.data, *options, "--no-sync", "-E", "UTF8", "--locale=C")
        # From here on it is the file that a workspace names, readable by its owner only.
        self.password_file.chmod(0o600)
        if self._as_user:
            shutil.chown(self.password_file, "root", "root")
        self.start()
        self._execute(f"CREATE DATABASE {_TEMPLATE}")
        make_tables(self.settings(_TEMPLATE))

    def url(self, database: str) -> str:
        return f"postgresql://cloister@/{database}?host={self.root}"

    def content(self, database: str) -> str:
        """What store.yaml says about a database."""
        return f"url: {self.url(database)}\npassword_file: {self.password_file}\n"

    def settings(self, database: str) -> StoreSettings:
        return parse_settings({"url": self.url(database), "password_file": str(self.password_file)})

    def new_database(self, *, with_tables: bool = True) -> str:
        self._count += 1
        name = f"log{self._count}"
        self._execute(
            f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE if with_tables else 'template0'}"
        )
        return name

    def empty_database(self) -> str:
        """The one database that tests share which leave the server as it is; much faster."""
        if self._shared is None:
            self._shared = self.new_database()
        with self.connect(self._shared) as connection:
            connection.execute(text("SET lock_timeout = 10000"))
            tables = "event, data_key, erased, mention, checkpoint, writer, head"
            connection.execute(text(f"TRUNCATE {tables}"))
        return self._shared

    def connect(self, database: str) -> Connection:
        """A connection of an administrator, for tampering; every statement stands for itself."""
        url = self.url(database).replace("postgresql:", "postgresql+psycopg:")
        engine = create_engine(url, poolclass=NullPool, connect_args={"password": PASSWORD})
        return engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def start(self) -> None:
        settings = [f"unix_socket_directories={self.root}", "listen_addresses="]
        settings += ["max_connections=60", "shared_buffers=32MB", "logging_collector=off"]
        log = (self.root / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [*self._as_user, _program("postgres"), "-D", self.data]
                + [part for setting in settings for part in ("-c", setting)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd="/",
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                self.connect("postgres").close()
            except OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self.root / "log").read_text()[-3000:]) from None
                time.sleep(0.05)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stops it: SIGINT is a fast shutdown, SIGQUIT leaves it as a crash would."""
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(30)

    def drop_connections(self, database: str) -> None:
        """Ends every other session of a database, as a failing network or an admin would."""
        with self.connect("postgres") as connection:
            connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :d"),
                {"d": database},
            )

    def close(self) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.root)

    def _execute(self, statement: str) -> None:
        with self.connect("postgres") as connection:
            connection.execute(text(statement))

    def _run(self, program: str, *arguments: object) -> None:
        command = [*self._as_user, _program(program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        assert done.returncode == 0, done.stderr


def _program(name: str) -> str:
    """The newest installed one; Debian keeps them out of the path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=_version)
    program = str(found[-1]) if found else shutil.which(name)
    assert program, "PostgreSQL is not installed: make setup"
    return program


def _version(path: Path) -> int:
    name = path.parent.parent.name
    return int(name) if name.isdecimal() else 0
