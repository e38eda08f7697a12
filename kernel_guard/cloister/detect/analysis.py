"""What can be found in a text when there is time: for scans and ``cloister classify --text``.

The rules of the hot path, richer rules for prose, dictionaries of names and places, what an admin
adds, and presidio-analyzer as a second opinion. Claims meet in one place, where the higher score
and then the longer span stays.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

from cloister.detect.gazetteer import fold_name
from cloister.detect.prose import find_names
from cloister.detect.spans import Span, joined, stand_ins, touches, without_overlaps
from cloister.detect.text import RuleSet, find_spans, hot_rules

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister.detect.recognizers import Recognizers
    from cloister.detect.second_opinion import SecondOpinion

#: A text is looked at in pieces of this many characters, with an overlap, so that time and memory
#: stay in proportion to its length whatever it holds.
PIECE_CHARS: Final = 200_000
OVERLAP_CHARS: Final = 2_000

_SURE_PERSON = 0.55
_SURE_STREET = 0.53
_ROW_CHARS = 300
_DATE_IN_CELL = re.compile(
    r"(?:^|[,|;\t]) ?['\"]?((?:19|20)\d\d-\d\d-\d\d|\d{1,2}[/.]\d{1,2}[/.](?:19|20)\d\d"
    r"|\d{1,2} [A-Z][a-z]{2,8} (?:19|20)\d\d)['\"]? ?(?=[,|;\t]|$)",
    re.MULTILINE,
)
_IN = re.compile(r"\bin $")
_CODE_AFTER_PLACE = re.compile(r",? (\d{4,6})(?![\w.,:/-])")
_LOCAL_PART = re.compile(r"[^\W\d_]{3,}")
MOST_ANALYSED_TEXTS: Final = 5_000

_WORD = re.compile(r"[^\W\d_]{3,}")
# What folding leaves nothing of: labels that are not in Latin letters.
_FOREIGN_LABELS: Final = (
    (
        "PHONE_NUMBER",
        re.compile(
            r"(?:電話|电话|手机|手機|携帯|携帯電話|전화|휴대폰|연락처|телефон|тел\.|моб\.|τηλέφωνο|هاتف|טלפון)"
            r"[^\d\n+(]{0,8}([+(]?\d[\d ().-]{6,18}\d)(?!\w)",
            re.IGNORECASE,
        ),
    ),
    (
        "SECRET",
        re.compile(
            r"(?:パスワード|暗証番号|密码|密碼|비밀번호|암호|пароль|кодовое слово|κωδικός)"
            r"[^\w\n]{0,3}(?:は|是|는)?[^\w\n]{0,3}([^\s'\"]{4,64})",
            re.IGNORECASE,
        ),
    ),
)
_UNICODE_EMAIL = re.compile(r"[\w.%+'-]{1,64}@(?:[\w-]+\.)+[^\W\d_]{2,24}")


def analyse(
    text: str,
    recognizers: Recognizers | None = None,
    *,
    opinion: SecondOpinion | None = None,
    known: Callable[[str], list[Span]] | None = None,
) -> list[Span]:
    """Returns what can be found in ``text``, in order and without overlaps.

    Args:
        text: Any text, of any length.
        recognizers: What an admin adds, and what is never sensitive.
        opinion: The second opinion; with this machine's model, if any, when left out.
        known: Finds the values of known data, as :meth:`ExactIndex.find` does. What it finds is
            what it says; where it overlaps with what was found otherwise, both are covered.
    """
    from cloister.detect.second_opinion import second_opinion

    second = opinion if opinion is not None else second_opinion(recognizers)
    certain = [] if known is None else known(text)
    if recognizers is not None and recognizers:
        certain = recognizers.without_allowed(text, certain)
    if len(text) <= PIECE_CHARS:
        return _resolved(text, _claims(text, recognizers, second), certain, recognizers)
    claims: list[Span] = []
    step = PIECE_CHARS - OVERLAP_CHARS
    for first in range(0, len(text) - OVERLAP_CHARS, step):
        piece = text[first : first + PIECE_CHARS]
        for span in _claims(piece, recognizers, second):
            # What an edge cuts is found whole in the neighbour.
            is_cut = (first and span.start < 1) or (
                first + len(piece) < len(text) and span.end >= len(piece)
            )
            if not is_cut:
                claims.append(
                    Span(first + span.start, first + span.end, span.entity_type, span.score)
                )
    return _resolved(text, claims, certain, recognizers)


class Thorough:
    """The analysis of the first texts that it is given, and the patterns of the gate after that.

    The second opinion takes milliseconds for each text, which is much for a million notes.

    Args:
        recognizers: What an admin adds, and what is never sensitive.
        most: How many texts are analysed.
    """

    def __init__(
        self, recognizers: Recognizers | None = None, most: int = MOST_ANALYSED_TEXTS
    ) -> None:
        self.most = most
        self._recognizers = recognizers
        self._left = most

    @property
    def is_complete(self) -> bool:
        """Whether every text so far was analysed."""
        return self._left >= 0

    def __call__(self, text: str) -> list[Span]:
        """Returns what can be found in a text, in order and without overlaps."""
        self._left -= 1
        if self._left < 0:
            return find_spans(text, self._recognizers)
        return analyse(text, self._recognizers)


def _claims(
    text: str,
    recognizers: Recognizers | None,
    second: SecondOpinion,
) -> list[Span]:
    claims = hot_rules().claims(text) + _rich_rules().claims(text) + find_names(text)
    if not text.isascii():
        claims += [Span(*m.span(), "EMAIL_ADDRESS", 0.8) for m in _UNICODE_EMAIL.finditer(text)]
        for entity_type, label in _FOREIGN_LABELS:
            claims += [Span(*m.span(1), entity_type, 0.6) for m in label.finditer(text)]
    if recognizers is not None and recognizers:
        claims += recognizers.find(text)
    claims += second.find(text)
    return claims


def _resolved(
    text: str, claims: list[Span], certain: list[Span], recognizers: Recognizers | None
) -> list[Span]:
    seen = claims + certain
    claims += _echoes(text, seen) + _dates_in_rows(text, seen) + _codes_of_places(text, seen)
    claims = _without_names_of_streets(text, claims)
    masked = stand_ins(text)
    if masked:
        claims = [c for c in claims if not touches(masked, c.start, c.end)]
    if recognizers is not None and recognizers:
        claims = recognizers.without_allowed(text, claims)
    return joined(without_overlaps(list(dict.fromkeys(claims))), certain)


def _without_names_of_streets(text: str, claims: list[Span]) -> list[Span]:
    """Returns the claims but those to people whom a street with a number is named after."""
    streets = sorted(
        (claim.start, claim.end)
        for claim in claims
        if claim.entity_type == "STREET_ADDRESS"
        and claim.score >= _SURE_STREET
        and any(c.isdigit() for c in text[claim.start : claim.end])
    )
    if not streets:
        return claims
    ranges: list[tuple[int, int]] = []
    for start, end in streets:
        if ranges and start < ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], max(end, ranges[-1][1]))
        else:
            ranges.append((start, end))
    return [c for c in claims if c.entity_type != "PERSON" or not touches(ranges, c.start, c.end)]


def _echoes(text: str, claims: list[Span]) -> list[Span]:
    """Returns names that a text repeats: of people found in it, and of its e-mail addresses."""
    parts: dict[str, str] = {}
    for claim in claims:
        value = text[claim.start : claim.end]
        if claim.entity_type == "EMAIL_ADDRESS":
            words = _LOCAL_PART.findall(value.partition("@")[0])
            if len(words) == 2:
                parts |= {fold_name(word): "PERSON" for word in words}
        elif claim.entity_type == "PERSON" and claim.score >= _SURE_PERSON:
            parts |= {fold_name(word): "PERSON" for word in _WORD.findall(value)}
    if not parts:
        return []
    echoes = []
    for match in _WORD.finditer(text):
        word = match.group()
        if word[0].isupper() and fold_name(word) in parts:
            previous = text[match.start() - 1 : match.start()]
            following = text[match.end() : match.end() + 1]
            if previous not in {"@", ".", "_"} and following not in {"@", "_"}:
                echoes.append(Span(*match.span(), "PERSON", 0.44))
    return echoes


def _dates_in_rows(text: str, claims: list[Span]) -> list[Span]:
    """Returns dates in the rows of a table that name a person: most are dates of birth."""
    found = []
    for claim in claims:
        if claim.entity_type != "PERSON" or claim.score < _SURE_PERSON:
            continue
        first = text.rfind("\n", max(0, claim.start - _ROW_CHARS), claim.start) + 1
        last = text.find("\n", claim.end, claim.end + _ROW_CHARS)
        first, last = max(first, claim.start - _ROW_CHARS), last if last >= 0 else len(text)
        last = min(last, claim.end + _ROW_CHARS)
        row = text[first:last]
        if max(row.count(","), row.count("|"), row.count("\t"), row.count(";")) < 2:
            continue
        found += [
            Span(first + m.start(1), first + m.end(1), "DATE_TIME", 0.45)
            for m in _DATE_IN_CELL.finditer(row)
        ]
    return found


def _codes_of_places(text: str, claims: list[Span]) -> list[Span]:
    """Returns numbers that follow a place as its postcode does."""
    found = []
    for claim in claims:
        if claim.entity_type == "LOCATION" and _IN.search(
            text, max(0, claim.start - 4), claim.start
        ):
            code = _CODE_AFTER_PLACE.match(text, claim.end)
            if code is not None and not re.fullmatch(r"(?:19|20)\d\d", code[1]):
                found.append(Span(*code.span(1), "POSTCODE", 0.43))
    return found


@cache
def _rich_rules() -> RuleSet:
    """Returns the rules that need prose around them, or more time than an output has."""
    from cloister.detect.addresses import ADDRESS_RULES, POSTCODE_RULES
    from cloister.detect.dates import AGE_RULES, DATE_RULES
    from cloister.detect.documents import HEADED_RULES
    from cloister.detect.network import BARE_MAC_RULES, URL_RULES
    from cloister.detect.people import ACCOUNT_RULES, ACTOR_RULES
    from cloister.detect.phones import PHONE_RULES

    return RuleSet(
        (
            *ACCOUNT_RULES,
            *ACTOR_RULES,
            *HEADED_RULES,
            *ADDRESS_RULES,
            *POSTCODE_RULES,
            *AGE_RULES,
            *DATE_RULES,
            *BARE_MAC_RULES,
            *URL_RULES,
            *PHONE_RULES,
        )
    )
