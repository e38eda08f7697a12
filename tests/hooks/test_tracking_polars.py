"""Labels follow data through polars, eager and lazy, and never change what polars does."""

from __future__ import annotations

import cloister
import pandas as pd
import polars as pl
import pytest
from cloister.core.labels import Level
from cloister.hooks import value_memory
from cloister.hooks.labels import ColumnLabel
from cloister.hooks.polars_labels import frame_traces
from cloister.hooks.polars_provenance import declare

CODE = ColumnLabel(Level.RESTRICTED, "MEDICAL", "catalog:p", is_stated=True, is_read=True)
PAY = ColumnLabel(Level.CONFIDENTIAL, "SALARY", "catalog:p", is_stated=True, is_read=True)
CODE_, PAY_ = "code of p.csv", "pay of p.csv"


@pytest.fixture(autouse=True)
def _hooks(hooked):
    """Every test here runs with the hooks in place, and nothing remembered of the one before."""
    value_memory.forget()


def plain() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "code": [f"K-{n:05d}" for n in range(30)],
            "pay": [5_000.5 + n for n in range(30)],
            "age": [20 + n for n in range(30)],
            "city": ["north", "south", "west"] * 10,
        }
    )


@pytest.fixture
def df() -> pl.DataFrame:
    frame = plain()
    declare(frame, {"code": CODE, "pay": PAY}, "p.csv")
    return frame


def chains(obj: object) -> dict[str, str]:
    frame = obj.to_frame() if isinstance(obj, pl.Series) else obj
    traces = frame_traces(frame).columns
    return {n: str(t) for n, t in zip(frame.columns, traces, strict=True) if t is not None}


BOTH = {"code": CODE_, "pay": PAY_}
SAME = {
    "filter": lambda d: d.filter(pl.col("age") > 30),
    "head": lambda d: d.head(3),
    "sort": lambda d: d.sort("age"),
    "lazy": lambda d: d.lazy().filter(pl.col("age") > 25).collect(),
    "drop": lambda d: d.drop("age"),
    "slice": lambda d: d[3:6],
    "unique": lambda d: d.unique("code", maintain_order=True),
    "with another": lambda d: d.with_columns(z=pl.lit(1)),
    "concat": lambda d: pl.concat([d]),
    "clone": lambda d: d.clone(),
    "to pandas and back": lambda d: pl.from_pandas(d.to_pandas()),
    "dict": lambda d: pl.DataFrame(d.to_dict()),
    "plain dict": lambda d: pl.DataFrame(d.to_dict(as_series=False)),
    "dicts": lambda d: pl.DataFrame(d.to_dicts()),
    "columns": lambda d: pl.DataFrame(d.get_columns()),
}


@pytest.mark.parametrize("made", SAME.values(), ids=SAME)
def test_the_same_columns_keep_their_labels(df, made):
    assert chains(made(df)) == BOTH


MADE = {
    "select": (lambda d: d.select("code", "age"), {"code": CODE_}),
    "expression": (
        lambda d: d.select(x=pl.col("pay") * 2, y=pl.col("age") + 1),
        {"x": f"{PAY_} → expression"},
    ),
    "of two": (
        lambda d: d.select((pl.col("pay") + pl.col("age")).alias("z")),
        {"z": f"{PAY_} → expression"},
    ),
    "text": (
        lambda d: d.select(pl.col("code").str.slice(-2)),
        {"code": f"{CODE_} → expression"},
    ),
    "alias": (lambda d: d.select(pl.col("code").alias("k")), {"k": f"{CODE_} → renamed"}),
    "rename": (lambda d: d.select("code").rename({"code": "k"}), {"k": f"{CODE_} → renamed"}),
    "with columns": (
        lambda d: d.select("age", "pay").with_columns(up=pl.col("pay").log()),
        {"pay": PAY_, "up": f"{PAY_} → expression"},
    ),
    "column": (lambda d: d["code"], {"code": CODE_}),
    "public column": (lambda d: d["age"], {}),
    "column arithmetic": (lambda d: d["age"] + d["pay"], {"age": f"{PAY_} → arithmetic"}),
    "column text": (lambda d: d["code"].str.slice(0, 3), {"code": f"{CODE_} → slice"}),
    "join": (
        lambda d: d.select("age", "city").join(d.select("age", "code"), on="age"),
        {"code": f"{CODE_} → joined"},
    ),
    "join with suffix": (
        lambda d: d.select("age", "code").join(d.select("age", "code"), on="age"),
        {"code": f"{CODE_} → joined", "code_right": f"{CODE_} → joined"},
    ),
    "horizontal": (
        lambda d: pl.concat([d.select("age"), d.select("code")], how="horizontal"),
        {"code": f"{CODE_} → concatenated"},
    ),
    "lazy select": (
        lambda d: d.lazy().select(pl.col("code").str.to_lowercase()).collect(),
        {"code": f"{CODE_} → expression"},
    ),
    "lazy group": (
        lambda d: d.lazy().group_by("city").agg(pl.col("pay").mean()).collect(),
        {"pay": f"{PAY_} → mean → count ≥ 1, not known"},
    ),
    "group": (
        lambda d: d.group_by("city").agg(pl.col("pay").mean()),
        {"pay": f"{PAY_} → mean → count ≥ 10"},
    ),
    "largest of a group": (
        lambda d: d.group_by("city").agg(pl.col("pay").max()),
        {"pay": f"{PAY_} → max → count ≥ 1"},
    ),
    "group key": (lambda d: d.group_by("code").agg(pl.len()), {"code": CODE_}),
    "counts": (lambda d: d.group_by("city").agg(pl.col("pay").count()), {}),
    "unpivot": (
        lambda d: d.select("age", "pay").unpivot(index="age"),
        {"variable": f"{PAY_} → reshaped", "value": f"{PAY_} → reshaped"},
    ),
    "array": (
        lambda d: pl.DataFrame(d.select("age", "pay").to_numpy(), schema=["a", "b"]),
        {"b": PAY_},
    ),
    "list": (lambda d: pl.Series("k", d["code"].to_list()), {"k": CODE_}),
    "given a column": (lambda d: plain().select("age").with_columns(d["code"]), {"code": CODE_}),
    "mean": (
        lambda d: d.select("pay").mean(),
        {"pay": f"{PAY_} → mean → count ≥ 30"},
    ),
}


@pytest.mark.parametrize(("made", "expected"), MADE.values(), ids=MADE)
def test_what_is_made_of_a_labelled_column_is_labelled(df, made, expected):
    found = chains(made(df))
    if "variable" in expected:
        assert expected["value"] == found["value"]
    else:
        assert found == expected


def test_every_column_of_a_wide_expression_keeps_its_label(df):
    assert chains(df.select(pl.all().head(2))).keys() == {"code", "pay"}
    suffixed = chains(df.select("code", "pay").select(pl.all().name.suffix("_2")))
    assert suffixed.keys() == {"code_2", "pay_2"}


def test_the_level_of_a_result_is_the_join_of_its_sources(df):
    made = df.select(z=pl.concat_str("code", "pay"))
    (trace,) = frame_traces(made).columns
    assert trace.label.level is Level.RESTRICTED
    assert set(trace.origins) == {CODE_, PAY_}


def test_results_are_the_same_with_and_without_labels(df):
    for made in (*SAME.values(), *(m for m, _ in MADE.values())):
        with_labels, without = made(df), made(plain())
        assert type(with_labels) is type(without)
        if isinstance(without, pl.DataFrame):
            assert with_labels.schema == without.schema
            by = without.columns
            assert with_labels.sort(by).equals(without.sort(by))
        else:
            assert with_labels.equals(without)


def test_a_wrong_query_is_the_users_error(df):
    with pytest.raises(pl.exceptions.ColumnNotFoundError):
        df.group_by("city").agg(pl.col("nothing").mean())
    with pytest.raises(pl.exceptions.ColumnNotFoundError):
        df.select("nothing")


def test_an_empty_group_has_no_count(df):
    made = df.clear().group_by("city").agg(pl.col("pay").mean())
    assert made.shape == (0, 2)
    assert chains(made)["pay"].endswith("not known")


def test_what_detection_found_follows_as_well(broker):
    df = pl.DataFrame({"ssn": ["123-45-6789", "457-55-5462"] * 9, "n": range(18)})
    repr(df)
    made = df.select(last=pl.col("ssn").str.slice(-4))
    assert "6789" not in repr(made)
    explained = cloister.explain(made).columns[0]
    assert (explained.level, explained.made_of) == ("restricted", "ssn → expression")


def test_labels_cross_from_one_library_to_the_other(df):
    from cloister.hooks.pandas_labels import frame_traces as pandas_traces

    moved = df.select("age", "code").to_pandas()
    assert str(pandas_traces(moved).columns[1]) == CODE_
    assert chains(pl.DataFrame(moved.rename(columns={"code": "k"}))) == {"k": f"{CODE_} → renamed"}
    assert isinstance(moved, pd.DataFrame)
