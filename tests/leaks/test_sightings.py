"""The search of the drill sees a value in whatever it was turned into, and nothing else."""

from __future__ import annotations

import base64
import gzip
import io
import json

import pytest
from cloister.cli.drill.forms import ALWAYS, ON_DEMAND
from cloister.cli.drill.sightings import Search

NAME = "Dorthea Meenaghan"
SEARCH = Search([("name", NAME)])


@pytest.mark.parametrize("form", ALWAYS)
def test_sees_each_form(form):
    assert SEARCH.seen_in([f"some {ALWAYS[form](NAME)} text"]) == "name"


@pytest.mark.parametrize("form", ON_DEMAND)
def test_sees_a_named_form_only_where_a_case_names_it(form):
    text = f"_{ON_DEMAND[form](NAME)}_"
    assert Search([("name", NAME)], form).seen_in([text]) == "name"


@pytest.mark.parametrize(
    "evidence",
    [
        "D\u200bo\u200brthea Meen\u200baghan",
        "\uff24orthea M\u0435\u0435nagh\u0430n",
        "\x1b[31mDor\x1b[0mthea Meenaghan",
        NAME.encode("utf-16"),
        base64.b64encode(
            gzip.compress(json.dumps([{"n": NAME, "x": 1}]).encode(), mtime=0)
        ).decode(),
        "prefix" + base64.b64encode(f"id=7;{NAME};".encode()).decode(),
        gzip.compress(NAME.encode(), mtime=0),
        "&#68;orthea&nbsp;Meenaghan",
    ],
)
def test_sees_through_what_a_reader_can_undo(evidence):
    assert SEARCH.seen_in([evidence]) == "name"


def test_sees_rows_in_pixels():
    Image = pytest.importorskip("PIL.Image")  # noqa: N806 - a class
    picture = Image.frombytes("L", (len(NAME), 1), NAME.encode())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    assert SEARCH.seen_in([base64.b64encode(buffer.getvalue()).decode()]) == "name"
    bits = [int(bit) for byte in NAME.encode() for bit in f"{byte:08b}"]
    picture = Image.frombytes("L", (len(bits), 1), bytes(128 | bit for bit in bits))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    assert SEARCH.seen_in([buffer.getvalue()]) == "name"


@pytest.mark.parametrize(
    "evidence",
    [
        "PERSON~k3f7x2abqd",
        "dorthea and meenaghan",
        b"\x00\xff" * 500,
        base64.b64encode(b"nothing to see" * 50).decode(),
        " ".join(str(number) for number in range(40, 120)),
        "",
    ],
)
def test_sees_nothing_where_there_is_nothing(evidence):
    assert SEARCH.seen_in([evidence]) is None


def test_a_bomb_does_not_stop_it():
    bomb = base64.b64encode(gzip.compress(b"a " * 30_000_000, mtime=0)).decode()
    assert SEARCH.seen_in([f"{bomb} {NAME}"]) == "name"
