"""classify and mask: the contract's JSON, every format, and never a value in any message."""

import io
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cloister.cli.main import run
from cloister.core.labels import Level
from cloister.store.catalog import Catalog
from cloister.store.home import Home, ensure_home

SSNS = [f"{219 + i}-09-{9871 - i}" for i in range(40)]
MAILS = [f"person{i}@example.org" for i in range(40)]
TABLE = pa.table(
    {"ssn": SSNS, "mail": MAILS, "quantity": [f"{i}.5" for i in range(40)], "zip": ["01234"] * 40}
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    home = ensure_home(Home(tmp_path / "home"))
    monkeypatch.setenv("CLOISTER_HOME", str(home.root))
    monkeypatch.chdir(tmp_path)
    return home


@pytest.fixture
def source(tmp_path):
    rows = zip(*(column.to_pylist() for column in TABLE.columns), strict=True)
    path = tmp_path / "people.csv"
    path.write_text("ssn,mail,quantity,zip\n" + "".join(",".join(row) + "\n" for row in rows))
    pq.write_table(TABLE, tmp_path / "people.parquet")
    return path


@pytest.fixture
def call(home, capsys):
    def call(*arguments):
        code = run([*map(str, arguments)])
        out, err = capsys.readouterr()
        for value in (*SSNS, *MAILS):
            assert value not in out + err
        return code, out

    return call


def test_classify_prints_the_shape_of_the_contract(call, source):
    code, out = call("classify", "people.csv", "people.parquet", "--json")
    tables = json.loads(out)["tables"]
    assert code == 1, "something was found"
    assert [(t["name"], t["rows"]) for t in tables] == [("people", 40), ("people", 40)]
    for table in tables:
        columns = {c["name"]: c for c in table["columns"]}
        assert set(columns["ssn"]) == {
            "name", "entity_type", "level", "free_text", "confidence", "evidence",
        }  # fmt: skip
        assert (columns["ssn"]["entity_type"], columns["ssn"]["level"]) == ("US_SSN", "restricted")
        assert columns["mail"]["entity_type"] == "EMAIL_ADDRESS"
        assert 0 <= columns["ssn"]["confidence"] <= 1


def test_classify_exits_with_zero_when_nothing_is_found(call, tmp_path):
    (tmp_path / "dull.csv").write_text("amount\n1\n2\n3\n")
    assert call("classify", "dull.csv")[0] == 0


def test_classify_follows_the_catalogue(call, home, tmp_path):
    (tmp_path / "dull.csv").write_text("amount\n1\n2\n3\n")
    Catalog(home).add("dull", tmp_path / "dull.csv")
    Catalog(home).label("dull", "amount", Level.RESTRICTED, "SALARY")
    code, out = call("classify", "dull.csv", "--json")
    (column,) = json.loads(out)["tables"][0]["columns"]
    assert (code, column["level"], column["entity_type"]) == (1, "restricted", "SALARY")
    assert "declared" in column["evidence"]


def test_classify_reads_standard_input(call, source, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(source.read_bytes())))
    code, out = call("classify", "-", "--json")
    assert code == 1
    assert json.loads(out)["tables"][0]["columns"][0]["entity_type"] == "US_SSN"


def test_classify_text_prints_one_line_each_with_offsets(call, tmp_path):
    text = f"mail {MAILS[0]} now"
    lines = [{"id": "a", "text": text}, {"id": 2, "text": "nothing here"}]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, out = call("classify", "--text", "--json", "t.jsonl")
    first, second = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    (span,) = first["spans"]
    assert text[span["start"] : span["end"]] == MAILS[0]
    assert (first["id"], span["entity_type"]) == ("a", "EMAIL_ADDRESS")
    assert second == {"id": 2, "spans": []}
    assert "EMAIL_ADDRESS" in call("classify", "--text", "t.jsonl")[1]


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("none.csv", None, []),
        ("x.xyz", b"a", []),
        ("x.parquet", b"not parquet", []),
        ("t.jsonl", b'{"id": 1}\n', ["--text"]),
        ("t.jsonl", b"nonsense\n", ["--text"]),
        ("none.jsonl", None, ["--text"]),
    ],
)
def test_bad_input_is_two_with_a_clear_error(call, tmp_path, name, content, options):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    code, out = call("classify", *options, name, "--json")
    assert code == 2, out
    assert json.loads(out)["error"]["remedy"]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "arrow", "feather", "jsonl"])
def test_mask_writes_every_format_without_a_sensitive_value(call, source, tmp_path, suffix):
    target = tmp_path / f"masked.{suffix}"
    code, out = call("mask", source, target, "--json")
    assert code == 0
    report = json.loads(out)
    assert report["rows"] == 40
    assert {c["name"]: c["treatment"] for c in report["columns"]} == {
        "ssn": "token", "mail": "token", "quantity": "show", "zip": "show",
    }  # fmt: skip
    content = target.read_bytes()
    for value in (*SSNS, *MAILS):
        assert value.encode() not in content
    from cloister.detect.files import read_table

    table = read_table(target)
    assert table.num_rows == 40
    assert table.column_names == TABLE.column_names
    assert len(set(table["ssn"].to_pylist())) == 40, "equal stays equal, different stays different"
    assert str(table["ssn"][0]).startswith("US_SSN~")
    assert not list(tmp_path.glob(".*.part"))


def test_masked_copies_of_one_workspace_join(call, source, tmp_path):
    call("mask", source, tmp_path / "a.csv")
    call("mask", tmp_path / "people.parquet", tmp_path / "b.csv")
    assert Path(tmp_path / "a.csv").read_text() == Path(tmp_path / "b.csv").read_text()


def test_mask_refuses_to_overwrite_its_source_and_unknown_formats(call, source, tmp_path):
    before = source.read_bytes()
    assert call("mask", source, source)[0] == 2
    assert call("mask", source, tmp_path / "x.xlsx")[0] == 2
    assert call("mask", source, tmp_path / "nowhere" / "x.csv")[0] == 2
    assert source.read_bytes() == before
