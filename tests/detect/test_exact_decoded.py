"""Known values are found in whatever a program encodes them, at the place in the original text."""

from __future__ import annotations

import base64
import bz2
import gzip
import json
import lzma
import re
import urllib.parse
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from cloister.detect.decoded import decode
from cloister.detect.exact import ExactIndex
from cloister.detect.gazetteer import given_names, surnames
from cloister.detect.text import find_spans
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

PEOPLE = 100
NOISE = np.random.default_rng(6).bytes(4_000)


def b64(data: bytes | str) -> str:
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


ENCODINGS: dict[str, Callable[[str], str]] = {
    "base64": b64,
    "base64 without padding": lambda v: b64(v).rstrip("="),
    "base64 url-safe": lambda v: base64.urlsafe_b64encode(v.encode()).decode(),
    "base64 in lines": lambda v: base64.encodebytes(f"{'x' * 80} {v} {'y' * 80}".encode()).decode(),
    "base64 in a query": lambda v: f"token={b64(f'user {v} seen')}&page=1",
    "base64 after a key": lambda v: f"AccountName=acme;AccountKey={b64(v + ' and more')};x=1",
    "base64 beside a key": lambda v: f"Key={b64(v)}=",
    "base64 glued to a path": lambda v: f"/files/{b64(v)}",
    "hex": lambda v: v.encode().hex(),
    "hex in capitals": lambda v: f"0x{v.encode().hex().upper()}",
    "hex with colons": lambda v: v.encode().hex(":"),
    "UTF-16 in hex": lambda v: v.encode("utf-16").hex(),
    "UTF-16, high byte first, in hex": lambda v: v.encode("utf-16-be").hex(),
    "UTF-16 as bytes": lambda v: repr(v.encode("utf-16")),
    "UTF-16 in base64": lambda v: b64(v.encode("utf-16")),
    "UTF-16, low byte first, in base64": lambda v: b64(v.encode("utf-16-le")),
    "UTF-16, high byte first, in base64": lambda v: b64(v.encode("utf-16-be")),
    "percent, every character": lambda v: "".join(f"%{c:02X}" for c in v.encode()),
    "percent": lambda v: urllib.parse.quote(v),
    "query string": lambda v: urllib.parse.urlencode({"q": v}),
    "mirrored": lambda v: v[::-1],
    "spaced": " ".join,
    "dotted": ".".join,
    "one character a line": "\n".join,
    "characters and commas": ", ".join,
    "list of characters": lambda v: repr(list(v)),
    "JSON list of characters": lambda v: json.dumps(list(v)),
    "ordinals": lambda v: repr([ord(c) for c in v]),
    "tuple of bytes": lambda v: repr(tuple(v.encode())),
    "HTML entities": lambda v: "".join(f"&#{ord(c)};" for c in v),
    "HTML entities in hex": lambda v: "".join(f"&#x{ord(c):x};" for c in v),
    "JSON escapes": lambda v: "".join(f"\\u{ord(c):04x}" for c in v),
    "bytes escapes": lambda v: "".join(f"\\x{c:02x}" for c in v.encode()),
    "JSON escapes in JSON in JSON": lambda v: json.dumps(
        json.dumps("".join(f"\\u{ord(c):04x}" for c in v))
    ),
    "octal escapes": lambda v: "".join(f"\\{c:03o}" for c in v.encode()),
    "quoted-printable": lambda v: "".join(f"={c:02X}" for c in v.encode()),
    "quoted-printable separators": lambda v: re.sub(r"[ .-]", lambda m: f"={ord(m[0]):02X}", v),
    "repr of lines": lambda v: repr(f"a\n{v}\nb"),
    "gzip in base64": lambda v: b64(gzip.compress(v.encode())),
    "zlib in base64": lambda v: b64(zlib.compress(v.encode())),
    "gzip in hex": lambda v: gzip.compress(v.encode()).hex(),
    "zlib in hex": lambda v: zlib.compress(v.encode(), 9).hex(),
    "bzip2 in base64": lambda v: b64(bz2.compress(v.encode())),
    "xz in base64": lambda v: b64(lzma.compress(v.encode())),
    "pickle in base64": lambda v: b64(b"\x80\x04\x95\x20\x00\x8c\x94" * 40 + v.encode() + NOISE),
    "second stream of gzip": lambda v: b64(gzip.compress(b"a ") + gzip.compress(v.encode())),
    "base32": lambda v: base64.b32encode(v.encode()).decode(),
    "base32 without padding": lambda v: base64.b32encode(v.encode()).decode().rstrip("="),
    "base64 three times": lambda v: b64(b64(b64(v))),
    "base64 of mirrored": lambda v: b64(v[::-1]),
    "numbered characters": lambda v: repr(dict(enumerate(v))),
    "numbered tuples": lambda v: repr(list(enumerate(v))),
    "series of characters": lambda v: "".join(f"{i}    {c}\n" for i, c in enumerate(v)),
    "ordinals without brackets": lambda v: " ".join(str(ord(c)) for c in v),
    "ordinals in lines": lambda v: "\n".join(str(ord(c)) for c in v),
    "list of hex": lambda v: repr([hex(ord(c)) for c in v]),
    "two spaces": "  ".join,
    "bars": " | ".join,
    "spaces without width": "\u200b".join,
    "marks": "\u0301".join,
    "a tag inside": lambda v: f"{v[:2]}<b class='x'></b>{v[2:]}",
    "a comment inside": lambda v: f"{v[:2]}<!-- a b -->{v[2:]}",
    "a character a tag": lambda v: "".join(f"<tspan x='1'>{c}</tspan>" for c in v),
    "a character a cell": lambda v: "".join(f"<td>{c}</td>\n      " for c in v),
    "base64 twice": lambda v: b64(b64(v)),
    "base64 in hex": lambda v: b64(v).encode().hex(),
    "base64 in percent": lambda v: urllib.parse.quote(b64(v), safe=""),
}


def people() -> list[tuple[str, str]]:
    rng = np.random.default_rng(29)
    given, families = (
        sorted(n for n in names.names if 3 < len(n) < 9 and n.isascii())
        for names in (given_names(), surnames())
    )
    return [
        (
            f"{rng.choice(given)} {rng.choice(families)}".title(),
            f"{rng.integers(100, 899)}-{rng.integers(10, 99)}-{rng.integers(1000, 9999)}",
        )
        for _ in range(PEOPLE)
    ]


VALUES = people()
INDEX = ExactIndex(b"k" * 32)
INDEX.add("PERSON", [name for name, _ in VALUES])
INDEX.add("US_SSN", [number for _, number in VALUES])


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("field", [0, 1])
def test_a_value_is_found_in_every_encoding(encoding, field):
    encode = ENCODINGS[encoding]
    found = 0
    for values in VALUES:
        piece = encode(values[field])
        text = f"row 1 has {piece} and more"
        spans = INDEX.find(text)
        assert all(10 <= s.start < s.end <= 10 + len(piece) for s in spans)
        found += bool(spans)
    assert found >= 0.99 * PEOPLE


@pytest.mark.parametrize(
    ("text", "covered"),
    [
        ("id MjE5LTA5LTk4NzE= ok", "MjE5LTA5LTk4NzE="),
        ("id 3231392d30392d39383731 ok", "3231392d30392d39383731"),
        ("id 219%2D09%2D9871 ok", "219%2D09%2D9871"),
        ("id 2 1 9 - 0 9 - 9 8 7 1 ok", "2 1 9 - 0 9 - 9 8 7 1"),
        ("id 1789-90-912 ok", "1789-90-912"),
        ("caf\u00e9 \u2013 id 219&#45;09&#45;9871 ok", "219&#45;09&#45;9871"),
    ],
)
def test_the_place_is_the_encoded_piece_in_the_original(text, covered):
    index = ExactIndex(b"k" * 32)
    index.add("US_SSN", ["219-09-9871"])
    (span,) = index.find(text)
    assert text[span.start : span.end] == covered
    assert span.entity_type == "US_SSN"


def test_patterns_are_found_without_an_index():
    for piece in (b64("maria@example.org"), b64("maria@example.org").encode().hex()):
        (span,) = decode(f"sent to {piece}.").find(find_spans, patterns=True)
        assert (span.entity_type, span.start) == ("EMAIL_ADDRESS", 8)


def test_two_views_are_never_read_as_one():
    index = ExactIndex(b"k" * 32)
    index.add("PERSON", ["Alexandra Lindqvist"])
    assert index.find(f"{b64('Alexandra')} {b64('Lindqvist')}") == []


@pytest.mark.parametrize(
    "text",
    [
        "The quick brown fox jumps over the lazy dog; a b c are three letters. " * 40,
        "2026-11-23 15:04:01,113 INFO worker[7] GET /api/v1/items/55433 200 17ms\n" * 40,
        "for i, (x, y) in enumerate(zip(xs, ys)):\n    d[i] = getHTTPResponse(x)[y]\n" * 40,
        "[[0 1 1 0 1 0 0 1] [1 0 0 1 1 0 1 1]]\n" * 40,
        "0.6943 -1.2201 219.0912 44 57 61 72 83\n" * 40,
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n" * 20,
    ],
)
def test_ordinary_output_holds_no_known_value(text):
    assert INDEX.find(text) == []
    assert decode(text).find(find_spans, patterns=True) == []


def test_pictures_and_random_data_are_not_read():
    data = np.random.default_rng(5).bytes(60_000)
    picture = "data:image/png;base64," + b64(b"\x89PNG\r\n\x1a\n" + data)
    for text in (picture, b64(data), data.hex()):
        assert sum(len(view.text) for view in decode(text).views) < len(text) // 4
        assert INDEX.find(text) == []


BOMB = b64(gzip.compress(b"a " * 20_000_000))


@pytest.mark.parametrize(
    "bomb", [BOMB, b64(BOMB), base64.b64decode(BOMB).hex(), b64(zlib.compress(bytes(1 << 24)))]
)
def test_a_stream_that_inflates_without_end_is_cut_and_reported(bomb):
    text = f"see {bomb} and {b64('Maria Lindqvist')}"
    decoded = decode(text)
    assert sum(len(view.text) for view in decoded.views) <= (1 << 18) + 5 * len(text)
    assert decoded.unread == ((4, 4 + len(bomb)),)
    assert any(view.text == "Maria Lindqvist" for view in decoded.views)


def test_many_streams_that_inflate_cost_no_more_than_one():
    bomb = b64(gzip.compress(b"a " * 500_000))
    text = " ".join([bomb] * 50)
    decoded = decode(text)
    assert sum(len(view.text) for view in decoded.views) <= (1 << 18) + 5 * len(text)
    assert len(decoded.unread) == 50


def test_what_inflates_as_text_does_is_read_whole():
    words = np.random.default_rng(8).integers(0, 10**6, 40_000)
    text = b64(gzip.compress(" ".join(f"w{n:06d}" for n in words).encode()))
    assert decode(text).unread == ()


@given(st.text(alphabet=st.sampled_from("%&#;\\xu=0aFe'[], \n\u00e9J1-.<>/t!"), max_size=80))
def test_any_text_gives_true_offsets(text):
    for view in decode(text).views:
        assert 0 <= view.start < view.end <= len(text)
        for i in range(len(view.text)):
            start, end = view.range_of(i, i + 1)
            assert view.start <= start < end <= view.end


@given(st.text(max_size=60))
def test_any_text_can_be_decoded(text):
    decode(text)
    decode(repr(text) + b64(text.encode("utf-8", "surrogatepass")))


@given(st.text(alphabet=st.sampled_from("=ABCeyJ0cGhh+/9zZWNyZXQ;\n"), max_size=120))
def test_padding_may_stand_anywhere(text):
    decode(text)
    decode(f"export AWS_SECRET_ACCESS_KEY={text}{b64(text)}={text}")
