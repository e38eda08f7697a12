"""Masking of values and tables: nulls, order and equality stay, values go, twice is once."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pyarrow as pa
import pytest
from cloister.core.labels import Level
from cloister.core.policy import Treatment
from cloister.detect.columns import classify_table
from cloister.detect.mask import is_null, mask_table, mask_text, mask_values
from cloister.detect.text import Span
from cloister.detect.tokens import Tokenizer
from hypothesis import given
from hypothesis import strategies as st

TOKENIZER = Tokenizer(b"t" * 32)
HIDING = [Treatment.TOKEN, Treatment.PARTIAL, Treatment.REDACT]

cells = st.one_of(
    st.none(), st.text(max_size=20), st.integers(), st.floats(), st.binary(max_size=5), st.dates(),
    st.sampled_from([pd.NA, pd.NaT, float("nan"), "219-09-9871", "[US_SSN]", "US_SSN~k3f7x2abqd"]),
)  # fmt: skip


@given(values=st.lists(cells), treatment=st.sampled_from(HIDING))
def test_nulls_and_order_stay_and_masking_twice_is_masking_once(values, treatment):
    once = mask_values(values, treatment, "US_SSN", TOKENIZER.tokens)
    assert len(once) == len(values)
    for before, after in zip(values, once, strict=True):
        assert (after is before) if is_null(before) else isinstance(after, str)
    twice = mask_values(once, treatment, "US_SSN", TOKENIZER.tokens)
    assert [v for v in twice if not is_null(v)] == [v for v in once if not is_null(v)]


@pytest.mark.parametrize(
    ("treatment", "shown"),
    [
        (Treatment.SHOW, "219-09-9871"),
        (Treatment.PARTIAL, "[US_SSN …9871]"),
        (Treatment.REDACT, "[US_SSN]"),
        (Treatment.TOKEN, TOKENIZER.token("US_SSN", "219-09-9871")),
    ],
)
def test_each_treatment_shows_what_it_says(treatment, shown):
    assert mask_values(["219-09-9871"], treatment, "US_SSN", TOKENIZER.tokens) == [shown]


def test_partial_never_shows_half_of_a_value():
    assert mask_values(["12345678"], Treatment.PARTIAL, "PIN", TOKENIZER.tokens) == ["[PIN]"]


def test_one_value_has_one_token_however_its_column_is_typed():
    values = [84313507, 84313507.0, "84313507", "084-31-3507"]
    assert len(set(mask_values(values, Treatment.TOKEN, "US_SSN", TOKENIZER.tokens))) == 1
    days = [
        dt.date(1954, 5, 7),
        pd.Timestamp("1954-05-07").to_pydatetime(),
        pd.Timestamp("1954-05-07"),
        "1954-05-07",
    ]
    assert len(set(mask_values(days, Treatment.TOKEN, "DOB", TOKENIZER.tokens))) == 1


def test_mask_text_replaces_spans_and_keeps_the_rest():
    spans = [Span(0, 1, "A", 1.0), Span(3, 5, "B", 1.0)]
    assert mask_text("abcdef", spans, lambda s, v: f"<{s.entity_type}{v}>") == "<Aa>bc<Bde>f"


NOTES = [
    f"Maria Lindqvist came on day {i} and asked for her results, call her back." for i in range(30)
]
TABLE = pa.table(
    {
        "ssn": [*(f"{219 + i}-09-9871" for i in range(29)), None],
        "note": NOTES,
        "code": [*["plain"] * 29, "mail maria@example.org"],
        "n": list(range(30)),
    }
)


def display(level: Level) -> Treatment:
    return Treatment.TOKEN if level >= Level.CONFIDENTIAL else Treatment.SHOW


def test_a_masked_table_has_no_value_and_the_same_shape():
    findings = classify_table(TABLE.slice(0, 29))  # a sample that misses one value
    masked = mask_table(TABLE, findings, display, TOKENIZER)
    assert masked.column_names == TABLE.column_names
    assert masked["ssn"].null_count == 1
    assert len(set(masked["ssn"].to_pylist())) == 30
    assert masked["n"].equals(TABLE["n"])
    text = masked.to_pandas().to_csv()
    for value in ("9871", "Maria", "maria@example.org"):
        assert value not in text
    assert masked["code"][0].as_py() == "plain"
    assert masked["code"][29].as_py().startswith("mail EMAIL_ADDRESS~")


def test_masking_a_masked_table_changes_nothing():
    once = mask_table(TABLE, classify_table(TABLE), display, TOKENIZER)
    assert mask_table(once, classify_table(once), display, TOKENIZER).equals(once)
    assert mask_table(once, classify_table(TABLE), display, TOKENIZER).equals(once)


def test_awkward_columns_are_masked():
    table = pa.Table.from_arrays(
        [
            pa.array(["219-09-9871"] * 6).dictionary_encode(),
            pa.array([{"ssn": "219-09-9871"}] * 6),
            pa.chunked_array([["a"], ["b"] * 5]),
            pa.nulls(6),
        ],
        ["x", "x", "s", "z"],
    )
    masked = mask_table(table, classify_table(table), display, TOKENIZER)
    assert all("9871" not in str(column.to_pylist()) for column in masked.columns)
    assert masked.num_rows == 6
    assert masked.column(2).to_pylist() == ["a", *["b"] * 5]
