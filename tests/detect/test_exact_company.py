"""Values that say too little alone are found near another value of their row, and only there."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from cloister.detect.company import RowColumn
from cloister.detect.exact import ExactIndex

KEY = b"k" * 32
TODAY = date(2026, 11, 23)
GIVEN = ["June", "Will", "Rose", "Mark", "Grace", "May", "Zainab"]
FAMILY = ["Smith", "Young", "King", "Brown", "Page", "Day", "Okonkwo"]
BORN = [f"{2019 + i % 4}-0{1 + i % 9}-1{i % 9}" for i in range(len(GIVEN))]
PLATES = ["4711", "0815", "9021", "3307", "5512", "8080", "6174"]


def column(entity_type: str, values: list[str | None]) -> RowColumn:
    distinct = list(dict.fromkeys(v for v in values if v is not None))
    codes = [-1 if v is None else distinct.index(v) for v in values]
    return RowColumn(entity_type, distinct, np.array(codes, np.int64))


def family_index() -> ExactIndex:
    index = ExactIndex(KEY, today=TODAY)
    columns = [("PERSON", GIVEN), ("PERSON", FAMILY), ("DOB", BORN), ("LICENSE_PLATE", PLATES)]
    for entity_type, values in columns:
        index.add(entity_type, values)
    index.add_rows([column(*one) for one in columns])
    return index


INDEX = family_index()


def found(text: str) -> set[str]:
    return {text[s.start : s.end] for s in INDEX.find(text)}


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("June Smith", {"June", "Smith"}),
        ("SMITH, June", {"SMITH", "June"}),
        ("{'given': 'Will', 'family': 'Young'}", {"Will", "Young"}),
        ("Rose | 2021-03-12", {"Rose", "2021-03-12"}),
        ("<td>Mark</td>\n<td>Brown</td>", {"Mark", "Brown"}),
        ("plate 4711 of June", {"4711", "June"}),
        ("Zainab had 6174", {"Zainab", "6174"}),
    ],
)
def test_two_values_of_a_row_are_known_side_by_side(text, known):
    assert found(text) == known


@pytest.mark.parametrize(
    "text",
    [
        "in June and May, mark the page",
        "June Young",  # of different rows
        "June" + " and so on" * 40 + " Smith",  # too far apart
        "4711 rows, 0815 columns, 2021-03-12",
        "june_smith_4711",
        "will 1 of May: 4711",
    ],
)
def test_alone_or_in_other_company_they_are_words(text):
    assert found(text) == set()


def test_what_many_rows_share_tells_nobody():
    index = ExactIndex(KEY, today=TODAY)
    rows = 4_000
    index.add_rows(
        [column("PERSON", ["June"] * rows), column("PERSON", [f"w{i % 40}" for i in range(rows)])]
    )
    assert len(index) == 0


def test_rows_without_a_value_have_no_company():
    index = ExactIndex(KEY, today=TODAY)
    index.add_rows([column("PERSON", ["June", None]), column("PERSON", [None, "Smith"])])
    assert index.find("June Smith") == []


def test_company_outlives_storing_and_merging(tmp_path):
    path = tmp_path / "rows.idx"
    INDEX.save(path)
    merged = ExactIndex(KEY)
    merged.add("US_SSN", ["219-09-9871"])
    merged.merge(ExactIndex.load(path, KEY))
    text = "June Smith 219-09-9871" + " and so on" * 20 + " in June"
    assert [text[s.start : s.end] for s in merged.find(text)] == ["June", "Smith", "219-09-9871"]


def test_what_becomes_telling_needs_no_company_any_more():
    index = ExactIndex(KEY, today=TODAY)
    index.add_rows([column("UNKNOWN", ["4711"]), column("PERSON", ["June"])])
    assert index.find("a 4711 b") == []
    index.add("DOB", ["4711"])
    index.add("UNKNOWN", ["4711 4711"])
    assert index.find("June 4711")
    assert index.find("a 4711-4711 b")


@pytest.mark.parametrize(
    "text", ["4111 | 1111 | 1111 | 1111", "4111  1111  1111  1111", "4111, 1111, 1111, 1111"]
)
def test_a_long_number_is_known_in_cells(text):
    index = ExactIndex(KEY, today=TODAY)
    index.add("CREDIT_CARD", ["4111111111111111"])
    assert len(index.find(text)) == 1
    assert index.find("4 1 1 1  1111111 1 1 1 11") == []
