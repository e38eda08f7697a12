"""The record in PostgreSQL when the server restarts, goes, lies or holds something else."""

import logging
import os
import signal
import socket
import stat
import sys
import threading
import time
from collections import Counter

import pytest
from cloister.core.errors import StoreUnavailable
from cloister.core.records import Record
from cloister.store.home import Home, ensure_home
from cloister.store.keys import open_keyring
from cloister.store.lineage import LineageLog
from cloister.store.lineage_postgres import PostgresStore
from cloister.store.lineage_reader import LineageReader
from cloister.store.lineage_verify import verify_home
from cloister.store.lineage_writer import LineageWriter
from cloister.store.store_settings import StoreSettingsInvalid, parse_settings, read_settings
from lineage_records import fill, intent
from log_backends import Backend
from sqlalchemy import text


@pytest.fixture
def backend(home, postgres):
    return Backend(home, postgres, postgres.new_database())


def ids(home):
    with LineageReader(home) as reader:
        return [entry.body["execution_id"] for entry in reader.entries(limit=100_000)]


# --- restarts, lost connections, unknown outcomes ----------------------------------------------


def test_appends_go_on_when_the_server_crashes_and_connections_break(
    home, keyring, backend, postgres
):
    told, stop = [], threading.Event()

    def work(name):
        with LineageLog(home, keyring) as log:
            while not stop.is_set():
                cell = f"{name}-{len(told):06d}-{os.urandom(4).hex()}"
                log.append([intent(cell)])
                told.append(cell)

    threads = [threading.Thread(target=work, args=(f"t{i}",)) for i in range(3)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(25):
            before = len(told)
            deadline = time.monotonic() + 30
            while len(told) < before + 5:
                assert time.monotonic() < deadline, "the writers do not go on"
                assert all(thread.is_alive() for thread in threads)
                time.sleep(0.005)
            if turn % 10 == 9:
                postgres.stop(signal.SIGQUIT)  # no goodbye, no flush: recovery from the log
                postgres.start()
            else:
                postgres.drop_connections(backend.database)
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    recorded = Counter(ids(home))
    assert {cell for cell in told if not recorded[cell]} == set()
    assert [cell for cell, count in recorded.items() if count > 1] == []
    assert verify_home(home, keyring).ok


class Meddler:
    """Stands between client and server; breaks the connection around one COMMIT."""

    def __init__(self, server_path, directory):
        self.server_path = server_path
        self.path = directory / ".s.PGSQL.5432"
        self.plan = None
        self.broken = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client):
        server = socket.socket(socket.AF_UNIX)
        server.connect(self.server_path)
        threading.Thread(target=self._back, args=(server, client), daemon=True).start()
        while data := client.recv(1 << 16):
            plan = self.plan if b"COMMIT" in data else None
            if plan is not None:
                self.plan = None  # the client comes back at once, and then nothing breaks
                self.broken += 1
                if plan == "before its answer":
                    client.shutdown(socket.SHUT_WR)  # what the server says is heard by nobody
                    server.sendall(data)
                    time.sleep(0.3)
                for end in (client, server):
                    end.shutdown(socket.SHUT_RDWR)
                return
            server.sendall(data)
        server.close()

    def _back(self, server, client):
        try:
            while data := server.recv(1 << 16):
                client.sendall(data)
        except OSError:
            pass

    def close(self):
        self._listener.close()


@pytest.fixture
def meddler(home, backend, postgres, tmp_path_factory):
    directory = postgres.root / f"meddler-{backend.database}"
    directory.mkdir()
    meddler = Meddler(str(postgres.root / ".s.PGSQL.5432"), directory)
    content = postgres.content(backend.database).replace(
        f"host={postgres.root}", f"host={directory}"
    )
    home.store_settings_path.write_text(content)
    yield meddler
    meddler.close()


@pytest.mark.parametrize("plan", ["before it arrives", "before its answer"])
@pytest.mark.parametrize("writer_class", [LineageLog, LineageWriter])
def test_connection_that_breaks_around_a_commit_neither_loses_nor_doubles(
    home, keyring, meddler, plan, writer_class
):
    writer = writer_class(home, keyring)
    writer.append([intent("before")])
    meddler.plan = plan
    writer.append([intent("unknown-1"), intent("unknown-2")])
    assert meddler.broken == 1
    writer.append([intent("after")])
    writer.close()
    assert ids(home) == ["before", "unknown-1", "unknown-2", "after"]
    assert verify_home(home, keyring).ok


def test_server_that_is_gone_is_said_without_its_address_and_found_again(
    home, keyring, backend, postgres, monkeypatch
):
    monkeypatch.setattr(PostgresStore, "patience_s", 0.5)
    reader = LineageReader(home)
    with LineageLog(home, keyring) as log:
        log.append([intent("a")])
        assert len(reader.entries()) == 1
        postgres.stop(signal.SIGINT)
        try:
            for act in (lambda: log.append([intent("b")]), reader.entries):
                with pytest.raises(StoreUnavailable) as caught:
                    act()
                assert caught.value.code == "CLO-STORE-007"
                assert str(postgres.root) not in str(caught.value)
        finally:
            postgres.start()
        log.append([intent("c")])
    assert [entry.body["execution_id"] for entry in reader.entries()] == ["a", "c"]
    reader.close()


def test_standby_that_lacks_acknowledged_events_is_refused(home, keyring, backend, postgres):
    """What an asynchronous standby is after it took over: whole, signed, and too short."""
    with LineageLog(home, keyring) as log:
        fill(log, 4)
    with postgres.connect("postgres") as connection:
        connection.execute(text(f"CREATE DATABASE standby TEMPLATE {backend.database}"))
    with LineageLog(home, keyring) as log:
        fill(log, 4)
    backend.database = "standby"
    backend.use_postgres()
    report = verify_home(home, keyring)
    assert (report.ok, report.first_bad) == (False, 4)
    with pytest.raises(StoreUnavailable, match="witness knows 8") as caught:
        LineageLog(home, keyring)
    assert caught.value.code == "CLO-STORE-002"


def test_database_that_becomes_shorter_under_an_open_log_is_noticed(home, keyring, backend):
    with LineageLog(home, keyring) as log:
        fill(log, 2)
        kept = backend.connect()
        row = kept.execute("SELECT size, frontier, last_leaf, note FROM head").fetchone()
        fill(log, 2)
        for column, value in zip(("size", "frontier", "last_leaf", "note"), row, strict=True):
            backend.set_head(column, value)
        kept.execute("DELETE FROM event WHERE seq >= 2")
        kept.close()
        with pytest.raises(StoreUnavailable) as caught:
            log.append([intent("hidden")])
        assert caught.value.code == "CLO-STORE-002"


def test_record_of_another_workspace_is_refused(home, keyring, backend, postgres, tmp_path):
    with LineageLog(home, keyring) as log:
        fill(log, 3)
    other = ensure_home(Home(tmp_path / "other"))
    other.store_settings_path.write_text(postgres.content(backend.database))
    other.store_settings_path.chmod(0o600)
    with pytest.raises(StoreUnavailable) as caught:
        LineageLog(other, open_keyring(other))
    assert caught.value.code == "CLO-STORE-002"
    assert not verify_home(other, open_keyring(other)).ok


def test_two_machines_with_copies_of_one_home_share_one_record(
    home, keyring, backend, postgres, tmp_path
):
    import shutil

    with LineageLog(home, keyring) as first:
        first.append([intent("here")])
        shutil.copytree(home.root, tmp_path / "there")
        there = Home(tmp_path / "there")
        with LineageLog(there, open_keyring(there)) as second:
            for i in range(5):
                second.append([intent(f"there-{i}")])
                first.append([intent(f"here-{i}")])
    for place in (home, there):
        report = verify_home(place, keyring)
        assert (report.ok, report.events) == (True, 11)


# --- what is refused before anything is appended -----------------------------------------------


def refusal(home, keyring):
    with pytest.raises(StoreUnavailable) as caught:
        LineageLog(home, keyring)
    assert caught.value.remedy
    return caught.value.code


def test_database_without_tables_or_of_another_version_is_refused(home, keyring, postgres):
    backend = Backend(home, postgres, postgres.new_database(with_tables=False))
    assert refusal(home, keyring) == "CLO-STORE-009"
    backend.database = postgres.new_database()
    backend.use_postgres()
    backend.tamper("UPDATE lineage_version SET version_num = '9999'")
    assert refusal(home, keyring) == "CLO-STORE-009"
    with pytest.raises(StoreUnavailable) as caught:
        LineageReader(home).entries()
    assert caught.value.code == "CLO-STORE-009"


def test_server_that_does_not_flush_is_refused(home, keyring, backend, postgres):
    with postgres.connect("postgres") as connection:
        for value, is_refused in (("off", True), ("on", False)):
            connection.execute(text(f"ALTER SYSTEM SET fsync = {value}"))
            connection.execute(text("SELECT pg_reload_conf()"))
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                with postgres.connect("postgres") as look:
                    if look.execute(text("SHOW fsync")).scalar_one() == value:
                        break
                time.sleep(0.02)
            if is_refused:
                assert refusal(home, keyring) == "CLO-STORE-010"
            else:
                LineageLog(home, keyring).close()


def test_session_flushes_although_the_database_says_otherwise(home, keyring, backend, postgres):
    with postgres.connect("postgres") as connection:
        statement = f"ALTER DATABASE {backend.database} SET synchronous_commit = off"
        connection.execute(text(statement))
    with LineageLog(home, keyring) as log:
        assert log._store.execute("SHOW synchronous_commit").fetchone()[0] == "on"


@pytest.mark.parametrize("package", ["psycopg", "sqlalchemy", "alembic"])
def test_missing_extra_is_named(home, keyring, backend, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(StoreUnavailable) as caught:
        LineageLog(home, keyring)
    assert caught.value.code == "CLO-STORE-008"
    assert "cloister[postgres]" in caught.value.remedy


def test_account_without_rights_is_told_so(home, keyring, backend, postgres):
    with postgres.connect(backend.database) as connection:
        connection.execute(text("CREATE ROLE reader LOGIN PASSWORD 'kept in a file'"))
        connection.execute(text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader"))
    content = postgres.content(backend.database).replace("//cloister@", "//reader@")
    home.store_settings_path.write_text(content)
    with pytest.raises(StoreUnavailable) as caught:
        LineageLog(home, keyring)
    assert caught.value.code == "CLO-STORE-004"


# --- settings and the password -----------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "url: 5",
        "url: mysql://x/y",
        "url: postgresql://ann:secret@host/log",
        "url: postgresql://ann@host/log?password=secret",
        "url: postgresql://ann@host/log\nport: 5",
        "url: postgresql://ann@host/log\npassword: secret",
        "url: postgresql://ann@host/log\npassword_file: a\npassword_env: B",
        "url: [unclosed",
        "url: postgresql://[host/log",
    ],
)
def test_settings_that_are_wrong_never_fall_back_to_sqlite(home, keyring, content):
    home.store_settings_path.write_text(content)
    home.store_settings_path.chmod(0o600)
    for act in (lambda: LineageLog(home, keyring), lambda: LineageReader(home).entries()):
        with pytest.raises(StoreSettingsInvalid) as caught:
            act()
        assert caught.value.code == "CLO-STORE-006"
        assert "secret" not in str(caught.value)
    assert not home.lineage_path.exists()


def test_settings_that_others_can_read_or_write_are_refused(home, postgres):
    home.store_settings_path.write_text(postgres.content("log"))
    for mode in (0o644, 0o620):
        home.store_settings_path.chmod(mode)
        with pytest.raises(StoreSettingsInvalid):
            read_settings(home)


def test_password_comes_from_a_private_file_or_the_environment(home, keyring, backend, postgres):
    copy = home.root / "password"
    copy.write_bytes(postgres.password_file.read_bytes() + b"\n")
    url = postgres.url(backend.database)
    settings = parse_settings({"url": url, "password_file": str(copy)})
    copy.chmod(0o644)
    with pytest.raises(StoreSettingsInvalid, match="others can read"):
        settings.password()
    copy.chmod(stat.S_IRUSR)
    assert settings.password() == "kept in a file"
    settings = parse_settings({"url": url, "password_env": "LOG_PASSWORD"})
    assert settings.password({"LOG_PASSWORD": "x"}) == "x"
    with pytest.raises(StoreSettingsInvalid, match="not set"):
        settings.password({})


def test_wrong_password_is_said_without_password_account_or_address(
    home, keyring, backend, monkeypatch, caplog
):
    postgres = backend.server
    monkeypatch.setattr(PostgresStore, "patience_s", 0.1)
    monkeypatch.setenv("LOG_PASSWORD", "not-the-password")
    url = postgres.url(backend.database)
    home.store_settings_path.write_text(f"url: {url}\npassword_env: LOG_PASSWORD\n")
    with caplog.at_level(logging.DEBUG), pytest.raises(StoreUnavailable) as caught:
        LineageLog(home, keyring)
    assert caught.value.code == "CLO-STORE-007"
    for text_ in (str(caught.value), caplog.text, repr(read_settings(home))):
        assert "not-the-password" not in text_
        assert str(postgres.root) not in text_


# --- the same bytes ----------------------------------------------------------------------------


def test_names_that_no_text_column_takes_are_recorded_and_found(home, keyring, backend):
    names = ["nul-\0-name", "half-\ud800-pair", "ümläut-☃-🔒"]
    with LineageLog(home, keyring) as log:
        log.append([intent(name) for name in names])
        log.append(
            [Record("cell.result", {"execution_id": name, "status": "ok"}) for name in names]
        )
    with LineageReader(home) as reader:
        for name in names:
            assert [e.type for e in reader.get(name)] == ["cell.intent", "cell.result"]
        assert {row["status"] for row in reader.executions()} == {"ok"}
        assert {row["id"] for row in reader.executions()} == set(names)
    assert verify_home(home, keyring).ok


def test_large_batches_and_payloads_come_back_as_they_were(home, keyring, backend):
    payload = os.urandom(3_000_000)
    with LineageLog(home, keyring) as log:
        log.append([intent(f"c{i:04d}") for i in range(1500)])
        log.append([Record("cell.result", {"execution_id": "big"}, payload)])
    with LineageReader(home, keyring) as reader:
        assert reader.event(1500).payload == payload
    report = verify_home(home, keyring)
    assert (report.ok, report.events) == (True, 1501)


def test_sequencer_serves_a_home_whose_record_is_in_postgresql(home, keyring, backend):
    from cloister.store.sequencer import Sequencer

    server = threading.Thread(target=Sequencer(home, idle_s=1.0).run)
    server.start()
    deadline = time.monotonic() + 20
    while not home.sequencer_path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    writers = [LineageWriter(home, keyring, start=lambda _: None) for _ in range(4)]
    threads = [
        threading.Thread(
            target=lambda w=w, n=n: [w.append([intent(f"{n}-{i}")]) for i in range(20)]
        )
        for n, w in enumerate(writers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(writer._direct is None for writer in writers)
    for writer in writers:
        writer.close()
    server.join(20)
    assert not server.is_alive()
    report = verify_home(home, keyring)
    assert (report.ok, report.events) == (True, 80)
