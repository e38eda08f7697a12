"""Exact match: known values in any dress, and nothing common."""

from __future__ import annotations

import datetime as dt

import pytest
from cloister.detect.exact import ExactIndex, IndexDamaged
from hypothesis import given
from hypothesis import strategies as st

KEY = b"k" * 32


@pytest.fixture(scope="module")
def index():
    made = ExactIndex(KEY, today=dt.date(2026, 1, 1))
    made.add("PERSON", ["Maria Lindqvist", "Jean-Luc O'Brien", "Åsa Öberg", "Okafor", "Will"])
    made.add("US_SSN", ["219-09-9871"])
    made.add("CREDIT_CARD", ["4111111111111111"])
    made.add("EMAIL_ADDRESS", ["maria@example.org"])
    made.add("DOB", ["1984-03-12 00:00:00", "2024-05-05"])
    made.add("UNKNOWN", ["12345", "true"])
    return made


def found(index, text):
    return [text[s.start : s.end] for s in index.find(text)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("hello Maria Lindqvist!", "Maria Lindqvist"),
        ("MARIA   LINDQVIST", "MARIA   LINDQVIST"),
        ('{"name": "maria lindqvist"}', "maria lindqvist"),
        ("Lindqvist, Maria", "Lindqvist, Maria"),
        ("maria_lindqvist.txt", "maria_lindqvist"),
        ("jean luc o brien", "jean luc o brien"),
        ("jean-luc o'brien", "jean-luc o'brien"),
        ("åsa öberg", "åsa öberg"),
        ("A\u030asa O\u0308berg".replace("A\u030a", "Å").replace("O\u0308", "Ö"), "Åsa Öberg"),
        ("dear Okafor,", "Okafor"),
        ("219-09-9871", "219-09-9871"),
        ("219099871", "219099871"),
        ("219.09.9871", "219.09.9871"),
        ("4111-1111-1111-1111", "4111-1111-1111-1111"),
        ("maria@example.org", "maria@example.org"),
        ("born 1984-03-12", "1984-03-12"),
        ("1984/03/12", "1984/03/12"),
    ],
)
def test_finds(index, text, value):
    assert value in found(index, text)


@pytest.mark.parametrize(
    "text",
    [
        "Maria went home",
        "I will go",
        "2024-05-05",
        "12345 true",
        "0.219099871",
        "219  09  9871",
        "219\n09\n9871",
        "219, 09, 9871",
        "Mariah Lindqvistson",
        "PERSON~k3f9x2abqd",
    ],
)
def test_leaves_alone(index, text):
    assert found(index, text) == []


def test_without_the_key_nothing_matches_and_nothing_reads(index, tmp_path):
    path = tmp_path / "a.idx"
    index.save(path)
    with pytest.raises(IndexDamaged):
        ExactIndex.load(path, b"x" * 32)
    data = path.read_bytes()
    for value in (b"maria", b"lindqvist", b"219099871", b"4111", b"PERSON"):
        assert value not in data


def test_save_and_load_find_the_same(index, tmp_path):
    index.save(tmp_path / "a.idx")
    back = ExactIndex.load(tmp_path / "a.idx", KEY)
    text = "Maria Lindqvist 219-09-9871 nothing"
    assert back.find(text) == index.find(text)
    assert len(back) == len(index)


@pytest.mark.parametrize("position", [0, 7, 20, -1])
def test_a_flipped_byte_is_seen(index, tmp_path, position):
    path = tmp_path / "a.idx"
    index.save(path)
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(IndexDamaged):
        ExactIndex.load(path, KEY)


def test_merge_keeps_types():
    first, second = ExactIndex(KEY), ExactIndex(KEY)
    first.add("US_SSN", ["219-09-9871"])
    second.add("PERSON", ["Maria Lindqvist"])
    first.merge(second)
    assert {s.entity_type for s in first.find("219-09-9871 and Maria Lindqvist")} == {
        "US_SSN",
        "PERSON",
    }


def test_adding_again_adds_nothing():
    index = ExactIndex(KEY)
    assert index.add("US_SSN", ["219-09-9871", "219099871"]) == 1
    assert index.add("US_SSN", ["219-09-9871"]) == 0


@given(st.text(max_size=100))
def test_any_text_can_be_searched(text):
    made = ExactIndex(KEY)
    made.add("PERSON", [text, "Maria Lindqvist"])
    spans = made.find(text + " " + text)
    assert all(0 <= s.start < s.end for s in spans)
