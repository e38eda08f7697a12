"""Owners and declared labels on the command line: refusals, the record, and what masking does."""

from __future__ import annotations

import json

import pytest
from cloister.cli.main import run
from cloister.detect.tablefile import read_table
from cloister.store.home import Home, ensure_home

PARTS = [f"{219 + i}-09-{9871 - i}" for i in range(60)]


@pytest.fixture
def home(tmp_path, monkeypatch):
    home = ensure_home(Home(tmp_path / "home"))
    monkeypatch.setenv("CLOISTER_HOME", str(home.root))
    monkeypatch.setenv("CLOISTER_USER", "maya")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts.csv").write_text("ssn,n\n" + "".join(f"{p},1\n" for p in PARTS))
    return home


@pytest.fixture
def call(home, capsys, monkeypatch):
    def call(*arguments, user="maya", roles=""):
        monkeypatch.setenv("CLOISTER_USER", user)
        monkeypatch.setenv("CLOISTER_ROLES", roles)
        code = run([*arguments, "--json"])
        out = capsys.readouterr().out
        assert PARTS[0] not in out
        return code, json.loads(out) if out else None

    return call


def lower(call, **who):
    return call("catalog", "label", "parts", "ssn", "public", "--reason", "numbers of parts", **who)


def test_the_owner_is_who_adds_unless_somebody_is_named(call):
    assert call("catalog", "add", "parts", "parts.csv")[1]["owner"] == "maya"
    assert call("catalog", "add", "more", "more.csv", "--owner", "eve")[1]["owner"] == "eve"


def test_lowering_is_refused_to_others_and_without_a_reason(call):
    call("catalog", "add", "parts", "parts.csv")
    code, error = lower(call, user="bob")
    assert (code, error["error"]["code"]) == (1, "CLO-CATALOG-006")
    code, error = call("catalog", "label", "parts", "ssn", "public")
    assert (code, error["error"]["code"]) == (2, "CLO-CATALOG-007")
    assert "--reason" in error["error"]["remedy"]
    code, error = call("catalog", "label", "parts", "ssn", "public", "--reason", f"as {PARTS[3]}")
    assert (code, error["error"]["code"]) == (2, "CLO-INPUT-009")
    assert PARTS[3] not in json.dumps(error)
    assert call("catalog", "show", "parts")[1]["history"] == []


def test_a_lowered_column_is_found_and_masked_as_its_owner_says(call, tmp_path):
    call("catalog", "add", "parts", "parts.csv")
    assert call("classify", "parts.csv")[0] == 1
    code, dataset = lower(call)
    assert code == 0
    assert dataset["labels"]["ssn"]["lowered_by"] == "maya"
    code, found = call("classify", "parts.csv")
    column = found["tables"][0]["columns"][0]
    assert (code, column["level"]) == (0, "public")
    assert {"declared", "lowered"} <= set(column["evidence"])
    assert call("mask", "parts.csv", "out.csv")[0] == 0
    assert read_table(tmp_path / "out.csv")["ssn"].to_pylist() == PARTS
    # A copy elsewhere is nobody's dataset: there nothing is lowered.
    (tmp_path / "copy.csv").write_bytes((tmp_path / "parts.csv").read_bytes())
    assert call("classify", "copy.csv")[0] == 1


def test_what_the_policy_says_counts_as_found(call, home, tmp_path):
    home.policy_path.write_text("version: 1\ncolumns:\n  - {match: n, level: restricted}\n")
    call("catalog", "add", "parts", "parts.csv")
    code, error = call("catalog", "label", "parts", "n", "internal", user="bob")
    assert error["error"]["code"] == "CLO-CATALOG-006"
    code, dataset = call("catalog", "label", "parts", "n", "internal", "--reason", "all are 1")
    assert (code, dataset["labels"]["n"]["found"]) == (0, "restricted")
    assert call("catalog", "label", "parts", "n", "restricted", user="bob")[0] == 0, "a raise"


def test_every_override_is_a_record_that_verifies(call, capsys):
    call("catalog", "add", "parts", "parts.csv")
    lower(call)
    call("catalog", "label", "parts", "ssn", "restricted", user="bob")
    call("catalog", "owner", "parts", "eve")
    assert call("lineage", "verify")[1]["ok"]
    assert call("lineage", "list")[0] == 0
    _, dataset = call("catalog", "show", "parts")
    assert [(h["change"], h["before"], h["after"], h["by"]) for h in dataset["history"]] == [
        ("lowered", "restricted", "public", "maya"),
        ("raised", "public", "restricted", "bob"),
    ]
    assert run(["catalog", "show", "parts"]) == 0
    shown = capsys.readouterr().out
    for word in ("Owner: eve", "lowered", "maya", "bob", "numbers of parts", "restricted"):
        assert word in shown


def test_the_record_holds_who_what_and_why(call, home):
    from cloister.store.keys import open_keyring
    from cloister.store.lineage import LineageLog
    from cloister.store.lineage_reader import LineageReader

    call("catalog", "add", "parts", "parts.csv")
    lower(call)
    with LineageLog(home, open_keyring(home)):
        pass
    with LineageReader(home, open_keyring(home)) as reader:
        bodies = {entry.type: entry.body for entry in reader.entries()}
    assert bodies["catalog.added"]["owner"] == "maya"
    event = bodies["catalog.labelled"]
    assert (event["user"], event["change"], event["before"], event["level"]) == (
        "maya", "lowered", "restricted", "public",
    )  # fmt: skip
    assert (event["reason"], event["lowered_by"]) == ("numbers of parts", "maya")


def test_only_owner_or_admin_hand_on_and_remove(call):
    call("catalog", "add", "parts", "parts.csv")
    assert call("catalog", "remove", "parts", user="bob")[1]["error"]["code"] == "CLO-CATALOG-006"
    assert call("catalog", "owner", "parts", "bob", user="bob")[0] == 1
    assert call("catalog", "owner", "parts", "bob", user="root", roles="admin")[0] == 0
    assert call("catalog", "remove", "parts", user="bob")[0] == 0


def test_a_column_that_no_file_has_can_only_be_raised(call):
    call("catalog", "add", "parts", "parts.csv")
    code, dataset = call("catalog", "label", "parts", "typo", "public", "--reason", "why not")
    assert code == 0
    assert dataset["labels"]["typo"]["lowered_by"] is None
