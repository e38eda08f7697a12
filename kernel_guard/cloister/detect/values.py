"""What single values look like: patterns for the whole value, and check digits for what matches.

All patterns run over a value in one pass of one automaton (RE2); check digits run, with numpy, over
those that match. The looks themselves are the tables of :mod:`cloister.detect.looks`.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

from cloister.detect.guards import Written
from cloister.detect.looks import Look
from cloister.detect.looks.accounts import ACCOUNTS
from cloister.detect.looks.americas import AMERICAS
from cloister.detect.looks.asia_pacific import ASIA_PACIFIC
from cloister.detect.looks.contact import CONTACT
from cloister.detect.looks.credentials import CREDENTIALS
from cloister.detect.looks.devices import DEVICES
from cloister.detect.looks.europe import DAY, EUROPE, MONTH
from cloister.detect.looks.goods import GOODS
from cloister.detect.looks.medical import MEDICAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa

__all__ = [
    "ENTITY_LOOKS",
    "NAMED_LOOKS",
    "Look",
    "count_looks",
    "count_matches",
    "count_one",
    "looks_called",
]

# The longest value that a pattern of ours is meant for is a private key; the automaton may keep
# this much memory for the states that it has met.
_AUTOMATON_BYTES: Final = 64 << 20
# Arrow compiles a pattern for each call, which pays from here on.
_FEW_VALUES: Final = 4_096
# Patterns that tell digits apart: of days and months, and digits in brackets.
_DATED: Final = re.compile(r"\[\d+(?:-\d)?\d*\]|\d\[")
_DIGIT_CLASS: Final = re.compile(r"\[[\d-]+\]")

_TABLES: Final = (
    *CREDENTIALS,
    *CONTACT,
    *ACCOUNTS,
    *AMERICAS,
    *EUROPE,
    *ASIA_PACIFIC,
    *DEVICES,
    *MEDICAL,
)
#: Kinds that values tell by themselves, the most telling first.
ENTITY_LOOKS: tuple[Look, ...] = tuple(look for look in _TABLES if look.alone)
#: Kinds that look like many other things: the name of the column must call for them.
NAMED_LOOKS: tuple[Look, ...] = tuple(look for look in _TABLES if not look.alone)
#: Telephone numbers without country and brackets. Part and order numbers look like that too, so
#: this decides only where nothing else does.
LOOSE_PHONE = Look(
    "PHONE_NUMBER", r"\(?\d{2,5}\)?[ ./-]{1,3}\d{2,4}(?:[ .-]\d{2,5}){1,3}(?: ?x\d+)?"
)
NUMBER = Look(
    "number", r"(?i)[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:e[+-]?\d+)?%?|nan|inf|true|false|yes|no"
)
TIME = Look(
    "time",
    r"(?i)(?:\d{4}[-/.]\d{1,2}(?:[-/.]\d{1,2})?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}"
    r"|\d{1,2}[- ][a-z]{3,9}[- ,]+\d{2,4})(?:[ T][\d:.,Z+ -]*(?:[ap]m)?)?"
    r"|\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?",
)
#: What stands in for a value that has been masked.
STAND_IN = Look(
    "stand-in",
    r"[A-Z][A-Z0-9_]*~(?:~[a-z2-7]{52,154}|[a-z2-7]{10})"
    r"|\[[A-Z][A-Z0-9_]*(?: ….{1,4})?\]|\[redacted\]",
)
#: Two to four capitalised words and nothing else.
NAME_SHAPE = Look(
    "name shape",
    r"\p{Lu}[\pL'\x{2019}-]+(?: \p{Lu}\.?)?"
    r"(?: (?:\p{Lu}[\pL'\x{2019}-]+|de|van|von|da|di|del)){1,3}",
)
#: Scripts that write no spaces between words.
SPACELESS = Look("spaceless", r"(?s).*[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Hangul}]{4}.*")

#: A UUID names a row, a file or a device; who it belongs to is for the column's name to say.
UUID = Look("UUID", r"(?i)\{?[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\}?|[0-9a-f]{32}")

_ALL = (*ENTITY_LOOKS, LOOSE_PHONE, NUMBER, TIME, STAND_IN, NAME_SHAPE, SPACELESS, UUID, *GOODS)


@lru_cache(maxsize=4096)
def looks_called(words: str) -> tuple[Look, ...]:
    """Returns the looks that a column name calls for.

    Args:
        words: The name as :func:`cloister.detect.names.words_of` reads it.
    """
    return tuple(
        look for look in (*_TABLES, *GOODS) if look.hint and re.search(look.hint, words) is not None
    )


def count_looks(values: Sequence[str], named: Iterable[Look] = ()) -> dict[Look, int]:
    """Returns how many values have each look, in the order of the looks; without those of none.

    Args:
        values: Texts without outer spaces.
        named: Looks that the column's name calls for, to be counted as well.
    """
    groups = _by_shapes(values)
    found: dict[int, list[tuple[int, ...]]] = {}
    for shapes in groups:
        for shape in shapes:
            for index in _looks_of_shapes()[shape]:
                found.setdefault(index, []).append(shapes)
    # Looks that share their groups share the work of reading digits.
    written: dict[tuple[tuple[int, ...], ...], Written] = {}
    counts: dict[Look, int] = {}
    for index, keys in sorted(found.items()):
        if tuple(keys) not in written:
            written[tuple(keys)] = Written(value for key in keys for value in groups[key])
        counts[_ALL[index]] = _counted(_ALL[index], written[tuple(keys)])
    for look in named:
        if look not in counts:
            matches = _compiled(look.pattern).fullmatch
            counts[look] = _checked(look, [v for v in values if matches(v) is not None])
    return {look: count for look, count in counts.items() if count}


def _by_shapes(values: Iterable[str]) -> dict[tuple[int, ...], list[str]]:
    """Returns values by the shapes that they have; values of one kind have the same ones."""
    match, groups = _automaton().Match, dict[tuple[int, ...], list[str]]()
    for value in values:
        shapes = match(value)
        if shapes:
            groups.setdefault(tuple(shapes), []).append(value)
    return groups


def _counted(look: Look, values: Written) -> int:
    """Returns how many of the values that have the shape of a look have the look."""
    if _shape(look.pattern) == look.pattern:
        return _checked(look, values)
    if len(values) > _FEW_VALUES:
        return count_one(values.array, look)
    matches = re.compile(look.pattern, re.ASCII).fullmatch
    return _checked(look, [value for value in values if matches(value) is not None])


def _checked(look: Look, matching: list[str]) -> int:
    """Returns how many of the values that match a pattern pass the check as well."""
    return look.check(matching) if look.check is not None and matching else len(matching)


def count_one(values: pa.Array | pa.ChunkedArray, look: Look) -> int:
    """Returns how many texts of an Arrow array have one look: for whole columns.

    Args:
        values: Strings, without outer spaces; nulls count as not matching.
        look: How they should look.
    """
    import pyarrow.compute as pc

    matches = pc.match_substring_regex(values, pattern=f"^(?:{look.pattern})$")
    if look.check is None:
        return int(pc.sum(matches).as_py() or 0)
    return _checked(look, values.filter(matches).to_pylist())


def count_matches(values: Sequence[str], pattern: str) -> int:
    """Returns how many values match a pattern as a whole."""
    matches = _compiled(pattern).fullmatch
    return sum(matches(value) is not None for value in values)


def _options() -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    return options


@cache
def _shape(pattern: str) -> str:
    """Returns a pattern that does not tell digits apart, and matches all that the given one does.

    Dozens of patterns with dates in different places would give the automaton a state for nearly
    every number that it meets. Without dates it has a few hundred.
    """
    if not _DATED.search(pattern):
        return pattern
    return _DIGIT_CLASS.sub(r"\\d", pattern.replace(DAY, r"\d\d").replace(MONTH, r"\d\d"))


@cache
def _looks_of_shapes() -> list[list[int]]:
    """Returns for each shape of the automaton the looks that share it."""
    by_shape: dict[str, list[int]] = {}
    for index, look in enumerate(_ALL):
        by_shape.setdefault(_shape(look.pattern), []).append(index)
    return list(by_shape.values())


@cache
def _automaton() -> Any:
    import re2

    options = _options()
    options.max_mem = _AUTOMATON_BYTES
    automaton = re2.Set.FullMatchSet(options)
    for indices in _looks_of_shapes():
        automaton.Add(_shape(_ALL[indices[0]].pattern))
    automaton.Compile()
    return automaton


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    import re2

    return re2.compile(pattern, _options())
