"""Values in several cells of a table are known; numbers that only stand side by side are not."""

from __future__ import annotations

import base64

import numpy as np
import pandas as pd
import pytest
from cloister.detect.exact import ExactIndex

NUMBERS = [f"{219 + i:03d}-{(7 * i) % 90 + 9:02d}-{9871 - 13 * i:04d}" for i in range(40)]
CARDS = [f"4{n:015d}" for n in np.random.default_rng(3).integers(10**14, 10**15, 20).tolist()]
NAMES = ["Maria Lindqvist", "Zebulon Quartermain", "Ingrid Vasquez", "Tomasz Okonkwo"]
INDEX = ExactIndex(b"k" * 32)
INDEX.add("US_SSN", NUMBERS)
INDEX.add("CREDIT_CARD", CARDS)
INDEX.add("PERSON", NAMES)


def found(text: str) -> int:
    return len(INDEX.find(text))


def frame(rows: list[list[str]]) -> pd.DataFrame:
    return pd.DataFrame({"x": range(100, 100 + len(rows))}).join(pd.DataFrame(rows))


SHOWN = [
    pd.DataFrame.to_string,
    pd.DataFrame.to_csv,
    pd.DataFrame.to_html,
    lambda table: table.to_json(orient="records", lines=True),
    lambda table: str(table.to_dict("records")).replace("}, {", "},\n {"),
    lambda table: table.to_csv(sep="\t", index=False),
]


@pytest.mark.parametrize("show", SHOWN)
@pytest.mark.parametrize(
    "rows",
    [
        [n.split("-") for n in NUMBERS[:8]],
        [[c[i : i + 4] for i in (0, 4, 8, 12)] for c in CARDS[:8]],
        [n.split() for n in NAMES],
    ],
    ids=["numbers", "cards", "names"],
)
def test_values_split_over_columns_are_known(show, rows):
    assert found(show(frame(rows))) >= len(rows)


def test_one_or_two_lines_are_chance():
    lines = [n.replace("-", "  ") for n in NUMBERS]
    assert found("\n".join(lines[:2])) == 0
    assert found("\n".join([lines[0]] * 5)) == 0
    assert found("\n1\n2\n3\n".join(lines[:5])) == 0


def test_other_columns_or_other_lengths_are_chance():
    assert found("\n".join("1 " * i + n.replace("-", "  ") for i, n in enumerate(NUMBERS[:6]))) == 0


def test_pages_of_numbers_hold_no_split_value():
    rng = np.random.default_rng(7)
    index = ExactIndex(b"k" * 32)
    index.add("US_SSN", [f"{n:09d}" for n in rng.integers(10**7, 9 * 10**8, 500_000)])
    hits = 0
    for _ in range(5):
        grid = rng.integers(0, 999, (1_200, 20))
        hits += len(index.find(np.array2string(grid, threshold=10**6, max_line_width=200)))
    assert hits <= 3


def test_what_is_encoded_between_tags_is_told_from_the_rest_of_the_page():
    code = base64.b64encode(b"Maria Lindqvist").decode()
    spelled = " ".join("Zebulon Quartermain")
    page = f"<ul><li class='a'>one</li><li>{code}</li><li>{{'a': '{spelled}'}}</li></ul>"
    assert [page[s.start : s.end] for s in INDEX.find(page)] == [code, spelled]
