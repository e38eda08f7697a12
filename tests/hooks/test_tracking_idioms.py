"""What people write with pandas in a day: the label of a result is at least that of its sources."""

from __future__ import annotations

import copy
import io
import json
import pickle  # noqa: TID251 - what users do with their own tables

import numpy as np
import pandas as pd
import pytest
from cloister.core.labels import Level
from cloister.hooks import value_memory
from cloister.hooks.labels import ColumnLabel
from cloister.hooks.pandas_labels import frame_traces
from cloister.hooks.pandas_provenance import declare, index_traces, provenance_of

ROWS = 60
CODE = ColumnLabel(Level.RESTRICTED, "MEDICAL", "catalog:p", is_stated=True, is_read=True)
PAY = ColumnLabel(Level.CONFIDENTIAL, "SALARY", "catalog:p", is_stated=True, is_read=True)
BORN = ColumnLabel(Level.CONFIDENTIAL, "DOB", "catalog:p", is_stated=True, is_read=True)


@pytest.fixture(autouse=True)
def _hooks(hooked):
    """Every test here runs with the hooks in place, and nothing remembered of the one before."""
    value_memory.forget()


def plain() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "code": [f"K-{n:05d}" for n in rng.integers(0, 99_999, ROWS)],
            "pay": rng.normal(5_000, 900, ROWS),
            "age": rng.integers(20, 60, ROWS),
            "city": (["north", "south", "west"] * ROWS)[:ROWS],
            "born": pd.date_range("1970-01-01", periods=ROWS, freq="40D").astype(str),
            "key": range(ROWS),
        }
    )


@pytest.fixture
def df() -> pd.DataFrame:
    """A table of which three columns were declared when it was read."""
    frame = plain()
    declare(frame, {"code": CODE, "pay": PAY, "born": BORN}, "p.csv")
    return frame


def entities(obj: pd.DataFrame | pd.Series | pd.Index) -> dict[object, str | None]:
    """The entity type of each labelled part: columns, rows, ``[index]`` and ``^header`` levels."""
    if isinstance(obj, pd.Index):
        found = {f"[{n}]": t for n, t in zip(obj.names, index_traces(obj), strict=True)}
        return {n: t.label.entity_type for n, t in found.items() if t is not None}
    traces = frame_traces(obj)
    names = list(obj.columns) if obj.ndim == 2 else ["values"]
    found = dict(zip(names, traces.columns, strict=True))
    found |= dict(zip(traces.row_names, traces.rows, strict=True))
    found |= {f"[{n}]": t for n, t in zip(obj.index.names, traces.index, strict=True)}
    if obj.ndim == 2:
        found |= {f"^{n}": t for n, t in zip(obj.columns.names, traces.header, strict=True)}
    return {name: t.label.entity_type for name, t in found.items() if t is not None}


def dated(d: pd.DataFrame) -> pd.DataFrame:
    return d.assign(t=pd.date_range("2020", periods=ROWS)).set_index("t")


CODE_, PAY_, BORN_ = {"values": "MEDICAL"}, {"values": "SALARY"}, {"values": "DOB"}
ALL = {"code": "MEDICAL", "pay": "SALARY", "born": "DOB"}

IDIOMS = {
    # chains and assignment
    "pipe": (lambda d: d.pipe(lambda x: x.assign(q=x.pay * 2)).query("age > 30"), {"q": "SALARY"}),
    "part of a column": (
        lambda d: (
            e := plain().assign(x=0.0),
            e.loc.__setitem__((d.age > 30, "x"), d.pay[d.age > 30]),
            e,
        )[2],
        {"x": "SALARY"},
    ),
    "an array into a column": (
        lambda d: (
            e := plain().assign(x=""),
            e.loc.__setitem__((slice(None), "x"), d.code.to_numpy()),
            e,
        )[2],
        {"x": "MEDICAL"},
    ),
    "a list into a column": (
        lambda d: (e := plain(), e.insert(0, "c", list(d.code)), e)[2], {"c": "MEDICAL"},
    ),
    "mask": (lambda d: plain().city.mask(plain().age > 30, d.code), CODE_),
    "case_when": (lambda d: plain().city.case_when([(d.age > 30, d.code)]), CODE_),
    "update": (
        lambda d: (e := plain()[["code"]].astype(object), e.update(d[["code"]]), e)[2],
        {"code": "MEDICAL"},
    ),
    "combine_first": (lambda d: plain()[["age"]].combine_first(d[["code"]]), {"code": "MEDICAL"}),
    "eval": (lambda d: d.eval("z = pay * 2"), {"z": "SALARY"}),
    "column names in capitals": (
        lambda d: (setattr(d, "columns", [c.upper() for c in d.columns]), d)[1],
        {"CODE": "MEDICAL", "PAY": "SALARY"},
    ),
    # text, dates and categories
    "extract": (lambda d: d.code.str.extract(r"K-(?P<n>\d+)"), {"n": "MEDICAL"}),
    "extractall": (lambda d: d.code.str.extractall(r"(\d)"), {0: "MEDICAL"}),
    "explode": (lambda d: d.code.str.split("-").explode(), CODE_),
    "split and join": (lambda d: d.code.str.split("-").str.join("+"), CODE_),
    "age": (lambda d: (pd.Timestamp("2020-01-01") - pd.to_datetime(d.born)).dt.days, BORN_),
    "week": (lambda d: pd.to_datetime(d.born).dt.isocalendar().week, BORN_),
    "components": (
        lambda d: (pd.Timestamp("2020") - pd.to_datetime(d.born)).dt.components.days, BORN_,
    ),
    "codes": (lambda d: d.code.astype("category").cat.codes, CODE_),
    "categories": (lambda d: pd.Series(d.code.astype("category").cat.categories), CODE_),
    "quantiles": (lambda d: pd.qcut(d.pay, 4, labels=False), PAY_),
    "indicators": (lambda d: pd.get_dummies(d.code.head(3)), {"^None": "MEDICAL"}),
    # lookups
    "map by a column": (lambda d: plain().key.map(d.set_index("key").code), CODE_),
    "map by a dict": (lambda d: plain().key.map(d.set_index("key").code.to_dict()), CODE_),
    "map by a zip": (lambda d: plain().key.map(dict(zip(d.key, d.code, strict=True))), CODE_),
    "replace by a dict": (lambda d: plain().key.replace(d.set_index("key").code.to_dict()), CODE_),
    # joins
    "merge_asof": (
        lambda d: pd.merge_asof(plain()[["key", "age"]], d[["key", "code"]], on="key"),
        {"code": "MEDICAL"},
    ),
    "merge on an index": (
        lambda d: plain()[["key"]].merge(
            d.set_index("key")[["code"]], left_on="key", right_index=True
        ),
        {"code": "MEDICAL"},
    ),
    "join of several": (
        lambda d: plain()[["age"]].join([d[["code"]], d[["pay"]]]),
        {"code": "MEDICAL", "pay": "SALARY"},
    ),
    "concat with keys": (
        lambda d: pd.concat({"a": d[["code"]], "b": d[["pay"]]}, axis=1),
        {("a", "code"): "MEDICAL", ("b", "pay"): "SALARY"},
    ),
    # shapes
    "wide_to_long": (
        lambda d: pd.wide_to_long(
            d.rename(columns={"pay": "v1", "age": "v2"})[["key", "v1", "v2"]], "v", "key", "j"
        ),
        {"v": "SALARY"},
    ),
    "stack and unstack": (lambda d: d[["code", "age"]].stack().unstack(), {"code": "MEDICAL"}),
    "levels swapped": (lambda d: d.set_index(["city", "code"]).swaplevel(), {"[code]": "MEDICAL"}),
    "a summary by name": (lambda d: d.agg({"pay": "max", "age": "mean"}), {"pay": "SALARY"}),
    "rows to columns": (
        lambda d: d.apply(lambda r: pd.Series({"a": r["code"], "b": 1}), axis=1), {"a": "MEDICAL"},
    ),
    "rows to lists": (
        lambda d: d.apply(lambda r: [r["code"], 1], axis=1, result_type="expand"), {0: "MEDICAL"},
    ),
    # groups and windows
    "groups in a loop": (lambda d: pd.concat([g for _, g in d.groupby("city")]), ALL),
    "filled in groups": (lambda d: d.groupby("city").code.ffill(), CODE_),
    "lists of groups": (lambda d: d.groupby("city").code.apply(list), CODE_),
    "named statistics": (
        lambda d: d.groupby("city").agg(m=("pay", "mean"), f=("code", "first")),
        {"m": "SALARY", "f": "MEDICAL"},
    ),
    "counted by key": (
        lambda d: d.groupby("code").size().reset_index(name="n"), {"code": "MEDICAL"},
    ),
    "window in groups": (lambda d: d.groupby("city").pay.rolling(2).mean(), PAY_),
    "resampled": (lambda d: dated(d).resample("W").agg({"pay": "max"}), {"pay": "SALARY"}),
    "resampled and filled": (lambda d: dated(d).pay.resample("12h").ffill(), PAY_),
    # row labels
    "index to column": (lambda d: d.set_index("code").index.to_series(), CODE_),
    "index to table": (lambda d: d.set_index("code").index.to_frame(), {"code": "MEDICAL"}),
    "index to list": (lambda d: pd.Series(d.set_index("code").index.tolist()), CODE_),
    "index to array": (lambda d: pd.Series(d.set_index("code").index.to_numpy()), CODE_),
    "text of an index": (lambda d: d.set_index("code").index.str[-3:], {"[code]": "MEDICAL"}),
    "index mapped": (lambda d: d.set_index("code").index.map(str.lower), {"[code]": "MEDICAL"}),
    "a level": (
        lambda d: d.set_index(["city", "code"]).index.get_level_values("code"),
        {"[code]": "MEDICAL"},
    ),
    "a level by number": (
        lambda d: d.set_index(["city", "code"]).index.get_level_values(1), {"[code]": "MEDICAL"},
    ),
    "a public level": (lambda d: d.set_index(["city", "code"]).index.get_level_values(0), {}),
    "levels of columns": (
        lambda d: pd.MultiIndex.from_frame(d[["city", "code"]]), {"[code]": "MEDICAL"},
    ),
    "levels of arrays": (
        lambda d: pd.Series(range(ROWS), index=pd.MultiIndex.from_arrays([d.city, d.code])),
        {"[code]": "MEDICAL"},
    ),
    "index of a new table": (
        lambda d: pd.DataFrame({"n": range(ROWS)}, index=d.code), {"[code]": "MEDICAL"},
    ),
    "header of a new table": (
        lambda d: pd.DataFrame([range(3)], columns=d.code.head(3)), {"^code": "MEDICAL"},
    ),
    # plain Python and back
    "records": (lambda d: pd.DataFrame.from_records(d.to_dict("records")), ALL),
    "split": (lambda d: pd.DataFrame(**d.to_dict("split")), ALL),
    "by index": (lambda d: pd.DataFrame.from_dict(d.to_dict("index"), orient="index"), ALL),
    "record array": (lambda d: pd.DataFrame.from_records(d.to_records(index=False)), ALL),
    "JSON": (lambda d: pd.read_json(io.StringIO(d.to_json())), {"code": "MEDICAL"}),
    "JSON records": (
        lambda d: pd.DataFrame(json.loads(d.to_json(orient="records"))), {"code": "MEDICAL"},
    ),
    "CSV": (lambda d: pd.read_csv(io.StringIO(d.to_csv())), ALL),
    "rows normalised": (lambda d: pd.json_normalize(d.to_dict("records")), ALL),
    "list": (lambda d: pd.Series(list(d.code)), CODE_),
    "list comprehension": (lambda d: pd.Series([x for x in d.code]), CODE_),  # noqa: C416 - as users do
    "zip to a table": (
        lambda d: pd.DataFrame(list(zip(d.key, d.code, strict=True)), columns=["k", "c"]),
        {"c": "MEDICAL"},
    ),
    "zip to a dict": (lambda d: pd.Series(dict(zip(d.key, d.code, strict=True))), CODE_),
    "rows as tuples": (lambda d: pd.DataFrame(list(d.itertuples(index=False))), ALL),
    "rows as dicts": (
        lambda d: pd.DataFrame([{"c": r["code"], "n": i} for i, r in d.iterrows()]),
        {"c": "MEDICAL"},
    ),
    "slice of an array": (lambda d: pd.Series(d.code.to_numpy()[3:9]), CODE_),
    "copy": (copy.copy, ALL),
    "deepcopy of a column": (lambda d: copy.deepcopy(d.code), CODE_),
    "pickle of a column": (lambda d: pickle.loads(pickle.dumps(d.code)), CODE_),
}  # fmt: skip


@pytest.mark.parametrize(("made", "expected"), IDIOMS.values(), ids=IDIOMS)
def test_what_users_write_keeps_the_labels(df, made, expected):
    assert entities(made(df)).items() >= expected.items()


@pytest.mark.parametrize(
    "made",
    [
        lambda d: plain().age.map({1: 2}),
        lambda d: pd.Series(list(d.age)),
        lambda d: pd.DataFrame(list(zip(d.key, d.age, strict=True))),
        lambda d: d.set_index("city").index.str.upper(),
        lambda d: pd.read_csv(io.StringIO(d[["age", "city"]].to_csv())),
        lambda d: d[["age", "city"]].agg({"age": "max"}),
        lambda d: d.city.astype("category").cat.codes,
    ],
)
def test_public_columns_stay_public_beside_labelled_ones(df, made):
    df.to_dict()
    df.to_csv()
    assert entities(made(df)) == {}


def test_cells_of_rows_that_are_not_alike_are_not_recognised(df):
    rows = list(zip(df.key, df.code, strict=True))
    for other in (rows[:-1], [(), *rows[1:]], [*rows[:-1], "x"], [None, *rows[1:]]):
        value_memory.of_rows(other)  # raises nothing
    assert value_memory.of_rows(rows[:-1]) == {}


class _Loud:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def __hash__(self) -> int:
        raise RuntimeError


def test_cells_that_cannot_be_compared_are_not_remembered(df):
    series = pd.Series([_Loud() for _ in range(9)], dtype=object)
    declare(series, {}, "")
    frame = pd.DataFrame({"x": series})
    declare(frame, {"x": CODE}, "p.csv")
    assert len(list(frame.x)) == 9
    assert len(frame.to_dict("records")) == 9


LOST = {
    "text in a loop": lambda d: pd.DataFrame({"t": [f"{r.n}: {r.mail}" for r in d.itertuples()]}),
    "changed in a loop": lambda d: pd.DataFrame({"t": [x.upper() for x in d.mail]}),
    "numpy": lambda d: pd.DataFrame({"t": np.where(d.n > 0, d.mail, "")}),
    "sorted set": lambda d: pd.DataFrame({"t": sorted(set(d.mail))}),
    "one cell": lambda d: pd.DataFrame({"t": [d.at[i, "mail"] for i in range(3)]}),
}


@pytest.mark.parametrize("made", LOST.values(), ids=LOST)
def test_where_tracking_is_lost_values_are_classified(broker, made):
    frame = pd.DataFrame(
        {"mail": [f"ada.lovelace{i}@example.org" for i in range(40)], "n": range(40)}
    )
    result = made(frame)
    assert not provenance_of(result)
    for shown in (repr(result), result._repr_html_()):
        assert "lovelace" not in shown.lower()
