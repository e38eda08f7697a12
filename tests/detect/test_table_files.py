# ruff: noqa: E501 - sample data stays on one line
"""Data files: every format reads the same, text stays text, and errors show nothing of the content."""

from __future__ import annotations

import gzip
import json

import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.feather as pf
import pyarrow.parquet as pq
import pytest
from cloister.core.errors import CloisterError
from cloister.core.labels import Level
from cloister.detect.exact import ExactIndex
from cloister.detect.files import classify_file, read_batches, read_table, sensitive_values

ROWS = 3_000
TABLE = pa.table(
    {
        "ssn": [f"{1 + i % 600:03d}-{1 + i % 97:02d}-{1 + i:04d}" for i in range(ROWS)],
        "first_name": ["Zainab", "Siobhán", "Null"] * (ROWS // 3),
        "zip": [f"{i:05d}" for i in range(ROWS)],
        "note": [
            f"call back on (620) 555-{1000 + i} after five, she said so, ok" for i in range(ROWS)
        ],
        "quantity": [f"{i}.5" for i in range(ROWS)],
    }
)


def write(path, table=TABLE):
    match path.suffix:
        case ".csv":
            pv.write_csv(table, path)
        case ".tsv":
            pv.write_csv(table, path, pv.WriteOptions(delimiter="\t"))
        case ".parquet":
            pq.write_table(table, path, row_group_size=500)
        case ".feather":
            pf.write_feather(table, str(path))
        case ".arrow":
            with pa.ipc.new_stream(path, table.schema) as sink:
                sink.write_table(table)
        case ".jsonl":
            path.write_text("".join(json.dumps(r) + "\n" for r in table.to_pylist()), "utf-8")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".feather", ".arrow", ".jsonl"])
def test_every_format_reads_the_same(tmp_path, suffix):
    path = write(tmp_path / f"t{suffix}")
    findings, rows = classify_file(path)
    assert rows == ROWS
    assert [(f.name, f.entity_type, f.free_text) for f in findings] == [
        ("ssn", "US_SSN", False),
        ("first_name", "PERSON", False),
        ("zip", "POSTCODE", False),
        ("note", None, True),
        ("quantity", None, False),
    ]
    assert read_table(path)["zip"].to_pylist() == TABLE["zip"].to_pylist()
    index = ExactIndex(b"k" * 32)
    for entity_type, values in sensitive_values(path, findings):
        index.add(entity_type, values)
    for row in (0, ROWS // 2, ROWS - 1):
        assert index.find(TABLE["ssn"][row].as_py())
        assert index.find(f"x (620) 555-{1000 + row} y"), "the numbers that prose holds"
    assert index.find("Zainab Siobhán")
    assert not index.find(" ".join(TABLE["zip"].to_pylist()[:100])), "internal columns stay out"


def test_long_files_are_counted_whole_and_looked_at_everywhere(tmp_path):
    rows = 300_000
    table = pa.table(
        {"x": [None] * (rows - 20_000) + ["219-09-9871"] * 20_000}, pa.schema([("x", pa.string())])
    )
    findings, count = classify_file(
        write(tmp_path / "t.csv", pa.table({"i": range(rows), "x": table["x"]}))
    )
    assert count == rows
    assert findings[1].entity_type == "US_SSN"


def test_csv_with_other_encodings_and_quoted_lines(tmp_path):
    path = tmp_path / "t.csv"
    for encoding in ("latin-1", "utf-8-sig", "utf-16"):
        path.write_bytes('vorname,x\n"Jürgen","a\nb"\n'.encode(encoding))
        assert read_table(path).to_pydict() == {"vorname": ["Jürgen"], "x": ["a\nb"]}


def test_csv_with_repeated_names_keeps_every_column(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,x\n219-09-9871,a\n" * 1)
    findings, _ = classify_file(path)
    assert [f.entity_type for f in findings] == ["US_SSN", None]
    assert dict(sensitive_values(path, findings)) == {"US_SSN": ["219-09-9871"]}


def test_json_lines_with_mixed_and_nested_values(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(
        '{"a": 1, "b": {"ssn": "219-09-9871"}}\n\n{"a": "x", "c": 1.5}\n{"c": null, "d": 99999999999999999999}\n'
    )
    table = read_table(path)
    assert table.column_names == ["a", "b", "c", "d"]
    assert table["a"].to_pylist() == ["1", "x", None]
    assert table["c"].to_pylist() == [None, 1.5, None]
    findings, rows = classify_file(path)
    assert rows == 3
    assert findings[1].level is Level.RESTRICTED


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".arrow", ".jsonl"])
def test_empty_tables_are_tables(tmp_path, suffix):
    path = write(tmp_path / f"t{suffix}", TABLE.slice(0, 0))
    findings, rows = classify_file(path)
    assert rows == 0
    assert list(sensitive_values(path, findings)) == []


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("t.xlsx", b"219-09-9871", "CLO-DETECT-001"),
        ("t", b"219-09-9871", "CLO-DETECT-001"),
        ("t.parquet", b"219-09-9871", "CLO-DETECT-002"),
        ("t.arrow", b"219-09-9871", "CLO-DETECT-002"),
        ("t.jsonl", b"219-09-9871 x", "CLO-DETECT-002"),
        ("t.jsonl", b"[1]", "CLO-DETECT-002"),
        ("t.csv", b"a,b\n219-09-9871\n", "CLO-DETECT-002"),
        ("t.parquet", gzip.compress(b"219-09-9871", mtime=0), "CLO-DETECT-002"),
        ("t.csv", None, "CLO-DETECT-003"),
    ],
)
def test_what_cannot_be_read_is_a_clear_error_without_content(tmp_path, name, content, code):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    for call in (lambda: list(read_batches(path)), lambda: classify_file(path)):
        with pytest.raises(CloisterError) as caught:
            call()
        assert caught.value.code == code
        assert caught.value.remedy
        assert "9871" not in str(caught.value)
        assert caught.value.__cause__ is None
