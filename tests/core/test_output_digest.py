"""The gate and a saved notebook agree on what an output is known by."""

from __future__ import annotations

import hashlib

import pytest
from cloister.core.outputdigest import (
    UNKNOWN,
    StreamText,
    form_digests,
    stream_digest,
)
from hypothesis import given
from hypothesis import strategies as st

TEXT = st.text(alphabet="ab \n\r\bé\U0001f600", max_size=30)


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


@given(st.lists(TEXT, max_size=8))
def test_where_a_stream_is_cut_makes_no_difference(pieces):
    stream = StreamText()
    for piece in pieces:
        stream.add(piece)
    assert stream.digest() == stream_digest("".join(pieces))


@given(TEXT)
def test_a_text_without_moves_is_digested_as_it_is(text):
    plain = text.replace("\r", "").replace("\b", "")
    assert stream_digest(plain) == sha(plain)
    assert stream_digest(plain.splitlines(keepends=True)) == sha(plain)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("10%\r20%\r100%", "100%"),
        ("100%\r20%", "20%%"),
        ("abc\b\bX", "aX"),
        ("a\n\bb", "a\nb"),
        ("ab\rc\nd", "cb\nd"),
        ("a\r\nb", "a\nb"),
        ("\bx", "x"),
        ("\U0001f680 10%\r\U0001f680 20%", "\U0001f680 20%"),
        ("ab\r\U0001f680", "\U0001f680"),
    ],
)
def test_moves_are_played_as_jupyterlab_does(text, shown):
    assert stream_digest(text) == sha(shown)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"text/plain": "a\nb"}, {"text/plain": ["a\n", "b"]}),
        ({"image/png": "aGk="}, {"image/png": "aG\nk=\n"}),
        ({"application/json": {"a": 1.0, "b": [2]}}, {"application/json": {"b": [2], "a": 1}}),
        ({"application/x+json": {"n": 2**60 + 1}}, {"application/x+json": {"n": float(2**60)}}),
    ],
)
def test_forms_are_equal_however_they_are_written(one, other):
    assert form_digests(one) == form_digests(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"text/plain": "a"}, {"text/plain": "a "}),
        ({"text/plain": "a"}, {"text/html": "a"}),
        ({"application/json": {"a": 1}}, {"application/json": {"a": True}}),
        ({"application/json": 1.5}, {"application/json": 1}),
        ({"application/json": ["a"]}, {"application/json": "a"}),
    ],
)
def test_another_content_has_another_digest(one, other):
    assert form_digests(one) != form_digests(other)


def test_what_nests_too_deep_equals_nothing():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert form_digests({"application/json": deep}) == {"application/json": UNKNOWN}
