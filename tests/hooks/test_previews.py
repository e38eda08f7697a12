"""``cloister.preview``: a table's columns and types, and nobody's rows."""

from __future__ import annotations

import cloister
import pandas as pd
import polars as pl
import pytest
from cloister.core.errors import CloisterError

N = 60
SSNS = [f"{219 + i}-09-{9871 - i}" for i in range(N)]


@pytest.fixture
def df():
    return pd.DataFrame(
        {
            "ssn": SSNS,
            "color": ["red", "green"] * (N // 2),
            "kind": pd.Categorical(["a"] * (N - 1) + ["rare one"]),
            "n": pd.array([*range(N - 30), *[None] * 30], dtype="Int16"),
            "when": pd.date_range("2024-01-01", periods=N, tz="UTC"),
            "period": pd.period_range("2020-01", periods=N, freq="M"),
            "any": [object() for _ in range(N)],
            "note": [f"Maria Lindqvist came on day {i} and asked for results." for i in range(N)],
        }
    )


def test_a_preview_has_the_types_and_no_value_of_a_masked_column(broker, df):
    made = cloister.preview(df, rows=200)
    assert list(made.columns) == list(df.columns)
    for name in ("ssn", "color", "n", "when"):
        assert made[name].dtype == df[name].dtype, name
    assert len(made) == 200
    assert set(made.color) == {"red", "green"}
    assert list(made.kind.cat.categories) == ["a"]
    assert 0.3 < made.n.isna().mean() < 0.7
    text = made.to_csv()
    assert not [ssn for ssn in SSNS if ssn in text]
    assert "Maria" not in text
    assert "rare one" not in text
    pd.testing.assert_frame_equal(made, cloister.preview(df, rows=200))


def test_a_polars_preview_has_the_types(broker, df):
    table = pl.DataFrame(
        {
            "ssn": SSNS,
            "color": pl.Series(["red", "green"] * (N // 2), dtype=pl.Categorical),
            "size": pl.Series(["S"] * N, dtype=pl.Enum(["S", "secret size"])),
            "n": pl.Series(range(N), dtype=pl.UInt8),
            "when": pl.Series(pd.date_range("2024-01-01", periods=N)),
            "list": [[1]] * N,
            "object": pl.Series([object()] * N, dtype=pl.Object),
        }
    )
    made = cloister.preview(table)
    assert made.columns == table.columns
    assert made.height == 20
    for name in ("ssn", "color", "n", "when", "list"):
        assert made[name].dtype == table[name].dtype, name
    assert "secret size" not in str(made.schema)
    assert not [ssn for ssn in SSNS if ssn in made.drop("object").write_json()]


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(),
        pd.DataFrame({"a": []}),
        pd.DataFrame([[1, "x"]], columns=["a", "a"]),
        pd.DataFrame({"a": pd.arrays.SparseArray([0, 1] * 20)}),
        pd.DataFrame({"a": pd.interval_range(0, 30)}),
        pd.DataFrame({("x", 1): [1], ("y", 2): [None]}),
        pd.DataFrame({"a": ["\ud800"] * 30, "b": [10**400] * 30}, dtype=object),
    ],
)
def test_odd_tables_are_previewed(broker, frame):
    made = cloister.preview(frame, rows=3)
    assert list(made.columns) == list(frame.columns)


def test_only_tables_have_previews(broker):
    with pytest.raises(CloisterError):
        cloister.preview([1])
