"""Names of people, places and organisations in prose, by dictionaries.

Not on the hot path, and no match for a model: what is found are words that begin with a capital
and that the gazetteer knows. A given name before another capitalised word is a person; alone it is
one with less confidence; a name that is an ordinary word as well is one only in company. Offsets
are of the text as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cloister.detect.gazetteer import fold_name, given_names, places, surnames
from cloister.detect.namewords import (
    BEFORE_PERSON,
    BEFORE_PLACE,
    NATIONALITIES,
    NEVER,
    NRP_WORDS,
    ORG_ENDS,
    ORG_STARTS,
    PARTICLES,
    WELL_KNOWN_PLACES,
)
from cloister.detect.spans import Span, stand_ins, touches
from cloister.detect.words import COMMON_WORDS

_TOKEN = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_NAME_PARTICLES = PARTICLES - {"of", "the"}
# What joins a word to a name in code, to a path or to an address.
_CODE_BEFORE = frozenset({"_", "@", "\\", "#"})
_CODE_AFTER = frozenset({"_", "@", "("})
_JOINTS = frozenset({".", "/", "="})
_SHORT_MONTHS = frozenset(("Jan", "Mar", "Apr", "May", "Jun", "Aug", "Sep", "Dec"))
_DAY = re.compile(r" {1,2}\d{1,2}\b")
_LONGEST_RUN = 6
_LONGEST_NAME = 4


@dataclass(frozen=True, slots=True)
class _Word:
    start: int
    end: int
    text: str
    folded: str
    is_capital: bool
    begins_sentence: bool


def find_names(text: str) -> list[Span]:
    """Returns names of people, places, organisations and nationalities; places may overlap."""
    words = _words(text)
    if not words:
        return []
    is_lower = not any(w.is_capital for w in words)
    claims: list[Span] = []
    for run, previous in _runs(text, words, is_lower=is_lower):
        claims += _judge(run, previous, is_lower=is_lower)
    claims += _nationalities(words)
    masked = stand_ins(text)
    return [c for c in claims if not touches(masked, c.start, c.end)] if masked else claims


def _words(text: str) -> list[_Word]:
    words = []
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        word = match.group()
        if word.endswith(("'s", "\u2019s")) and len(word) > 3:
            word, end = word[:-2], end - 2
        previous = text[start - 1 : start]
        if previous in {"_", "@", "\\", "#"} or (
            previous in {".", "/", "="} and text[start - 2 : start - 1].isalnum()
        ):
            continue
        if text[end : end + 1] in {"_", "@", "("} or (
            text[end : end + 1] in {".", "/", "="} and text[end + 1 : end + 2].isalnum()
        ):
            continue
        if previous.isdigit() or text[end : end + 1].isdigit():
            continue
        if word in _SHORT_MONTHS and _DAY.match(text, end) is not None:
            continue  # "Jan" and "Mar" are names, too
        before = text[max(0, start - 3) : start].rstrip(" \t\"'([>")
        begins = not before or before[-1] in ".!?:\n"
        words.append(_Word(start, end, word, fold_name(word), word[0].isupper(), begins))
    return words


def _runs(text: str, words: list[_Word], *, is_lower: bool) -> list[tuple[list[_Word], str]]:
    """Returns runs of capitalised words that follow each other, with the word before each."""
    runs: list[tuple[list[_Word], str]] = []
    run: list[_Word] = []
    pending: list[_Word] = []
    previous = ""
    for number, word in enumerate(words):
        last = pending[-1] if pending else run[-1] if run else None
        gap = text[last.end : word.start] if last else ""
        joins = last is not None and (
            gap in {" ", "  ", ". "} and (gap != ". " or len(last.text) == 1)
        )
        wanted = word.is_capital or is_lower
        if run and joins and word.folded in PARTICLES and not word.is_capital and not is_lower:
            pending.append(word)
            continue
        if wanted and run and joins and len(run) < _LONGEST_RUN:
            run += [*pending, word]
            pending = []
            continue
        if run:
            runs.append((run, previous))
        run, pending = [], []
        if wanted:
            run = [word]
            previous = words[number - 1].folded if number else ""
    if run:
        runs.append((run, previous))
    return runs


def _judge(run: list[_Word], previous: str, *, is_lower: bool) -> list[Span]:
    claims: list[Span] = []
    position = 0
    while position < len(run):
        before = run[position - 1].folded if position else previous
        length, claim = _at(run, position, before, is_lower=is_lower)
        if claim is not None:
            claims.append(claim)
        position += length
    organisation = None if is_lower else _organisation(run)
    if organisation is not None:
        claims.append(organisation)
    return claims


def _organisation(run: list[_Word]) -> Span | None:
    first = 0
    while first < len(run) and (run[first].folded in NEVER or run[first].folded in _NAME_PARTICLES):
        first += 1
    names = run[first:]
    for length in range(len(names), 1, -1):
        if names[length - 1].folded in ORG_ENDS or (
            names[0].folded in ORG_STARTS and len(names) > 2
        ):
            return Span(names[0].start, names[length - 1].end, "ORGANIZATION", 0.59)
    return None


def _at(run: list[_Word], position: int, before: str, *, is_lower: bool) -> tuple[int, Span | None]:
    """Returns how many words to go on by, and what begins at a position of a run."""
    word = run[position]
    if word.folded in NEVER or word.folded in PARTICLES:
        return 1, None
    rest = run[position + 1 : position + _LONGEST_NAME + 1]
    place_length = _place(run, position)
    if is_lower:
        return _at_lower(word, rest, place_length, before)
    if place_length < 2 and word.folded not in WELL_KNOWN_PLACES:
        length = _person(word, rest)
        if length:
            return length, Span(word.start, run[position + length - 1].end, "PERSON", 0.6)
    length, place = _place_claim(run, position, place_length, before)
    if length:
        return length, place
    return 1, _one_name(word, before)


def _at_lower(
    word: _Word, rest: list[_Word], place_length: int, before: str
) -> tuple[int, Span | None]:
    """As :func:`_at`, in a text without capitals: only what is sure."""
    given, families = given_names(), surnames()
    if given.is_sure(word.folded):
        if rest and (families.is_sure(rest[0].folded) or given.is_sure(rest[0].folded)):
            return 2, Span(word.start, rest[0].end, "PERSON", 0.55)
        if before in BEFORE_PERSON:
            return 1, Span(word.start, word.end, "PERSON", 0.45)
    is_place = place_length == 1 and before in BEFORE_PLACE and len(word.folded) > 4
    if is_place or word.folded in WELL_KNOWN_PLACES:
        return 1, Span(word.start, word.end, "LOCATION", 0.45)
    return 1, None


def _person(word: _Word, rest: list[_Word]) -> int:
    """Returns how many words a given name and what follows it have; 0 when it is no name."""
    given, families = given_names(), surnames()
    length = _name_length(rest)
    company = [w.folded for w in rest[:length] if w.folded not in PARTICLES and len(w.text) > 1]
    if word.folded not in given or not company:
        return 0
    last = company[-1]
    is_known = last in families or last in given or last in places()
    return (
        1 + length if given.is_sure(word.folded) or (is_known and last not in COMMON_WORDS) else 0
    )


def _place_claim(
    run: list[_Word], position: int, length: int, before: str
) -> tuple[int, Span | None]:
    """Returns the words of a known place and the claim to it; 0 when it may be something else."""
    if not length:
        return 0, None
    word, last = run[position], run[position + length - 1]
    if length > 1:
        return length, Span(word.start, last.end, "LOCATION", 0.57)
    if word.folded in WELL_KNOWN_PLACES:
        return 1, Span(word.start, word.end, "LOCATION", 0.5)
    # "to" leads to people as well as to places.
    is_name = word.folded in given_names() or word.folded in surnames()
    if before in BEFORE_PLACE and not (is_name and before == "to"):
        return 1, Span(word.start, word.end, "LOCATION", 0.47)
    # A word that stands first and is known only as some village is more often just a word.
    if is_name or word.begins_sentence:
        return 0, None
    return 1, Span(word.start, word.end, "LOCATION", 0.41)


def _one_name(word: _Word, before: str) -> Span | None:
    """Returns the claim to a given name or a surname that stands alone."""
    if len(word.folded) < 3 or (word.text.isupper() and len(word.text) < 5):
        return None
    if given_names().is_sure(word.folded):
        return Span(word.start, word.end, "PERSON", 0.46)
    is_surname = surnames().is_sure(word.folded) and word.folded not in COMMON_WORDS
    if is_surname and (not word.begins_sentence or before in BEFORE_PERSON):
        return Span(word.start, word.end, "PERSON", 0.43)
    return None


def _name_length(rest: list[_Word]) -> int:
    """Returns how many of the words that follow a given name belong to the name."""
    length = 0
    for number, word in enumerate(rest[:_LONGEST_NAME]):
        if word.folded in _NAME_PARTICLES:
            continue
        if word.folded in NEVER or word.folded in ORG_ENDS or word.folded in {"of", "the"}:
            break
        length = number + 1
        if length >= 2 and len(rest[number].text) > 1:
            break
    return length


def _place(run: list[_Word], position: int) -> int:
    """Returns how many words the longest known place at a position has; 0 for none."""
    known = places()
    for length in range(min(known.longest, len(run) - position), 0, -1):
        name = " ".join(w.folded for w in run[position : position + length])
        if known.is_sure(name) and name not in COMMON_WORDS and len(name) > 3:
            return length
    return 0


def _nationalities(words: list[_Word]) -> list[Span]:
    claims = []
    for word in words:
        name = word.folded
        if name not in NATIONALITIES and not (name.endswith("s") and name[:-1] in NATIONALITIES):
            continue
        if name in NRP_WORDS and (not word.is_capital or word.begins_sentence):
            continue
        claims.append(Span(word.start, word.end, "NRP", 0.55))
    return claims
