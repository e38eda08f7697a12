"""Halves of decimal numbers are not looked up, and what is found stays the same."""

from __future__ import annotations

import pytest
from cloister.core.policy import policy_from_dict
from cloister.detect import decimals
from cloister.detect.decimals import of_decimals, stretches_with_more
from cloister.detect.exact import ExactIndex
from cloister.detect.fingerprint import tokenise
from cloister.detect.tokens import Tokenizer
from cloister.detect.valuefinder import ValueFinder
from hypothesis import given, settings
from hypothesis import strategies as st

INDEX = ExactIndex(b"k" * 32)
INDEX.add("US_SSN", ["219-09-9871", "123456789"])
INDEX.add("PERSON", ["Maria Lindqvist"])
INDEX.add("NOTE", ["Dose 0.25 mg daily"])
INDEX.add("DOB", ["1954-05-07"])

FINDER = ValueFinder(policy_from_dict({"version": 1}, "0"), Tokenizer(b"k" * 32), INDEX)

_NUMBERS = ["0.25", "-1.5", "12.3456789", "219-09-9871", "2.19", "09", "9871", "219", "123456789"]
_WORDS = ["Maria", "Lindqvist", "Dose", "mg daily", "1954-05-07", "19.54", "1.2.3", "x=0.5", "(62)"]
_PIECES = st.sampled_from([*_NUMBERS, *_WORDS])
_GAPS = st.sampled_from([" ", "\t", "\n", ", ", "|", " - "])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.25 -1.50", [True] * 4),
        ("a 0.25", [False, True, True]),
        ("219.09 9871", [False] * 3),
        ("1.2.3", [False] * 3),
        ("v1.2", [False] * 2),
        ("x=0.5)", [False, True, True]),
    ],
)
def test_halves_of_decimals(text, expected):
    assert of_decimals(text, tokenise(text)).tolist() == expected


@settings(max_examples=200)
@given(st.lists(st.tuples(_PIECES, _GAPS), max_size=40))
def test_what_is_found_does_not_change(parts):
    text = "".join(piece + gap for piece, gap in parts) + "0.125 " * 100
    found = INDEX.find(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decimals, "of_decimals", lambda *_: None)
        assert INDEX.find(text) == found


@pytest.mark.parametrize("number", ["0.125 ", "-1.5,", "0.5 | ", "12.25\t", "(0.25)\n"])
@pytest.mark.parametrize("count", [900, 5_000])
@settings(max_examples=40)
@given(parts=st.lists(st.tuples(_PIECES, _GAPS), max_size=12))
def test_what_stands_between_stretches_of_decimals_is_found(number, count, parts):
    inside = "".join(piece + gap for piece, gap in parts)
    text = number * count + inside + number * count + inside
    found = INDEX.find(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decimals, "stretches_with_more", lambda text: [(0, len(text))])
        assert INDEX.find(text) == found


def test_a_table_of_decimals_is_not_read():
    text = "0.125\t-0.5\n" * 5_000
    assert not list(stretches_with_more(text))
    ((start, end),) = stretches_with_more(f"{text}Maria Lindqvist\n{text}")
    assert len(text) - 5_200 < start < len(text) < end < len(text) + 5_200


ROW = "<tr><td>0.1250</td><td>-1.5</td></tr>"


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["td", "th", "b"]), _PIECES), max_size=12))
def test_what_stands_between_rows_of_decimals_is_found(cells):
    inside = "".join(f"<{tag}>{piece}</{tag}>" for tag, piece in cells)
    page = f"<table>{ROW * 600}<tr>{inside}</tr>{ROW * 600}</table>{inside}"
    found = FINDER.find(page)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decimals, "stretches_with_more", lambda text, **_: [(0, len(text))])
        assert FINDER.find(page) == found


@pytest.mark.parametrize("cell", ["219099871", "0.178990912", "Maria Lindqvist", "4111.11"])
def test_a_page_of_decimals_is_read_where_it_has_more(cell):
    page = f"<table>{ROW * 600}<tr><td>{cell}</td></tr>{ROW * 600}</table>"
    ((start, end),) = stretches_with_more(page, has_tags=True)
    assert start < page.index(cell) < end < start + 12_000
    assert not list(stretches_with_more(f"<table>{ROW * 600}</table>", has_tags=True))


def test_an_own_pattern_is_looked_for_in_decimals():
    rule = {
        "name": "doses",
        "supported_entity": "OWN_DOSE",
        "level": "restricted",
        "patterns": [{"regex": r"0\.12\d\d", "score": 0.9}],
    }
    policy = policy_from_dict({"version": 1, "recognizers": [rule]}, "0")
    assert ValueFinder(policy, Tokenizer(b"k" * 32)).find(ROW * 600)
