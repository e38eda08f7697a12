"""polars tables are shown masked, with their true shape, and are never changed."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from cloister.hooks.labels import from_broker, session_names

pytestmark = pytest.mark.usefixtures("hooked", "broker")

SSNS = ["123-45-6789", "457-55-5462", None]


@pytest.fixture
def df():
    return pl.DataFrame({"ssn": SSNS, "mrn": [900101, 900102, 900103], "age": [1, 2, 3]})


def leaks(text: str) -> list[str]:
    return [s for s in ("123-45-6789", "457-55-5462", "900101", "900102", "900103") if s in text]


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        lambda x: f"{x}",
        lambda x: x._repr_html_(),
        lambda x: repr(x["ssn"]) + str(x["mrn"]) + x["ssn"]._repr_html_(),
        lambda x: repr(x.lazy().filter(pl.col("age") > 0).collect()),
        lambda x: repr(x.rename({"ssn": "a"})),
        lambda x: repr(x.cast({"ssn": pl.Categorical})),
    ],
)
def test_no_form_shows_a_value(df, show):
    shown = show(df)
    assert leaks(shown) == []
    assert "US_SSN~" in shown
    assert "US_SSN restricted" in shown


def test_shape_and_cut_are_those_of_the_real_table(df):
    rows = pl.concat([df] * 5_000)
    assert repr(rows).startswith("shape: (15_000, 3)")
    assert "shape: (15_000, 3)" in rows._repr_html_()
    assert repr(rows["ssn"]).startswith("shape: (15_000,)")
    assert "…" in repr(rows)
    assert leaks(repr(rows)) == leaks(rows._repr_html_()) == []


def test_a_series_names_its_real_type(df):
    assert "[i64]" in repr(df["mrn"]).splitlines()[1]


def test_nulls_stay_and_nothing_is_changed(df):
    before = df.clone()
    assert "null" in repr(df)
    df._repr_html_()
    assert df.equals(before)
    assert df.write_csv().count("123-45-6789") == 1


def test_html_says_why(df):
    shown = df._repr_html_()
    assert "cloister-chip" in shown
    assert "2 columns masked by policy `default`" in shown


def test_a_label_declared_by_a_read_follows_the_column_name(df):
    declared = {"age": {"level": "restricted", "entity_type": "MEDICAL", "source": "catalog:p"}}
    session_names.declare(from_broker(declared))
    assert "MEDICAL~" in repr(df)


def test_a_failure_to_mask_withholds_the_table(df, monkeypatch):
    from cloister.hooks import polars_display

    monkeypatch.setattr(polars_display, "mask_polars", lambda *_: 1 / 0)
    assert "display withheld, CLO-OUTPUT-002" in repr(df)
    assert "display withheld" in df._repr_html_()


@pytest.mark.parametrize(
    "df",
    [
        pl.DataFrame(),
        pl.DataFrame({"ssn": []}),
        pl.DataFrame({"mrn": [[1, 2], [3]], "s": [{"a": 1}, {"a": 2}]}),
        pl.DataFrame({"mrn": [dt.date(2020, 1, 1)], "b": [b"x"]}),
        pl.DataFrame({"mrn": ["9" * 1_000_000]}),
        pl.DataFrame({"mrn": [None]}),
    ],
)
def test_hostile_frames_neither_leak_nor_raise(df):
    assert "withheld" not in repr(df)
    assert "withheld" not in df._repr_html_()
