"""What people write with polars in a day: the label of a result is at least that of its sources."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from cloister.core.labels import Level
from cloister.hooks import value_memory
from cloister.hooks.labels import ColumnLabel
from cloister.hooks.polars_labels import frame_traces
from cloister.hooks.polars_provenance import declare

CODE = ColumnLabel(Level.RESTRICTED, "MEDICAL", "catalog:p", is_stated=True, is_read=True)
PAY = ColumnLabel(Level.CONFIDENTIAL, "SALARY", "catalog:p", is_stated=True, is_read=True)
ROWS = 12


@pytest.fixture(autouse=True)
def _hooks(hooked):
    """Every test here runs with the hooks in place, and nothing remembered of the one before."""
    value_memory.forget()


def _bare() -> pl.DataFrame:
    return pl.DataFrame({"age": [30 + i for i in range(ROWS)], "key": list(range(ROWS))})


C = pl.col
IDIOMS = {
    "lazy join": (
        lambda d: _bare().lazy().join(d.lazy().select("key", "code"), on="key").collect(),
        {"code"},
    ),
    "when then": (
        lambda d: d.select(w=pl.when(C("key") > 3).then(C("code")).otherwise(None)), {"w"},
    ),
    "condition": (lambda d: d.select(w=pl.when(C("pay") > 3).then(1).otherwise(0)), {"w"}),
    "map_elements": (
        lambda d: d.select(z=C("code").map_elements(str.lower, return_dtype=pl.String)), {"z"},
    ),
    "struct and back": (
        lambda d: d.select(pl.struct("code", "key").alias("s")).unnest("s"), {"code"},
    ),
    "by pattern": (lambda d: d.select("^co.*$"), {"code"}),
    "all but one": (lambda d: d.select(pl.exclude("key")), {"code", "pay"}),
    "numpy": (lambda d: np.log(d["pay"]).to_frame(), {"pay"}),
    "partitions": (lambda d: d.partition_by("key")[0], {"code", "pay"}),
    "partitions by key": (
        lambda d: next(iter(d.partition_by("key", as_dict=True).values())), {"code", "pay"},
    ),
    "literal column": (lambda d: _bare().with_columns(pl.lit(d["code"]).alias("q")), {"q"}),
    "column of another": (lambda d: _bare().with_columns(q=d["code"]), {"q"}),
    "select of columns": (lambda d: pl.select(d["code"]), {"code"}),
    "inserted": (lambda d: _bare().insert_column(0, d["code"]), {"code"}),
    "replaced": (lambda d: _bare().replace_column(0, d["code"]), {"code"}),
    "SQL": (lambda d: d.sql("select code as z from self"), {"z"}),
    "SQL context": (
        lambda d: pl.SQLContext(t=d).execute("select code from t", eager=True), {"code"},
    ),
    "collected together": (lambda d: pl.collect_all([d.lazy().select("code")])[0], {"code"}),
    "Arrow": (lambda d: pl.from_arrow(d.to_arrow()), {"code", "pay"}),
    "rows in a loop": (lambda d: pl.DataFrame(list(d.iter_rows(named=True))), {"code", "pay"}),
    "tuples in a loop": (
        lambda d: pl.DataFrame(list(d.iter_rows()), schema=d.columns, orient="row"),
        {"code", "pay"},
    ),
    "list comprehension": (
        lambda d: pl.DataFrame({"x": [x for x in d["code"]]}),  # noqa: C416 - as users do
        {"x"},
    ),
    "groups mapped": (lambda d: d.group_by("key").map_groups(lambda g: g.head(1)), {"code"}),
    "windows of groups": (
        lambda d: d.sort("key").rolling("key", period="2i").agg(C("pay").sum()), {"pay"},
    ),
    "dynamic groups": (
        lambda d: d.sort("key").group_by_dynamic("key", every="5i").agg(C("pay").mean()), {"pay"},
    ),
}  # fmt: skip


@pytest.fixture
def people() -> pl.DataFrame:
    frame = pl.DataFrame(
        {
            "code": [f"K-{i * 7919 % 99_991:05d}" for i in range(ROWS)],
            "pay": [5_000.5 + 17 * i for i in range(ROWS)],
            "key": list(range(ROWS)),
        }
    )
    declare(frame, {"code": CODE, "pay": PAY}, "p.csv")
    return frame


@pytest.mark.parametrize(("made", "labelled"), IDIOMS.values(), ids=IDIOMS)
def test_what_users_write_with_polars_keeps_the_labels(people, made, labelled):
    result = made(people)
    traces = dict(zip(result.columns, frame_traces(result).columns, strict=True))
    for name in labelled:
        assert traces[name] is not None, name
        assert traces[name].label.level >= (Level.RESTRICTED if name == "code" else PAY.level)


def test_rows_of_groups_are_no_statistic(people):
    for made in (people.group_by("key").all(), people.group_by("key").agg("pay")):
        trace = dict(zip(made.columns, frame_traces(made).columns, strict=True))["pay"]
        assert trace is not None
        assert trace.aggregate is None
