"""Whatever a table holds, its display raises nothing and shows nothing raw."""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import importlib.util
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from cloister.core.labels import Level
from cloister.hooks import pandas_provenance, polars_provenance, value_memory
from cloister.hooks.labels import ColumnLabel

if TYPE_CHECKING:
    from collections.abc import Callable

#: In every cell of the odd column, in one form or another; never in a name.
SECRET = "735195173"
NUMBER = int(SECRET)
STATED = ColumnLabel(Level.RESTRICTED, "MEDICAL", "catalog:p", is_stated=True, is_read=True)


@pytest.fixture(autouse=True)
def _hooks(hooked, broker):
    """Every test here runs in a guarded process with all display hooks."""
    value_memory.forget()


class Liar:
    """An object of the user's that fails in every way that a display could ask it."""

    def __repr__(self) -> str:
        raise RuntimeError(SECRET)

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        raise RuntimeError(SECRET)

    def __hash__(self) -> int:
        raise RuntimeError(SECRET)

    def __len__(self) -> int:
        raise RuntimeError(SECRET)


class Shouter:
    """An object whose text is the secret, and whose hash changes."""

    def __repr__(self) -> str:
        return f"<{SECRET}>"

    def __hash__(self) -> int:
        return id(object())


class Text(str):
    """Text that calls itself something else."""

    __slots__ = ()

    def __str__(self) -> str:
        return SECRET

    def __len__(self) -> int:
        return 3


class Many:
    """An object that compares like an array."""

    def __eq__(self, other: object) -> Any:
        return np.array([True, False])

    def __hash__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return SECRET


class Wall:
    """An object that answers nothing at all."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(SECRET)


def circle() -> list[object]:
    items: list[object] = [SECRET]
    items.append(items)
    return items


day = dt.datetime(1973, 5, 19, 5, 17, 3)  # noqa: DTZ001 - a naive one is meant
PANDAS: dict[str, Callable[[], Any]] = {
    "text": lambda: pd.Series([SECRET, None, SECRET]),
    "object": lambda: pd.Series([SECRET, None, SECRET], dtype=object),
    "mixed": lambda: pd.Series([SECRET, NUMBER, None, [SECRET], {"a": SECRET}, b"735195173"]),
    "nested": lambda: pd.Series([[SECRET, [SECRET]], {"k": {"v": SECRET}}, (SECRET,)]),
    "sets": lambda: pd.Series([{SECRET}, frozenset({SECRET}), None], dtype=object),
    "bytes": lambda: pd.Series([b"\xff\xfe" + SECRET.encode(), b"", None]),
    "surrogates": lambda: pd.Series(["\ud800" + SECRET, "\udfff", SECRET], dtype=object),
    "huge": lambda: pd.Series([SECRET * 1_200_000, "x", SECRET]),
    "whole numbers": lambda: pd.Series([NUMBER] * 3),
    "floats": lambda: pd.Series([float(NUMBER), np.nan, float(NUMBER)]),
    "complex": lambda: pd.Series([complex(NUMBER, NUMBER)] * 3),
    "nullable": lambda: pd.Series([NUMBER, None, NUMBER], dtype="Int64"),
    "categorical": lambda: pd.Series([SECRET, "b", SECRET], dtype="category"),
    "ordered": lambda: pd.Series(pd.Categorical([NUMBER, 2, NUMBER], ordered=True)),
    "sparse": lambda: pd.Series(pd.arrays.SparseArray([0, NUMBER, 0, NUMBER])),
    "interval": lambda: pd.Series(pd.interval_range(NUMBER, NUMBER + 3)),
    "decimal": lambda: pd.Series([decimal.Decimal(SECRET), None, decimal.Decimal(SECRET)]),
    "arrow": lambda: pd.Series([SECRET, None], dtype=pd.ArrowDtype(pa.string())),
    "arrow list": lambda: pd.Series([[SECRET], None], dtype=pd.ArrowDtype(pa.list_(pa.string()))),
    "arrow struct": lambda: pd.Series(
        [{"a": SECRET}, None], dtype=pd.ArrowDtype(pa.struct([("a", pa.string())]))
    ),
    "arrow map": lambda: pd.Series(
        [[("k", SECRET)], None], dtype=pd.ArrowDtype(pa.map_(pa.string(), pa.string()))
    ),
    "arrow decimal": lambda: pd.Series(
        [decimal.Decimal(SECRET), None], dtype=pd.ArrowDtype(pa.decimal128(12, 1))
    ),
    "liars": lambda: pd.Series([Liar(), Liar(), None], dtype=object),
    "shouters": lambda: pd.Series([Shouter(), None, Shouter()], dtype=object),
    "other text": lambda: pd.Series([Text("x"), Text("y")], dtype=object),
    "frames": lambda: pd.Series([pd.DataFrame({"q": [SECRET]}), None], dtype=object),
    "series": lambda: pd.Series([pd.Series([SECRET]), None], dtype=object),
    "arrays": lambda: pd.Series([np.array([SECRET, SECRET]), None], dtype=object),
    "types": lambda: pd.Series([type(SECRET, (), {}), None], dtype=object),
    "empty": lambda: pd.Series([], dtype=object),
    "nulls": lambda: pd.Series([None, None], dtype=object),
    "timedelta": lambda: pd.Series(pd.to_timedelta([NUMBER, NUMBER + 1], unit="ns")),
    "timezone": lambda: pd.Series(pd.DatetimeIndex([day] * 3, tz="Asia/Tokyo")),
    "period": lambda: pd.Series(pd.period_range(day, periods=3, freq="D")),
    "intervals of time": lambda: pd.Series(pd.interval_range(pd.Timestamp(day), periods=3)),
    "date": lambda: pd.Series([day.date(), None], dtype=object),
    "nullable float": lambda: pd.Series([float(NUMBER), None], dtype="Float64"),
    "text in Arrow": lambda: pd.Series([SECRET, None], dtype="string[pyarrow]"),
    "text in Python": lambda: pd.Series([SECRET, None], dtype="string[python]"),
    "arrow binary": lambda: pd.Series([SECRET.encode()], dtype=pd.ArrowDtype(pa.binary())),
    "arrow deep": lambda: pd.Series(
        [[{"a": [SECRET]}], None],
        dtype=pd.ArrowDtype(pa.list_(pa.struct([("a", pa.list_(pa.string()))]))),
    ),
    "arrow dictionary": lambda: pd.Series(
        pd.arrays.ArrowExtensionArray(pa.array([SECRET, None]).dictionary_encode())
    ),
    "memory": lambda: pd.Series([memoryview(SECRET.encode()), bytearray(SECRET.encode())]),
    "nothings": lambda: pd.Series([pd.NA, pd.NaT, None, np.nan, SECRET], dtype=object),
    "huge number": lambda: pd.Series([NUMBER * 10**300, 1], dtype=object),
    "number too long for text": lambda: pd.Series([10**5_000 + NUMBER, 1], dtype=object),
    "many answers": lambda: pd.Series([Many(), Many()], dtype=object),
    "walls": lambda: pd.Series([Wall(), Wall()], dtype=object),
    "circle": lambda: pd.Series([circle(), None], dtype=object),
    "generators": lambda: pd.Series([(x for x in [SECRET]), None], dtype=object),
    "functions": lambda: pd.Series([lambda: SECRET, None], dtype=object),
    "errors": lambda: pd.Series([ValueError(SECRET), None], dtype=object),
    "rows of an array": lambda: pd.Series(
        list(np.array([(1, SECRET)], dtype=[("a", "i4"), ("b", "U9")])), dtype=object
    ),
    "intervals as categories": lambda: pd.Series(
        pd.Categorical.from_codes([0, 1], categories=pd.interval_range(NUMBER, NUMBER + 2))
    ),
}
DAYS = {"timezone", "period"}
PARTS = {
    "timedelta": "735195", "timezone": "1973-05-19", "period": "1973-05-19",
    "intervals of time": "1973-05-19", "date": "1973-05-19",
}  # fmt: skip

#: What pandas itself refuses: an index of such values, a summary of nothing.
REFUSED = {"index", "all described", "melted"}

NAMES: dict[str, Any] = {
    "plain": "odd",
    "number": 7,
    "nothing": None,
    "tuple": ("a", "b"),
    "day": day.date(),
    "nan": float("nan"),
    "moment": pd.Timestamp(day),
    "no moment": pd.NaT,
    "bytes": b"x",
    "long": "x" * 5_000,
    "address": "ada@example.org",
    "set": frozenset({1}),
    "yes": True,
    "decimal": decimal.Decimal("1.5"),
    "lines": "a\nb",
    "markup": "<b>x</b>",
    "interval": pd.Interval(1, 2),
    "half a character": "\ud800",
}


def displays(obj: Any) -> dict[str, Callable[[], Any]]:
    """Everything that shows a pandas object."""
    found: dict[str, Callable[[], Any]] = {
        "repr": lambda: repr(obj),
        "str": lambda: str(obj),
        "format": lambda: f"{obj}",
        "print": lambda: printed(lambda: print(obj)),
        "to_string": lambda: obj.to_string(),
        "groups": lambda: repr(obj.groupby([0] * len(obj))),
        "index": lambda: repr(pd.Index(obj)) if obj.ndim == 1 else repr(obj.index),
    }
    if hasattr(obj, "_repr_html_"):
        found["html"] = lambda: obj._repr_html_()
    if obj.ndim == 2:
        found["info"] = lambda: printed(obj.info)
        found["to_html"] = lambda: obj.to_html()
        found["turned"] = lambda: repr(obj.T)
        found["row"] = lambda: repr(obj.iloc[0]) if len(obj) else ""
        if importlib.util.find_spec("tabulate") is not None:
            found["markdown"] = lambda: obj.to_markdown()
        found["LaTeX"] = lambda: obj.to_latex()
        found["all described"] = lambda: repr(obj.describe(include="all"))
        found["melted"] = lambda: repr(obj.melt())
        if obj.columns.is_unique:
            found["style"] = lambda: obj.style.to_html()
        found["other class"] = lambda: repr(Table(obj))
    else:
        found["array"] = lambda: repr(obj.array)
        found["one"] = lambda: repr(obj.to_frame())
    return found


class Table(pd.DataFrame):
    """A class of the user's that shows itself."""

    @property
    def _constructor(self) -> Any:
        return Table

    def __repr__(self) -> str:
        return f"Table: {super().__repr__()}"


def printed(action: Callable[[], object]) -> str:
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        action()
    return stream.getvalue()


def check(obj: Any, kind: str) -> None:
    for name, show in displays(obj).items():
        try:
            shown = str(show())
        except (TypeError, ValueError, RuntimeError, NotImplementedError, pa.ArrowException):
            if name in REFUSED:
                continue
            raise
        for raw in (SECRET, "735,195,173", PARTS.get(kind, SECRET)):
            assert raw not in shown, name


@pytest.mark.parametrize("kind", PANDAS)
def test_a_declared_column_of_any_kind_is_never_shown(kind):
    series = PANDAS[kind]().rename("odd")
    pandas_provenance.declare(series, {}, "")
    frame = series.to_frame().assign(n=range(len(series)))
    pandas_provenance.declare(frame, {"odd": STATED}, "p.csv")
    check(frame, kind)
    check(frame["odd"], kind)


@pytest.mark.parametrize("kind", PANDAS)
def test_an_undeclared_column_of_any_kind_never_raises(kind):
    series = PANDAS[kind]().rename("odd")
    for obj in (series, series.to_frame()):
        for name, show in displays(obj).items():
            if name not in {"to_string", "to_html", "print", "info", "LaTeX", "style", *REFUSED}:
                show()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["text", "liars", "categorical", "nested"])
def test_a_column_of_any_name_is_never_shown(name, kind):
    frame = PANDAS[kind]().to_frame()
    frame.columns = pd.Index([NAMES[name]], dtype=object, tupleize_cols=False)
    pandas_provenance.declare(frame, {NAMES[name]: STATED}, "p.csv")
    check(frame, kind)


@pytest.mark.parametrize("kind", ["text", "whole numbers", "categorical", "timezone", "nested"])
def test_columns_of_one_name_are_never_shown(kind):
    one = PANDAS[kind]()
    frame = pd.concat([one, one], axis=1)
    frame.columns = ["odd", "odd"]
    pandas_provenance.declare(frame, {"odd": STATED}, "p.csv")
    check(frame, kind)


def test_columns_whose_names_are_nan_are_never_shown():
    frame = pd.DataFrame([[SECRET, SECRET]], columns=[np.nan, np.nan])
    pandas_provenance.declare(frame, {float("nan"): STATED}, "p.csv")
    check(frame, "text")


def test_a_column_below_two_headers_stays_masked_as_an_index():
    columns = pd.MultiIndex.from_tuples([("a", "odd"), ("b", "n")])
    frame = pd.DataFrame([[SECRET, 1]], columns=columns)
    pandas_provenance.declare(frame, {"odd": STATED}, "p.csv")
    check(frame, "text")
    check(frame.value_counts(), "text")
    check(frame.set_index(("a", "odd")), "text")


def test_levels_of_an_index_and_of_headers_are_never_shown():
    index = pd.MultiIndex.from_product([[SECRET], [1, 2]], names=["odd", None])
    frame = pd.DataFrame({"n": [1, 2]}, index=index)
    pandas_provenance.declare(frame, {"odd": STATED}, "p.csv")
    check(frame, "text")
    check(frame.T, "text")
    check(frame.unstack(), "text")
    check(frame.n, "text")


@pytest.mark.parametrize(
    "frame",
    [pd.DataFrame(), pd.DataFrame(index=range(3)), pd.DataFrame(columns=["a", "a", None, 3])],
)
def test_a_table_without_rows_or_columns_is_shown(frame):
    pandas_provenance.declare(frame, {"a": STATED}, "")
    check(frame, "text")


def test_a_style_shows_nothing_raw():
    frame = pd.DataFrame({"odd": [SECRET, None, SECRET], "n": [1, 2, 3]})
    pandas_provenance.declare(frame, {"odd": STATED}, "p.csv")
    for shown in (frame.style._repr_html_(), frame.style.to_html(), frame.style.to_latex()):
        assert SECRET not in shown


def test_a_summary_shows_nothing_raw():
    frame = pd.DataFrame({"odd": [NUMBER] * 5, "text": [SECRET] * 5})
    pandas_provenance.declare(frame, {"odd": STATED, "text": STATED}, "p.csv")
    for summary in (
        frame.describe(include="all"),
        frame.odd.describe(),
        frame.text.value_counts(),
        frame.groupby("text").odd.mean(),
        frame.pivot_table(index="text", values="odd", aggfunc="max"),
        frame.mode(),
    ):
        check(summary, "text")


POLARS: dict[str, Callable[[], pl.Series]] = {
    "text": lambda: pl.Series("odd", [SECRET, None]),
    "number": lambda: pl.Series("odd", [NUMBER, None]),
    "wide": lambda: pl.Series("odd", [NUMBER, None], dtype=pl.Int128),
    "decimal": lambda: pl.Series("odd", [decimal.Decimal(SECRET), None]),
    "binary": lambda: pl.Series("odd", [b"\xff" + SECRET.encode(), None]),
    "list": lambda: pl.Series("odd", [[SECRET], None]),
    "deep": lambda: pl.Series("odd", [[[SECRET], []], None]),
    "array": lambda: pl.Series("odd", [[NUMBER, 1]], dtype=pl.Array(pl.Int64, 2)),
    "struct": lambda: pl.Series("odd", [{"a": SECRET, "b": {"c": SECRET}}, None]),
    "categorical": lambda: pl.Series("odd", [SECRET, None], dtype=pl.Categorical),
    "enum": lambda: pl.Series("odd", [SECRET], dtype=pl.Enum([SECRET, "b"])),
    "object": lambda: pl.Series("odd", [Shouter(), None], dtype=pl.Object),
    "liar": lambda: pl.Series("odd", [Liar(), None], dtype=pl.Object),
    "huge": lambda: pl.Series("odd", [SECRET * 1_200_000]),
    "null": lambda: pl.Series("odd", [None, None], dtype=pl.Null),
    "empty": lambda: pl.Series("odd", [], dtype=pl.String),
    "duration": lambda: pl.Series("odd", [NUMBER], dtype=pl.Duration("ms")),
    "time": lambda: pl.Series("odd", [day.time()]),
    "zone": lambda: pl.Series("odd", [day], dtype=pl.Datetime(time_zone="Asia/Tokyo")),
}


@pytest.mark.parametrize("kind", POLARS)
def test_a_declared_polars_column_of_any_kind_is_never_shown(kind):
    frame = POLARS[kind]().to_frame().with_row_index("n")
    polars_provenance.declare(frame, {"odd": STATED}, "p.csv")
    raw = {"duration": "8d", "time": "05:17:03", "zone": "1973-05-19"}.get(kind, SECRET)
    for obj in (frame, frame["odd"], frame.head(1), frame.tail(1)["odd"]):
        for shown in (
            repr(obj),
            str(obj),
            f"{obj}",
            obj._repr_html_(),
            printed(lambda obj=obj: print(obj)),
        ):
            assert raw not in shown
            assert SECRET not in shown


def test_polars_tables_without_rows_or_columns_are_shown():
    for frame in (pl.DataFrame(), pl.DataFrame({"a": []}), pl.DataFrame({"odd": [SECRET]}).clear()):
        polars_provenance.declare(frame, {"odd": STATED}, "")
        assert SECRET not in repr(frame) + frame._repr_html_()


def test_a_polars_summary_and_glimpse_show_nothing_raw():
    frame = pl.DataFrame({"odd": [NUMBER] * 3, "text": [SECRET] * 3})
    polars_provenance.declare(frame, {"odd": STATED, "text": STATED}, "p.csv")
    assert SECRET not in repr(frame.describe())
    assert SECRET not in repr(frame.select(pl.col("odd").max()))
    assert SECRET not in repr(frame["text"].value_counts())
