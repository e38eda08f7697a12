"""Labels follow data through pandas, and never change what pandas does."""

from __future__ import annotations

import copy
import gc
import pickle  # noqa: TID251 - what users do with their own tables
import warnings
import weakref

import cloister
import numpy as np
import pandas as pd
import pytest
from cloister.core.labels import Level
from cloister.hooks import pandas_assignment, pandas_tracking, value_memory
from cloister.hooks.labels import ATTRS_KEY, ColumnLabel
from cloister.hooks.pandas_labels import frame_traces
from cloister.hooks.pandas_provenance import declare, provenance_of

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


def chains(obj: pd.DataFrame | pd.Series) -> dict[object, str]:
    """What each labelled part was made of: columns, rows, index levels (in brackets)."""
    traces = frame_traces(obj)
    names = list(obj.columns) if obj.ndim == 2 else ["values"]
    found = dict(zip(names, traces.columns, strict=True))
    found |= dict(zip(traces.row_names, traces.rows, strict=True))
    found |= {f"[{n}]": t for n, t in zip(obj.index.names, traces.index, strict=True)}
    if obj.ndim == 2:
        found |= {f"^{n}": t for n, t in zip(obj.columns.names, traces.header, strict=True)}
    return {name: str(trace) for name, trace in found.items() if trace is not None}


CODE_, PAY_, BORN_ = "code of p.csv", "pay of p.csv", "born of p.csv"
ALL = {"code": CODE_, "pay": PAY_, "born": BORN_}

SAME = {
    "filter": lambda d: d[d.age > 30],
    "query": lambda d: d.query("age > 30"),
    "head": lambda d: d.head(),
    "copy": lambda d: d.copy(),
    "deepcopy": copy.deepcopy,
    "sort": lambda d: d.sort_values("age"),
    "sample": lambda d: d.sample(5),
    "nlargest": lambda d: d.nlargest(3, "pay"),
    "drop": lambda d: d.drop(columns="age"),
    "drop_duplicates": lambda d: d.drop_duplicates("code"),
    "fillna": lambda d: d.fillna({"pay": 0}),
    "dropna": lambda d: d.dropna(),
    "explode": lambda d: d.explode("code"),
    "assign another": lambda d: d.assign(z=3),
    "set and reset": lambda d: d.set_index("code").reset_index(),
    "transposed twice": lambda d: d.T.T,
    "group": lambda d: d.groupby("city").get_group("north"),
    "group head": lambda d: d.groupby("city").head(2),
    "to_dict": lambda d: pd.DataFrame(d.to_dict()),
    "to_dict list": lambda d: pd.DataFrame(d.to_dict("list")),
    "to_dict records": lambda d: pd.DataFrame(d.to_dict("records")),
    "rows as series": lambda d: pd.DataFrame([row for _, row in d.iterrows()]),
    "reindex": lambda d: d.reindex(range(5)),
    "astype": lambda d: d.astype({"code": "category"}),
    "attrs cleared": lambda d: (setattr(d, "attrs", {}), d)[1],
    "constructor": pd.DataFrame,
    "concatenated alone": lambda d: pd.concat([d]),
}


@pytest.mark.parametrize("made", SAME.values(), ids=SAME)
def test_the_same_columns_keep_their_labels(df, made):
    assert chains(made(df)).items() >= ALL.items()


MADE = {
    "column": (lambda d: d["code"], {"values": CODE_}),
    "a public column": (lambda d: d["age"], {}),
    "attribute": (lambda d: d.code, {"values": CODE_}),
    "loc": (lambda d: d.loc[3:9, ["code", "city"]], {"code": CODE_}),
    "loc column": (lambda d: d.loc[:, "code"], {"values": CODE_}),
    "row": (lambda d: d[["code", "age"]].iloc[0], {"code": CODE_}),
    "rename": (lambda d: d[["code"]].rename(columns={"code": "x"}), {"x": f"{CODE_} → renamed"}),
    "rename column": (lambda d: d.code.rename("x"), {"values": f"{CODE_} → renamed"}),
    "axis": (
        lambda d: d[["code", "age"]].set_axis(["p", "q"], axis=1), {"p": f"{CODE_} → renamed"},
    ),
    "text": (lambda d: d.code.str[-4:], {"values": f"{CODE_} → text operation"}),
    "parts": (
        lambda d: d.code.str.split("-", expand=True),
        {0: f"{CODE_} → text operation", 1: f"{CODE_} → text operation"},
    ),
    "glued": (lambda d: d.city.str.cat(d.code), {"values": f"{CODE_} → text operation"}),
    "sum of columns": (lambda d: d.pay + d.age, {"values": f"{PAY_} → arithmetic"}),
    "sum from the right": (lambda d: d.age + d.pay, {"values": f"{PAY_} → arithmetic"}),
    "public arithmetic": (lambda d: d.age * 2, {}),
    "comparison": (lambda d: d.pay > 3, {"values": f"{PAY_} → arithmetic"}),
    "centred": (
        lambda d: d[["pay", "age"]] - d[["pay", "age"]].mean(),
        {"pay": f"{PAY_} → mean → arithmetic"},
    ),
    "numpy": (lambda d: np.log(d.pay), {"values": f"{PAY_} → numpy function"}),
    "dates": (lambda d: pd.to_datetime(d.born), {"values": f"{BORN_} → conversion"}),
    "year": (
        lambda d: pd.to_datetime(d.born).dt.year,
        {"values": f"{BORN_} → conversion → part of a date"},
    ),
    "map": (lambda d: d.code.map(len), {"values": f"{CODE_} → map"}),
    "apply": (lambda d: d.code.apply(len), {"values": f"{CODE_} → apply"}),
    "apply to rows": (
        lambda d: d[["code", "age"]].apply(lambda r: r.age, axis=1),
        {"values": f"{CODE_} → apply"},
    ),
    "bins": (lambda d: pd.cut(d.pay, 3), {"values": f"{PAY_} → bins"}),
    "rolling": (lambda d: d.pay.rolling(3).mean(), {"values": f"{PAY_} → window"}),
    "eval": (lambda d: d.eval("pay * 2"), {"values": f"{PAY_} → arithmetic"}),
    "where": (lambda d: d.age.where(d.age > 30, d.pay), {"values": PAY_}),
    "assign": (lambda d: d[["age"]].assign(k=d.code), {"k": CODE_}),
    "merge": (
        lambda d: d[["key", "age"]].merge(d[["key", "code"]], on="key"),
        {"code": f"{CODE_} → merged"},
    ),
    "merge with suffixes": (
        lambda d: d[["key", "code"]].merge(d[["key", "code"]], on="key"),
        {f"code_{s}": f"{CODE_} → renamed → merged" for s in "xy"},
    ),
    "join": (lambda d: d[["age"]].join(d[["code"]]), {"code": f"{CODE_} → merged"}),
    "concat rows": (
        lambda d: pd.concat([d[["code"]], d[["code"]]]),
        {"code": f"{CODE_} → concatenated"},
    ),
    "concat columns": (
        lambda d: pd.concat([d.age, d.code.rename("q")], axis=1),
        {"q": f"{CODE_} → renamed → concatenated"},
    ),
    "concat mixed": (lambda d: pd.concat([d.age, d.code]), {"values": f"{CODE_} → concatenated"}),
    "index": (lambda d: d[["code", "age"]].set_index("code"), {"[code]": CODE_}),
    "index renamed": (
        lambda d: d[["code", "age"]].set_index("code").rename_axis("k"),
        {"[k]": f"{CODE_} → renamed"},
    ),
    "transposed": (lambda d: d[["code", "age"]].head().T, {"code": CODE_}),
    "melt": (
        lambda d: d.melt(id_vars=["key", "code"], value_vars=["pay", "age"]),
        {"code": CODE_, "value": f"{PAY_} → melted"},
    ),
    "stack": (lambda d: d[["pay", "age"]].stack(), {"values": f"{PAY_} → stacked"}),
    "unstack": (
        lambda d: d.set_index(["city", "age"]).pay.head(2).unstack(0),
        {"north": f"{PAY_} → unstacked", "south": f"{PAY_} → unstacked"},
    ),
    "pivot": (
        lambda d: d.head(2).pivot(index="key", columns="city", values="pay"),
        {"north": f"{PAY_} → pivoted", "south": f"{PAY_} → pivoted"},
    ),
    "pivot to header": (
        lambda d: d.head(2).pivot(index="key", columns="code", values="age"),
        {"^code": CODE_},
    ),
    "counts of values": (lambda d: d.code.value_counts(), {"[code]": CODE_}),
    "crosstab": (lambda d: pd.crosstab(d.city, d.code), {"^code": CODE_}),
    "array": (lambda d: pd.DataFrame(d[["age", "code"]].to_numpy()), {1: CODE_}),
    "array with names": (
        lambda d: pd.DataFrame(d[["age", "code"]].values, columns=["p", "q"]),
        {"q": CODE_},
    ),
    "array column": (lambda d: pd.Series(d.code.to_numpy()), {"values": CODE_}),
    "arrays in a dict": (
        lambda d: pd.DataFrame({"z": d.code.values, "w": d.age.values}),
        {"z": CODE_},
    ),
    "distinct": (lambda d: pd.Series(d.code.unique()), {"values": CODE_}),
    "list": (lambda d: pd.Series(d.code.to_list()), {"values": CODE_}),
    "lists in a dict": (
        lambda d: pd.DataFrame({"z": d.code.tolist(), "w": d.age.tolist()}),
        {"z": CODE_},
    ),
    "series as dict": (lambda d: pd.Series(d.code.to_dict()), {"values": CODE_}),
    "spread over the rows of groups": (
        lambda d: d.groupby("city").pay.transform("mean"),
        {"values": f"{PAY_} → transform of groups"},
    ),
    "inserted": (
        lambda d: (e := d[["age"]].copy(), e.insert(0, "n", d.code), e)[2],
        {"n": CODE_},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("made", "expected"), MADE.values(), ids=MADE)
def test_what_is_made_of_a_labelled_column_is_labelled(df, made, expected):
    assert chains(made(df)) == expected


@pytest.mark.parametrize(
    "made",
    [lambda d: d.code + "-" + d.pay.astype(str), lambda d: d.apply(lambda r: r.age, axis=1)],
    ids=["two columns", "whole rows"],
)
def test_the_level_of_a_result_is_the_join_of_its_sources(df, made):
    (trace,) = frame_traces(made(df)).columns
    assert trace is not None
    assert trace.label.level is Level.RESTRICTED
    assert {CODE_, PAY_} <= set(trace.origins)


AGGREGATES = {
    "mean of groups": (lambda d: d.groupby("city").pay.mean(), "values", "mean", 20),
    "of uneven groups": (lambda d: d.head(4).groupby("city").pay.mean(), "values", "mean", 1),
    "of a table": (lambda d: d.groupby("city")[["pay", "age"]].mean(), "pay", "mean", 20),
    "named": (lambda d: d.groupby("city").agg(m=("pay", "std")), "m", "std", 20),
    "by dict": (lambda d: d.groupby("city").agg({"pay": ["sum"]}), ("pay", "sum"), "sum", 20),
    "several": (lambda d: d.groupby("city").pay.agg(["mean", "max"]), "mean", "mean", 20),
    "the largest is one row": (lambda d: d.groupby("city").pay.max(), "values", "max", 1),
    "a function of the user's": (
        lambda d: d.groupby("city").pay.agg(lambda s: s.iloc[0]), "values", "<lambda>", 1,
    ),
    "without null groups": (
        lambda d: d.assign(city=d.city.where(d.age > 0)).groupby("city").pay.mean(),
        "values", "mean", 20,
    ),
    "as columns": (lambda d: d.groupby("city", as_index=False).pay.mean(), "pay", "mean", 20),
    "pivot table": (
        lambda d: d.pivot_table(index="city", values="pay"), "pay", "mean", 20,
    ),
    "whole table": (lambda d: d[["pay", "age"]].mean(), "pay", "mean", ROWS),
    "described": (lambda d: d[["pay"]].describe(), "pay", "describe", 1),
}  # fmt: skip


@pytest.mark.parametrize(
    ("made", "name", "aggregate", "count"), AGGREGATES.values(), ids=AGGREGATES
)
def test_an_aggregate_carries_the_rows_of_its_smallest_group(df, made, name, aggregate, count):
    result = made(df)
    known = provenance_of(result)
    assert known is not None
    trace = known.rest if name == "values" else known.of(name)
    assert trace is not None
    assert (trace.aggregate, trace.least_count) == (aggregate, count)
    assert trace.label.level is Level.CONFIDENTIAL


def test_a_pivot_table_counts_its_smallest_cell(df):
    table = df.head(7).pivot_table(index="city", columns="key", values="pay")
    (trace,) = set(frame_traces(table).columns)
    assert (trace.aggregate, trace.least_count) == ("mean", 1)


@pytest.mark.parametrize(
    "counted",
    [
        lambda d: d.isna(),
        lambda d: d.isna().sum(),
        lambda d: d.nunique(),
        lambda d: d.groupby("city").size(),
        lambda d: d.groupby("city").count(),
        lambda d: d.duplicated(),
    ],
)
def test_how_many_cells_there_are_says_nothing_of_them(df, counted):
    assert chains(counted(df)) == {}


ASSIGNED = {
    "item": lambda d, e: e.__setitem__("x", d.code),
    "array": lambda d, e: e.__setitem__("x", d.code.to_numpy()),
    "list": lambda d, e: e.__setitem__("x", d.code.to_list()),
    "several": lambda d, e: e.__setitem__(["x", "y"], d[["code", "age"]]),
    "some rows": lambda d, e: e.loc.__setitem__((slice(0, 3), "x"), d.code),
    "position": lambda d, e: e.iloc.__setitem__((slice(0, 3), 0), d.code.head(3)),
    "at": lambda d, e: e.insert(1, "z", d.code),
}


@pytest.mark.parametrize("assign", ASSIGNED.values(), ids=ASSIGNED)
def test_an_assignment_brings_its_label(df, assign):
    target = pd.DataFrame({"x": ["a"] * ROWS, "y": ["b"] * ROWS})
    assign(df, target)
    assert CODE_ in chains(target).get("x", "") + chains(target).get("z", "")
    assert "y" not in chains(target) or assign is ASSIGNED["several"]


def test_a_declared_column_that_is_written_over_keeps_its_label(df):
    df["code"] = "gone"
    assert chains(df)["code"] == CODE_


def test_rows_put_into_place_keep_the_label_of_an_object_changed_in_place(df):
    df.rename(columns={"code": "x"}, inplace=True)
    df.drop(columns="age", inplace=True)
    assert chains(df)["x"] == f"{CODE_} → renamed"
    df.columns = ["a", "b", "c", "d", "e"]
    assert chains(df)["a"] == f"{CODE_} → renamed"


CARRIED = {
    "pickle": lambda d, _: pickle.loads(pickle.dumps(d)),
    "read_pickle": lambda d, p: (d.to_pickle(p), pd.read_pickle(p))[1],
    "parquet": lambda d, p: (d.to_parquet(p), pd.read_parquet(p))[1],
    "feather": lambda d, p: (d.to_feather(p), pd.read_feather(p))[1],
}


@pytest.mark.parametrize("carry", CARRIED.values(), ids=CARRIED)
def test_a_label_is_carried_through_a_file(df, tmp_path, carry):
    carried = carry(df.rename(columns={"code": "x"}), tmp_path / "file")
    trace = provenance_of(carried).of("x")
    assert (trace.label.level, trace.label.entity_type) == (Level.RESTRICTED, "MEDICAL")
    series = pickle.loads(pickle.dumps(df.code.rename("y")))
    assert provenance_of(series).rest.label.level is Level.RESTRICTED


def test_an_unlabelled_pickle_is_the_one_that_pandas_makes(df):
    assert pickle.loads(pickle.dumps(plain())).attrs == {}
    assert ATTRS_KEY not in df.attrs
    df.to_parquet  # noqa: B018 - looking at the method changes nothing
    pickle.dumps(df)
    assert df.attrs == {}


def test_nothing_is_kept_alive():
    df = plain()
    declare(df, {"code": CODE, "pay": PAY}, "p.csv")
    array = df.to_numpy()
    column = df.code
    kept = [weakref.ref(x) for x in (df, array, column)]
    known = provenance_of(df)
    made = df.groupby("city").pay.mean()
    del df, array, column
    gc.collect()
    assert all(ref() is None for ref in kept)
    assert known is not None
    assert made is not None


def test_results_are_the_same_with_and_without_labels(df):
    bare = plain()
    for made in (*SAME.values(), *(m for m, _ in MADE.values())):
        if made is SAME["sample"]:
            continue
        with_labels, without = made(df.copy()), made(bare.copy())
        assert type(with_labels) is type(without)
        assert with_labels.equals(without)
        assert with_labels.attrs == without.attrs


def test_a_failure_in_following_is_not_the_users(df, monkeypatch):
    def fail(*_args, **_kwargs):
        raise RuntimeError("secret")

    monkeypatch.setattr(pandas_tracking, "_followed", fail)
    for name in ("value_trace", "_rename", "carried_attrs"):
        monkeypatch.setattr(pandas_assignment, name, fail)
    derived = df.assign(z=df.pay).rename(columns={"pay": "q"})
    assert list(derived.columns) == ["code", "q", "age", "city", "born", "key", "z"]
    assert len(pickle.loads(pickle.dumps(derived))) == ROWS


def test_chained_assignment_is_still_warned_of(df):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        df[df.age > 0]["age"] = 1
    assert any("chained" in str(w.message).lower() for w in seen)


def test_what_detection_found_follows_as_well(broker):
    df = pd.DataFrame({"ssn": ["123-45-6789", "457-55-5462"] * 9, "n": range(18)})
    repr(df)
    last = df.ssn.str[-4:]
    shown = repr(last)
    assert "6789" not in shown
    explained = cloister.explain(last).columns[0]
    assert explained.level == "restricted"
    assert explained.made_of == "ssn → text operation"


def test_a_masked_copy_has_passed_the_gate(broker, df):
    masked = cloister.mask(df)
    assert set(chains(masked)).isdisjoint({"code", "pay", "born"})
    assert cloister.tokenize(df.code).str[:8].eq("MEDICAL~").all()


def test_comparisons_are_not_told_to_the_broker(broker, df):
    from cloister.hooks.observe import observe_object

    observe_object((df.pay > 5_000).rename("rich"))
    assert broker.observed == {}


def test_a_moment_without_policy_marks_nothing_for_good(broker, df):
    from cloister.hooks import policyview
    from cloister.hooks.pandas_labels import frame_labels

    labels = frame_labels(df, policyview.STRICT)
    assert labels.columns[2].level is Level.RESTRICTED
    assert "age" not in chains(df)


def test_explain_names_the_chain_and_the_count(broker, df):
    explained = cloister.explain(df.groupby("city").pay.mean())
    column = explained.columns[0]
    assert column.made_of == "pay of p.csv → mean → count ≥ 20"
    assert (column.aggregate, column.least_count) == ("mean", 20)
    for shown in (repr(explained), explained._repr_html_()):
        assert "made of" in shown
        assert "count ≥ 20" in shown
    assert "made of" not in repr(cloister.explain(pd.DataFrame({"n": [1, 2]})))
