"""Values spelled for people, and values that only a screen puts together."""

from __future__ import annotations

import uuid
from datetime import date

import pytest
from cloister.detect.decoded import decode
from cloister.detect.exact import ExactIndex
from cloister.detect.overwritten import as_shown
from hypothesis import given
from hypothesis import strategies as st

NUMBER, MAIL = "144-85-2449", "olivia.quist9268@example.com"
INDEX = ExactIndex(b"k" * 32, today=date(2026, 11, 23))
INDEX.add("US_SSN", [NUMBER])
INDEX.add("EMAIL_ADDRESS", [MAIL])


def found(text: str) -> list[str]:
    return [text[s.start : s.end] for s in INDEX.find(text, decode(text))]


@pytest.mark.parametrize(
    "text",
    [
        "one four four eight five two four four nine",
        "One-Four-Four, Eight-Five, Two-Four-Four-Nine",
        "0x8a245e1",
        "0b1000101000100100010111100001",
        "0o1050442741",
        str(uuid.UUID(bytes=NUMBER.encode().ljust(16))),
        "olivia dot quist9268 at example dot com",
        "Olivia.Quist9268 [at] example.com",
        "olivia(dot)quist9268(at)example(dot)com",
        "olivia.quist9268@example [dot] com",
        "xxx-85-2449\r144",
        "144-85X\b-2449",
        "144-85-2440\b9",
        "                \r144-85-2449",
    ],
)
def test_what_is_spelled_otherwise_is_known(text):
    around = f"before\n{text}\nafter"
    (place,) = found(around)
    assert place in {text, text.strip(), text.lstrip()}


@pytest.mark.parametrize(
    "text",
    [
        "one two three four five six seven eight nine",
        "0xdeadbeef 0x7ffd1234abcd",
        "look at the dot com crash at noon",
        " 10%|#    |\r 20%|##   |\r100%|#####|",
        "decorated with @dataclass and a.b.c",
        "4f006c00-6976-0069-0061-002000410063",
    ],
)
def test_what_only_looks_like_it_is_nothing(text):
    assert found(text) == []


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("abc", "abc"),
        ("abc\rX", "Xbc"),
        ("abc\b\bX", "aX"),
        ("\b\bX", "X"),
        ("abcd\rXY\rZ", "ZYcd"),
        ("abc\r", "abc"),
    ],
)
def test_a_line_is_read_as_a_screen_shows_it(typed, shown):
    assert as_shown(typed) == shown


@given(st.text(alphabet=st.sampled_from("ab1-\r\b\n"), max_size=60))
def test_any_text_gives_places_in_it(text):
    for view in decode(text).views:
        assert 0 <= view.start < view.end <= len(text)


@given(st.integers(1, 10), st.text(alphabet="xyz", min_size=10, max_size=10))
def test_a_number_written_over_something_is_found_wherever_it_is_cut(cut, filler):
    text = f"{filler[:cut]}{NUMBER[cut:]}\r{NUMBER[:cut]}"
    assert found(text)
