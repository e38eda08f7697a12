"""The record in both databases: tests that take ``log`` run against SQLite and PostgreSQL."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from cloister.store.home import Home, ensure_home
from cloister.store.keys import open_keyring
from cloister.store.lineage import LineageLog

sys.path.insert(0, str(Path(__file__).parent))

from log_backends import Backend
from postgres_server import PostgresServer


@pytest.fixture(scope="session")
def postgres():
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
def home(tmp_path):
    return ensure_home(Home(tmp_path / "home"))


@pytest.fixture
def keyring(home):
    return open_keyring(home)


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request, home):
    if request.param == "sqlite":
        return Backend(home)
    server = request.getfixturevalue("postgres")
    return Backend(home, server, server.empty_database())


@pytest.fixture
def log(home, keyring, backend):
    with LineageLog(home, keyring) as log:
        yield log
