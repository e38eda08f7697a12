"""Kinds of masks: what each keeps, and that none shows a value that it cannot read."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest
from cloister.core.errors import CloisterError
from cloister.core.labels import Level
from cloister.core.masks import Mask, MaskKind, mask_from_dict
from cloister.core.policy import policy_from_dict
from cloister.detect.finding import ColumnFinding
from cloister.detect.mask import mask_table
from cloister.detect.masking.arrays import mask_array, masked_type
from cloister.detect.masking.cells import are_typed, mask_cells, mask_in_text
from cloister.detect.masking.marks import is_null, is_stand_in
from cloister.detect.tokens import TOKEN_PATTERN, Tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st

KEYS = Tokenizer(b"t" * 32, b"r" * 32)
MASKS = {
    MaskKind.REDACT: Mask(MaskKind.REDACT),
    MaskKind.SUPPRESS: Mask(MaskKind.SUPPRESS),
    MaskKind.TOKEN: Mask(MaskKind.TOKEN),
    MaskKind.REVERSIBLE: Mask(MaskKind.REVERSIBLE),
    MaskKind.PARTIAL: Mask(MaskKind.PARTIAL),
    MaskKind.PREFIX: Mask(MaskKind.PREFIX),
    MaskKind.DOMAIN: Mask(MaskKind.DOMAIN),
    MaskKind.NETWORK: Mask(MaskKind.NETWORK),
    MaskKind.BANDS: Mask(MaskKind.BANDS),
    MaskKind.BOUNDS: Mask(MaskKind.BOUNDS, low=10, high=90),
    MaskKind.ROUNDED: Mask(MaskKind.ROUNDED),
    MaskKind.NOISE: Mask(MaskKind.NOISE, amount=5.0),
    MaskKind.PERIOD: Mask(MaskKind.PERIOD),
    MaskKind.SHIFT: Mask(MaskKind.SHIFT, subject="patient"),
    MaskKind.SPANS: Mask(MaskKind.SPANS),
}
ALL = list(MASKS.values())
#: A number is its own band's beginning, within the bounds, or moved by nothing, now and then.
HIDING = [m for m in ALL if m.kind not in (MaskKind.BANDS, MaskKind.BOUNDS, MaskKind.NOISE)]
NOT_MOVING = [m for m in ALL if m.kind not in (MaskKind.NOISE, MaskKind.SHIFT)]


class Hostile:
    """An object of the user's, whose every method raises what it holds."""

    def __str__(self) -> str:
        raise RuntimeError("219-09-9871")

    __repr__ = __hash__ = __eq__ = __len__ = __float__ = __str__  # type: ignore[assignment]


cells = st.one_of(
    st.none(), st.text(max_size=20), st.integers(), st.floats(), st.binary(max_size=5), st.dates(),
    st.datetimes(timezones=st.none() | st.timezones()), st.decimals(), st.booleans(),
    st.builds(Hostile), st.lists(st.integers(), max_size=2), st.complex_numbers(),
    st.timedeltas(), st.ip_addresses().map(str), st.emails(),
    st.sampled_from([
        pd.NA, pd.NaT, float("nan"), math.inf, 10**400, "219-09-9871", "[US_SSN]",
        "US_SSN~k3f7x2abqd", "94110", "1954-05-07", "1954-02-31", "37.77,-122.4", "\ud800",
        "1e999",
        Decimal("sNaN"), Decimal("Infinity"), pd.Timestamp.max,
        pd.Timestamp("1954-05-07", tz="UTC"),
        pd.Period("2020-01"), pd.Interval(1, 2), dt.date.max, dt.date.min, "9999-12-31",
    ]),
)  # fmt: skip


@pytest.mark.parametrize("mask", ALL, ids=lambda m: m.kind.value)
@settings(max_examples=40)
@given(values=st.lists(cells, max_size=12))
def test_whatever_the_values_nulls_stay_and_equal_values_stay_equal(mask, values):
    subjects = ["p1"] * len(values)
    shown = mask_cells(values, mask, "US_SSN", KEYS, subjects=subjects)
    assert len(shown) == len(values)
    for before, after in zip(values, shown, strict=True):
        if is_null(before):
            assert after is before
        elif mask.kind is MaskKind.SUPPRESS:
            assert after is None
        else:
            assert isinstance(after, str)
    again = mask_cells(values[::-1], mask, "US_SSN", KEYS, subjects=subjects)[::-1]
    assert [v for v in again if not is_null(v)] == [v for v in shown if not is_null(v)]


@pytest.mark.parametrize("mask", NOT_MOVING, ids=lambda m: m.kind.value)
@settings(max_examples=40)
@given(values=st.lists(cells, max_size=12))
def test_masking_twice_is_masking_once(mask, values):
    once = mask_cells(values, mask, "US_SSN", KEYS)
    twice = mask_cells(once, mask, "US_SSN", KEYS)
    assert [v for v in twice if not is_null(v)] == [v for v in once if not is_null(v)]


arrow_types = st.sampled_from(
    [pa.int8(), pa.uint64(), pa.int64(), pa.float16(), pa.float32(), pa.float64(),
     pa.decimal128(7, 2), pa.bool_(), pa.string(), pa.large_string(), pa.binary(), pa.date32(),
     pa.date64(), pa.timestamp("s"), pa.timestamp("ns", "Europe/Berlin"), pa.time64("ns"),
     pa.duration("us"), pa.list_(pa.int64()), pa.struct([("a", pa.string())]), pa.null(),
     pa.dictionary(pa.int8(), pa.string()), pa.month_day_nano_interval(), pa.string_view()]
)  # fmt: skip


def _column(kind: pa.DataType, raw: list[bytes | None]) -> pa.Array:
    """Any bits are values of a fixed width, and any bytes are text; nulls stay nulls."""
    if pa.types.is_null(kind):
        return pa.nulls(len(raw))
    if pa.types.is_list(kind) or pa.types.is_struct(kind) or pa.types.is_decimal(kind):
        sizes = [None if item is None else len(item) for item in raw]
        make = {"list": lambda n: [n], "struct": lambda n: {"a": str(n)}, "decimal128": Decimal}
        one = make[str(kind).partition("<")[0].partition("(")[0]]
        return pa.array([None if n is None else one(n) for n in sizes], kind)
    if pa.types.is_dictionary(kind) or kind == pa.string_view():
        return pa.array([None if i is None else i.hex() for i in raw]).cast(kind)
    if pa.types.is_binary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        stored = pa.array(raw, pa.large_binary() if kind == pa.large_string() else pa.binary())
        return pa.Array.from_buffers(kind, len(stored), stored.buffers())
    width = max(kind.bit_width // 8, 1)
    data = b"".join((item or b"").ljust(width, b"\0")[:width] for item in raw)
    valid = pa.array([item is not None for item in raw], pa.bool_()).buffers()[1]
    return pa.Array.from_buffers(kind, len(raw), [valid, pa.py_buffer(data + bytes(64))])


@pytest.mark.parametrize("mask", ALL, ids=lambda m: m.kind.value)
@settings(max_examples=60)
@given(kind=arrow_types, raw=st.lists(st.none() | st.binary(max_size=16), max_size=6))
def test_any_column_has_its_promised_type_and_keeps_its_nulls(mask, kind, raw):
    column = _column(kind, raw)
    subjects = pa.array([str(i % 2) for i in range(len(column))])
    shown = mask_array(column, mask, "US_SSN", KEYS, subjects)
    assert len(shown) == len(column)
    assert shown.type == masked_type(column.type, mask)
    assert shown.type == mask_array(column.slice(0, 0), mask, "US_SSN", KEYS, subjects[:0]).type
    nulls = column.is_null().to_pylist()
    assert all(
        after for after, before in zip(shown.is_null().to_pylist(), nulls, strict=True) if before
    )
    if not pa.types.is_date64(kind):  # any bits are no whole days
        shown.validate(full=True)
    chunked = pa.chunked_array([column, column])
    both = pa.chunked_array([subjects, subjects])
    assert len(mask_array(chunked, mask, "US_SSN", KEYS, both)) == 2 * len(column)


shown_least = st.text(st.characters(categories=["Lu", "Ll", "Nd"]), min_size=8, max_size=60)


@pytest.mark.parametrize("mask", HIDING, ids=lambda m: m.kind.value)
@given(values=st.lists(shown_least | st.integers(10**8) | st.dates().map(str), max_size=6))
def test_no_value_is_in_what_is_shown(mask, values):
    shown = " ".join(map(str, mask_cells(values, mask, "X", KEYS)))
    assert not [v for v in values if str(v) in shown]


@pytest.mark.parametrize(
    ("kind", "values", "shown"),
    [
        (MaskKind.PARTIAL, ["219-09-9871", "12345678"], ["[X …9871]", "[X]"]),
        (MaskKind.PREFIX, ["94110", "941"], ["941…", "[X]"]),
        (MaskKind.DOMAIN, ["Maria@Example.org", "maria"], ["@example.org", "[X]"]),
        (MaskKind.NETWORK, ["203.0.113.9", "2001:db8:1:2::9", "9"],
         ["203.0.113.x", "2001:db8:1:x", "[X]"]),
        (MaskKind.BANDS, [34, 34.5, -1, "34", "old", math.inf],
         ["30-39", "30-39", "-10 to -1", "30-39", "[X]", "[X]"]),
        (MaskKind.BOUNDS, ["5", "50", "500", "much"], ["10", "50", "90", "[X]"]),
        (MaskKind.ROUNDED, ["37.7749,-122.4194", "37.7749", "4111111111111111"],
         ["37.8, -122.4", "37.8", "[X]"]),
        (MaskKind.PERIOD, ["1954-05-07", "07.05.1954", "May"], ["1954-05", "[X]", "[X]"]),
        (MaskKind.SPANS, ["219-09-9871"], ["[X]"]),
    ],
)  # fmt: skip
def test_each_kind_shows_what_it_says_and_a_mark_for_the_rest(kind, values, shown):
    assert mask_cells(values, MASKS[kind], "X", KEYS) == shown


@given(st.lists(st.integers(-(10**6), 10**6), min_size=2))
def test_bounds_and_rounding_and_bands_never_turn_the_order_round(values):
    values.sort()
    for kind in (MaskKind.BOUNDS, MaskKind.ROUNDED):
        shown = [v for v in mask_cells(values, MASKS[kind], "X", KEYS, is_typed=True) if v != None]  # noqa: E711 - zeros stay
        assert shown == sorted(shown)
    lows = [int(v.partition("-")[0] or f"-{v[1:].partition(' ')[0]}")
            for v in mask_cells(values, MASKS[MaskKind.BANDS], "X", KEYS)]  # fmt: skip
    assert lows == sorted(lows)
    assert all(low <= v < low + 10 for low, v in zip(lows, values, strict=True))


@given(st.lists(st.dates(), min_size=2), st.sampled_from(["month", "quarter", "year"]))
def test_a_period_keeps_the_order_and_the_type_and_begins_before_the_date(days, unit):
    days.sort()
    shown = mask_array(pa.array(days), Mask(MaskKind.PERIOD, unit=unit), "DOB", KEYS).to_pylist()
    assert shown == sorted(shown)
    assert all(s <= d and s.year == d.year and s.day == 1 for s, d in zip(shown, days, strict=True))


near = st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1))


@given(st.lists(st.tuples(near, st.sampled_from(["a", "b", 7])), min_size=2))
def test_a_shift_keeps_intervals_within_a_subject_and_shows_no_date(rows):
    days, owners = zip(*rows, strict=True)
    mask = MASKS[MaskKind.SHIFT]
    subjects = pa.array([str(o) for o in owners])
    for column in (pa.array(days), pa.array(days).cast(pa.timestamp("us")),
                   pa.array([d.isoformat() for d in days])):  # fmt: skip
        shown = mask_array(column, mask, "DATE_TIME", KEYS, subjects).to_pylist()
        moves = {}
        for before, after, owner in zip(column.to_pylist(), shown, owners, strict=True):
            if isinstance(before, str):
                before, after = dt.date.fromisoformat(before), dt.date.fromisoformat(after)
            assert after != before
            assert abs((after - before).days) <= mask.days
            assert moves.setdefault(owner, after - before) == after - before


def test_a_subject_moves_by_the_same_days_in_every_table_and_by_others_in_another_workspace():
    mask, day = MASKS[MaskKind.SHIFT], pa.array([dt.date(2020, 1, 1)] * 40)
    names = pa.array([str(i) for i in range(40)])
    here = mask_array(day, mask, "DOB", KEYS, names)
    assert here.equals(mask_array(day, mask, "VISIT", KEYS, names.cast(pa.int64())))
    assert not here.equals(mask_array(day, mask, "DOB", Tokenizer(b"u" * 32), names))
    assert len(set(here.to_pylist())) > 10


def test_a_date_without_a_subject_is_not_shown():
    day, mask = pa.array([dt.date(2020, 1, 1)] * 2), MASKS[MaskKind.SHIFT]
    assert mask_array(day, mask, "DOB", KEYS).to_pylist() == [None, None]
    assert mask_array(day, mask, "DOB", KEYS, pa.array([None, "p"]))[0].as_py() is None
    assert mask_cells(["2020-01-01"], mask, "DOB", KEYS) == ["[DOB]"]


@given(st.lists(st.integers(-(10**9), 10**9)))
def test_noise_moves_equal_numbers_equally_and_by_no_more_than_it_may(values):
    shown = mask_cells(values, MASKS[MaskKind.NOISE], "PAY", KEYS, is_typed=True)
    assert all(abs(s - v) <= 5 and isinstance(s, int) for s, v in zip(shown, values, strict=True))
    assert len(set(zip(values, shown, strict=True))) == len(set(values))
    texts = mask_cells([str(v) for v in values], MASKS[MaskKind.NOISE], "PAY", KEYS)
    assert texts == [str(s) for s in shown]


def test_noise_differs_between_workspaces_and_types():
    values, mask = [float(i) for i in range(50)], MASKS[MaskKind.NOISE]
    shown = mask_cells(values, mask, "PAY", KEYS, is_typed=True)
    assert shown != mask_cells(values, mask, "AGE", KEYS, is_typed=True)
    assert shown != mask_cells(values, mask, "PAY", Tokenizer(b"u" * 32), is_typed=True)


@given(st.lists(st.text(max_size=90), unique_by=lambda t: t.strip()))
def test_reversible_tokens_are_equal_exactly_when_values_are_and_can_be_undone(values):
    tokens = KEYS.reversible_tokens("NOTE", values)
    assert len(set(tokens)) >= len({t for t in tokens if not is_stand_in(t)})
    for value, token in zip(values, tokens, strict=True):
        assert TOKEN_PATTERN.fullmatch(token)
        assert is_stand_in(token)
        if "~~" in token:
            assert KEYS.reveal(token) == KEYS.reveal(KEYS.reversible_tokens("NOTE", [value])[0])


def test_tokens_of_one_workspace_join_across_tables_and_those_of_two_do_not():
    ssns = ["219-09-9871", "457-55-5462"]
    for mask in (MASKS[MaskKind.TOKEN], MASKS[MaskKind.REVERSIBLE]):
        text = mask_array(pa.array(ssns), mask, "US_SSN", KEYS).to_pylist()
        number = mask_array(pa.array([219099871, 457555462]), mask, "US_SSN", KEYS).to_pylist()
        assert text == number
        other = mask_array(pa.array(ssns), mask, "US_SSN", Tokenizer(b"u" * 32, b"s" * 32))
        assert not set(text) & set(other.to_pylist())
        of_another_type = mask_array(pa.array(ssns), mask, "PHONE_NUMBER", KEYS)
        assert not set(text) & set(of_another_type.to_pylist())


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (MaskKind.SHIFT, "1954-05-07 Maria Lindqvist"),
        (MaskKind.SHIFT, "1954-05-07T10:00 219-09-9871"),
        (MaskKind.DOMAIN, "maria@219-09-9871"),
        (MaskKind.DOMAIN, "a@b@example.org"),
        (MaskKind.DOMAIN, "@Maria Lindqvist.org"),
        (MaskKind.NETWORK, "203.0.113.9 Maria"),
        (MaskKind.ROUNDED, "37.77,-122.41,219099871"),
        (MaskKind.BANDS, "219099871219099871"),
        (MaskKind.PERIOD, "219-09-9871"),
    ],
)
def test_what_is_only_partly_readable_is_not_shown(kind, value):
    assert mask_cells([value], MASKS[kind], "X", KEYS, subjects=["p"]) == ["[X]"]


def test_the_time_of_a_day_stays_with_a_moved_date():
    shown = mask_cells(["2020-05-07T10:00:01.5Z"], MASKS[MaskKind.SHIFT], "X", KEYS, subjects=["p"])
    assert shown[0].endswith("T10:00:01.5Z")


def test_without_a_key_to_undo_them_tokens_are_plain():
    plain = Tokenizer(b"t" * 32)
    assert plain.reversible_tokens("X", ["a"]) == plain.tokens("X", ["a"])
    assert plain.reveal(KEYS.reversible_tokens("X", ["a"])[0]) is None


def test_a_value_in_a_text_always_leaves_something_to_see():
    for mask in ALL:
        shown = mask_in_text("219-09-9871", mask, "US_SSN", KEYS)
        assert shown
        assert "219-09" not in shown


def test_kinds_that_keep_types_say_so_by_their_values():
    assert are_typed([1, 2.5, None, Decimal(1)], MASKS[MaskKind.BOUNDS])
    assert not are_typed([1, True], MASKS[MaskKind.BOUNDS])
    assert not are_typed([1], MASKS[MaskKind.BANDS])
    assert not are_typed([1, dt.date.max], MASKS[MaskKind.PERIOD])


@pytest.mark.parametrize(
    "stated",
    [{}, {"kind": "show"}, {"kind": "rot13"}, {"kind": "bands", "last": 4},
     {"kind": "partial", "last": "4"}, {"kind": "partial", "last": True}, {"kind": 5},
     {"kind": "period", "unit": 3}],
)  # fmt: skip
def test_a_mask_that_nobody_knows_is_an_error_and_never_a_weaker_mask(stated):
    with pytest.raises(CloisterError) as caught:
        mask_from_dict(stated)
    assert caught.value.code == "CLO-POLICY-003"


@pytest.mark.parametrize("mask", ALL, ids=lambda m: m.kind.value)
def test_a_mask_is_read_as_it_was_written(mask):
    assert mask_from_dict(mask.as_dict()) == mask
    assert mask.words


POLICY = policy_from_dict(
    {
        "version": 1,
        "masks": {
            "AGE": {"kind": "bands"},
            "SALARY": {"kind": "bounds", "high": 100000},
            "DOB": {"kind": "shift", "subject": "patient"},
            "FREE_TEXT": {"kind": "spans"},
            "POSTCODE": {"kind": "prefix", "length": 2},
        },
    },
    "0" * 64,
)


def test_a_table_is_masked_by_the_kinds_of_its_policy():
    rows = 12
    table = pa.table(
        {
            "patient": [f"p{i // 2}" for i in range(rows)],
            "age": list(range(30, 30 + rows)),
            "pay": [95_000 + 1000 * i for i in range(rows)],
            "born": [dt.date(1954, 5, 1 + i) for i in range(rows)],
            "note": [f"He pays with 4111 1111 1111 1111 on day {i}." for i in range(rows)],
            "zip": ["94110"] * rows,
        }
    )
    kinds = ["PERSON_ID", "AGE", "SALARY", "DOB", None, "POSTCODE"]
    findings = [
        ColumnFinding(name, kind, Level.RESTRICTED, kind is None, 1.0, ("values",))
        for name, kind in zip(table.column_names, kinds, strict=True)
    ]
    masked = mask_table(
        table, findings, POLICY.display.__getitem__, KEYS,
        level_of=POLICY.level_of, mask_of=POLICY.mask_for,
    )  # fmt: skip
    assert masked["age"].to_pylist()[:2] == ["30-39", "30-39"]
    assert masked["pay"].type == pa.int64()
    assert max(masked["pay"].to_pylist()) == 100_000
    moved = masked["born"].to_pylist()
    assert masked["born"].type == pa.date32()
    assert all((b - a).days == 1 for a, b in zip(moved[::2], moved[1::2], strict=True))
    assert masked["zip"].to_pylist() == ["94…"] * rows
    assert masked["note"][3].as_py().endswith(" on day 3.")
    assert "4111 1111" not in masked["note"][3].as_py()
    assert masked["patient"][0].as_py().startswith("PERSON_ID~")


def test_a_type_with_a_mask_of_its_own_is_never_shown():
    assert POLICY.mask_for("AGE", POLICY.level_of("AGE")).kind is MaskKind.BANDS
