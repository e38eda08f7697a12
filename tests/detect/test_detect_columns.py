"""Columns: names propose, values decide, nothing raises."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from cloister.core.labels import Level
from cloister.core.policy import ColumnRule
from cloister.detect.columns import classify_column, classify_table
from cloister.detect.evidence import wilson_lower

COUNT = 200


def classify(name, values, kind=None):
    return classify_column(name, pa.array(values, kind))


@pytest.mark.parametrize(
    ("name", "values", "entity_type"),
    [
        ("x", [f"user{i}@example.org" for i in range(COUNT)], "EMAIL_ADDRESS"),
        ("x", [f"219-09-{i:04d}" for i in range(1, COUNT)], "US_SSN"),
        ("ssn", [219_090_000 + i for i in range(COUNT)], "US_SSN"),
        ("x", ["4111 1111 1111 1111", "5555555555554444", "2223003122003222"] * 9, "CREDIT_CARD"),
        ("x", [4111111111111111, 5555555555554444] * 9, "CREDIT_CARD"),
        ("x", ["DE89370400440532013000", "GB82WEST12345698765432"] * 9, "IBAN_CODE"),
        ("x", [f"10.0.{i}.7" for i in range(COUNT)], "IP_ADDRESS"),
        ("x", [f"(415) 555-{i:04d}" for i in range(COUNT)], "PHONE_NUMBER"),
        ("mobile", [f"415555{i:04d}" for i in range(COUNT)], "PHONE_NUMBER"),
        ("dateOfBirth", ["1984-03-12", "1990-01-01"] * 20, "DOB"),
        ("dob", [dt.date(1984, 3, 12)] * 20, "DOB"),
        ("Birth Date", [dt.datetime(1984, 3, 12)] * 20, "DOB"),  # noqa: DTZ001
        ("name", ["Ada Okafor", "Ben Ruiz"] * 20, "PERSON"),
        ("LAST_NAME", ["Okafor", "Ruiz"] * 20, "PERSON"),
        ("patientName", ["Ada Okafor", "Ben Ruiz"] * 20, "PERSON"),
        ("mrn", ["HV1000001", "HV1000002"] * 20, "MEDICAL_RECORD"),
        ("full_name", ["Ada Lovelace", "Grace Hopper", "Edsger Dijkstra"] * 20, "PERSON"),
        ("supervisor", ["Ada Lovelace", "Grace Hopper"] * 20, "PERSON"),
        ("first_name", ["Mark", "June"] * 20, "PERSON"),
        ("DRIVERS", ["S99912345", "S99987654"] * 20, "DRIVER_LICENSE"),
        ("フリガナ", ["フジタ サトミ", "ワタナベ アスカ"] * 20, "PERSON"),
        ("성명", ["김민준", "이서연"] * 20, "PERSON"),
    ],
)
def test_finds(name, values, entity_type):
    assert classify(name, values).entity_type == entity_type


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("name", ["4711", "4712"] * 20),
        ("product_name", ["Chai", "Chang"] * 20),
        ("filename", ["a.csv", "b.csv"] * 20),
        ("amount", [1.5, 2.5] * 20),
        ("ward", ["Cardiology", "Emergency"] * 20),
        ("count", list(range(100))),
        ("drivers", [1687, 1508, 1507, 1385] * 10),
        ("cap", [65, 40, 47] * 10),
        ("delta_lat", [i / 700 for i in range(60)]),
        ("long_index", [i / 61 for i in range(60)]),
        ("price_pw", [i / 61 for i in range(1, 60)]),
        ("phone", [0.439269256 + i / 1000 for i in range(60)]),
        ("IncomeTaxCode", list(range(172, 250))),
        ("supervisor", ["low", "high"] * 20),
    ],
)
def test_values_veto_and_ordinary_columns_stay_open(name, values):
    finding = classify(name, values)
    assert finding.entity_type is None
    assert finding.level is Level.PUBLIC


def test_a_few_hits_in_many_do_not_decide():
    values = ["note"] * 190 + ["a@b.co"] * 10
    assert classify("x", values).entity_type is None


def test_prose_is_confidential():
    finding = classify("text", ["The patient came in with a cough and went home again."] * 30)
    assert finding.free_text
    assert finding.level is Level.CONFIDENTIAL


def test_unknown_strings_that_are_nearly_all_different_are_internal():
    values = [f"k{i}x{i * 7919 % 1000}" for i in range(COUNT)]
    assert classify("x", values).level is Level.INTERNAL


def test_a_column_of_a_million_is_only_sampled():
    values = pa.array(np.full(1_000_000, 5.0))
    assert classify_column("x", values).level is Level.PUBLIC


@pytest.mark.parametrize(
    "array",
    [
        pa.array([], pa.string()),
        pa.array([None] * 5),
        pa.array([None] * 5, pa.string()),
        pa.array([[1, 2], None]),
        pa.array([{"a": 1}]),
        pa.array([b"\xff\xfe", b"ok"]),
        pa.array(["a", "b", "a"]).dictionary_encode(),
        pa.array([dt.time(1, 2)]),
        pa.array([dt.timedelta(1)]),
        pa.array([True, False]),
        pa.array(["x" * 10_000_000]),
        pa.array([1.5, float("nan"), float("inf")]),
        pa.chunked_array([["a"], ["b"]]),
    ],
)
def test_nothing_raises(array):
    assert classify_column("whatever", array).level in Level


def test_an_empty_column_is_labelled_by_its_name():
    assert classify("ssn", [None] * 3, pa.string()).entity_type == "US_SSN"


def test_declared_labels_win_upward():
    rules = (
        ColumnRule("columns[0]", "ward", Level.RESTRICTED, "MEDICAL"),
        ColumnRule("columns[1]", "ssn", Level.PUBLIC),
    )
    table = pa.table({"Ward": ["a"] * 9, "ssn": ["219-09-9871"] * 9})
    ward, ssn = classify_table(table, declared=rules)
    assert (ward.level, ward.entity_type) == (Level.RESTRICTED, "MEDICAL")
    assert ssn.level is Level.RESTRICTED


def test_duplicate_names_give_a_finding_each():
    table = pa.table([["a"], ["b"]], names=["x", "x"])
    assert len(classify_table(table)) == 2


def test_wilson_bound_is_below_the_share():
    assert wilson_lower(50, 100) < 0.5
    assert wilson_lower(100, 100) > 0.95
    assert wilson_lower(1, 1) < 0.5
