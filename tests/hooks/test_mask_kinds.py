"""The policy's kinds of masks in tables, in text and in what ``cloister.reveal`` gives back."""

from __future__ import annotations

import datetime as dt

import cloister
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from cloister.core.errors import CloisterError
from cloister.core.labels import Level
from cloister.core.masks import Mask, MaskKind
from cloister.core.policy import Treatment
from cloister.hooks.labels import ColumnLabel
from cloister.hooks.masking import REDACTED, mask_values
from cloister.hooks.policyview import STRICT, PolicyView, current_policy

MASKS = {
    "AGE": {"kind": "bands"},
    "SALARY": {"kind": "bounds", "high": 100_000},
    "DOB": {"kind": "shift", "subject": "mrn"},
    "VISIT": {"kind": "period", "unit": "year"},
    "EMAIL_ADDRESS": {"kind": "domain"},
    "US_SSN": {"kind": "reversible"},
    "MARK": {"kind": "suppress"},
    "COMMENT": {"kind": "spans"},
}
COLUMNS = [
    {"id": f"columns[{i}]", "match": name, "level": "restricted", "entity": entity}
    for i, (name, entity) in enumerate(
        {
            "mrn": "MEDICAL_RECORD", "years": "AGE", "pay": "SALARY", "born": "DOB",
            "seen": "VISIT", "mail": "EMAIL_ADDRESS", "ssn": "US_SSN", "mark": "MARK",
            "note": "COMMENT",
        }.items()
    )
]  # fmt: skip
SSN = "219-09-9871"


@pytest.fixture
def masking(broker):
    broker.policy["masks"] = MASKS
    broker.policy["columns"] = COLUMNS
    broker.policy["digest"] = "with masks"
    return broker


@pytest.fixture
def rows():
    return {
        "mrn": [1001, 1001, 1002],
        "years": [34, 39, 40],
        "pay": [90_000, 150_000, 300_000],
        "born": [
            pd.Timestamp("1954-05-07"),
            pd.Timestamp("1954-05-09"),
            pd.Timestamp("1960-01-01"),
        ],
        "seen": [
            pd.Timestamp("2020-05-07"),
            pd.Timestamp("2021-05-09"),
            pd.Timestamp("2021-01-03"),
        ],
        "mail": ["maria@example.org", "eva@example.org", "nobody"],
        "ssn": [SSN, SSN, "457-55-5462"],
        "mark": ["x", None, "y"],
        "note": [f"call about {SSN} again", "nothing", None],
    }


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_table_is_masked_by_kinds_and_keeps_the_types_that_they_keep(masking, rows, library):
    table = pd.DataFrame(rows) if library == "pandas" else pl.DataFrame(rows)
    masked = cloister.mask(table)
    cells = {name: list(masked[name]) for name in rows}
    assert cells["years"] == ["30-39", "30-39", "40-49"]
    assert masked["pay"].dtype == table["pay"].dtype
    assert cells["pay"] == [90_000, 100_000, 100_000]
    assert masked["born"].dtype == table["born"].dtype
    assert cells["born"][1] - cells["born"][0] == dt.timedelta(days=2)
    assert cells["born"][0] != rows["born"][0]
    assert [day.isoformat()[:10] for day in cells["seen"]] == [
        "2020-01-01",
        "2021-01-01",
        "2021-01-01",
    ]
    assert cells["mail"] == ["@example.org", "@example.org", "[EMAIL_ADDRESS]"]
    assert cells["ssn"][0] == cells["ssn"][1] != cells["ssn"][2]
    assert cells["ssn"][0].startswith("US_SSN~~")
    assert all(pd.isna(cell) for cell in cells["mark"])
    assert cells["note"][0].startswith("call about US_SSN~~")
    assert cells["note"][1] == "nothing"


def test_a_shown_table_holds_no_value_that_its_kinds_hide(masking, rows, hooked):
    few = {name: rows[name] for name in ("mrn", "mail", "born", "ssn", "pay")}
    for table in (pd.DataFrame(few), pl.DataFrame(few)):
        for shown in (repr(table), table._repr_html_()):
            for value in (SSN, "maria", "150000", "300000", "1954-05-07"):
                assert value not in shown
        assert "@example.org" in table._repr_html_()


def test_a_date_without_its_subject_is_not_shown(masking, rows):
    for table in (pd.DataFrame(rows)[["born"]], pl.DataFrame(rows).select("born")):
        assert list(cloister.mask(table)["born"]) == ["[DOB]"] * 3
    by_index = pd.DataFrame(rows).set_index("mrn")
    assert cloister.mask(by_index).born.notna().all()


def test_explain_names_the_kind_and_its_rule(masking, rows):
    by_name = {c.name: c for c in cloister.explain(pd.DataFrame(rows)).columns}
    assert (by_name["years"].treatment, by_name["years"].rule) == ("bands", "masks.AGE")
    assert by_name["pay"].display == "at most 100000"
    assert by_name["mrn"].rule == "display.restricted"
    assert "moved by the days of its mrn" in repr(cloister.explain(pd.DataFrame(rows)))


def test_what_was_computed_from_a_value_shows_nothing_of_it():
    masks = {"US_SSN": Mask(MaskKind.PARTIAL)}
    view = PolicyView("p", "d", {Level.RESTRICTED: Treatment.REDACT}, masks_by_type=masks)
    backwards = [SSN[::-1]]
    plain = ColumnLabel(Level.RESTRICTED, "US_SSN")
    derived = ColumnLabel(Level.RESTRICTED, "US_SSN", is_derived=True)
    assert mask_values([SSN], plain, view) == ["[US_SSN …9871]"]
    assert mask_values(backwards, derived, view) == ["[US_SSN]"]


def test_an_outage_redacts_what_needs_the_key(masking):
    view = current_policy()
    masking.stop()
    shown = mask_values(["1954-05-07", None], ColumnLabel(Level.RESTRICTED, "US_SSN"), view)
    assert shown == [REDACTED, None]


def test_a_mask_that_this_version_does_not_know_hides_everything(broker):
    broker.policy["masks"] = {"AGE": {"kind": "hologram"}}
    assert current_policy() is STRICT


def test_reveal_undoes_tokens_in_the_shape_that_they_came_in(masking, rows):
    tokens = cloister.mask(pd.DataFrame(rows)).ssn
    assert cloister.reveal(tokens[0]) == "219099871"
    assert cloister.reveal([tokens[2], None, tokens[0]]) == ["457555462", None, "219099871"]
    revealed = cloister.reveal(tokens)
    assert revealed.index.equals(tokens.index)
    assert revealed.tolist() == ["219099871", "219099871", "457555462"]
    assert cloister.reveal(pl.Series("s", list(tokens))).to_list() == revealed.tolist()
    assert len(masking.asked[-1]["tokens"]) == 2  # each once


def test_what_was_revealed_is_shown_masked(masking, rows, hooked):
    revealed = cloister.reveal(cloister.mask(pd.DataFrame(rows)).ssn).rename("other")
    assert cloister.explain(revealed).columns[0].entity_type == "US_SSN"
    assert "219099871" not in repr(revealed)
    assert "219099871" not in repr(
        cloister.reveal(pl.Series("t", list(cloister.mask(pd.DataFrame(rows)).ssn)))
    )


def test_reveal_takes_tokens_only(masking):
    with pytest.raises(CloisterError):
        cloister.reveal(5)
    masking.refuse.add("reveal")
    with pytest.raises(CloisterError):
        cloister.reveal(["US_SSN~~" + "a" * 52])


class Hostile:
    """An object of the user's, whose every method raises what it holds."""

    def __str__(self) -> str:
        raise RuntimeError(SSN)

    __repr__ = __hash__ = __eq__ = __len__ = __str__  # type: ignore[assignment]


KINDS = [
    {"kind": "redact"}, {"kind": "suppress"}, {"kind": "token"}, {"kind": "reversible"},
    {"kind": "partial"}, {"kind": "prefix"}, {"kind": "domain"}, {"kind": "network"},
    {"kind": "bands"}, {"kind": "bounds", "high": 5}, {"kind": "rounded"},
    {"kind": "noise", "amount": 5}, {"kind": "period"}, {"kind": "shift", "subject": "who"},
    {"kind": "spans"},
]  # fmt: skip
ODD = {
    "texts": [SSN] * 4,
    "objects": pd.Series([Hostile(), SSN, None, 219099871], dtype=object),
    "nested": [[SSN], {"a": SSN}, (SSN,), None],
    "category": pd.Categorical([SSN, None, SSN, SSN]),
    "nullable": pd.array([219099871, None, 1, 2], dtype="Int64"),
    "arrow": pd.array([SSN, None, SSN, SSN], dtype=pd.ArrowDtype(pa.string())),
    "zoned": pd.date_range("1954-05-07", periods=4, tz="Asia/Kolkata"),
    "period": pd.period_range("1954-05", periods=4, freq="M"),
    "interval": pd.interval_range(219_099_871, periods=4),
    "sparse": pd.arrays.SparseArray([219_099_871, 0, 0, 0]),
    "delta": pd.to_timedelta([219_099_871] * 4, unit="s"),
    "complex": [219_099_871 + 1j] * 4,
    "huge": [10**400 + 219_099_871] * 4,
    "floats": [219_099_871.0, float("inf"), float("nan"), -0.0],
    "bytes": [SSN.encode(), b"\xff\xfe", None, b""],
    "surrogates": pd.Series([f"\ud800{SSN}"] * 4, dtype=object),
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k["kind"])
def test_no_kind_raises_or_shows_a_value_whatever_a_column_holds(masking, hooked, kind):
    masking.policy["masks"] = {"US_SSN": kind}
    masking.policy["digest"] = kind["kind"]
    masking.policy["columns"] = [
        {"id": "columns[0]", "match": "*", "level": "restricted", "entity": "US_SSN"}
    ]
    is_number_shown = kind["kind"] in ("bounds", "noise", "bands")
    for name, values in ODD.items():
        frame = pd.DataFrame({name: values})
        shown = repr(frame) + frame._repr_html_() + repr(frame[name])
        masked = cloister.mask(frame)
        assert masked.shape == frame.shape
        shown += masked.map(str).to_csv(errors="replace") if name != "huge" else ""
        assert SSN not in shown, name
        if not is_number_shown:
            assert "219099871" not in shown, name
        if kind["kind"] != "suppress":
            before, after = frame[name].isna(), masked[name].isna()
            assert (after[before]).all(), name
