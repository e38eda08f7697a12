"""How a column's name reads: ``DateOfBirth``, ``date_of_birth`` and ``DATEOFBIRTH`` are one name.

A name is cut into words at capitals, separators and digits, and words that are glued together are
cut where a dictionary of the words of data fits. What the words then propose is the table of
:mod:`cloister.detect.namerules`. A name only proposes; the values can speak against it.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cloister.detect.namerules import NameRule

_LONGEST_NAME: Final = 200
_SHORTEST_GLUED: Final = 6
_LONGEST_GLUED: Final = 40
_MOST_PIECES: Final = 4

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_DIGITS = re.compile(r"(?<=[a-z]{2})(?=\d)|(?<=\d)(?=[a-z]{2})")
_SEPARATORS = re.compile(r"[\W_]+")

_UNDECOMPOSED = str.maketrans(
    {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "ß": "ss", "æ": "ae", "Æ": "Ae"}
)

_VOCABULARY = """
    account acct actual address addresses admission admit adresse affiliation age agency agent
    allergy amount annual application applicant approval area arrival associate author available
    average balance bank base begin benefit billing birth blood body borrower branch business buyer
    cancer capital card care case category cell center charge charges child citizen city claim class
    client close code color comment community company confirmed contact contract cost count country
    county coverage create created credit currency current customer date death debit deceased
    default degree delivery department deposit description destination detail device diagnosis
    disability discharge discount disease doctor domain donor door driver drivers drug due duration
    education effective email emergency emp employee employer employment end enforcement enroll
    enrollment entry ethnic ethnicity event exam expiration expire expiry factor family father fax
    fee file final first flag fore format former full gain gender given grade grand gross group
    guardian head health healthcare height hire hired hispanic hold holder home hospital hour
    house household identification identifier image income index indicator individual initial
    initials insurance insured interest invoice issue issued item job join joined joining key kind
    label language last latino latitude law lead legal length level license licence life line list
    load loan local location log login long longitude loss maiden mail main manager marital market
    material max mean medical medication member merchant message method middle min mobile model
    modified month monthly mother name names national nationality nation net new next nick note
    notes number numbers occupation occurrence office officer open order origin original owner page
    paid parent party pass passport password patient pay payee payer payment pension percent period
    permanent person personal phone photo physician place plan plate player point policy political
    position post postal preferred premium previous price primary procedure product profession
    profile program project property provider province purchase quantity race racial rate reason
    receipt receiver recipient record reference referral region registered registration relation
    relationship release religion rent report request residence resident response result retired
    return review road role room salary sale sales school score second secret sender serial service
    session sex ship shipping short sign since site social source spouse staff start started state
    status stop store street student subject submit suburb sum supplier surname symptom symptoms
    target tax teacher telephone term terminated termination test text ticket time timestamp title
    token total town transaction treatment type union unit update updated user username value
    vehicle vendor victim visit vote voter wage weight work worker year zip comp
    of by on to in at id no dt nr num addr tel ssn dob ref uid
    datum data fecha naissance nascita nascimento nacimiento urodzenia geboorte geburts
"""
_VOCAB: Final = frozenset(_VOCABULARY.split())
# These are one word wherever they stand, though others fit into them.
_WHOLE: Final = frozenset(
    """
    personnummer personennummer fodselsnummer samordningsnummer nachname vorname username nickname
    surname forename lastname firstname fullname middlename maidenname password passport postcode
    zipcode timestamp employer database metadata dataset filename hostname pathname codename
    typename tablename tagname classname methodname healthcare household landline latitude
    longitude nationality national information notation notebook person personal personality
    datetime timedelta update updated candidate mandate validate percentage package language
    mileage message storage average usage garage voltage coverage
    """.split()  # noqa: SIM905 - quotes would hide the words
)
# The last part of compounds in languages that write them as one word.
_HEADS: Final = tuple(
    sorted(
        """
        datum nummer nummern namn naam name strasse gehalt einkommen adress adresse adressen stadt
        kennzeichen geschlecht schluessel straat gatan
        """.split(),  # noqa: SIM905 - quotes would hide the words
        key=len,
        reverse=True,
    )
)
_SHORTEST_STEM: Final = 3
_FIRST_OF_ASIA: Final = "\u2e80"


@lru_cache(maxsize=4096)
def words_of(name: str) -> str:
    """Returns a column name as lower-case words: ``DateOfBirth`` gives ``date of birth``."""
    plain = "".join(map(_unaccented, unicodedata.normalize("NFKC", name[:_LONGEST_NAME])))
    parts = _SEPARATORS.sub(" ", _CAMEL.sub(" ", plain)).strip().lower().split(" ")
    return " ".join(word for part in parts for word in _cut(part)).strip()


@lru_cache(maxsize=4096)
def proposals(name: str) -> tuple[NameRule, ...]:
    """Returns the rules that a column name calls for, in order."""
    from cloister.detect.namerules import rules_for

    return rules_for(words_of(name))


@lru_cache(maxsize=1024)
def _unaccented(character: str) -> str:
    """Returns a letter without its accents; of scripts of Asia, marks are letters of their own."""
    if character.isascii() or character >= _FIRST_OF_ASIA:
        return character
    parts = unicodedata.normalize("NFKD", character.translate(_UNDECOMPOSED))
    return "".join(part for part in parts if not unicodedata.combining(part))


def _cut(part: str) -> list[str]:
    return [word for piece in _DIGITS.sub(" ", part).split(" ") for word in _unglue(piece)]


@lru_cache(maxsize=4096)
def _unglue(word: str) -> tuple[str, ...]:
    """Returns the words of which one was made, or that one."""
    if not _SHORTEST_GLUED <= len(word) <= _LONGEST_GLUED or word in _WHOLE or not word.isascii():
        return (word,)
    pieces = _pieces(word, _MOST_PIECES)
    if pieces is not None:
        return pieces
    for head in _HEADS:
        if word.endswith(head) and len(word) >= len(head) + _SHORTEST_STEM:
            return (word.removesuffix(head), head)
    return (word,)


@lru_cache(maxsize=16384)
def _pieces(word: str, most: int) -> tuple[str, ...] | None:
    """Returns the fewest words of the vocabulary that make up a word; the longest first."""
    if word in _VOCAB:
        return (word,)
    if most == 1:
        return None
    found: tuple[str, ...] | None = None
    for end in range(len(word) - 2, 1, -1):
        if word[:end] in _VOCAB:
            rest = _pieces(word[end:], most - 1)
            if rest is not None and (found is None or len(rest) + 1 < len(found)):
                found = (word[:end], *rest)
    return found
