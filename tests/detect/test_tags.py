"""A page without its tags is the same, whether arrays or patterns find them."""

from __future__ import annotations

import pytest
from cloister.detect import layouts
from cloister.detect.decoded import decode
from cloister.detect.exact import ExactIndex
from hypothesis import given
from hypothesis import strategies as st

_TAGS = ["<td>", "</td>", "<tr>", "</tr>", "<b>", "</b>", "<br/>", "<x-y>", "</colgroup>", "<I>"]
_PIECES = st.sampled_from(
    [
        *_TAGS,
        "<Maria>",
        "<br />",
        "<!-- c -->",
        "<p class='a'>",
        " ",
        "\n",
        "\t",
        "a",
        "12",
        "Maria ",
    ]
)
_PAGES = st.lists(_PIECES, max_size=40).map(lambda pieces: "".join(pieces) + "<td>x</td>" * 300)


def by_patterns(text):
    return layouts._without(layouts._PLAIN_TAGS, text, layouts._gap)


@given(_PAGES)
def test_arrays_read_a_page_as_patterns_do(text):
    (view,) = layouts.read_markup(text, b"", None, None)
    expected = by_patterns(text)
    assert view.missing is not None
    assert view.text == expected.text
    for i, character in enumerate(view.text):
        if not character.isspace():
            assert view.range_of(i, i + 1) == expected.range_of(i, i + 1)


@pytest.mark.parametrize("text", ["a < b" + "<td>1</td>" * 300, "x>" + "<td>1</td>" * 300, "<b>a"])
def test_what_no_program_writes_is_left_to_patterns(text):
    (view,) = layouts.read_markup(text, b"", None, None)
    assert view.missing is None
    assert view.text == by_patterns(text).text


ROWS = "<tr><td>12.5</td><td>alpha</td></tr>" * 200


@pytest.mark.parametrize(
    "hidden",
    [
        "<td>Maria Lindqvist</td>",
        "<td>Maria</td><td>Lindqvist</td>",
        "<td>Ma<b>ria</b> Lindqvist</td>",
        "<td title='Maria Lindqvist'>x</td>",
        "<!-- Maria Lindqvist -->",
        "<Maria><Lindqvist>",
        "<td>Maria <Lindqvist></td>",
    ],
)
@pytest.mark.parametrize("before", ["", ROWS])
def test_a_known_name_is_found_wherever_it_stands_in_a_page(hidden, before):
    index = ExactIndex(b"k" * 32)
    index.add("PERSON", ["Maria Lindqvist"])
    text = before + hidden + ROWS
    (span,) = index.find(text)
    found = text[span.start : span.end]
    assert found.startswith("Ma")
    assert "Lindqvist" in found
    assert decode(text).missing is not None
