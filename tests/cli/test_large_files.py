"""Streaming on the command line: pipes, progress, interrupts, a source that somebody changes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time

import pytest
from cloister.cli.main import run
from cloister.store.home import Home, ensure_home

ROWS = 30_000
SSNS = [f"{219 + i % 400}-{10 + i % 89}-{1000 + i % 9000}" for i in range(ROWS)]


@pytest.fixture
def home(tmp_path, monkeypatch):
    home = ensure_home(Home(tmp_path / "home"))
    monkeypatch.setenv("CLOISTER_HOME", str(home.root))
    monkeypatch.chdir(tmp_path)
    return home


@pytest.fixture
def source(home, tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("ssn,n\n" + "".join(f"{ssn},1\n" for ssn in SSNS))
    return path


def program(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", "from cloister.cli.main import main; main()", *arguments],
        **options,
    )


def test_a_pipe_is_masked_on_its_way(source):
    with source.open("rb") as stdin:
        process = program(
            "mask", "-", "-", stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = process.communicate(timeout=100)
    assert process.returncode == 0
    lines = out.decode().splitlines()
    assert lines[0] == "ssn,n"
    assert len(lines) == ROWS + 1
    assert all(line.startswith("US_SSN~") for line in lines[1:])
    assert err.decode() == f"{ROWS} rows written\n"


def test_json_and_a_masked_table_do_not_share_standard_output(source, capsys):
    assert run(["mask", "in.csv", "-", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "CLO-INPUT-001"


def test_progress_shows_where_it_is_asked_for_and_nowhere_else(source, capfd):
    assert run(["mask", "in.csv", "out.csv", "--json", "--progress"]) == 0
    out, err = capfd.readouterr()
    json.loads(out)
    assert "Classifying in.csv" in err
    assert "Masking in.csv" in err
    assert run(["mask", "in.csv", "out.csv", "--json"]) == 0
    assert capfd.readouterr().err == ""


def test_progress_shows_on_a_terminal(source):
    leader, follower = pty.openpty()
    process = program("classify", "in.csv", stdout=subprocess.DEVNULL, stderr=follower)
    os.close(follower)
    seen = b""
    try:
        while chunk := os.read(leader, 65_536):
            seen += chunk
    except OSError:
        pass  # a terminal whose other end has gone
    finally:
        os.close(leader)
    assert process.wait(timeout=60) == 1
    assert b"Classifying in.csv" in seen


def test_an_interrupt_leaves_no_trace(source, tmp_path):
    with source.open("a") as stream:  # long enough to be caught in the middle
        for _ in range(60):
            stream.writelines(f"{ssn},1\n" for ssn in SSNS)
    process = program("mask", "in.csv", "out.csv", stderr=subprocess.PIPE)
    deadline = time.monotonic() + 90
    while not list(tmp_path.glob(".out.csv.*.part")) and time.monotonic() < deadline:
        assert process.poll() is None, "it was over too early to be interrupted"
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "in.csv"]


def test_in_place_is_possible_where_it_is_asked_for(source, capsys):
    assert run(["mask", "in.csv", "in.csv", "--json"]) == 2
    assert SSNS[0] in source.read_text()
    assert run(["mask", "in.csv", "in.csv", "--in-place", "--json"]) == 0
    assert SSNS[0] not in source.read_text()
    assert len(source.read_text().splitlines()) == ROWS + 1


def test_a_source_that_changes_between_the_passes_is_refused(source, tmp_path, monkeypatch, capsys):
    from cloister.detect import streaming

    classify = streaming.classify_table_file

    def change_after(*arguments, **options):
        found = classify(*arguments, **options)
        with source.open("a") as stream:
            stream.write("another,2\n")
        return found

    monkeypatch.setattr(streaming, "classify_table_file", change_after)
    assert run(["mask", "in.csv", "out.csv", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "CLO-INPUT-010"
    assert not (tmp_path / "out.csv").exists()


def test_a_role_that_the_policy_does_not_know_is_refused(source, tmp_path, capsys):
    assert run(["mask", "in.csv", "out.csv", "--as", "nobody-of-this-name", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "CLO-INPUT-011"
    assert not (tmp_path / "out.csv").exists()


def test_a_compressed_file_has_its_name_without_suffixes(source, tmp_path, capsys):
    import gzip

    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(source.read_bytes()))
    assert run(["classify", "packed.csv.gz", "--json"]) == 1
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    assert (table["name"], table["rows"]) == ("packed", ROWS)
