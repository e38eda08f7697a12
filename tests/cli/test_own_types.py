"""What an admin adds to the policy counts on every way through the program, not in texts only."""

from __future__ import annotations

import json

import pytest
from cloister.cli.main import run
from cloister.store.home import Home, ensure_home

BADGES = [f"BX-{n:04d}-{n * 7 % 97:02d}" for n in range(60)]
HOTLINE = "+44 1632 960 961"
POLICY = f"""
version: 1
recognizers:
  - name: badges
    supported_entity: STAFF_BADGE
    patterns: [{{name: badge, regex: 'BX-\\d{{4}}-\\d{{2}}', score: 0.9}}]
  - name: projects
    supported_entity: PROJECT
    deny_list: [Bluebird, Greenfinch]
entities: {{STAFF_BADGE: restricted, PROJECT: confidential}}
allow_list: ["{HOTLINE}"]
"""


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    home = ensure_home(Home(tmp_path / "home"))
    monkeypatch.setenv("CLOISTER_HOME", str(home.root))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_text(POLICY)
    assert run(["policy", "apply", "policy.yaml"]) == 0
    rows = [
        f"{badge},{'Bluebird' if i % 2 else 'Greenfinch'},{HOTLINE},Ask for {badge} at the desk "
        f"on floor {i} please and wait there\n"
        for i, badge in enumerate(BADGES)
    ]
    (tmp_path / "staff.csv").write_text("code,team,line,remark\n" + "".join(rows))

    def call(*arguments):
        capsys.readouterr()
        return run([str(a) for a in arguments]), capsys.readouterr().out

    return call


def test_classify_knows_them(call):
    code, out = call("classify", "staff.csv", "--json")
    columns = {c["name"]: c for c in json.loads(out)["tables"][0]["columns"]}
    assert code == 1
    assert (columns["code"]["entity_type"], columns["code"]["level"]) == (
        "STAFF_BADGE",
        "restricted",
    )
    assert columns["team"]["entity_type"] == "PROJECT"
    assert columns["line"]["level"] == "public"
    assert (columns["remark"]["free_text"], columns["remark"]["level"]) == (True, "restricted")


def test_mask_leaves_none_of_them(call, tmp_path):
    assert call("mask", "staff.csv", "out.csv")[0] == 0
    text = (tmp_path / "out.csv").read_text()
    assert not any(badge in text for badge in BADGES)
    assert "Bluebird" not in text
    assert text.count(HOTLINE) == len(BADGES)


def test_scanning_a_dataset_indexes_them(call, tmp_path):
    call("catalog", "add", "staff", "staff.csv")
    code, out = call("catalog", "scan", "staff", "--json")
    (file,) = json.loads(out)
    assert code == 0
    assert file["columns"]["code"]["entity_type"] == "STAFF_BADGE"
    assert file["values"] >= len(BADGES)
    (tmp_path / "texts.jsonl").write_text(json.dumps({"id": 1, "text": f"x {BADGES[7]} y"}))
    code, out = call("classify", "--text", "texts.jsonl", "--json")
    (span,) = json.loads(out)["spans"]
    assert span["entity_type"] == "STAFF_BADGE"


def test_a_scan_reads_texts_with_the_second_opinion_and_kernels_use_what_it_found(call, tmp_path):
    notes = [
        f"Seen on ward {i}: Mrs Hildegard Brunnenmeier saw Dr Emeka Okonkwo and went home."
        for i in range(40)
    ]
    (tmp_path / "notes.csv").write_text("note\n" + "".join(f'"{n}"\n' for n in notes))
    call("catalog", "add", "notes", "notes.csv")
    assert "notes.csv" in call("catalog", "scan", "notes")[1]
    texts = tmp_path / "texts.jsonl"
    texts.write_text(json.dumps({"id": 1, "text": "brunnenmeier_hildegard; okonkwo emeka"}))
    found = json.loads(call("classify", "--text", texts, "--json")[1])["spans"]
    assert [span["entity_type"] for span in found] == ["PERSON", "PERSON"]


def test_scanning_what_is_not_there_is_an_error(call):
    code, out = call("catalog", "scan", "nothing", "--json")
    assert code != 0
    assert json.loads(out)["error"]["code"].startswith("CLO-CATALOG")


def test_a_reason_may_not_quote_them(call):
    call("catalog", "add", "staff", "staff.csv")
    code, out = call(
        "catalog", "label", "staff", "line", "restricted", "--reason", "as Bluebird", "--json"
    )
    assert (code, json.loads(out)["error"]["code"]) == (2, "CLO-INPUT-009")


def test_parts_of_a_directory_know_them(call, tmp_path):
    rows = (tmp_path / "staff.csv").read_text()
    (tmp_path / "many").mkdir()
    for number in range(2):
        (tmp_path / "many" / f"{number}.csv").write_text(rows)
    assert call("mask", "many", "parts")[0] == 0
    text = "".join(part.read_text() for part in (tmp_path / "parts").rglob("*.csv"))
    assert not any(badge in text for badge in BADGES)
    assert "Bluebird" not in text
    assert text.count(HOTLINE) == 2 * len(BADGES)


def test_a_copy_through_standard_output_knows_them(call):
    code, out = call("mask", "staff.csv", "-")
    assert code == 0
    assert not any(badge in out for badge in BADGES)
    assert HOTLINE in out
