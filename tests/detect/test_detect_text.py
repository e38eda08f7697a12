"""Text: what is found, and above all what is left alone."""

from __future__ import annotations

from itertools import pairwise

import pytest
from cloister.detect.text import find_spans
from hypothesis import given
from hypothesis import strategies as st


def found(text):
    return [(s.entity_type, text[s.start : s.end]) for s in find_spans(text)]


@pytest.mark.parametrize(
    ("text", "entity_type", "value"),
    [
        ("ssn 219-09-9871.", "US_SSN", "219-09-9871"),
        ("219 09 9871", "US_SSN", "219 09 9871"),
        ("her ssn is 219099871", "US_SSN", "219099871"),
        ("mail ada.okafor+x@mail.example.org!", "EMAIL_ADDRESS", "ada.okafor+x@mail.example.org"),
        ("<a@b.co>", "EMAIL_ADDRESS", "a@b.co"),
        ("call +1 415-555-2671", "PHONE_NUMBER", "+1 415-555-2671"),
        ("call (415) 555-2671 now", "PHONE_NUMBER", "(415) 555-2671"),
        ("415-555-2671", "PHONE_NUMBER", "415-555-2671"),
        ("+44 20 7946 0958", "PHONE_NUMBER", "+44 20 7946 0958"),
        ("card 4111 1111 1111 1111", "CREDIT_CARD", "4111 1111 1111 1111"),
        ("5555-5555-5555-4444", "CREDIT_CARD", "5555-5555-5555-4444"),
        ("2223003122003222", "CREDIT_CARD", "2223003122003222"),
        ("378282246310005", "CREDIT_CARD", "378282246310005"),
        ("DE89 3704 0044 0532 0130 00", "IBAN_CODE", "DE89 3704 0044 0532 0130 00"),
        ("GB82WEST12345698765432", "IBAN_CODE", "GB82WEST12345698765432"),
        ("from 10.20.30.40 port 5", "IP_ADDRESS", "10.20.30.40"),
        ("at 2001:db8::8a2e:370:7334", "IP_ADDRESS", "2001:db8::8a2e:370:7334"),
        ("born 1984-03-12 in", "DOB", "1984-03-12"),
        ("DOB: 12/03/1984", "DOB", "12/03/1984"),
        ("key AKIA" + "Z" * 16, "SECRET", "AKIA" + "Z" * 16),
        ("password = 'hunter22'", "SECRET", "hunter22"),
    ],
)
def test_finds(text, entity_type, value):
    assert (entity_type, value) in found(text)


CLEAN = [
    "epoch 3/10: loss 0.1234 accuracy 98.76% 1234567 rows in 12.5 s",
    "<class 'pandas.DataFrame'> RangeIndex: 1000000 entries, 0 to 999999",
    "550e8400-e29b-41d4-a716-446655440000",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "pip 23.2.1 from site-packages (python 3.11)",
    "Successfully installed numpy-2.4.6 pandas-3.1.1",
    "2024-01-02 10:11:12.123456 INFO started, 2024-01-03T00:00:00+00:00",
    "0.1234567890123456 1.2345678901e+10 -12345.678901",
    "0x7f1e2d3c4b5a 1700000000 1700000000123 3.141592653589793",
    "shape (1000000, 30) dtype float64 memory 228.9+ MB",
    "1234567890123456",
    "000-12-3456 666-12-3456 900-12-3456 123-00-1234 123-12-0000",
    "listening on 127.0.0.1:8888 and 0.0.0.0",
    "version 1.2.3.4",
    "12:34:56 00:11:22",
    "  10 |  20 |  30 | 4040 | 505050 | 6.0e+10",
    "x = df['a'] + df['b']  # line 123-45",
    "US_SSN~abcdefghij PERSON~k3f9x2abqd PHONE_NUMBER~6tve5o6dih",
    "CPU times: user 1.23 s, sys: 45.6 ms, total: 1.28 s Wall time: 1.3 s",
    "100%|##########| 5000/5000 [00:12<00:00, 412.5it/s]",
]


@pytest.mark.parametrize("text", CLEAN)
def test_leaves_ordinary_output_alone(text):
    assert found(text) == []


def test_a_wrong_check_digit_is_no_card_and_no_iban():
    assert found("4111 1111 1111 1112") == []
    assert found("DE89 3704 0044 0532 0130 01") == []


@given(st.text(max_size=200))
def test_spans_are_in_order_inside_the_text_and_apart(text):
    spans = find_spans(text)
    for before, after in pairwise(spans):
        assert before.end <= after.start
    assert all(0 <= s.start < s.end <= len(text) for s in spans)


@given(st.text(alphabet=" ab\n", max_size=20), st.text(alphabet=" ab\n", max_size=20))
def test_a_value_is_found_wherever_it_stands(before, after):
    text = f"{before} 219-09-9871 {after}"
    assert ("US_SSN", "219-09-9871") in found(text)
