"""Masks and tokens: equality, nulls and order stay; doing it twice changes nothing."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest
from cloister.core.errors import CloisterError
from cloister.core.policy import Treatment
from cloister.detect.columns import classify_table
from cloister.detect.files import classify_file, read_table, sensitive_values
from cloister.detect.mask import mask_table, mask_text, mask_values
from cloister.detect.text import find_spans
from cloister.detect.tokens import TOKEN_PATTERN, Tokenizer
from hypothesis import given
from hypothesis import strategies as st

TOKENS = Tokenizer(b"t" * 32)
VALUES = st.lists(st.none() | st.text(max_size=12) | st.integers() | st.floats(), max_size=8)


@given(st.text(max_size=30))
def test_a_token_has_its_shape_and_stays_itself(value):
    token = TOKENS.token("US_SSN", value)
    assert TOKEN_PATTERN.fullmatch(token)
    assert TOKENS.token("US_SSN", token) == token


def test_tokens_join_spellings_and_part_domains_and_workspaces():
    assert TOKENS.token("US_SSN", "219-09-9871") == TOKENS.token("US_SSN", "219099871")
    assert TOKENS.token("US_SSN", "1")[7:] != TOKENS.token("PERSON", "1")[7:]
    assert TOKENS.token("US_SSN", "1") != Tokenizer(b"u" * 32).token("US_SSN", "1")


@given(VALUES, st.sampled_from(Treatment))
def test_masking_is_idempotent_and_keeps_nulls_and_equality(values, treatment):
    once = mask_values(values, treatment, "US_SSN", TOKENS.tokens)
    assert len(once) == len(values)
    if treatment is Treatment.SHOW:
        return
    twice = mask_values(once, treatment, "US_SSN", TOKENS.tokens)
    for before, first, second in zip(values, once, twice, strict=True):
        is_null = before is None or (isinstance(before, float) and math.isnan(before))
        assert (first is before) if is_null else isinstance(first, str)
        assert is_null or first == second
    for i, a in enumerate(values):
        for j, b in enumerate(values):
            if isinstance(a, str) and a == b:
                assert once[i] == once[j]


def test_partial_shows_four_characters_of_long_values_only():
    out = mask_values(["4111111111111111", "1234"], Treatment.PARTIAL, "CARD", TOKENS.tokens)
    assert out == ["[CARD …1111]", "[CARD]"]


def test_masks_text_in_place():
    text = "ssn 219-09-9871, mail a@b.co."
    out = mask_text(text, find_spans(text), lambda s, _: f"<{s.entity_type}>")
    assert out == "ssn <US_SSN>, mail <EMAIL_ADDRESS>."


def test_masks_a_table_by_its_findings():
    table = pa.table(
        {
            "ssn": ["219-09-9871", None, "219-09-9871"],
            "note": ["call her at (415) 555-2671 tomorrow about it please"] * 3,
            "age": [1, 2, 3],
        }
    )
    out = mask_table(
        table,
        classify_table(table),
        lambda level: Treatment.TOKEN if level >= 2 else Treatment.SHOW,
        TOKENS,
    ).to_pydict()
    assert out["ssn"][0] == out["ssn"][2]
    assert out["ssn"][1] is None
    assert out["age"] == [1, 2, 3]
    assert "555-2671" not in out["note"][0]
    assert out["note"][0].startswith("FREE_TEXT~"), "prose may name people, so it goes whole"


@pytest.mark.parametrize("suffix", ["csv", "parquet", "arrow", "jsonl"])
def test_reads_every_format(tmp_path, suffix):
    table = pa.table({"name": ["Ada Okafor", "Ben Ruiz"] * 9, "zip": ["01234", "04321"] * 9})
    path = tmp_path / f"people.{suffix}"
    _write(table, path)
    findings, rows = classify_file(path)
    assert rows == 18
    assert [f.entity_type for f in findings] == ["PERSON", "POSTCODE"]
    assert read_table(path, 1).to_pylist() == [{"name": "Ada Okafor", "zip": "01234"}]
    assert dict(sensitive_values(path, findings))["PERSON"] == ["Ada Okafor", "Ben Ruiz"]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.xyz", b"x", "CLO-DETECT-001"),
        ("a.parquet", b"no parquet", "CLO-DETECT-002"),
        ("a.jsonl", b"{broken", "CLO-DETECT-002"),
        ("a.arrow", b"no arrow", "CLO-DETECT-002"),
        ("a.csv", b"a,b\n1\n219-09-9871,2,3\n", "CLO-DETECT-002"),
    ],
)
def test_bad_files_say_so_without_their_content(tmp_path, name, content, code):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CloisterError) as caught:
        classify_file(path)
    assert caught.value.code == code
    assert "219" not in str(caught.value)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(CloisterError, match="CLO-DETECT-003"):
        classify_file(tmp_path / "none.csv")


def _write(table, path):
    import json

    import pyarrow.csv as pv
    import pyarrow.parquet as pq

    if path.suffix == ".csv":
        pv.write_csv(table, path)
    elif path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".arrow":
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
