# ruff: noqa: RUF001 - odd digits are the point
"""Tokens: equal for equal values, and telling nothing else."""

from __future__ import annotations

import pytest
from cloister.detect.tokens import TOKEN_PATTERN, Tokenizer
from hypothesis import given
from hypothesis import strategies as st

TOKENIZER = Tokenizer(b"t" * 32)


@pytest.mark.parametrize(
    ("entity_type", "spellings"),
    [
        ("US_SSN", ["123-45-6789", "123456789", "123 45 6789", " 123-45-6789 ", "１２３-45-6789"]),
        ("US_SSN", ["084-31-3507", "84313507", "84313507.0"]),
        ("CREDIT_CARD", ["4111 1111 1111 1111", "4111111111111111", "4111111111111111.0"]),
        ("IBAN_CODE", ["DE89 3704 0044", "de8937040044"]),
        ("PERSON", ["Maria Lindqvist", "MARIA  LINDQVIST", "maria lindqvist "]),
        ("DOB", ["1954-05-07", "1954-05-07 00:00:00", "1954-05-07T00:00:00"]),
    ],
)
def test_spellings_of_one_value_have_one_token(entity_type, spellings):
    assert len(set(TOKENIZER.tokens(entity_type, spellings))) == 1


@pytest.mark.parametrize(
    ("entity_type", "different"),
    [
        ("UNKNOWN", ["1.5", "15", "-15", "A", "a"]),
        ("PERSON", ["Jo Ann", "Joann"]),
        ("EMAIL_ADDRESS", ["a.b@example.org", "ab@example.org"]),
        ("US_SSN", ["123-45-6789", "123-45-6780"]),
    ],
)
def test_different_values_have_different_tokens(entity_type, different):
    assert len(set(TOKENIZER.tokens(entity_type, different))) == len(different)


@given(st.text(), st.sampled_from(["US_SSN", "PERSON", "UNKNOWN", "A_VERY_LONG_ENTITY_TYPE_NAME"]))
def test_a_token_has_the_form_that_scanners_skip_and_stays_itself(value, entity_type):
    token = TOKENIZER.token(entity_type, value)
    assert TOKEN_PATTERN.fullmatch(token)
    assert token.startswith(f"{entity_type}~")
    assert TOKENIZER.token(entity_type, token) == token


def test_tokens_depend_on_the_key_and_the_type():
    other = Tokenizer(b"u" * 32)
    value = "219099871"
    assert other.token("US_SSN", value) != TOKENIZER.token("US_SSN", value)
    domains = {
        TOKENIZER.token(t, value).partition("~")[2] for t in ("US_SSN", "PERSON", "PASSPORT")
    }
    assert len(domains) == 3


def test_a_short_key_is_refused():
    with pytest.raises(ValueError, match="16 bytes"):
        Tokenizer(b"short")
