"""``lineage export --format F`` as it is used: where it goes, what it refuses, what is recorded."""

import json
import sqlite3
from pathlib import Path

import pytest
from cloister.cli.main import run
from cloister.core.records import Record
from cloister.store.exports.exporter import FORMATS
from cloister.store.home import Home, ensure_home
from cloister.store.keys import open_keyring
from cloister.store.lineage import LineageLog
from cloister.store.lineage_reader import LineageReader

SECRET = b"078-05-1120"


@pytest.fixture
def home(tmp_path, monkeypatch):
    home = ensure_home(Home(tmp_path / "home"))
    monkeypatch.setenv("CLOISTER_HOME", str(home.root))
    monkeypatch.chdir(tmp_path)
    fill(home, 3)
    return home


def fill(home, cells):
    with LineageLog(home, open_keyring(home)) as log:
        records = []
        for i in range(cells):
            who = {"execution_id": f"exec-{i:05d}", "kernel_id": "k1"}
            intent = {**who, "user": "ann", "notebook": f"{i % 2}.ipynb"}
            result = {**who, "status": "ok", "outputs": {"shown": 1}, "reads": [{"path": "p.csv"}]}
            records += [Record("cell.intent", intent, SECRET), Record("cell.result", result)]
        log.append(records)


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_makes_a_private_file_and_is_recorded_first(home, kind, capsys):
    assert run(["lineage", "export", "--format", kind, "-o", "out", "--notebook", "0.ipynb"]) == 0
    out = Path("out")
    assert out.stat().st_mode & 0o077 == 0
    assert out.stat().st_size > 100
    assert SECRET not in out.read_bytes()
    with LineageReader(home) as reader:
        last = reader.entries(limit=100)[-1]
    assert last.type == "lineage.exported"
    assert last.body["format"] == kind
    assert last.body["criteria"]["notebook"] == "0.ipynb"
    assert last.body["user"]
    capsys.readouterr()
    assert run(["lineage", "export", "--format", kind, "-o", "out"]) == 2  # never over another file
    assert "CLO-EXPORT-002" in capsys.readouterr().err


def test_json_lines_are_verified_in_another_workspace(home, tmp_path, monkeypatch, capsys):
    key = tmp_path / "lineage.pub"
    key.write_bytes((home.keys_dir / "lineage.pub").read_bytes())
    assert run(["lineage", "export", "--format", "jsonl", "-o", "r.jsonl"]) == 0
    capsys.readouterr()
    monkeypatch.setenv("CLOISTER_HOME", str(tmp_path / "reviewer"))
    assert run(["lineage", "verify", "r.jsonl", "--key", str(key), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["events"], report["first_bad"]) == (True, 7, None)
    # Another workspace's key does not verify it, and a changed letter shows.
    assert run(["lineage", "verify", "r.jsonl", "--json"]) == 1
    data = Path("r.jsonl").read_bytes().replace(b'\\"ann\\"', b'\\"eve\\"', 1)
    Path("r.jsonl").write_bytes(data)
    capsys.readouterr()
    assert run(["lineage", "verify", "r.jsonl", "--key", str(key), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["first_bad"] == 0


def test_lines_go_to_standard_output(home, capfdbinary):
    assert run(["lineage", "export", "--format", "cef", "--execution", "exec-00001"]) == 0
    lines = capfdbinary.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(b"executionId cs2=exec-00001" in line for line in lines)


@pytest.mark.parametrize("kind", ["cef", "ocsf", "openlineage", "parquet", "prov-json"])
@pytest.mark.parametrize("header", ["x'ff'", "'no bytes'", "CAST('[[' AS BLOB)"])
def test_a_record_that_was_damaged_is_not_exported(home, kind, header, capsys):
    with sqlite3.connect(home.lineage_path) as database:
        database.execute(f"UPDATE event SET header = {header} WHERE seq = 2")
    assert run(["lineage", "export", "--format", kind, "-o", "out"]) == 1
    assert "CLO-STORE-002" in capsys.readouterr().err
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--format", "jsonl", "--payloads"],
        ["--format", "ocsf", "--against", "out"],
        ["--format", "ro-crate", "-o", "-"],
        ["--format", "cef", "--json"],
        ["--format", "xml"],
    ],
)
def test_what_cannot_be_asked_for_is_refused_and_not_recorded(home, arguments, capsys):
    Path("out").touch()
    assert run(["lineage", "export", *arguments]) == 2
    with LineageReader(home) as reader:
        assert "lineage.exported" not in {entry.type for entry in reader.entries()}


def test_a_failed_export_leaves_no_file(home, capsys):
    with sqlite3.connect(home.lineage_path) as database:
        database.execute("UPDATE event SET nodes = x'00' WHERE seq = 1")
    assert run(["lineage", "export", "--format", "jsonl", "-o", "out"]) == 1
    assert "CLO-STORE-002" in capsys.readouterr().err
    assert not list(Path().glob("*out*"))
    assert run(["lineage", "export", "--format", "cef", "-o", "missing/out"]) == 2
    assert "CLO-EXPORT-002" in capsys.readouterr().err
