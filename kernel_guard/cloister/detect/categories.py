"""What values say by being words that everybody knows: genders, countries, names, dates.

Where values have no pattern and the column's name says nothing, dictionaries decide. A share of the
distinct values must be known, and there must be enough of them: two codes such as M and F say
more than one, and ten towns more than three.
"""

# ruff: noqa: E501 - lists of words read best unbroken

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cloister.detect.evidence import DECIDING_SHARE
from cloister.detect.gazetteer import fold_name, given_names, places, surnames
from cloister.detect.namewords import ORG_ENDS, PARTICLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_FLAGS: Final = frozenset(
    [
        "0",
        "1",
        "y",
        "n",
        "yes",
        "no",
        "true",
        "false",
        "t",
        "f",
        "ja",
        "nein",
        "oui",
        "non",
        "si",
        "ei",
        "on",
        "off",
        "0.0",
        "1.0",
    ]
)

_GENDERS = """
    male female man woman m f nonbinary non-binary genderqueer genderfluid agender bigender polygender hombre mujer
    masculino femenino maschio femmina homme femme mannlich weiblich divers mann frau kvinna kvinde mezczyzna kobieta
    vrouw masculin feminin feminino masculine feminine 男 女 男性 女性 男子 女子
"""
_MARITAL = """
    single married divorced widowed separated unmarried never-married married-civ-spouse ledig verheiratet geschieden
    verwitwet celibataire marie divorce veuf soltero casado divorciado viudo celibe sposato divorziato vedovo solteiro
    ugift gift skild gehuwd ongehuwd gescheiden samenwonend partnered cohabiting
"""
_RACES = """
    white black asian hispanic latino caucasian african-american native american indian alaska pacific islander
    multiracial mixed amer-indian-eskimo asian-pac-islander african hawaiian latina
"""
_RELIGIONS = """
    christian catholic protestant muslim islam islamic jewish judaism hindu hinduism buddhist buddhism sikh atheist
    agnostic lutheran anglican baptist methodist orthodox mormon evangelisch katholisch konfessionslos romisch-katholisch
"""
_BLOOD = "a+ a- b+ b- ab+ ab- o+ o- 0+ 0-"
_STATES = """
    alabama alaska arizona arkansas california colorado connecticut delaware florida georgia hawaii idaho illinois indiana
    iowa kansas kentucky louisiana maine maryland massachusetts michigan minnesota mississippi missouri montana nebraska
    nevada oregon ohio oklahoma pennsylvania tennessee texas utah vermont virginia wisconsin wyoming ontario quebec
    alberta manitoba saskatchewan queensland tasmania bayern sachsen hessen berlin hamburg bremen brandenburg saarland
    thuringen niedersachsen toscana lombardia lazio sicilia piemonte puglia veneto andalucia cataluna maharashtra karnataka
    kerala gujarat rajasthan punjab bihar
"""
_STATE_NAMES = (
    "new hampshire|new jersey|new mexico|new york|north carolina|north dakota|rhode island|south carolina|south dakota|"
    "washington|west virginia|district of columbia|british columbia|nova scotia|new brunswick|new south wales|victoria|"
    "south australia|western australia|northern territory|nordrhein-westfalen|baden-wurttemberg|rheinland-pfalz|"
    "schleswig-holstein|mecklenburg-vorpommern|sachsen-anhalt|tamil nadu|uttar pradesh|west bengal|andhra pradesh"
)
_COUNTRIES = """
    afghanistan albania algeria andorra angola argentina armenia australia austria azerbaijan bahamas bahrain bangladesh
    barbados belarus belgium belize benin bhutan bolivia botswana brazil brunei bulgaria burundi cambodia cameroon canada
    chad chile china colombia comoros congo croatia cuba cyprus czechia denmark djibouti dominica ecuador egypt eritrea
    estonia eswatini ethiopia fiji finland france gabon gambia germany ghana greece grenada guatemala guinea guyana haiti
    honduras hungary iceland india indonesia iran iraq ireland israel italy jamaica japan jordan kazakhstan kenya kiribati
    kosovo kuwait kyrgyzstan laos latvia lebanon lesotho liberia libya liechtenstein lithuania luxembourg madagascar
    malawi malaysia maldives mali malta mauritania mauritius mexico micronesia moldova monaco mongolia montenegro morocco
    mozambique myanmar namibia nauru nepal netherlands nicaragua niger nigeria norway oman pakistan palau palestine panama
    paraguay peru philippines poland portugal qatar romania russia rwanda samoa senegal serbia seychelles singapore
    slovakia slovenia somalia spain sudan suriname sweden switzerland syria taiwan tajikistan tanzania thailand togo tonga
    tunisia turkey turkiye turkmenistan tuvalu uganda ukraine uruguay uzbekistan vanuatu vatican venezuela vietnam yemen
    zambia zimbabwe england scotland wales usa uk uae deutschland osterreich schweiz frankreich espana italia brasil
    polska sverige norge danmark suomi nederland belgie
"""
_COUNTRY_NAMES = (
    "united states|united states of america|united kingdom|great britain|northern ireland|south africa|south korea|"
    "north korea|republic of korea|korea|new zealand|saudi arabia|united arab emirates|sri lanka|costa rica|el salvador|"
    "dominican republic|czech republic|puerto rico|hong kong|burkina faso|cote d'ivoire|ivory coast|sierra leone|"
    "papua new guinea|trinidad and tobago|bosnia and herzegovina|north macedonia|macedonia|san marino|cape verde|"
    "equatorial guinea|solomon islands|marshall islands|russian federation|the netherlands|viet nam|"
    "outlying-us(guam-usvi-etc)|dominican-republic|puerto-rico|el-salvador|united-states|south"
)


def _set(words: str, names: str = "") -> frozenset[str]:
    return frozenset(words.split()) | frozenset(names.split("|") if names else ())


#: Entity type, its words, fewest distinct values that must be known, whether all letters' case counts.
_SETS: Final = (
    ("GENDER", _set(_GENDERS), 2),
    ("MARITAL_STATUS", _set(_MARITAL), 3),
    ("RELIGION", _set(_RELIGIONS), 3),
    ("MEDICAL", _set(_BLOOD), 3),
    ("COUNTRY", _set(_COUNTRIES, _COUNTRY_NAMES), 2),
    ("REGION", _set(_STATES, _STATE_NAMES), 3),
)
_KNOWN_SHARE: Final = 0.75
_LONGEST_SET_VALUES: Final = 400
# Distinct texts from which names and places decide alone, and the shares that must be known.
_ENOUGH_TEXTS: Final = 8
_MOST: Final = 0.6
_NEARLY_ALL: Final = 0.8

_WORD = re.compile(r"[^\W\d_][^\W\d_'\u2019-]*")
_STREET = re.compile(
    r"(?i)^\d{1,6}[a-z]?(?:[-/]\d{1,5})?,? .*\b(?:st(?:reet)?|r(?:oa)?d|ave?(?:nue)?|blvd|boulevard|dr(?:ive)?|lane|ln|way|court|ct|"
    r"place|pl|terrace|circle|cir|parkway|pkwy|highway|hwy|square|sq|close|crescent|drive|trail|alley|grove|hill|gardens?|"
    r"rue|avenue|chemin|allee|impasse|quai|cours|point|station|row|walk|loop|pike|plaza)\b"
    r"|^.*(?:stra(?:ss|ß)e|str\.|weg|platz|gasse|allee|ring|damm|ufer|gatan|gata|vagen|straat|laan|plein|gracht)[ ,]+\d{1,5}"
    r"|^(?:calle|c/|via|viale|piazza|corso|rua|avenida|av\.|ul\.|ulica|paseo|plaza|rue|avenue|boulevard|place|chemin|allee|largo|travessa|strada|vicolo|contrada)\b.*\d"
    r"|^(?:flat|apt|unit|suite|p\.? ?o\.? box) ?\S+"
)


def is_flag(values: Sequence[str]) -> bool:
    """Returns whether all values are a yes or a no."""
    return len(values) <= 4 and all(value.casefold() in _FLAGS for value in values)


def known_words(values: Sequence[str], *, are_things: bool) -> tuple[str, float] | None:
    """Returns the entity type that dictionaries give texts, and how sure that is.

    Args:
        values: Distinct texts, without outer spaces.
        are_things: Whether the column's name says that these are no people or places.
    """
    kind = known_kind(values)
    if kind is not None:
        return kind, 0.7
    if len(values) < _ENOUGH_TEXTS or are_things:
        return None
    return next(_by_share(values), None)


def _by_share(values: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Yields the types that enough of the texts are of, the surest first."""
    if share_of_streets(values) >= _MOST:
        yield "STREET_ADDRESS", 0.7
    if share_of_organizations(values) >= DECIDING_SHARE:
        yield "ORGANIZATION", 0.6
    places = share_of_places(values)
    if share_of_sure_names(values) >= DECIDING_SHARE and share_of_names(values) > places:
        yield "PERSON", 0.7
    if places >= _NEARLY_ALL:
        yield "CITY", 0.6


def known_kind(values: Sequence[str]) -> str | None:
    """Returns the entity type whose well-known words the values are, or ``None``.

    Args:
        values: Distinct texts, without outer spaces.
    """
    if not values or len(values) > _LONGEST_SET_VALUES:
        return None
    folded = {fold_name(value.strip(" .")) or value for value in values}
    if _are_races(folded):
        return "RACE_ETHNICITY"
    for entity_type, words, fewest in _SETS:
        hits = sum(value in words for value in folded)
        if hits >= fewest and hits >= _KNOWN_SHARE * len(folded):
            return entity_type
    return None


def _are_races(folded: set[str]) -> bool:
    races = _set(_RACES)
    known = {v for v in folded if set(re.split(r"[ /,&]+|-(?=[a-z]{6})", v)) & races or v in races}
    telling = {"white", "black", "asian", "hispanic", "caucasian"}
    return (
        len(known) >= 3
        and len(known) >= 0.6 * len(folded)
        and len({w for v in known for w in re.split(r"[^a-z]+", v)} & telling) >= 2
        and not {"red", "blue", "green", "grey", "gray", "silver", "brown"} & folded
    )


def share_of_names(values: Sequence[str]) -> float:
    """Returns the share of texts that read as names of people: given names, surnames, or both."""
    given, family = given_names(), surnames()
    hits = 0
    for value in values:
        words = [fold_name(w) for w in _WORD.findall(value)]
        words = [w for w in words if len(w) > 1 and w not in PARTICLES]
        if not words or len(words) > 5:
            continue
        if words[-1] in ORG_ENDS:
            continue
        known = sum(w in given or w in family for w in words)
        hits += known >= max(1, (len(words) + 1) // 2)
    return hits / len(values) if values else 0.0


def share_of_sure_names(values: Sequence[str]) -> float:
    """Returns the share of texts that are names of people and no ordinary words."""
    given, family = given_names(), surnames()
    hits = 0
    for value in values:
        words = [fold_name(w) for w in _WORD.findall(value)]
        words = [w for w in words if len(w) > 1 and w not in PARTICLES]
        if words and len(words) <= 4:
            hits += all(given.is_sure(w) or family.is_sure(w) for w in words)
    return hits / len(values) if values else 0.0


def share_of_organizations(values: Sequence[str]) -> float:
    """Returns the share of texts that carry a word of organisations: Ltd, GmbH, Hospital."""
    hits = sum(bool(ORG_ENDS & {w.strip(".,").casefold() for w in v.split()}) for v in values)
    return hits / len(values) if values else 0.0


def share_of_places(values: Sequence[str]) -> float:
    """Returns the share of texts that are names of towns, regions or countries."""
    known = places()
    return sum(fold_name(v) in known for v in values) / len(values) if values else 0.0


def share_of_streets(values: Sequence[str]) -> float:
    """Returns the share of texts that read as a street with a number."""
    return sum(_STREET.match(v) is not None for v in values) / len(values) if values else 0.0
