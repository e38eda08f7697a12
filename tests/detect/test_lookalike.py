"""Invented rows: true types, rough shares, and nothing that fewer than ten rows stand behind."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest
from cloister.core.masks import REDACTED_WHOLE, Mask, MaskKind
from cloister.detect.lookalike import lookalike
from cloister.detect.masking.marks import is_stand_in
from hypothesis import given, settings
from hypothesis import strategies as st

SHOWN = (Mask(MaskKind.SHOW), "UNKNOWN")
HIDDEN = (REDACTED_WHOLE, "US_SSN")
KINDS = [
    pa.int8(), pa.uint64(), pa.float16(), pa.float64(), pa.decimal128(9, 2), pa.bool_(),
    pa.string(), pa.large_string(), pa.binary(), pa.date32(), pa.date64(),
    pa.timestamp("ns", "UTC"), pa.time32("s"), pa.duration("s"), pa.list_(pa.int64()), pa.null(),
    pa.dictionary(pa.int8(), pa.string()),
]  # fmt: skip


def like(values, mask=SHOWN, rows=500, seed=0, kind=None):
    column = values if isinstance(values, (pa.Array, pa.ChunkedArray)) else pa.array(values, kind)
    return lookalike(pa.table({"x": column}), [mask], rows, seed)["x"].to_pylist()


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("mask", [SHOWN, HIDDEN])
def test_types_and_names_are_true(kind, mask):
    for column in (pa.nulls(40, kind), pa.nulls(0, kind)):
        table = pa.Table.from_arrays([column, column], ["a", "a"])
        made = lookalike(table, [mask, mask], 7)
        assert made.schema == table.schema
        assert made.num_rows == 7


@settings(max_examples=50)
@given(
    st.one_of(
        st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=60),
        st.lists(st.none() | st.floats(), min_size=1, max_size=60),
        st.lists(st.none() | st.text(st.characters(codec="utf-8")), min_size=1, max_size=60),
        st.lists(st.none() | st.datetimes(), min_size=1, max_size=60),
        st.lists(st.none() | st.decimals(-1000, 1000, places=2), min_size=1, max_size=60),
        st.lists(st.none() | st.booleans(), min_size=1, max_size=60),
    ),
    st.sampled_from([SHOWN, HIDDEN]),
)
def test_any_column_is_previewed_and_the_same_seed_gives_the_same_rows(values, mask):
    table = pa.table({"x": pa.array(values)})
    made = lookalike(table, [mask], 30)
    assert made.schema == table.schema
    assert made.equals(lookalike(table, [mask], 30)) or "nan" in str(made)


def test_another_seed_gives_other_rows():
    assert like(list(range(1000))) != like(list(range(1000)), seed=1)


@settings(max_examples=50)
@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=30, max_size=60))
def test_no_value_of_a_masked_column_is_in_the_preview(values):
    made = like(values, HIDDEN)
    assert not set(values) & set(made)
    assert all(is_stand_in(value) for value in made)


def test_masked_numbers_and_dates_come_from_nowhere():
    salaries = list(range(40_000, 41_000))
    assert like(salaries, HIDDEN) == like([1] * 1000, HIDDEN)
    days = [dt.date(1954, 1, 1)] * 100
    assert like(days, HIDDEN) == like([dt.date(2024, 1, 1)] * 100, HIDDEN)


def test_frequent_categories_are_shown_in_rough_shares_and_rare_ones_never():
    made = like(["red"] * 700 + ["blue"] * 300 + ["only one"] * 9)
    assert set(made) == {"red", "blue"}
    assert 0.6 < made.count("red") / len(made) < 0.8
    coded = like([1] * 500 + [2] * 500 + [99] * 9)
    assert set(coded) == {1, 2}


def test_a_category_that_holds_a_value_is_not_shown():
    made = like(["mail maria@example.org"] * 20 + ["red"] * 20)
    assert set(made) == {"red"}


def test_the_ends_of_a_range_are_no_row_s_value():
    ages = [float(age) / 7 for age in range(18 * 7, 80 * 7)] + [104.5]
    made = like(ages, rows=5000)
    assert 17 <= min(made) < 25
    assert 70 < max(made) < 90
    assert 104.5 not in made


def test_what_stands_on_few_rows_is_invented():
    assert like([90_000] * 19) == like([5] * 19)
    assert like(["Oslo"] * 19) != ["Oslo"] * 500
    assert None not in like(["Oslo"] * 10 + [None] * 9)


def test_nulls_come_in_steps_of_five_percent():
    made = like([None] * 301 + [1.5] * 699, rows=4000)
    assert 0.27 < made.count(None) / 4000 < 0.33
    assert None not in like([None] * 3 + [1.5] * 997)
    assert set(like([None] * 50, kind=pa.int64())) == {None}


def test_numbers_and_dates_that_are_written_as_text_stay_such():
    made = like([f"{n / 8}" for n in range(400)])
    assert all(-5 <= float(value) <= 55 for value in made)
    days = [(dt.date(2020, 1, 1) + dt.timedelta(days=n)).isoformat() for n in range(400)]
    assert all(day.startswith(("2019-", "2020-", "2021-")) for day in like(days))
