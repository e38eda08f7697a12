"""The wire format: what is accepted, and that a message survives the way through."""

from __future__ import annotations

import json

import pytest
from cloister.sidecar import wire
from hypothesis import given
from hypothesis import strategies as st

KEY = b"k" * 32
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(content=st.dictionaries(st.text(), JSON, max_size=5), buffers=st.lists(st.binary()))
def test_parse_undoes_serialize(content, buffers):
    message = wire.make_message("stream", content, idents=[b"who"])
    message.buffers = buffers
    back = wire.parse(wire.serialize(message, KEY), KEY)
    assert back == message


def test_rejects_a_wrong_key():
    frames = wire.serialize(wire.make_message("stream", {}), KEY)
    with pytest.raises(wire.BadMessage, match="signature"):
        wire.parse(frames, b"other")


@pytest.mark.parametrize("part", range(2, 6))
def test_rejects_a_changed_part(part):
    frames = wire.serialize(wire.make_message("stream", {"a": 1}), KEY)
    frames[part] = frames[part].replace(b"{", b"{ ", 1)
    with pytest.raises(wire.BadMessage, match="signature"):
        wire.parse(frames, KEY)


@pytest.mark.parametrize(
    "frames", [[], [b"x"], [wire.DELIMITER], [wire.DELIMITER, b"sig", b"{}", b"{}"]]
)
def test_rejects_what_is_no_message(frames):
    with pytest.raises(wire.BadMessage):
        wire.parse(frames, KEY)


@pytest.mark.parametrize("content", [b"[]", b"1", b"{", b"\xff", b"[" * 100_000])
def test_rejects_content_that_is_no_object(content):
    parts = [b"{}", b"{}", b"{}", content]
    signature = wire._sign(KEY, parts)
    with pytest.raises(wire.BadMessage):
        wire.parse([wire.DELIMITER, signature, *parts], KEY)


def test_a_second_equal_key_does_not_survive():
    parts = [b"{}", b"{}", b"{}", b'{"text":"123-45-6789","text":"clean"}']
    message = wire.parse([wire.DELIMITER, wire._sign(KEY, parts), *parts], KEY)
    assert b"123-45-6789" not in b"".join(wire.serialize(message, KEY))
    assert json.loads(wire.serialize(message, KEY)[-1]) == {"text": "clean"}
