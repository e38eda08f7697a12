"""What single values look like: patterns for the whole value, and check digits for what matches.

All patterns run over a value in one pass of one automaton (RE2); check digits run over those that
match. A look is strong when little else can look like that, so that a few values suffice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from cloister.detect.checksums import card_mask, iban_mask, is_ssn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SEPARATORS = re.compile(r"[ -]")


@dataclass(frozen=True, slots=True)
class Look:
    """How values of one kind look.

    Attributes:
        name: Presidio's entity type, or a word in lower case for a look that is no entity.
        pattern: RE2, for the whole value.
        is_strong: Whether little else looks like that.
        check: Returns how many of the matching values pass; ``None`` when the pattern suffices.
    """

    name: str
    pattern: str
    is_strong: bool = False
    check: Callable[[list[str]], int] | None = None


def count_looks(values: Sequence[str]) -> dict[Look, int]:
    """Returns how many values have each look; looks without any are left out."""
    automaton, found = _automaton(), dict[int, list[str]]()
    for value in values:
        for number in automaton.Match(value) or ():
            found.setdefault(number, []).append(value)
    counts: dict[Look, int] = {}
    for number in sorted(found):
        look = _ALL[number]
        count = len(found[number]) if look.check is None else look.check(found[number])
        if count:
            counts[look] = count
    return counts


def count_matches(values: Sequence[str], pattern: str) -> int:
    """Returns how many values match a pattern as a whole."""
    matches = _compiled(pattern).fullmatch
    return sum(matches(value) is not None for value in values)


def _cards(values: list[str]) -> int:
    return int(card_mask([_SEPARATORS.sub("", v) for v in values]).sum())


def _ibans(values: list[str]) -> int:
    return int(iban_mask([_SEPARATORS.sub("", v).upper() for v in values]).sum())


def _ssns(values: list[str]) -> int:
    return sum(is_ssn(_SEPARATORS.sub("", v)) for v in values)


def _ipv4s(values: list[str]) -> int:
    return sum(all(int(o) <= 255 for o in re.split("[:/]", v)[0].split(".")) for v in values)


#: Kinds of values, the most telling first.
ENTITY_LOOKS: tuple[Look, ...] = (
    Look(
        "EMAIL_ADDRESS",
        r"(?:mailto:)?[^\s@<>(),;:\"]+@[^\s@<>(),;:\"]+\.\pL{2,24}|[^@<>]*<[^\s@<>]+@[^\s@<>]+\.\pL+>",
        is_strong=True,
    ),
    Look("US_SSN", r"\d{3}-\d{2}-\d{4}|\d{3} \d{2} \d{4}", is_strong=True, check=_ssns),
    Look("CREDIT_CARD", r"\d(?:[ -]?\d){12,18}", is_strong=True, check=_cards),
    Look("IBAN_CODE", r"[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}", is_strong=True, check=_ibans),
    Look("IP_ADDRESS", r"\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5}|/\d{1,2})?", check=_ipv4s),
    Look(
        "IP_ADDRESS",
        r"(?i)(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}"
        r"|(?:[23][0-9a-f]{3}|f[cd][0-9a-f]{2}|fe80)(?::[0-9a-f]{1,4}){0,6}::[0-9a-f:]*",
    ),
    Look(
        "PHONE_NUMBER",
        r"\+\d{1,3}[ .-]?(?:\(\d{1,5}\)[ .-]?)?\d{1,5}(?:[ .-]?\d{2,5}){1,4}(?: ?x\d+)?"
        r"|(?:\+?1[ .-]?)?\([2-9]\d{2}\) ?\d{3}[-. ]\d{4}(?: ?x\d+)?|[2-9]\d{2}-[2-9]\d{2}-\d{4}",
    ),
    Look(
        "SECRET",
        r"(?:AKIA|ASIA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}"
        r"|xox[abprs]-[\w-]{10,}|sk-[\w-]{20,}|[rs]k_(?:live|test)_\w{16,}|hf_\w{30,}"
        r"|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}|\$2[aby]\$\d\d\$\S+|\$argon2\S+|\$6\$\S+"
        r"|(?s:-----BEGIN [A-Z ]*PRIVATE KEY-----.*)",
        is_strong=True,
    ),
)
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
    "stand-in", r"[A-Z][A-Z0-9_]*~[a-z2-7]{10}|\[[A-Z][A-Z0-9_]*(?: ….{1,4})?\]|\[redacted\]"
)
#: Two to four capitalised words and nothing else.
NAME_SHAPE = Look(
    "name shape",
    r"\p{Lu}[\pL'\x{2019}-]+(?: \p{Lu}\.?)?"
    r"(?: (?:\p{Lu}[\pL'\x{2019}-]+|de|van|von|da|di|del)){1,3}",
)
#: Scripts that write no spaces between words.
SPACELESS = Look("spaceless", r"(?s).*[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Hangul}]{4}.*")

_ALL = (*ENTITY_LOOKS, LOOSE_PHONE, NUMBER, TIME, STAND_IN, NAME_SHAPE, SPACELESS)


def _options() -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    return options


@cache
def _automaton() -> Any:
    import re2

    automaton = re2.Set.FullMatchSet(_options())
    for look in _ALL:
        automaton.Add(look.pattern)
    automaton.Compile()
    return automaton


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    import re2

    return re2.compile(pattern, _options())
