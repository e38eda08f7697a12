# ruff: noqa: E501 - sample data stays on one line
"""Columns of numbers: those of people are found without a name, those of nobody are not."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pyarrow as pa
import pytest
from cloister.core.entities import DEFAULT_LEVELS, GENERAL_TYPE, default_level
from cloister.core.labels import Level
from cloister.detect.columns import classify_column
from cloister.detect.evidence import promising
from cloister.detect.values import ENTITY_LOOKS, NAMED_LOOKS, count_looks, count_one

RNG = np.random.default_rng(11)


def digits(count, width, *, first_from=0):
    rows = RNG.integers(0, 10, (count, width))
    rows[:, 0] = RNG.integers(first_from, 10, count)
    return ["".join(map(str, row)) for row in rows]


def dates(count):
    return list(
        zip(
            RNG.integers(40, 100, count).tolist(),
            RNG.integers(1, 13, count).tolist(),
            RNG.integers(1, 29, count).tolist(),
            strict=True,
        )
    )


def valid(module, candidates):
    """The first 120 candidates that python-stdnum takes for valid."""
    is_valid = import_module(f"stdnum.{module}").is_valid
    right = [c for c in candidates if is_valid(c)][:120]
    assert len(right) == 120
    return right


YMD = [f"{y:02d}{m:02d}{d:02d}" for y, m, d in dates(20_000)]
DMY = [f"{d:02d}{m:02d}{y:02d}" for y, m, d in dates(20_000)]


def tailed(heads, width, joint=""):
    return [h + joint + t for h, t in zip(heads, digits(len(heads), width), strict=True)]


NUMBERS = {
    "UK_NHS": valid("gb.nhs", digits(4_000, 10, first_from=4)),
    "IN_AADHAAR": valid("in_.aadhaar", digits(4_000, 12, first_from=2)),
    "AU_TFN": valid("au.tfn", digits(4_000, 9, first_from=1)),
    "AU_ABN": valid("au.abn", digits(20_000, 11, first_from=1)),
    "BR_CPF": valid("br.cpf", digits(20_000, 11, first_from=1)),
    "CA_SIN": valid("ca.sin", digits(4_000, 9, first_from=1)),
    "PL_PESEL": valid("pl.pesel", tailed(YMD, 5)),
    "SE_PERSONNUMMER": valid("se.personnummer", tailed(YMD, 4, "-")),
    "KR_RRN": valid("kr.rrn", tailed(YMD, 6, "-1")),
    "TH_TNIN": valid("th.pin", digits(4_000, 13, first_from=1)),
    "TR_NATIONAL_ID": valid("tr.tckimlik", digits(40_000, 11, first_from=1)),
    "US_NPI": [n[5:] for n in valid("luhn", ["808401" + d for d in digits(4_000, 9)])],
    "ZA_ID_NUMBER": valid("za.idnr", tailed(YMD, 7)),
    "DE_TAX_ID": valid("de.idnr", digits(90_000, 11, first_from=1)),
    "FI_PERSONAL_IDENTITY_CODE": valid(
        "fi.hetu",
        [f"{d}-{n}{'0123456789ABCDEFHJKLMNPRSTUVWXY'[int(d + n) % 31]}" for d, n in zip(DMY[:900], digits(900, 3), strict=True)],
    ),
    "ES_NIF": valid("es.dni", [d + "TRWAGMYFPDXBNJZSQVHLCKE"[int(d) % 23] for d in digits(200, 8)]),
    "ES_NIE": valid("es.nie", ["X" + d + "TRWAGMYFPDXBNJZSQVHLCKE"[int(d) % 23] for d in digits(200, 7)]),
}  # fmt: skip
NATIONAL = {
    "no.fodselsnummer": tailed(DMY * 10, 5),
    "nl.bsn": digits(4_000, 9, first_from=1),
    "ch.ssn": ["756" + d for d in digits(4_000, 10)],
    "hr.oib": digits(4_000, 11),
    "cn.ric": ["11010119" + y + d for y, d in zip(YMD, digits(20_000, 4), strict=True)],
    "ro.cnp": ["1" + y + "12" + d for y, d in zip(YMD, digits(20_000, 4), strict=True)],
    "bg.egn": tailed(YMD, 4),
    "ee.ik": ["3" + y + d for y, d in zip(YMD, digits(20_000, 4), strict=True)],
    "jp.in_": digits(4_000, 12),
}


def found(values, name="x7"):
    return classify_column(name, pa.array(values))


@pytest.mark.parametrize("entity_type", NUMBERS)
def test_national_numbers_are_found_by_their_values(entity_type):
    finding = found(NUMBERS[entity_type])
    assert (finding.entity_type, finding.level) == (entity_type, default_level(entity_type))
    assert "values" in finding.evidence


@pytest.mark.parametrize("module", NATIONAL)
def test_numbers_of_other_countries_are_national_ids(module):
    finding = found(valid(module, NATIONAL[module]))
    assert (finding.entity_type, finding.level) == ("NATIONAL_ID", Level.RESTRICTED)


@pytest.mark.parametrize("entity_type", ["UK_NHS", "IN_AADHAAR", "CA_SIN", "BR_CPF", "PL_PESEL"])
def test_the_same_numbers_with_wrong_check_digits_are_nothing(entity_type):
    wrong = [
        n[:-1] + str((int(n[-1]) + 1 + i % 9) % 10) for i, n in enumerate(NUMBERS[entity_type])
    ]
    assert found(wrong).entity_type is None


@pytest.mark.parametrize("entity_type", ["UK_NHS", "AU_TFN", "BR_CPF", "PL_PESEL"])
def test_integers_and_floats_with_nulls_are_read_as_the_numbers_they_were(entity_type):
    whole = [int(n) for n in NUMBERS[entity_type]]
    assert found(whole).entity_type == entity_type
    assert found([None, *(float(n) for n in whole)]).entity_type == entity_type


def test_integers_that_lost_their_leading_zeros_are_found():
    born = [f"{y:02d}{m + 20:02d}{d:02d}" for y, m, d in dates(20_000)]
    early = valid("pl.pesel", [f"0{n[1:]}" for n in tailed(born, 5)])
    assert found([int(n) for n in early]).entity_type == "PL_PESEL"


@pytest.mark.parametrize(
    ("entity_type", "form"),
    [
        ("UK_NHS", "{0:.3}-{1:.3}-{2}"),
        ("UK_NHS", "{0:.3} {1:.3} {2}"),
    ],
)
def test_groups_are_read_as_one_number(entity_type, form):
    grouped = [form.format(n[:3], n[3:6], n[6:]) for n in NUMBERS[entity_type]]
    assert found(grouped).entity_type == entity_type


def test_a_few_mistyped_numbers_do_not_hide_a_column():
    numbers = [*NUMBERS["IN_AADHAAR"], *digits(30, 12, first_from=2)]
    assert found(numbers).entity_type == "IN_AADHAAR"


NUMBERS_OF_NOBODY = {
    "seconds since 1970": [1_700_000_000 + int(s) for s in RNG.integers(0, 10**7, 400)],
    "milliseconds since 1970": [1_700_000_000_000 + int(s) for s in RNG.integers(0, 10**10, 400)],
    "compact timestamps": [f"20{y}{h:06d}" for y, h in zip(YMD[:400], RNG.integers(0, 240_000, 400).tolist(), strict=True)],
    "sequence": list(range(100_000_000, 100_000_400)),
    "random of 9 digits": digits(400, 9, first_from=1),
    "random of 10 digits": digits(400, 10, first_from=1),
    "random of 11 digits": digits(400, 11, first_from=1),
    "random of 12 digits": digits(400, 12, first_from=1),
    "random of 13 digits": digits(400, 13, first_from=1),
    "random of 16 digits": digits(400, 16, first_from=1),
    "order numbers": [f"ORD-{n}" for n in digits(400, 8)],
    "part numbers": [f"{a}-{b}" for a, b in zip(digits(400, 4), digits(400, 3), strict=True)],
    "versions": [f"{a}.{b}.{c}.{d}" for a, b, c, d in RNG.integers(0, 30, (400, 4)).tolist()],
    "hashes": [f"{int(a):016x}{int(b):016x}" for a, b in RNG.integers(0, 2**63, (400, 2)).tolist()],
    "isbn": valid("isbn", [a + b for a in digits(400, 9) for b in "0123456789X"]),
    "ean": valid("ean", ["400" + n for n in digits(4_000, 10)]),
    "prices": RNG.gamma(2.0, 30.0, 400).round(2).tolist(),
    "small floats": RNG.normal(size=400).tolist(),
    "years": RNG.integers(1900, 2030, 400).tolist(),
    "invoices of a year": [f"{d:02d}{m:02d}24-{n:04d}" for n, (_, m, d) in enumerate(dates(400))],
    "weekdays": ["MONDAYXX", "TUESDAYX", "THURSDAY", "SATURDAY"] * 100,
}  # fmt: skip


@pytest.mark.parametrize("kind", NUMBERS_OF_NOBODY)
def test_numbers_of_nobody_are_not_sensitive(kind):
    finding = found(NUMBERS_OF_NOBODY[kind])
    assert finding.entity_type in {None, "UUID"}
    assert finding.level < Level.RESTRICTED


@pytest.mark.parametrize(
    ("name", "values", "entity_type"),
    [
        ("ssn", [int(n) for n in digits(200, 9, first_from=1) if n[0] not in "69"], "US_SSN"),
        ("TFN", NUMBERS["AU_TFN"], "AU_TFN"),
        ("gps_lat", RNG.uniform(-90, 90, 200).tolist(), "GEO"),
        ("longitude", RNG.uniform(-180, 180, 200).tolist(), "GEO"),
        ("number_plate", [f"AB{n[:2]} CDE" for n in digits(200, 2)], "LICENSE_PLATE"),
        ("sort_code", [f"{n[:2]}-{n[2:4]}-{n[4:]}" for n in digits(200, 6)], "ROUTING"),
        ("swift", ["DEUTDEFF", "NOXWITC7", "BARCGB22", "CHASUS33"] * 10, "BIC"),
        ("imsi", ["2620" + n for n in digits(200, 11)], "IMSI"),
    ],
)
def test_a_name_makes_ambiguous_numbers_certain(name, values, entity_type):
    assert found(values, name).entity_type == entity_type
    assert found(values).entity_type in {None, "AU_TFN"}


@pytest.mark.parametrize(
    ("values", "entity_type"),
    [
        (["bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"], "CRYPTO"),
        (["3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy", "0x52908400098527886E0F7030069857D2E4169EE7"], "CRYPTO"),
        (["00:1a:2b:3c:4d:5e", "001a.2b3c.4d5e", "00-1A-2B-3C-4D-5E"], "MAC_ADDRESS"),
        (["1M8GDM9AXKP042788", "1HGCM82633A004352", "5YJSA1DG9DFP14705", "JH4KA7561PC008269", "1J4FA29P4YP728937", "1GNEK13ZX3R298984"], "VIN"),
        (["1EG4-TE5-MK73", "1eg4te5mk73"], "US_MBI"),
        (["51.5007, -0.1246", "48.8584, 2.2945", "40.6892, -74.0445", "35.6586, 139.7454", "27.1751, 78.0421", "POINT(2.2945 48.8584)"], "GEO"),
        (["SW1A 1AA", "M1 1AE", "EC1A 1BB", "CR2 6XH", "DN55 1PT", "K1A 0B1", "V5K 0A1"], "POSTCODE"),
        (["E11.9", "I10", "J45.909", "F32.1", "Z79.4", "M54.5", "K21.9"], "MEDICAL"),
        (["44054006", "195662009", "10509002", "59621000", "233604007", "38341003"], "MEDICAL"),
        (["$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW"] * 3, "PASSWORD"),
        (["AKIAIOSFODNN7EXAMPLE", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"], "SECRET"),
        (["https://example.org/a?b=1", "http://example.com"] * 4, "URL"),
        (["2223003122003222", "6205500000000000004", "4000000000000000006", "6759649826438453"], "CREDIT_CARD"),
        (["912-70-1234", "987-88-4321", "950-65-1111"], "US_ITIN"),
        (valid("imei", ["35" + n for n in digits(4_000, 13)]), "IMEI"),
    ],
)  # fmt: skip
def test_other_identifiers_are_found_by_their_values(values, entity_type):
    assert found(values).entity_type == entity_type


def test_order_numbers_that_look_like_cards_are_not_cards():
    orders = ["4" + n for n in digits(400, 15)]
    assert found(orders).entity_type is None
    cards = valid("luhn", ["4" + n for n in digits(4_000, 15)])
    assert found([*orders, *cards]).entity_type == "CREDIT_CARD"


def test_private_addresses_are_addresses_though_their_numbers_are_small():
    assert found([f"10.0.{n // 30}.{n % 30 + 1}" for n in range(200)]).entity_type == "IP_ADDRESS"
    assert (
        found(["192.168.1.7", "2001:db8::1", "10.1.2.3", "8.8.8.8", "fe80::1"]).entity_type
        == "IP_ADDRESS"
    )


def test_danish_numbers_are_told_from_invoices_by_the_years():
    born = [f"{d:02d}{m:02d}{y:02d}-{n:04d}" for n, (y, m, d) in enumerate(dates(200))]
    assert found(born).entity_type == "NATIONAL_ID"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("long", [0, 1] * 40),
        ("plate_number", [str(n % 8) for n in range(80)]),
        ("lat", list(range(90))),
    ],
)
def test_names_that_mean_two_things_do_not_make_an_identifier(name, values):
    assert found(values, name).entity_type is None


def test_crypto_addresses_need_their_checksum():
    good = ["1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy"] * 3
    bad = [a[:-1] + ("3" if a[-1] != "3" else "4") for a in good]
    assert found(good).entity_type == "CRYPTO"
    assert found(bad).entity_type is None


def test_one_pass_for_all_patterns_finds_what_each_pattern_finds():
    letters = np.array(list("0123456789 -./abcdefXYZ@:é中"))
    noise = ["".join(letters[RNG.integers(0, len(letters), n)]) for n in RNG.integers(1, 24, 4_000)]
    values = [v.strip() for v in noise if v.strip()]
    for numbers in (*NUMBERS.values(), *NUMBERS_OF_NOBODY.values()):
        values += map(str, numbers)
    for module, candidates in NATIONAL.items():
        values += valid(module, candidates)
    one_by_one = {look: count_one(pa.array(values), look) for look in ENTITY_LOOKS}
    at_once = count_looks(values)
    assert {k: n for k, n in at_once.items() if k in one_by_one} == {
        k: n for k, n in one_by_one.items() if n
    }
    assert (
        len(values) > 4_096
    )  # as many as take the way of long columns, and a few as many as do not
    few = values[::9]
    assert {k.pattern: n for k, n in count_looks(few).items() if k in one_by_one} == {
        k.pattern: n for k in ENTITY_LOOKS if (n := count_one(pa.array(few), k))
    }


def test_a_gate_leaves_only_laws_that_more_than_chance_keeps():
    gate = digits(256, 10, first_from=4)
    assert promising(count_looks(gate), 256) == [k for k in count_looks(gate) if k.name == "number"]
    right = NUMBERS["UK_NHS"]
    assert "UK_NHS" in {k.name for k in promising(count_looks(right), len(right))}


def test_every_type_has_a_level_and_there_are_many():
    types = {look.name for look in (*ENTITY_LOOKS, *NAMED_LOOKS)}
    assert types <= DEFAULT_LEVELS.keys()
    assert len(types) >= 45
    assert GENERAL_TYPE.keys() | set(GENERAL_TYPE.values()) <= DEFAULT_LEVELS.keys()
