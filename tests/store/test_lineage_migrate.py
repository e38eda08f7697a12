"""The record moves from SQLite to PostgreSQL: whole, verified, and under writers that go on."""

import json
import multiprocessing
import os
import sqlite3
import time
from pathlib import Path

import pytest
from cloister.cli.main import run
from cloister.core.errors import StoreUnavailable
from cloister.store.checkpoint import Verifier
from cloister.store.home import Home, locate_home
from cloister.store.keys import open_keyring
from cloister.store.lineage import LineageLog
from cloister.store.lineage_migrate import MigrationRefused, migrate
from cloister.store.lineage_reader import LineageReader
from cloister.store.lineage_verify import verify_home, verify_log, verify_proof
from cloister.store.lineage_writer import LineageWriter
from lineage_records import SECRET, fill, intent, result
from log_backends import Backend
from sqlalchemy import text


@pytest.fixture
def database(postgres):
    return postgres.new_database(with_tables=False)


def move(home, keyring, postgres, database):
    content = postgres.content(database).encode()
    return migrate(home, keyring, postgres.settings(database), content)


def test_everything_is_there_afterwards_byte_for_byte(home, keyring, postgres, database):
    verifier = Verifier(keyring.key_name, keyring.public_key_bytes)
    with LineageLog(home, keyring) as log:
        fill(log, 600)
    with LineageReader(home, keyring) as reader:
        before = reader.entries(), reader.executions(50), reader.get("exec-0004")
        proof = reader.prove(17)
    sizes = verify_home(home, keyring).checkpoints
    moved = move(home, keyring, postgres, database)
    assert moved.events == 600
    with LineageReader(home, keyring) as reader:
        assert (reader.entries(limit=600), reader.executions(50), reader.get("exec-0004")) == before
        assert reader.get("exec-0004")[0].payload == SECRET
        (last,) = reader.entries(after=599)
        assert last.type == "lineage.moved"
        assert last.body["root"] == moved.root
    report = verify_home(home, keyring)
    assert (report.ok, report.events) == (True, 601)
    assert report.checkpoints >= sizes
    assert verify_proof(proof, verifier).root.hex() == moved.root
    assert not home.lineage_path.exists()
    assert verify_log(moved.old, verifier).events == 600


def _append_until_told(root, stop, told):
    home = Home(root)
    writer = LineageWriter(home, open_keyring(home), start=lambda _: None)
    count = 0
    while not stop.is_set():
        writer.append([intent(f"w-{count:06d}")])
        count += 1
        told.value = count


def test_a_writer_that_never_stops_loses_nothing_and_ends_up_in_postgresql(
    home, keyring, postgres, database
):
    context = multiprocessing.get_context("fork")
    stop, told = context.Event(), context.Value("q", 0)
    writer = context.Process(target=_append_until_told, args=(home.root, stop, told))
    writer.start()
    try:
        _wait_until(lambda: told.value > 20)
        moved = move(home, keyring, postgres, database)
        at_move = told.value
        _wait_until(lambda: told.value > at_move + 20)
    finally:
        stop.set()
        writer.join(30)
    assert writer.exitcode == 0
    with LineageReader(home) as reader:
        entries = reader.entries(limit=1_000_000)
    cells = [e.body["execution_id"] for e in entries if e.type == "cell.intent"]
    assert cells == [f"w-{i:06d}" for i in range(told.value)]
    assert verify_home(home, keyring).ok
    verifier = Verifier(keyring.key_name, keyring.public_key_bytes)
    assert verify_log(moved.old, verifier).events == moved.events, "nothing came to the old file"


def _wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_reader_that_stays_open_follows(home, keyring, postgres, database):
    with LineageLog(home, keyring) as log, LineageReader(home) as reader:
        fill(log, 4)
        assert len(reader.entries()) == 4
        move(home, keyring, postgres, database)
        log.append([intent("after")])
        assert len(reader.entries()) == 6


def test_damaged_record_does_not_move(home, keyring, postgres, database):
    with LineageLog(home, keyring) as log:
        fill(log, 6)
    Backend(home).tamper("UPDATE event SET time_us = 0 WHERE seq = 2")
    with pytest.raises(StoreUnavailable) as caught:
        move(home, keyring, postgres, database)
    assert caught.value.code == "CLO-STORE-002"
    assert not home.store_settings_path.exists()
    assert home.lineage_path.exists()


def test_database_that_holds_a_record_and_a_second_move_are_refused(
    home, keyring, postgres, database
):
    with LineageLog(home, keyring) as log:
        fill(log, 2)
    move(home, keyring, postgres, database)
    with pytest.raises(MigrationRefused, match="already"):
        move(home, keyring, postgres, database)
    home.store_settings_path.unlink()
    (home.lineage_path.parent / "lineage-until-migration.db").rename(home.lineage_path)
    home.witness_path.write_text(
        sqlite3.connect(home.lineage_path).execute("SELECT note FROM head").fetchone()[0]
    )
    with pytest.raises(MigrationRefused, match="holds a record"):
        move(home, keyring, postgres, database)
    assert verify_home(home, keyring).events == 2


@pytest.fixture
def say(home, monkeypatch, capsys):
    monkeypatch.setenv("CLOISTER_HOME", str(home.root))

    def say(*arguments):
        code = run(["lineage", *map(str, arguments)])
        return code, "".join(capsys.readouterr())

    return say


def test_the_command_moves_and_every_command_answers_the_same_afterwards(
    keyring, postgres, database, say, tmp_path
):
    home = locate_home(os.environ)
    with LineageLog(home, keyring) as log:
        log.append([intent("exec-a"), intent("exec-b", kernel_id="k2", user="bob")])
        log.append([result("exec-a", reads=[{"path": "p.csv", "dataset": "patients"}])])
    questions = (
        ("list", "--json"),
        ("list", "--json", "--kernel", "k2"),
        ("list", "--json", "--user", "ann"),
        ("list", "--json", "--dataset", "patients"),
        ("list", "--json", "--dataset", "patients", "--user", "bob"),
        ("show", "exec-a", "--json"),
    )
    before = [say(*question) for question in questions]
    assert [len(json.loads(out)) for _, out in before[:5]] == [2, 1, 1, 1, 0]
    command = ("migrate", postgres.url(database), "--password-file", postgres.password_file)
    code, out = say(*command, "--json")
    assert code == 0, out
    assert json.loads(out)["events"] == 4  # that somebody looked is one
    assert [say(*question) for question in questions] == before
    code, out = say("verify", "--json")
    assert (code, json.loads(out)["events"]) == (0, 6)
    code, out = say("prove", "exec-a")
    assert code == 0
    proof = tmp_path / "proof.json"
    proof.write_text(out)
    assert say("verify", proof, "--key", home.keys_dir / "lineage.pub")[0] == 0
    code, out = say(*command)
    assert (code, "up to date" in out) == (0, True)
    with postgres.connect(database) as connection:
        connection.execute(text("UPDATE lineage_version SET version_num = '9999'"))
    code, out = say(*command)
    assert (code, "CLO-STORE-009" in out, "newer" in out) == (1, True, True)
    assert say("migrate", postgres.url(postgres.new_database()))[0] == 2


def test_the_command_refuses_an_address_with_a_password_in_it(home, say):
    code, out = say("migrate", "postgresql://ann:secret@host/log")
    assert code == 2
    assert "password_file" in out
    assert not home.store_settings_path.exists()


def test_an_index_without_topics_is_made_anew_by_the_migration(home, keyring, postgres):
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from cloister.store import lineage_migrate
    from cloister.store.mentions import first_names_in

    backend = Backend(home, postgres, postgres.new_database())
    with LineageLog(home, keyring) as log:
        fill(log, 10)
    config = Config()
    migrations = Path(lineage_migrate.__file__).parent / "migrations"
    config.set_main_option("script_location", str(migrations))
    before = ScriptDirectory.from_config(config).get_revision("0003").down_revision
    connection = backend.connect()
    events = connection.execute("SELECT seq, type, header FROM event").fetchall()
    connection.execute("DELETE FROM mention")
    for seq, kind, header in events:
        for name in first_names_in(kind, bytes(header)):
            parameters = {"name": name, "seq": seq}
            connection.execute("INSERT INTO mention VALUES (:name, :seq)", parameters)
    connection.execute("UPDATE lineage_version SET version_num = :it", {"it": before})
    connection.close()
    with pytest.raises(StoreUnavailable) as refused:
        LineageReader(home).executions(notebook="a.ipynb")
    assert refused.value.code == "CLO-STORE-009"
    lineage_migrate.make_tables(postgres.settings(backend.database))
    assert verify_home(home, keyring).ok
    assert len(LineageReader(home).executions(notebook="a.ipynb")) == 5
