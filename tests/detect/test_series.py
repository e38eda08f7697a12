"""Steps of a time axis and rows of a matrix are nobody's; single dates and cards are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cloister.detect.exact import ExactIndex
from cloister.detect.text import find_spans

EVERY_DAY = ExactIndex(b"k" * 32)
EVERY_DAY.add("DOB", [str(day.date()) for day in pd.date_range("1930-01-01", "2009-12-31")])


@pytest.mark.parametrize("step", ["D", "200D", "W-MON", "MS", "ME", "QS", "YS", "B", "-3D"])
@pytest.mark.parametrize("begin", ["1950-01-31", "1999-12-30"])
def test_a_time_axis_is_no_list_of_births(step, begin):
    axis = pd.date_range(begin, periods=40, freq=step)
    assert EVERY_DAY.find(pd.Series(range(40), index=axis).to_string()) == []
    assert EVERY_DAY.find(str([str(day.date()) for day in axis])) == []


@pytest.mark.parametrize(
    "text",
    ["born 1954-05-07", "1954-05-07, 1961-11-30, 1948-02-12, 1977-07-07, 1982-01-01, 1951-09-09"],
)
def test_dates_of_births_are_known(text):
    assert len(EVERY_DAY.find(text)) == text.count("-") // 2


def test_one_birth_beside_an_axis_is_known():
    axis = "\n".join(str(day.date()) for day in pd.date_range("2001-01-01", periods=30))
    (span,) = EVERY_DAY.find(f"{axis}\n1954-05-07\n")
    assert span.start > len(axis)


def test_a_matrix_of_numbers_holds_no_cards():
    rng = np.random.default_rng(5)
    for _ in range(30):
        rows = rng.integers(1000, 10_000, (40, 6))
        text = "\n".join(" ".join(map(str, row)) for row in rows)
        assert [s for s in find_spans(text) if s.entity_type == "CREDIT_CARD"] == []


@pytest.mark.parametrize(
    "text",
    [
        "4539 5787 6362 1486",
        "card 4539 5787 6362 1486 ok",
        "\n".join(["4539 5787 6362 1486"] * 5),
        "4539 5787 6362 1486\n4111 1111 1111 1111\n5500 0000 0000 0004\n4012 8888 8888 1881\n",
    ],
)
def test_cards_are_cards(text):
    assert len(find_spans(text)) == text.count("\n") + (not text.endswith("\n"))
