# ruff: noqa: E501 - sample data stays on one line
"""What a column holds: values decide, names propose, hostile types do not raise."""

from __future__ import annotations

import datetime as dt
import decimal

import numpy as np
import pyarrow as pa
import pytest
from cloister.core.labels import Level
from cloister.core.policy import ColumnRule
from cloister.detect.checksums import is_luhn
from cloister.detect.columns import classify_column, classify_table
from cloister.detect.evidence import wilson_lower
from cloister.detect.sampling import SAMPLE_ROWS, sample_column
from hypothesis import given
from hypothesis import strategies as st

RNG = np.random.default_rng(5)


def luhn(body: str) -> str:
    return next(body + d for d in "0123456789" if is_luhn(body + d))


def iban(country: str, body: str) -> str:
    text = "".join(str(int(c, 36)) for c in body + country + "00")
    return f"{country}{98 - int(text) % 97:02d}{body}"


def numbers(count: int, low: int, high: int) -> list[int]:
    return RNG.integers(low, high, count).tolist()


SSN = [f"{a:03d}-{b:02d}-{c:04d}" for a, b, c in zip(numbers(60, 1, 600), numbers(60, 1, 99), numbers(60, 1, 9999), strict=True)]  # fmt: skip
CARDS = [luhn(f"4{n:014d}") for n in numbers(60, 0, 10**14)]
MASTER2 = [luhn(f"2223{n:011d}") for n in numbers(60, 0, 10**11)]
VISA19 = [luhn(f"4{n:017d}") for n in numbers(60, 0, 10**17)]
IBANS = [iban("DE", f"{n:018d}") for n in numbers(60, 0, 10**18)]
MAILS = [f"person{i}@example.org" for i in range(60)]
PHONES = [f"({200 + i}) 555-01{i:02d}" for i in range(60)]
FIRST = ["Maria", "José", "Wei", "Aino", "Siobhán", "O'Brien", "Anne-Marie"] * 9
DATES = [f"19{50 + i % 40}-0{1 + i % 9}-1{i % 9}" for i in range(60)]
CODES = [f"X{n:07d}" for n in range(60)]

BY_VALUES = [
    ("a", SSN, "US_SSN"),
    ("a", [s.replace("-", " ") for s in SSN], "US_SSN"),
    ("a", CARDS, "CREDIT_CARD"),
    ("a", MASTER2, "CREDIT_CARD"),
    ("a", VISA19, "CREDIT_CARD"),
    ("a", [" ".join(c[i : i + 4] for i in range(0, 16, 4)) for c in CARDS], "CREDIT_CARD"),
    ("a", IBANS, "IBAN_CODE"),
    ("a", MAILS, "EMAIL_ADDRESS"),
    ("a", PHONES, "PHONE_NUMBER"),
    ("a", [f"10.{i}.7.{i + 1}" for i in range(60)], "IP_ADDRESS"),
    ("a", [f"2001:db8::{i:x}:1" for i in range(60)], "IP_ADDRESS"),
    ("a", [f"ghp_{n:036d}" for n in range(60)], "SECRET"),
    ("two", MAILS[:2], "EMAIL_ADDRESS"),
    ("mixed", [*MAILS[:30], *CODES[:30]], "EMAIL_ADDRESS"),
]
BY_NAME = [
    ("first_name", FIRST, "PERSON"),
    ("lastName", FIRST, "PERSON"),
    ("PATIENT NAME", FIRST, "PERSON"),
    ("customer_name", FIRST, "PERSON"),
    ("nameFirst", FIRST, "PERSON"),
    ("Vorname", FIRST, "PERSON"),
    ("mrn", CODES, "MEDICAL_RECORD"),
    ("patient_id", CODES, "PERSON_ID"),
    ("DateOfBirth", DATES, "DOB"),
    ("birthDate", [f"{d} 00:00:00" for d in DATES], "DOB"),
    ("dob", [f"{m}/{d}/19{y}" for m, d, y in zip(range(1, 13), range(1, 13), range(50, 62), strict=True)], "DOB"),
    ("street_address", [f"{i} Laurel Ct" for i in range(60)], "STREET_ADDRESS"),
    ("zip", ["01234", "48118"] * 30, "POSTCODE"),
    ("shipCity", ["Paris", "Oslo"] * 30, "CITY"),
    ("ssn", [s.replace("-", "") for s in SSN], "US_SSN"),
    ("phone", [f"0490 39 07 {i}" for i in range(10, 60)], "PHONE_NUMBER"),
    ("password", [f"pw{i}!secret" for i in range(60)], "PASSWORD"),
    ("race", ["White", "Black"] * 30, "RACE_ETHNICITY"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "values", "entity_type"), [*BY_VALUES, *BY_NAME])
def test_knows_the_entity_type(name, values, entity_type):
    finding = classify_column(name, pa.array(values))
    assert finding.entity_type == entity_type
    assert 0 <= finding.confidence <= 1
    assert finding.evidence


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("amount", [f"{i}.50" for i in range(60)]),
        ("status", ["paid", "open"] * 30),
        ("id", [str(i) for i in range(60)]),
        ("hash", [f"{n:032x}" for n in range(60)]),
        ("card_type", ["Visa", "Amex"] * 30),
        ("filename", [f"scan{i}.png" for i in range(60)]),
        ("product_name", [f"Chair {i}" for i in range(60)]),
        ("city_id", [str(i) for i in range(60)]),
        ("email_verified", ["true", "false"] * 30),
        ("order", [f"{n:016d}" for n in numbers(60, 10**15, 10**16)]),
        ("checksum", [f"{n:09d}" for n in numbers(60, 10**8, 10**9)]),
        ("version", [f"1.{i}.0" for i in range(60)]),
    ],
)
def test_ordinary_columns_have_no_entity_type(name, values):
    finding = classify_column(name, pa.array(values))
    assert finding.entity_type is None
    assert finding.level <= Level.INTERNAL
    assert not finding.free_text


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("ssn", ["yes", "no"] * 30),
        ("phone", ["iOS", "Android"] * 30),
        ("credit_card", ["visa", "amex"] * 30),
        ("dob", ["unknown"] * 30),
        ("first_name", [str(i) for i in range(60)]),
    ],
)
def test_values_can_speak_against_a_name(name, values):
    assert classify_column(name, pa.array(values)).entity_type is None


def test_an_email_column_with_mail_names_only_holds_user_names():
    assert classify_column("EMAIL", pa.array(["SKING", "NYANG"])).entity_type == "USERNAME"


def test_numbers_are_known_however_they_are_stored():
    ints = [int(c) for c in CARDS]
    assert classify_column("a", pa.array(ints)).entity_type == "CREDIT_CARD"
    ssn = [float(s.replace("-", "")) for s in SSN]
    assert classify_column("ssn", pa.array([*ssn, None])).entity_type == "US_SSN"
    days = pa.array([dt.date(1950 + i, 1, 1) for i in range(40)])
    assert classify_column("birth_date", days).entity_type == "DOB"
    assert classify_column("birth_date", days.cast(pa.timestamp("us"))).entity_type == "DOB"
    assert classify_column("signup", days).entity_type == "DATE_TIME"
    for kind in (pa.large_string(), pa.string_view(), pa.binary()):
        assert classify_column("a", pa.array(SSN).cast(kind)).entity_type == "US_SSN"
    assert classify_column("a", pa.array(SSN).dictionary_encode()).entity_type == "US_SSN"
    chunked = pa.chunked_array([SSN[:20], [], SSN[20:]])
    assert classify_column("a", chunked).entity_type == "US_SSN"


def test_a_name_column_is_about_people_where_its_values_are():
    things = pa.array(["Mouse", "Desk", "Lamp"] * 10)
    people = pa.array(["Maria Lindqvist", "José Álvarez", "Anna B. Karlsson", "Jo van Dyk"] * 8)
    assert classify_column("name", things).entity_type is None
    assert classify_column("name", people).entity_type == "PERSON"
    goods = classify_table(pa.table({"name": things, "email": MAILS[:30]}))
    assert [f.entity_type for f in goods] == [None, "EMAIL_ADDRESS"]


def test_money_is_somebodys_in_a_table_about_people():
    amounts = [f"{i}.50" for i in range(30)]
    alone = classify_table(pa.table({"amount": amounts, "sku": ["a", "b"] * 15}))
    theirs = classify_table(pa.table({"amount": amounts, "email": MAILS[:30]}))
    assert [f.entity_type for f in alone] == [None, None]
    assert [f.entity_type for f in theirs] == ["FINANCIAL", "EMAIL_ADDRESS"]


def test_dates_are_dates_and_are_shown_by_nobodys_name():
    finding = classify_column("order_date", pa.array(DATES))
    assert (finding.entity_type, finding.level) == ("DATE_TIME", Level.INTERNAL)


def test_what_is_unknown_is_not_public():
    finding = classify_column("ref", pa.array(CODES))
    assert (finding.entity_type, finding.level) == (None, Level.INTERNAL)
    prose = [f"Called about the invoice, will come back on day {i} with papers." for i in range(40)]
    finding = classify_column("x", pa.array(prose))
    assert finding.free_text
    assert finding.level is Level.CONFIDENTIAL
    numbered = [f"{p} SSN {s}" for p, s in zip(prose, SSN, strict=False)]
    assert classify_column("x", pa.array(numbered)).level is Level.RESTRICTED


def test_masked_columns_are_public():
    tokens = pa.array(["US_SSN~k3f7x2abqd", "US_SSN~aaaaaaaaaa", "[US_SSN]", "[US_SSN …9871]"])
    finding = classify_column("ssn", tokens)
    assert (finding.entity_type, finding.level) == (None, Level.PUBLIC)


def test_a_value_that_a_spread_sample_can_see_is_seen():
    values = pa.chunked_array([pa.nulls(200_000, pa.string()), pa.array(SSN * 20)])
    assert classify_column("a", values).entity_type == "US_SSN"
    assert classify_column("ssn", pa.nulls(10, pa.string())).entity_type == "US_SSN"


HOSTILE = {
    "null": pa.nulls(5),
    "empty": pa.array([], pa.string()),
    "no chunks": pa.chunked_array([], pa.string()),
    "list": pa.array([["a"], None, []]),
    "struct": pa.array([{"a": 1, "b": None}]),
    "map": pa.array([[("k", "v")]], pa.map_(pa.string(), pa.string())),
    "not utf-8": pa.array([b"\xff\xfe", b"\x00"]),
    "invalid string": pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")),
    "bool": pa.array([True, None]),
    "duration": pa.array([1], pa.duration("s")),
    "time": pa.array([dt.time(1)]),
    "decimal": pa.array([decimal.Decimal("1.5")]),
    "nan": pa.array([float("nan"), float("inf"), -0.0, 1e300]),
    "half": pa.array([np.float16(1.5)]),
    "dictionary with null": pa.DictionaryArray.from_arrays(pa.array([0, None]), pa.array([None, "x"])),
    "far future": pa.array([2**62], pa.timestamp("ns")),
    "out of range": pa.array([2**62], pa.timestamp("s")),
    "fixed": pa.array([b"ab"], pa.binary(2)),
    "union": pa.UnionArray.from_dense(pa.array([0, 1], pa.int8()), pa.array([0, 0], pa.int32()), [pa.array([1]), pa.array(["a"])]),
    "run ends": pa.RunEndEncodedArray.from_arrays([2, 3], ["a", "b"]),
    "deep": pa.array([{"a": [{"b": [SSN[0]]}]}]),
    "spaces": pa.array(["", "  ", "\t"]),
    "huge": pa.array(["x" * 1_000_000]),
    "nul": pa.array(["a\x00b"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_arrow_type_raises(kind):
    for name in ("x", "ssn", "", "\ud800", "date_of_birth"):
        finding = classify_column(name, HOSTILE[kind])
        assert finding.name == name
        assert finding.level in Level


def test_what_cannot_be_read_is_confidential():
    assert classify_column("x", HOSTILE["invalid string"]).level >= Level.CONFIDENTIAL
    assert classify_column("x", object()).level is Level.CONFIDENTIAL


def test_nested_columns_go_by_their_leaves():
    nested = pa.array([{"contact": [m]} for m in MAILS])
    assert classify_column("x", nested).entity_type == "EMAIL_ADDRESS"
    assert classify_column("x", pa.array([["a"], ["b"]])).level is Level.INTERNAL


def test_duplicate_names_get_a_finding_each():
    table = pa.Table.from_arrays([pa.array(SSN), pa.array(MAILS), pa.array(CODES)], ["x", "x", "x"])
    kinds = [f.entity_type for f in classify_table(table)]
    assert kinds == ["US_SSN", "EMAIL_ADDRESS", None]


def test_declared_rules_win_upward_only():
    table = pa.table({"ssn": SSN, "note_code": CODES})
    rules = [
        ColumnRule("columns[0]", "ssn", Level.PUBLIC),
        ColumnRule("columns[1]", "NOTE*", Level.RESTRICTED, "MEDICAL"),
        ColumnRule("columns[2]", "note_code", Level.PUBLIC, "OTHER"),
    ]
    ssn, note = classify_table(table, declared=rules)
    assert (ssn.entity_type, ssn.level) == ("US_SSN", Level.RESTRICTED)
    assert (note.entity_type, note.level) == ("MEDICAL", Level.RESTRICTED)
    assert "declared" in note.evidence


def test_the_policy_says_the_level():
    finding = classify_column("a", pa.array(MAILS), level_of=lambda _: Level.RESTRICTED)
    assert finding.level is Level.RESTRICTED


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_lower_end_is_below_the_share_and_grows_with_hits(case):
    hits, total = case
    assert 0 <= wilson_lower(hits, total) <= hits / total
    if hits:
        assert wilson_lower(hits - 1, total) < wilson_lower(hits, total)


def test_a_first_look_takes_as_much_of_a_long_column_as_of_a_short_one():
    part = pa.array([f"code{i}" for i in range(100_000)])
    long = sample_column(pa.chunked_array([part] * 10))
    assert len(long.texts) <= long.values <= SAMPLE_ROWS
    assert len(long.gate) == len(sample_column(part).gate)
