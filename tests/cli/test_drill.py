"""``cloister drill``: on this machine, with a home of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cloister.cli.main import run
from cloister.store.home import Home
from cloister.store.lineage_reader import LineageReader

SAFE = ("--only", "text-value", "--only", "encodings-hex", "--only", "network-tcp")


@pytest.fixture
def drilled(home, capsys):
    """Runs a drill in this process and returns exit code, output and messages."""

    def drill(*arguments):
        code = run(["drill", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return drill


def test_holds_where_the_guard_does_and_says_so_as_json(drilled, home):
    code, out, _ = drilled(*SAFE, "--json")
    document = json.loads(out)
    assert code == 0, document
    assert document["leaked"] == 0
    assert [(c["id"], c["outcome"]) for c in document["cases"]] == [
        ("text-value", "masked"),
        ("encodings-hex", "masked"),
        ("network-tcp", "blocked"),
    ]
    assert {"id", "technique", "channel", "outcome"} <= document["cases"][0].keys()
    with LineageReader(Home(home)) as reader:
        entries = {entry.type: entry.body for entry in reader.entries()}
    assert entries["drill.finished"]["leaked"] == []
    assert entries["drill.finished"]["outcomes"]["text-value"] == "masked"
    assert "cell.intent" not in entries, "the drill's own cells are not in the live record"


def test_a_policy_that_shows_everything_leaks_and_exits_with_1(drilled, home):
    run(["init"])
    policy = Home(home).policy_path
    policy.write_text("version: 1\ndisplay: {confidential: show, restricted: show}\n")
    before = policy.read_bytes()
    code, out, _ = drilled("--only", "text-value")
    assert code == 1
    assert "LEAKED  text-value (T1005, Three values, printed)" in out
    assert "1 leaked" in out
    assert policy.read_bytes() == before


def test_documented_limits_are_apart_and_no_failure(drilled):
    code, out, _ = drilled("--only", "encodings-rot13", "--json")
    document = json.loads(out)
    assert code == 0, document
    assert document["cases"] == []
    assert document["limits"][0]["id"] == "encodings-rot13"
    assert document["limits"][0]["limit"].startswith("docs/sharp-edges.md#")


def test_no_canary_is_in_what_it_prints_or_records(drilled, home, monkeypatch):
    from cloister.cli.drill import canaries as module

    made = []
    fresh = module.fresh_canaries
    monkeypatch.setattr(module, "fresh_canaries", lambda: made.append(fresh()) or made[-1])
    code, out, err = drilled("--only", "encodings-rot13", "--only", "text-value")
    assert code == 0
    recorded = Home(home).lineage_path.read_bytes()
    for _, value in made[0].values():
        assert value not in out + err
        assert value.encode() not in recorded


def test_what_is_not_there_is_said(drilled):
    code, _, err = drilled("--only", "no-such-case")
    assert code == 2
    assert "CLO-INPUT-012" in err
    code, _, err = drilled("--family", "no-such-family")
    assert code == 2
    assert "Families:" in err


def test_lists_cases_without_running_any(drilled, home):
    code, out, _ = drilled("--list", "--family", "replies", "--json")
    assert code == 0
    assert {case["id"] for case in json.loads(out)} > {"replies-pager"}
    assert not home.exists()


def test_a_kernel_that_does_not_start_is_an_error_not_a_success(drilled, home):
    run(["init"])
    Home(home).policy_path.write_text("version: 1\nsandbox: required\n")
    done = subprocess.run(
        [Path(sys.executable).with_name("cloister"), "drill", *SAFE[:2], "--json"],
        env={"CLOISTER_HOME": str(home), "PATH": "/nowhere"},  # no bubblewrap there
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["cases"][0]["outcome"] == "error"
