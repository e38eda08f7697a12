"""What an admin adds to the policy counts in a kernel too: in columns, in texts and in one word.

The broker hands a kernel the recognisers without their deny lists, and the allow list.
"""

from __future__ import annotations

import pandas as pd
import polars as pl
import pytest
from cloister.hooks import api

pytestmark = pytest.mark.usefixtures("hooked")

BADGES = [f"BX-{n:04d}-{n * 7 % 97:02d}" for n in range(40)]
LOCKERS = [f"{n * 13 % 9_000 + 1_000}" for n in range(40)]
ROOMS = [f"{n * 17 % 8_000 + 1_001}" for n in range(41)][1:]
HOTLINE = "+44 1632 960 961"


@pytest.fixture(autouse=True)
def stated(broker):
    broker.policy |= {
        "digest": "d-own-types",
        "entities": {"STAFF_BADGE": "restricted", "LOCKER": "confidential"},
        "recognizers": [
            {
                "name": "badges",
                "supported_entity": "STAFF_BADGE",
                "patterns": [{"name": "badge", "regex": r"\bBX-\d{4}-\d{2}\b", "score": 0.9}],
            },
            {
                "name": "lockers",
                "supported_entity": "LOCKER",
                "patterns": [{"name": "four digits", "regex": r"\b\d{4}\b", "score": 0.1}],
                "context": ["locker"],
            },
        ],
        "allow_list": [HOTLINE],
        "allow_list_match": "exact",
    }


COLUMNS = {
    "code": BADGES,
    "locker": LOCKERS,
    "room": ROOMS,
    "line": [HOTLINE] * 40,
    "remark": [f"Please ask for {b} at desk {n} and wait there" for n, b in enumerate(BADGES)],
}


@pytest.mark.parametrize("library", [pd, pl])
def test_a_table_is_labelled_by_the_stated_types(library):
    shown = {name: repr(library.DataFrame({name: values})) for name, values in COLUMNS.items()}
    assert "STAFF_BADGE" in shown["code"]
    assert "LOCKER" in shown["locker"]
    assert not any(badge in text for badge in BADGES for text in shown.values())
    # Four digits are a locker's only where a word says so.
    assert LOCKERS[0] not in shown["locker"]
    assert ROOMS[0] in shown["room"]


@pytest.mark.parametrize("library", [pd, pl])
def test_an_allowed_value_is_shown(library):
    assert HOTLINE in repr(library.DataFrame({"line": COLUMNS["line"]}))
    assert "+44 1632 960 962" not in repr(library.DataFrame({"line": ["+44 1632 960 962"] * 40}))


def test_a_text_is_masked_by_the_stated_types():
    far = " and so on" * 9
    masked = api.mask(f"line {HOTLINE}, badge {BADGES[3]}, locker 4711{far}, room 4712")
    assert masked.startswith(f"line {HOTLINE}, badge STAFF_BADGE~")
    assert "4711" not in masked
    assert masked.endswith(f"{far}, room 4712")


def test_prose_in_a_table_is_masked_by_the_stated_types():
    masked = api.mask(pd.DataFrame({"remark": COLUMNS["remark"]}))["remark"]
    assert not any(badge in text for badge in BADGES for text in masked)
