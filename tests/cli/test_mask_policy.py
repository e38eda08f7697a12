"""``cloister mask`` by the kinds of a policy, its previews, and what ``policy check`` explains."""

from __future__ import annotations

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cloister.cli.main import run
from cloister.store.home import Home, ensure_home

SSNS = [f"{219 + i}-09-{9871 - i}" for i in range(40)]
POLICY = """\
version: 1
masks:
  US_SSN: {kind: reversible}
  DOB: {kind: period, unit: year}
  FREE_TEXT: {kind: spans}
columns:
  - {match: born, level: restricted, entity: DOB}
  - {match: note, level: restricted, entity: FREE_TEXT}
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    home = ensure_home(Home(tmp_path / "home"))
    monkeypatch.setenv("CLOISTER_HOME", str(home.root))
    monkeypatch.chdir(tmp_path)
    return home


@pytest.fixture
def people(home, tmp_path):
    (home.root / "policy.yaml").write_text(POLICY)
    table = pa.table(
        {
            "ssn": SSNS,
            "born": pa.array([i * 400 for i in range(40)], pa.int32()).cast(pa.date32()),
            "note": [f"Called {ssn} about the bill." for ssn in SSNS],
            "color": ["red", "green"] * 20,
        }
    )
    pq.write_table(table, tmp_path / "people.parquet")
    return table


def call(capsys, *arguments):
    code = run([*arguments])
    out, err = capsys.readouterr()
    assert not [ssn for ssn in SSNS if ssn in out + err]
    return code, out + err


def test_a_file_is_masked_by_the_kinds_of_the_policy(people, tmp_path, capsys):
    code, out = call(capsys, "mask", "people.parquet", "masked.parquet", "--json")
    assert code == 0
    shown = {c["name"]: c["treatment"] for c in json.loads(out)["columns"]}
    assert shown == {"ssn": "reversible", "born": "period", "note": "spans", "color": "show"}
    masked = pq.read_table(tmp_path / "masked.parquet")
    assert masked["born"].type == pa.date32()
    assert {(day.month, day.day) for day in masked["born"].to_pylist()} == {(1, 1)}
    tokens = masked["ssn"].to_pylist()
    assert len(set(tokens)) == 40
    assert masked["note"].to_pylist() == [f"Called {token} about the bill." for token in tokens]


def test_masking_again_writes_the_same_tokens(people, tmp_path, capsys):
    for name in ("one.parquet", "two.parquet"):
        assert call(capsys, "mask", "people.parquet", name)[0] == 0
    one, two = (pq.read_table(tmp_path / name) for name in ("one.parquet", "two.parquet"))
    assert one.equals(two)


@pytest.mark.parametrize("name", ["like.parquet", "like.csv"])
def test_a_preview_has_the_columns_of_the_file_and_none_of_its_rows(people, tmp_path, capsys, name):
    code, _ = call(capsys, "mask", "people.parquet", name, "--preview", "100")
    assert code == 0
    if name.endswith(".csv"):
        with (tmp_path / name).open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == people.column_names
    else:
        made = pq.read_table(tmp_path / name)
        assert made.schema.equals(people.schema)
        rows = made.to_pylist()
    assert len(rows) == 100
    assert {row["color"] for row in rows} == {"red", "green"}
    assert not [ssn for ssn in SSNS if ssn in str(rows)]


def test_a_preview_of_a_directory_is_refused(people, tmp_path, capsys):
    (tmp_path / "folder").mkdir()
    code, out = call(capsys, "mask", "folder", "like.csv", "--preview", "5")
    assert code != 0
    assert "CLO-INPUT-001" in out
    assert not (tmp_path / "like.csv").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("AGE: {kind: band}", "3:9: band is not one of"),
        ("AGE: {kind: band}", "did you mean bands?"),
        ("AGE: {knd: bands}", "there is no setting knd; did you mean kind?"),
        ("DOB: {kind: shift}", "3:3: subject is missing"),
        ("SALARY: {kind: noise}", "amount is missing"),
        ("SALARY: {kind: bounds}", "low or high is missing"),
        ("US_SSN: {kind: partial, last: 9}", "3:27: must be at most 4"),
        ("CITY: {kind: prefix, width: 3}", "must be bands, not prefix"),
        ("age: {kind: bands}", "age is not a name of an entity type"),
    ],
)
def test_a_mistake_in_a_mask_is_explained_where_it_is(home, tmp_path, capsys, line, said):
    (tmp_path / "p.yaml").write_text(f"version: 1\nmasks:\n  {line}\n")
    code, out = call(capsys, "policy", "check", "p.yaml")
    assert code == 1
    assert said in out
