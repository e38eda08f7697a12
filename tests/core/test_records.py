"""Canonical bytes: one byte string for one header."""

from __future__ import annotations

import json

import pytest
from cloister.core.records import canonical_bytes
from hypothesis import given
from hypothesis import strategies as st

KEYS = st.text(alphabet=st.characters(max_codepoint=127), max_size=5)
HEADERS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=15,
)


@given(HEADERS)
def test_bytes_read_back_as_the_same_header(header):
    assert json.loads(canonical_bytes(header).decode("utf-8", "surrogatepass")) == header


@given(st.dictionaries(KEYS, st.integers(), max_size=6))
def test_order_of_keys_does_not_matter(header):
    assert canonical_bytes(header) == canonical_bytes(dict(reversed(header.items())))


@pytest.mark.parametrize("value", [1.0, [0.5], {"a": {"b": 1e9}}])
def test_floats_are_refused(value):
    with pytest.raises(ValueError, match="float"):
        canonical_bytes(value)


def test_keys_that_are_not_ascii_are_refused():
    with pytest.raises(ValueError, match="ASCII"):
        canonical_bytes({"schlüssel": 1})
