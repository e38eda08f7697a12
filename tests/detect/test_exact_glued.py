"""Values that letters or digits stand against, and words that must not be taken for them."""

from __future__ import annotations

import pytest
from cloister.core.policy import policy_from_dict
from cloister.detect import glued
from cloister.detect.exact import ExactIndex
from cloister.detect.tokens import Tokenizer
from cloister.detect.valuefinder import ValueFinder

INDEX = ExactIndex(b"k" * 32)
INDEX.add("PERSON", ["Olivia Meyer", "Zoë Müller", "Grace", "Li Wu"])
INDEX.add("US_SSN", ["144-85-1234", "219099871"])
INDEX.add("CUSTOMER", ["483920"])
INDEX.add("DOB", ["1954-05-07"])
INDEX.add("MEDICAL_RECORD_NUMBER", ["AB12CD34"])
FINDER = ValueFinder(policy_from_dict({"version": 1}, "0"), Tokenizer(b"k" * 32))


def found(text: str) -> list[str]:
    return [text[s.start : s.end] for s in INDEX.find(text)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("xOlivia Meyer", "Olivia Meyer"),
        ("said Olivia MeyerX again", "Olivia Meyer"),
        ("xOlivia Meyer7", "Olivia Meyer"),
        ("patientOliviaMeyer", "OliviaMeyer"),
        ("éZoë Müller", "Zoë Müller"),
        ("id144-85-1234z", "144-85-1234"),
        ("id219099871", "219099871"),
        ("219099871USD", "219099871"),
        ("born1954-05-07", "1954-05-07"),
        ("1954-05-07T13:45:00", "1954-05-07"),
        ("xAB12CD34y", "AB12CD34"),
    ],
)
@pytest.mark.parametrize("around", ["", "some words before\n" * 200])
def test_a_known_value_is_found_against_letters(text, value, around):
    assert found(around + text) == [value]


@pytest.mark.parametrize(
    "text",
    [
        "gracePeriod = getGrace()",  # a single name is a word of code
        "id483920",  # so few digits are anybody's
        "xolivia meyer",  # one word
        "evLi Wu",  # too short to be no chance
        "sha256 1a2b3c4d5e219099871f6a7b8c9d",  # a hash
        "1954-05-07 1954-05-08 1954-05-09 1954-05-10 1954-05-11T00:00",  # an axis
    ],
)
def test_what_code_and_data_look_like_is_no_value(text):
    assert not found(text)


def test_without_cuts_inside_words_none_of_it_is_found(monkeypatch):
    monkeypatch.setattr(glued, "glued_runs", lambda *_: None)
    assert not found("xOlivia Meyer, id219099871")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("ssn144-85-1234", "144-85-1234"),
        ("x144-85-1234y", "144-85-1234"),
        ("card4111111111111111", "4111111111111111"),
        ("4111 1111 1111 1111visa", "4111 1111 1111 1111"),
    ],
)
def test_a_number_with_a_shape_is_found_against_letters(text, value):
    assert [text[s.start : s.end] for s in FINDER.find(text)] == [value]


@pytest.mark.parametrize(
    "text",
    [
        "a4111111111111111f00",  # letters and digits take turns
        "A123-45-6789-B",  # the number of a part
        "x666-45-6789",  # no such number is given out
        "id4111111111111112",  # the check digit is wrong
        "ts1700000000000",
    ],
)
def test_other_numbers_against_letters_are_left_alone(text):
    assert not FINDER.find(text)
