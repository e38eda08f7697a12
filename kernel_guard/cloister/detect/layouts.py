"""Readers of what is written in an unusual way: mirrored, spelled out, as a list, between tags.

Each reader takes a text, the same text with one byte for each character, the matches' pattern and
the budget, and yields the places read in the usual way.
"""

from __future__ import annotations

import re
import string
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from cloister.detect.views import Moved, View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cloister.detect.tags import Run
    from cloister.detect.views import Budget

_LONGEST_NUMBER_DIGITS: Final = 19
_FEWEST_MIRRORED_DIGITS: Final = 9
_FEWEST_ORDINALS: Final = 5
_NUMBER: Final = re.compile(rb"\d+")
_WORD_SHARE: Final = 0.6
_IN_WORDS: Final = bytes(chr(code).isalnum() for code in range(256))

# Written backwards: capitals at the ends of words, grouped or long numbers, addresses of mail.
_MIRRORED_NUMBER = (
    r"\b\d{9,19}\b|\b\d{3,6}(?:[-/]\d{1,6}){0,4}[-/]\d{3,6}\b|\b\d{4}(?: \d{4}){3}\b"
    r"|\b\d{4}[- ]\d{3}[- ]{0,2}[()]?\d{3}\b"
)
_MIRRORED_MAIL = r"\b[a-z]{2,6}\.[\w.-]{2,64}@[\w.%+-]{2,64}"
MIRRORED: Final = (
    r"\b(?:[A-Za-z?]*[A-Z?][ ,.'_-]{1,3}){0,3}[a-z?]{2,}[A-Z]"
    r"(?:[ ,.'_-]{1,3}[A-Za-z?]*[A-Z]){0,4}\b"
    rf"|{_MIRRORED_NUMBER}|{_MIRRORED_MAIL}"
)
MIRRORED_HINT: Final = rf"[a-z]{{2}}[A-Z](?:[^A-Za-z0-9_]|$)|{_MIRRORED_NUMBER}|{_MIRRORED_MAIL}"
# A question mark is what stands for a character that is not ASCII.
SPACED: Final = "|".join(
    rf"\b\w{s}(?:[^\n]{s}){{3,}}\w\b"
    for s in (" ", r"\n", r"\t", r"\.", ",", "_", r"\|", r"\*", "-", "/", r"\?", "#", "~", ";")
)
_WIDE: Final = (" | ", " - ", ", ", "; ", "  ")
SPACED_WIDE: Final = "|".join(rf"\b\w(?:{re.escape(s)}[^\n]){{4,}}\b" for s in _WIDE)
_QUOTED = r"(?:'[^'\n]'|\"[^\"\n]\")"
LIST: Final = rf"{_QUOTED}(?:[, \n()]{{1,4}}(?:\d{{1,6}}(?:: ?|, ?))?b?{_QUOTED}){{4,}}"
COLUMN: Final = (
    r"\b\d{1,6}[ \t]{1,24}[^\n](?:[ \t]*\n[ \t]*\d{1,6}[ \t]{1,24}[^\n]){4,}[ \t]*(?:\n|$)"
)
_ORDINAL = r"0{0,2}(?:3[2-9]|[4-9]\d|1\d\d|2[0-4]\d|25[0-5])"
# A letter may stand before and behind them: the numbers of an SVG path.
ORDINALS: Final = (
    rf"(?:\b|[A-Za-z]){_ORDINAL}(?:(?:,[ \n\t]{{0,3}}|[ \n\t]{{1,3}}){_ORDINAL}){{4,}}"
    r"(?:\b|[A-Za-z])"
)

# Numbers that have a shape or check digits, with letters before or behind them. A word in which
# letters and digits take turns is a hash and no such word.
_GLUE: Final = (string.ascii_letters + "_").encode()
_SHAPED = r"\d{3}-\d{2}-\d{4}|\d{13,19}|\d{4}(?:[ -]\d{4}){3}|\d{4}[ -]\d{6}[ -]\d{5}"
_LETTERS = r"[A-Za-z_]{1,24}"
_GOES_ON_BEFORE: Final = re.compile(rb"[-_.]")
_GOES_ON: Final = re.compile(rb"[-_.]\w")
GLUED: Final = rf"\b{_LETTERS}(?:{_SHAPED})(?:{_LETTERS})?\b|\b(?:{_SHAPED}){_LETTERS}\b"

MARKUP_HINT: Final = (
    r"</[A-Za-z]|<!--|<(?:[A-Za-z][A-Za-z1-6]?|wbr|span|font|div)[ />]|<[a-z]+ [a-z-]+="
)
#: An element that no page shows; what it holds is nothing to a reader either.
_HIDDEN = (
    r"<[A-Za-z][^<>]*(?:display\s*:\s*none|visibility\s*:\s*hidden|(?:font-size|opacity)\s*:\s*0"
    r"|\shidden(?=[\s>=]))[^<>]*>[^<>]*</[A-Za-z0-9]+>"
)
_TAG: Final = r"<[!/]?[-A-Za-z][^<>]*+>"
_TAGS: Final = re.compile(rf"((?:(?:{_HIDDEN}|{_TAG})\s*)+)")
_PLAIN_TAGS: Final = re.compile(rf"((?:{_TAG}\s*+)++)")
_HIDES: Final = ("display", "visibility", "font-size", "opacity", "hidden")
#: Names of elements that are nobody's.
_NAMES: Final = frozenset(
    """
    a b br caption code col colgroup dd details div dl dt em g h1 h2 h3 h4 h5 h6 hr i kbd li ol p
    path pre rect s samp section small span strong sub summary sup svg table tbody td text tfoot th
    thead tr tt u ul
    """.split()  # noqa: SIM905 - quotes would hide the words
)
_MOST_TELLING_RUNS: Final = 200
_MOST_OTHERS: Final = 20_000
_NAMED_TAGS: Final = re.compile(rf"(?:</?(?:{'|'.join(_NAMES)})(?:/| /)?>\s*)+")
_TAG_NAME: Final = re.compile(r"</?([A-Za-z][A-Za-z0-9]*)")
_INLINE: Final = frozenset(
    """
    a abbr b bdi bdo big cite code data del dfn em font i ins kbd mark q s samp small span strike
    strong sub sup time tspan tt u var wbr
    """.split()  # noqa: SIM905 - quotes would hide the words
)
RECORDS_HINT: Final = r"""['"]: ?['"\[{\d-]|[{,] ?\d{1,4}: ['"]|[(,] ?[A-Za-z_]\w*=['"]"""
_KEYS: Final = re.compile(
    r"""(['"][^'"\n]{0,60}['"]: ?|\b\d{1,4}: (?=['"])|\b[A-Za-z_]\w{0,60}=(?=['"]))"""
)
_CELLS: Final = _INLINE | {"td", "th"}


def read_mirrored(text: str, data: bytes, pattern: Any, _budget: Budget) -> Iterator[View]:
    """Yields what may have been written backwards."""
    for match in pattern.finditer(data):
        start, end = match.span()
        piece = text[start:end]
        if piece[0].isdigit() and sum(c.isdigit() for c in piece) < _FEWEST_MIRRORED_DIGITS:
            continue
        starts, ends = range(end - 1, start - 1, -1), range(end, start, -1)
        yield View(piece[::-1], start, end, starts, ends, is_sure=False, holds_more=False)


def read_spaced(text: str, data: bytes, pattern: Any, _budget: Budget) -> Iterator[View]:
    """Yields what has something between every two characters."""
    for match in pattern.finditer(data):
        start, end = match.span()
        step = 1 + next((len(s) for s in _WIDE if text.startswith(s, start + 1)), 1)
        said = text[start:end:step]
        if said.isdigit() and not _fits_a_number(said):
            continue
        starts, ends = range(start, end, step), range(start + 1, end + 1, step)
        yield View(said, start, end, starts, ends, is_sure=_is_telling(said))


def _fits_a_number(digits: str) -> bool:
    # Rows of a matrix of small integers look like this; few of them could be one number.
    return 6 <= len(digits) <= _LONGEST_NUMBER_DIGITS and len(set(digits)) > 2


def read_list(text: str, data: bytes, pattern: Any, _budget: Budget) -> Iterator[View]:
    """Yields lists of characters in quotes, numbered or not."""
    for match in pattern.finditer(data):
        start, end = match.span()
        # The quotes are told apart in the original, where a character is one character too.
        inside = [start + m.start() + 1 for m in re.finditer(_QUOTED, text[start:end])]
        yield _spelled(text, start, end, inside)


def read_column(text: str, data: bytes, pattern: Any, _budget: Budget) -> Iterator[View]:
    """Yields lines of a number and a character, as a series of characters prints them."""
    for match in pattern.finditer(data):
        start, end = match.span()
        lines = re.finditer(r"\d[ \t]+([^ \t\n]| (?=\n|$))", text[start:end])
        yield _spelled(text, start, end, [start + m.start(1) for m in lines])


def _spelled(text: str, start: int, end: int, places: list[int]) -> View:
    said = "".join([text[i] for i in places])
    return View(said, start, end, places, [i + 1 for i in places], is_sure=_is_telling(said))


def _is_telling(said: str) -> bool:
    return not all(c.isdigit() or c.isspace() for c in said)


def read_ordinals(text: str, data: bytes, pattern: Any, _budget: Budget) -> Iterator[View]:
    """Yields lists of code points; most lists of small numbers spell no words and are left out.

    Digits that end a word before a list, and numbers in other lines, are read with it and without:
    what they say would stand before a name like a letter of it.
    """
    for match in pattern.finditer(data):
        start, end = match.span()
        places = [(start + m.start(), start + m.end()) for m in _NUMBER.finditer(data[start:end])]
        for first, last in _lists(text, places):
            if view := _spelled_by_numbers(data, places[first:last]):
                yield view


def _lists(text: str, places: list[tuple[int, int]]) -> set[tuple[int, int]]:
    """Returns where lists may begin and end: the whole run, and what it may consist of."""
    count = len(places)
    first = 1 if text[places[0][0] - 1 : places[0][0]].isalpha() else 0
    last = count - 1 if text[places[-1][1] : places[-1][1] + 1].isalpha() else count
    breaks = [i for i in range(1, count) if "\n" in text[places[i - 1][1] : places[i][0]]]
    ends = [0, *breaks, count]
    lines = {line for line in pairwise(ends) if line[1] - line[0] >= _FEWEST_ORDINALS}
    return {(0, count), (first, last), *lines}


def _spelled_by_numbers(data: bytes, places: list[tuple[int, int]]) -> View | None:
    codes = bytes(int(data[start:end]) for start, end in places)
    if sum(codes.translate(_IN_WORDS)) < _WORD_SHARE * len(codes):
        return None
    starts, ends = [start for start, _ in places], [end for _, end in places]
    return View(codes.decode("latin-1"), starts[0], ends[-1], starts, ends, is_sure=False)


def read_glued(text: str, data: bytes, pattern: Any, _budget: Budget) -> Iterator[View]:
    """Yields numbers that letters stand against, without the letters."""
    for match in pattern.finditer(data):
        is_inside = match.start() > 0 and _GOES_ON_BEFORE.match(data, match.start() - 1)
        if is_inside or _GOES_ON.match(data, match.end()):
            continue  # the number of a part: A123-45-6789-B
        word = match[0]
        start = match.start() + len(word) - len(word.lstrip(_GLUE))
        end = match.end() - (len(word) - len(word.rstrip(_GLUE)))
        places = range(start, end)
        ends = range(start + 1, end + 1)
        yield View(text[start:end], start, end, places, ends, holds_more=False)


def read_markup(text: str, _data: bytes, _pattern: Any, _budget: Budget) -> Iterator[View]:
    """Yields a text of HTML or SVG as a reader sees it: a tag in a word is nothing, a cell a gap.

    Patterns are looked for in the text as it is only: cells that meet here belong together less.
    """
    from cloister.detect.tags import without_tags

    page = without_tags(text, _look)
    # What hides an element is asked for first: looking for it at each tag takes half of the time.
    told = text if page is None else "".join(text[a:b] for a, b in page.others[:_MOST_OTHERS])
    if page is None or len(page.others) > _MOST_OTHERS or _may_hide(told):
        yield _without(_TAGS if _may_hide(text) else _PLAIN_TAGS, text, _gap)
        return
    starts, ends = (Moved(after, page.offsets, page.origins, len(page.said)) for after in (0, 1))
    missing = tuple(page.others) if len(page.others) <= _MOST_TELLING_RUNS else None
    yield View(page.said, 0, len(text), starts, ends, is_sure=False, missing=missing)


def _may_hide(text: str) -> bool:
    lowered = text.lower()
    return any(word in lowered for word in _HIDES)


def _look(run: str) -> Run:
    """Returns what a run of tags is to a reader."""
    from cloister.detect.tags import Run

    return Run(_gap(run), _NAMED_TAGS.fullmatch(run) is None)


def read_records(text: str, _data: bytes, _pattern: Any, _budget: Budget) -> Iterator[View]:
    """Yields JSON and dictionaries without their keys: ``{'first': 'Ada', 'last': 'King'}``."""
    yield _without(_KEYS, text, lambda _key: "")


def _without(pattern: re.Pattern[str], text: str, shown_for: Callable[[str], str]) -> View:
    """Returns a text in which something else is shown for what a pattern with one group matches."""
    import numpy as np

    # Stretches of text and matches take turns; a page has few different matches.
    pieces = pattern.split(text)
    matches = pieces[1::2]
    known = {match: shown_for(match) for match in set(matches)}
    widths = np.fromiter(map(len, pieces), np.int64, len(pieces))
    origins = np.concatenate([[0], np.cumsum(widths)[:-1]])
    pieces[1::2] = map(known.__getitem__, matches)
    widths[1::2] = np.fromiter(map(len, pieces[1::2]), np.int64, len(matches))
    offsets = np.concatenate([[0], np.cumsum(widths)[:-1]])
    is_shown = widths > 0
    begins, came_from = offsets[is_shown].tolist(), origins[is_shown].tolist()
    said = "".join(pieces)
    starts, ends = (Moved(after, begins, came_from, len(said)) for after in (0, 1))
    return View(said, 0, len(text), starts, ends, is_sure=False)


def _gap(tags: str) -> str:
    """Returns what a run of tags is for a reader."""
    names = [name.lower() for name in _TAG_NAME.findall(tags)]
    if _INLINE.issuperset(names):
        return " " if tags[-1].isspace() or "> " in tags or ">\n" in tags else ""
    return "\t" if _CELLS.issuperset(names) else "\n"
