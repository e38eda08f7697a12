"""pandas tables are shown masked in every form that pandas has, and are never changed."""

from __future__ import annotations

import io
import re

import numpy as np
import pandas as pd
import pytest
from cloister.hooks.masking import REDACTED

pytestmark = pytest.mark.usefixtures("hooked", "broker")

SSNS = ["123-45-6789", "457-55-5462", "219-09-9999", "123-45-6789"]
MAILS = ["ada@example.org", "bob.m@example.com", None, "cy@example.net"]


@pytest.fixture
def df():
    return pd.DataFrame(
        {
            "ssn": SSNS,
            "email": MAILS,
            "mrn": [900101, 900102, 900103, 900104],
            "age": [31, 42, 53, 64],
        }
    )


def leaks(text: object) -> list[str]:
    secrets = [s for s in [*SSNS, *MAILS, "900101", "900102", "900103", "900104"] if s]
    return [s for s in secrets if s in str(text)]


FORMS = {
    "repr": repr,
    "str": str,
    "fstring": lambda x: f"{x}",
    "to_string": lambda x: x.to_string(),
    "to_html": lambda x: x.to_html(),
    "repr_html": lambda x: x._repr_html_(),
    "to_latex": lambda x: x.to_latex(),
    "styler": lambda x: x.style._repr_html_(),
    "styler_html": lambda x: x.style.to_html(),
    "styler_text": lambda x: x.style.to_string(),
    "styler_latex": lambda x: x.style.to_latex(),
    "gradient": lambda x: x.style.background_gradient().bar(subset=["mrn"]).to_html(),
    "data_resource": lambda x: str(x._repr_data_resource_()),
}
OBJECTS = {
    "frame": lambda x: x,
    "head": lambda x: x.head(2),
    "renamed": lambda x: x.rename(columns={"ssn": "a", "email": "b", "mrn": "mrn"}),
    "indexed": lambda x: x.set_index("ssn"),
    "two_levels": lambda x: x.set_index(["ssn", "age"]),
    "grouped": lambda x: x.groupby("email")[["age"]].sum(),
    "group_head": lambda x: x.groupby("ssn").head(1),
    "pivoted": lambda x: x.pivot_table(index="email", columns="ssn", values="age"),
    "crosstab": lambda x: pd.crosstab(x.email, x.age),
    "counts": lambda x: x[["ssn"]].value_counts().to_frame(),
    "on_side": lambda x: x.T,
    "category": lambda x: x.astype({"ssn": "category", "email": "category"}),
    "objects": lambda x: x.astype(object),
    "nullable": lambda x: x.convert_dtypes(),
    "floats": lambda x: x.assign(mrn=x.mrn.astype(float)),
    "described": lambda x: x[["mrn"]].describe(),
    "wide_header": lambda x: pd.concat({"left": x, "right": x}, axis=1),
    "twice": lambda x: pd.concat([x, x], axis=1),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", OBJECTS)
def test_no_form_of_any_frame_shows_a_value(df, kind, form):
    obj = OBJECTS[kind](df)
    if kind == "twice" and (form.startswith("styler") or form in {"gradient", "to_latex"}):
        pytest.skip("pandas' Styler takes no duplicate columns")
    if form == "gradient" and ("mrn" not in obj.columns or not obj.index.is_unique):
        pytest.skip("no numbers to colour")
    if form == "gradient":
        pytest.importorskip("matplotlib")
    shown = FORMS[form](obj)
    assert leaks(shown) == []
    if form != "data_resource":
        assert "~" in shown, "masked values are still told apart"


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.ssn,
        lambda x: x.mrn,
        lambda x: x.set_index("email").age,
        lambda x: x.ssn.value_counts(),
        lambda x: x.groupby("ssn").age.mean(),
        lambda x: x.iloc[0],
        lambda x: x.ssn.astype("category"),
        lambda x: x.set_index(["ssn", "email"]).age,
    ],
)
@pytest.mark.parametrize("show", [repr, str, lambda s: s.to_string(), lambda s: s.to_latex()])
def test_no_form_of_any_series_shows_a_value(df, make, show):
    shown = show(make(df))
    assert leaks(shown) == []
    assert "~" in shown


@pytest.mark.parametrize(
    "make",
    [
        lambda x: pd.Index(x.ssn),
        lambda x: pd.CategoricalIndex(x.ssn),
        lambda x: x.set_index(["ssn", "age"]).index,
        lambda x: pd.Index(x.ssn.tolist() * 60),
        lambda x: x.ssn.array,
        lambda x: x.ssn.unique(),
        lambda x: x.ssn.astype("category").array,
    ],
)
def test_no_index_or_array_shows_a_value(df, make):
    shown = repr(make(df))
    assert leaks(shown) == []
    assert "US_SSN~" in shown
    assert "US_SSN restricted" in shown


def test_text_header_says_why(df):
    assert "ssn [US_SSN restricted]" in df.to_string()
    assert "mrn [MEDICAL_RECORD restricted]" in df.to_string()
    assert re.search(r"\bage\b(?! \[)", df.to_string())


def test_html_header_has_a_chip_that_names_level_entity_rule_and_source(df):
    shown = df._repr_html_()
    title = re.search(r'title="([^"]*MEDICAL_RECORD[^"]*)"', shown)
    assert title is not None
    for part in ("restricted", "MEDICAL_RECORD", "display.restricted", "policy columns[0]"):
        assert part in title.group(1)
    assert "3 columns masked by policy `default` · cloister.explain(df)" in shown
    assert "<script" not in shown
    assert "src=" not in shown
    assert "\ue0c1" not in shown


def test_the_users_data_is_not_changed(df):
    before = df.copy(deep=True)
    columns = df.columns
    repr(df), df._repr_html_(), df.style.to_html(), repr(df.ssn)
    pd.testing.assert_frame_equal(df, before)
    assert df.columns is columns or list(df.columns) == list(columns)
    assert df.ssn.iloc[0] == SSNS[0]
    assert df.attrs == {}


def test_files_and_values_stay_real(df, tmp_path):
    assert SSNS[0] in df.to_csv()
    assert df.to_dict()["ssn"][0] == SSNS[0]
    assert df.to_numpy()[0, 0] == SSNS[0]
    assert SSNS[0] in df.to_json()
    df.to_parquet(tmp_path / "x.parquet")
    assert pd.read_parquet(tmp_path / "x.parquet").ssn[0] == SSNS[0]


def test_nulls_order_and_equality_are_kept(df, stand_in):
    lines = df[["ssn", "email"]].to_string().splitlines()[1:]
    assert [stand_in("US_SSN", s) in line for s, line in zip(SSNS, lines, strict=True)] == [
        True
    ] * 4
    null = "NaN" if "NaN" in pd.DataFrame({"x": ["a", None]}).to_string() else "None"
    assert null in lines[2]


def test_a_long_table_is_cut_as_pandas_cuts_it(df):
    rows = pd.concat([df] * 500, ignore_index=True)
    text, html = repr(rows), rows._repr_html_()
    assert "[2000 rows x 4 columns]" in text
    assert "2000 rows × 4 columns" in html  # noqa: RUF001 - as pandas writes it
    assert leaks(text) == leaks(html) == []
    assert text.count("US_SSN~") == 10
    assert "1999" in text
    assert "Length: 2000" in repr(rows.ssn)


def test_a_wide_table_is_cut_as_pandas_cuts_it(df):
    wide = pd.concat([df.add_suffix(f"_{i}") for i in range(20)], axis=1)
    with pd.option_context("display.max_columns", 20):
        html = wide._repr_html_()
    assert [s for s in leaks(html) if not s.startswith("9001")] == []
    assert "4 rows × 80 columns" in html  # noqa: RUF001 - as pandas writes it


def test_public_tables_look_exactly_as_without_hooks(broker):
    import subprocess
    import sys

    make = (
        "import pandas as pd; pd.set_option('display.width', 80);"
        "x = pd.DataFrame({'age': range(100), 'f': [i / 7 for i in range(100)]});"
    )
    show = "print(x); print(x._repr_html_()); print(x.age)"
    plain = subprocess.run(
        [sys.executable, "-c", make + show], capture_output=True, text=True, check=True
    ).stdout
    space: dict = {}
    exec(make, space)
    x = space["x"]
    assert f"{x}\n{x._repr_html_()}\n{x.age}\n" == plain


def test_redacted_when_the_broker_stops_answering(df, broker):
    broker.refuse.add("tokenise")
    shown = repr(df)
    assert leaks(shown) == []
    assert REDACTED in shown


def test_redacted_when_no_policy_can_be_had(df, broker):
    broker.stop()
    shown = df._repr_html_()
    assert leaks(shown) == []
    assert "[US_SSN]" in shown
    assert "the policy cannot be read" in shown


def test_a_failure_to_mask_withholds_the_table(df, monkeypatch):
    from cloister.hooks import pandas_display

    def fail(*_args, **_kwargs):
        raise RuntimeError(SSNS[0])

    monkeypatch.setattr(pandas_display, "mask_frame", fail)
    for shown in (repr(df), str(df), df._repr_html_(), df.to_string(), df.to_html()):
        assert "display withheld, CLO-OUTPUT-002" in shown
        assert "DataFrame 4 × 4" in shown  # noqa: RUF001 - as pandas writes it
        assert leaks(shown) == []


def test_a_failing_detector_withholds_the_table(df, monkeypatch):
    from cloister.hooks import labels

    monkeypatch.setattr(labels, "_detect", lambda *_: 1 / 0)
    assert "display withheld" in repr(df)


def test_a_wrong_argument_is_still_the_users_error(df):
    with pytest.raises(TypeError):
        df.to_html(no_such_argument=1)


def test_to_html_and_to_string_write_masked_text_where_asked(df, tmp_path):
    buffer = io.StringIO()
    assert df.to_html(buffer) is None
    assert df.to_string(tmp_path / "t.txt") is None
    for text in (buffer.getvalue(), (tmp_path / "t.txt").read_text()):
        assert leaks(text) == []
        assert "US_SSN~" in text


def test_the_styler_keeps_its_own_functions(df):
    styler = df.style.format({"age": "{:.1f}"})
    functions = styler._display_funcs
    assert leaks(styler.to_html()) == []
    assert "31.0" in styler.to_html()
    assert styler._display_funcs is functions


class Bad:
    def __repr__(self) -> str:
        raise RuntimeError("boom")

    __str__ = __repr__


HOSTILE = {
    "duplicate names": lambda: pd.DataFrame([[SSNS[0], SSNS[1]]], columns=["ssn", "ssn"]),
    "numbers as names": lambda: pd.DataFrame({0: SSNS, 1.5: MAILS, None: [1, 2, 3, 4]}),
    "tuples as names": lambda: pd.DataFrame({("a", 1): SSNS, ("b", 2): MAILS}),
    "bytes": lambda: pd.DataFrame({"ssn": [s.encode() for s in SSNS]}),
    "empty": lambda: pd.DataFrame(),
    "no rows": lambda: pd.DataFrame({"ssn": [], "mrn": []}),
    "no columns": lambda: pd.DataFrame(index=pd.Index(SSNS, name="ssn")),
    "labels of no rows": lambda: pd.DataFrame(columns=pd.Index(SSNS[:3], name="ssn")),
    "all null": lambda: pd.DataFrame({"ssn": [None, None]}),
    "dates": lambda: pd.DataFrame(
        {
            "mrn": SSNS,
            "t": pd.date_range("2020", periods=4, tz="UTC"),
            "p": pd.period_range("2020", periods=4),
        }
    ),
    "intervals": lambda: pd.DataFrame({"mrn": SSNS, "i": pd.interval_range(0, 4)}),
    "sparse": lambda: pd.DataFrame({"mrn": SSNS, "s": pd.arrays.SparseArray([0, 0, 1, 0])}),
    "masked period": lambda: pd.DataFrame({"mrn": pd.period_range("2020", periods=4)}),
    "nested": lambda: pd.DataFrame({"ssn": [[s] for s in SSNS], "d": [{"a": s} for s in "abcd"]}),
    "array cells": lambda: pd.DataFrame({"mrn": [np.arange(3), np.arange(2)]}),
    "objects that raise": lambda: pd.DataFrame({"ssn": SSNS[:2], "o": [Bad(), Bad()]}),
    "masked objects that raise": lambda: pd.DataFrame({"mrn": [Bad(), Bad()]}),
    "surrogates": lambda: pd.DataFrame({"mrn": pd.Series(["\ud800x", "y"], dtype=object)}),
    "huge cell": lambda: pd.DataFrame({"mrn": ["9" * 10_000_000], "x": ["y" * 10_000_000]}),
    "marks in the data": lambda: pd.DataFrame({"mrn": SSNS, "x\ue0c10\ue0c2": ["<b>"] * 4}),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_frames_neither_leak_nor_raise(kind):
    obj = HOSTILE[kind]()
    for shown in (
        repr(obj),
        obj._repr_html_(),
        *(repr(obj.iloc[:, i]) for i in range(obj.shape[1])),
    ):
        assert leaks(shown) == []
        assert len(shown) < 100_000
    if not kind.startswith(("objects that", "huge")):
        assert "withheld" not in repr(obj)


def test_values_of_a_frame_built_in_memory_are_told_to_the_broker(broker, df):
    repr(df)
    assert set(SSNS) <= set(broker.observed["US_SSN"])
    asked = broker.count("observe_values")
    repr(df), df._repr_html_()
    assert broker.count("observe_values") == asked, "once for each content"
