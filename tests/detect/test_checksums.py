"""Check digits: right ones pass, any wrong digit fails, and both forms agree."""

from __future__ import annotations

import pytest
from cloister.detect.checksums import (
    IBAN_LENGTH,
    card_mask,
    is_card,
    is_iban,
    is_luhn,
    is_ssn,
    luhn_mask,
)
from hypothesis import given
from hypothesis import strategies as st

CARDS = {
    "visa": "4111111111111111",
    "visa of 13": "4222222222222",
    "visa of 19": "4000000000000000006",
    "mastercard": "5555555555554444",
    "mastercard of the 2-series": "2223003122003222",
    "american express": "378282246310005",
    "diners": "30569309025904",
    "discover": "6011111111111117",
    "jcb": "3530111333300000",
    "unionpay": "6205500000000000004",
}
IBANS = ["DE89370400440532013000", "GB29NWBK60161331926819", "FR1420041010050500013M02606"]

digits = st.text("0123456789", min_size=2, max_size=19)


def with_luhn(body: str) -> str:
    return next(body + d for d in "0123456789" if is_luhn(body + d))


@pytest.mark.parametrize("number", CARDS.values(), ids=CARDS)
def test_knows_the_cards_of_every_issuer(number):
    assert is_card(number)


@given(body=digits, place=st.integers(0, 19), other=st.integers(1, 9))
def test_luhn_sees_every_single_wrong_digit(body, place, other):
    number = with_luhn(body)
    place %= len(number)
    wrong = str((int(number[place]) + other) % 10)
    assert not is_luhn(number[:place] + wrong + number[place + 1 :])


@given(numbers=st.lists(digits))
def test_luhn_of_a_column_agrees_with_luhn_of_one_number(numbers):
    assert luhn_mask(numbers).tolist() == [is_luhn(n) for n in numbers]


@given(
    numbers=st.lists(st.one_of(digits, digits.map(with_luhn), st.sampled_from([*CARDS.values()])))
)
def test_cards_of_a_column_agree_with_one_card(numbers):
    assert card_mask(numbers).tolist() == [is_card(n) for n in numbers]


@pytest.mark.parametrize("iban", IBANS)
def test_iban_sees_wrong_digits_lengths_and_countries(iban):
    assert is_iban(iban)
    assert not is_iban(iban[:-1] + ("1" if iban[-1] != "1" else "2"))
    assert not is_iban(iban + "0")
    assert not is_iban("ZZ" + iban[2:])


def test_every_iban_country_has_a_possible_length():
    assert all(15 <= length <= 34 for length in IBAN_LENGTH.values())


@pytest.mark.parametrize(
    "digits",
    ["000123456", "666123456", "900123456", "123003456", "123450000", "12345678"],
)
def test_social_security_numbers_that_were_never_issued_fail(digits):
    assert not is_ssn(digits)
    assert is_ssn("219099871")
