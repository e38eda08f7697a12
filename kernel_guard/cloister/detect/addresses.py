# ruff: noqa: E501 - patterns of words read best unbroken
"""Rules for text: postal addresses, with the flat, place, state and postcode that follow a street.

A street is known by its number and the word for street of eight languages, before the name or at
its end. What follows is taken along as far as it is sure: a flat, a state and postcode, or a place
that the gazetteer knows. Patterns meet text that :mod:`cloister.detect.folding` has made ASCII.
"""

from __future__ import annotations

import re
from typing import Final

from cloister.detect.gazetteer import places
from cloister.detect.rules import Rule, before, is_joined

Range = tuple[int, int]

_TYPES = (
    "Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Place|Pl|Square|Sq|"
    "Terrace|Ter|Way|Parkway|Pkwy|Circle|Cir|Highway|Hwy|Crescent|Cres|Close|Gardens|Gdns|Grove|"
    "Hill|Hills|Mews|Park|Plaza|Point|Ridge|Row|Run|Trail|Trl|Turnpike|Walk|Alley|Loop|Summit|Quay"
)
# The rest of the suffixes of the United States Postal Service (Publication 28, appendix C1).
_OTHER_TYPES = (
    "Bayou|Bend|Bluffs?|Bottom|Branch|Bridge|Brooks?|Burgs?|Bypass|Canyon|Cape|Causeway|Centers?|Circles|"
    "Cliffs?|Common|Corners?|Courts|Coves?|Creek|Crest|Crossing|Crossroad|Curve|Dale|Dam|Divide|Drives|"
    "Estates?|Expressway|Extensions?|Falls|Ferry|Fields?|Flats?|Fords?|Forest|Forges?|Forks?|Fort|Freeway|"
    "Gardens?|Gateway|Glens?|Greens?|Groves?|Harbors?|Haven|Heights|Hills|Hollow|Inlet|Islands?|Isle|"
    "Junctions?|Keys?|Knolls?|Lakes?|Landing|Lights?|Locks?|Lodge|Mall|Manors?|Meadows?|Mills?|Mission|"
    "Motorway|Mountains?|Neck|Orchard|Oval|Overpass|Parks|Parkways|Passage|Path|Pike|Pines?|Plains?|"
    "Points|Ports?|Prairie|Radial|Ramp|Ranch|Rapids?|Rest|Ridges|River|Roads|Route|Rue|Shoals?|Shores?|"
    "Skyway|Springs?|Spurs?|Squares|Station|Stravenue|Stream|Streets|Throughway|Trace|Track|Trafficway|"
    "Tunnel|Underpass|Unions?|Valleys?|Viaduct|Views?|Villages?|Ville|Vista|Walks|Walls?|Ways|Wells?"
)
_SURE_TYPES = "street|avenue|road|boulevard|lane|drive|parkway|crescent|terrace|highway"
_NUMBER = r"\d{1,6}[A-Za-z]?(?:[-/]\d{1,5}[A-Za-z]?)?"
_BEFORE_NAME = (
    r"(?:calle|c/|avenida|avda?\.?|av\.|paseo|plaza|pza\.?|carrera|camino|carretera|ronda|travesia|"
    r"rua|travessa|praca|alameda|estrada|largo|via|viale|piazza|corso|vicolo|strada|contrada|"
    r"ul\.|ulica|al\.|os\.|rue|boulevard|bd|bld|allee|chemin|impasse|quai|route|passage|"
    r"avenue|place|cours|faubourg)"
)
_OF = r"(?:(?:de la|de los|de las|de l'|della|delle|dei|del|des|du|de|d'|da|dos|das|do|di|la|le|les|el) ?)?"
_NAME = r"[A-Z0-9][\w'.-]*(?: (?:(?:de|del|la|do|da|di|y|e|of|van|von|den|der) )?[A-Z0-9][\w'.-]*){0,4}?"
_AT_END = (
    r"(?:strasse|straxe|str\.|gasse|platz|allee|chaussee|damm|steig|straat|laan|plein|gracht|kade|"
    r"dreef|steenweg|gade|gaden|vej|vejen|vegen|veien|gata|gatan|vagen|katu|kuja|utca|weg)"
)

_NOT_STREETS = re.compile(
    r"(?i)\b(?:minutes?|hours?|days?|weeks?|months?|years?|miles?|km|meters?|metres?|feet|people|"
    r"percent|the|of|down|in|on|from|and|more|other|times|lines?|rows?|items?|files?)\b"
)


def _street(text: str, start: int, end: int) -> Range | None:
    if is_joined(text, start, end) and text[end : end + 1] not in {"-", "."}:
        return None
    name = re.sub(r"^[\d/-]+[A-Za-z]? ", "", text[start:end])
    if _NOT_STREETS.search(name):
        return None
    return _from_number(text, start), extend(text, end)


def _named(text: str, start: int, end: int) -> Range | None:
    if before(text, start).isalnum() or text[end : end + 1].isalnum():
        return None
    return _from_number(text, start), extend(text, end)


def _from_number(text: str, start: int) -> int:
    """Returns where an address begins: with the number before its street, at the start of a line."""
    number = _NUMBER_BEFORE.search(text, max(0, start - 24), start)
    return start if number is None else number.start(1)


def _announced(text: str, start: int, end: int) -> Range | None:
    """Claims what the words before it call an address."""
    found = _ANNOUNCED_AT_END.search(text, start, end)
    if found is None or text[end : end + 1].isalnum():
        return None
    return found.start(1), extend(text, end)


# -- what follows a street -------------------------------------------------------------------------

_STATES = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|DC|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|"
    "NM|NY|NC|ND|OH|OK|OR|PA|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|PR|AA|AE|AP|ON|QC|BC|AB|MB|SK|NS|"
    "NB|NL|NSW|VIC|QLD|TAS|ACT|NT"
)
_CODE = (
    r"(?:\d{5}-\d{3,4}|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}|[A-Z]\d[A-Z] ?\d[A-Z]\d|\d{4} ?[A-Z]{2}\b|"
    r"\d{2}-\d{3}|\d{3} \d{2}|[A-Z]{1,2}-\d{4,5}|\d{4,6})\b"
)
# Lines may be quoted, and there may be an empty one between the town and the country.
_GAP = re.compile(r"(?:[ \t]{0,3}[,;]?[ \t]{0,3}(?:(?:\r?\n){1,2}[ \t>?|*]{0,8},?[ \t]{0,4})?)")
_TOWN_LINE = re.compile(r"[A-Z][\w'-]*(?:[ -][\w'-]+){0,3}(?=[ \t]*(?:[,.]|\r?\n|$))")
_NUMBER_BEFORE = re.compile(r"(?:^|\n)[ \t>?|*]*(\d{1,6},? )$")
_UNIT = re.compile(
    r"(?i)(?:(?:apt|apartment|suite|ste|unit|flat|floor|room|rm|building|bldg|box|piso|puerta|"
    r"etage|stock|wohnung|esc|bajo|interior|depto|lote|appartement|appt|app)\b\.?|#) ?\w{1,6}\b"
    r"|\d{1,2}(?:st|nd|rd|th) floor\b"
)
_STATE_AND_CODE = re.compile(
    rf"(?:(?:{_STATES})\b\.?,?[ ]?(?:{_CODE})?|[A-Z]{{2}},?[ ]{_CODE}|{_CODE})"
)
# The number that the next line of a table begins with is no postcode.
_NEXT_ROW = re.compile(r"\d+ ?[,;|\t]")
_WORD = re.compile(r"[A-Za-z][\w'.-]*")
_MOST_PARTS = 8
_MOST_UNKNOWN = 2


def extend(text: str, end: int) -> int:
    """Returns where an address ends whose street ends at ``end``."""
    sure = position = end
    unknown = 0
    after_unit = False
    for _ in range(_MOST_PARTS):
        gap = _GAP.match(text, position)
        start = gap.end() if gap else position
        if start == position and text[start : start + 1] != "#":
            break
        part = _UNIT.match(text, start) or _STATE_AND_CODE.match(text, start)
        if part is not None and "\n" in text[position:start] and _NEXT_ROW.match(text, start):
            break
        if part is not None and not text[part.end() : part.end() + 1].isalnum():
            sure = position = part.end()
            unknown = 0
            after_unit = _UNIT.match(text, start) is not None
            continue
        # A line of its own after the flat is the town, wherever that is.
        town = (
            _TOWN_LINE.match(text, start) if after_unit and "\n" in text[position:start] else None
        )
        after_unit = False
        if town is not None:
            sure = position = town.end()
            continue
        place = _place_at(text, start)
        if place > start:
            sure = position = place
            unknown = 0
            continue
        word = _WORD.match(text, start)
        if word is None or not word.group()[0].isupper() or unknown == _MOST_UNKNOWN:
            break
        position = word.end()  # perhaps a town that only its postcode will prove
        unknown += 1
    return sure


def _place_at(text: str, start: int) -> int:
    """Returns the end of the longest known place that begins here, or ``start``."""
    known = places()
    end = found = start
    words: list[str] = []
    for _ in range(known.longest):
        word = _WORD.match(text, end)
        if word is None:
            break
        words.append(word.group().rstrip(".").lower())
        if known.is_sure(" ".join(words)) and (text[start].isupper() or len(words[0]) > 3):
            found = word.end()
        end = word.end() + 1 if text[word.end() : word.end() + 1] == " " else len(text)
    return found


_ANNOUNCE = (
    r"(?:address(?:es)?(?: is| are|:)?(?: now| at)?|(?:live|lives|lived|living|reside[sd]?|residing|"
    r"located|stay|staying|delivered|delivery|restaurant is|office is|store is|shop is|home is|"
    r"house is) (?:at|on)|(?:ship|shipped|send|sent|deliver|mail|mailed|moved|move|relocated) "
    r"(?:it |this |them )?to|domicile)"
)
_ANNOUNCED = r"(?:\d{1,6}[,]? (?:\d{1,5} )?[A-Z][\w'.-]*(?: [A-Z0-9][\w'.-]*){0,4}|[A-Z][\w'.-]+(?: [A-Z][\w'.-]+){0,3} \d{1,5}[A-Za-z]?\b)"
_ANNOUNCED_AT_END = re.compile(rf"(?i:{_ANNOUNCE})[: ]{{1,3}}({_ANNOUNCED})$")

_SURE_BEFORE_NAME = (
    r"(?:calle|c/|avenida|avda\.?|paseo|rua|travessa|viale|piazza|corso|vicolo|contrada|ulica|ul\.|rue|"
    r"impasse|allee|faubourg)"
)

#: Addresses that little else looks like: these run on every output.
STREET_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "STREET_ADDRESS",
        rf"\b(?i:{_SURE_BEFORE_NAME}) (?i:{_OF}){_NAME},? (?:n[o.]?\.? ?)?\d{{1,5}}[a-zA-Z]?\b"
        rf"|\b\d{{1,6}}(?: ?(?:bis|ter|[A-D]))?,? (?:(?i:{_SURE_BEFORE_NAME})|avenue|boulevard|quai|chemin) (?i:{_OF})[A-Z][\w'-]*"
        rf"(?: [A-Z][\w'-]*){{0,4}}(?:,? \d{{1,5}}[a-zA-Z]?\b)?",
        0.535,
        _named,
        hint=rf"(?i)\b{_SURE_BEFORE_NAME} |\w,? (?:avenue|boulevard|quai|chemin) ",
    ),
    Rule(
        "STREET_ADDRESS",
        rf"\b{_NUMBER}(?: \d{{1,5}})? (?:[NSEW]{{1,2}}\.? )?(?:[A-Z][a-z'.-]{{1,20}} ){{1,3}}(?:{_TYPES})\b",
        0.6,
        _street,
    ),
    Rule(
        "STREET_ADDRESS",
        r"(?i)\bP\.? ?O\.? ?Box \d{1,6}\b|\bPost Office Box \d{1,6}\b|\bPostfach \d[\d ]{1,6}\d\b"
        r"|\bPostbus \d{1,6}\b|\bApartado(?: de correos| postal)? \d{1,6}\b|\bCasella postale \d{1,6}\b",
        0.6,
        _named,
    ),
    Rule(
        "STREET_ADDRESS",
        rf"\b(?:[A-Z][\w.-]*[ -]){{0,2}}[A-Z][\w-]*{_AT_END},? \d{{1,4}}[a-zA-Z]?\b",
        0.55,
        _named,
    ),
)

#: The rest: not on the hot path.
ADDRESS_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "STREET_ADDRESS",
        rf"\b{_NUMBER},? (?:\d{{1,5}},? )?(?:[NSEW]{{1,2}}\.? |North |South |East |West )?"
        rf"(?:[A-Z][\w'.-]{{0,24}} ){{0,4}}(?:\d{{1,3}}(?:st|nd|rd|th) )?(?:{_TYPES})\b\.?",
        0.58,
        _street,
        hint=rf"\d[A-Za-z]?,? [^\n]{{1,80}}\b(?:{_TYPES})\b",
    ),
    Rule(
        "STREET_ADDRESS",
        rf"(?i)\b{_NUMBER},? (?:[a-z'.-]{{2,24}} ){{1,3}}(?:{_SURE_TYPES})\b",
        0.5,
        _street,
        hint=rf"(?i)\b(?:{_SURE_TYPES})\b",
    ),
    Rule(
        "STREET_ADDRESS",
        rf"(?:\b\d{{1,6}}(?: ?(?:bis|ter))?,? )?(?:\b\d{{1,5}},? )?\b(?i:{_BEFORE_NAME}) (?i:{_OF}){_NAME}"
        r"(?:,? (?:n[o.]?\.? ?)?\d{1,5}[a-zA-Z]?\b)",
        0.56,
        _named,
        hint=rf"(?i)\b{_BEFORE_NAME} ",
    ),
    Rule(
        "STREET_ADDRESS",
        rf"\b\d{{1,5}}(?: ?(?:bis|ter|[A-D]))?,? (?i:rue|avenue|av\.|boulevard|bd|place|allee|chemin|"
        rf"impasse|quai|route|cours|passage|faubourg) (?i:{_OF})[A-Z][\w'-]*(?: [A-Z][\w'-]*){{0,4}}",
        0.57,
        _named,
        hint=r"(?i)\b(?:rue|avenue|av\.|boulevard|bd|place|allee|chemin|impasse|quai|route|cours|passage|faubourg) ",
    ),
    Rule(
        "STREET_ADDRESS",
        rf"(?i)\b(?:\d{{1,6}} )?(?:[a-z.]+ )?[a-z-]+{_AT_END} \d{{1,4}}[a-z]?\b",
        0.5,
        _named,
        hint=rf"(?i)[a-z]{_AT_END} \d",
    ),
    Rule(
        "STREET_ADDRESS",
        r"(?i)\b(?:PSC|Unit|CMR) \d{1,5},? Box \d{1,6}\b|\b(?:USS|USNS|USNV|USCGC|HMS) [a-z' -]{2,30}"
        r"[\s,]{1,3}[FAD]PO (?:AA|AE|AP) \d{5}\b|\b[FAD]PO (?:AA|AE|AP) \d{5}\b",
        0.6,
        _named,
    ),
    Rule(
        "STREET_ADDRESS",
        rf"\b{_NUMBER} (?:[A-Z0-9][\w'.-]* ){{0,4}}[A-Z][\w'.-]*(?:,| ?\n)[^\n0-9]{{0,40}}\b(?:{_STATES}),? \d{{5}}\b",
        0.52,
        _named,
    ),
    Rule(
        "STREET_ADDRESS",
        r"\b\d{1,6},? [^\n\d,;:.!?]{2,40}(?: \d{1,5}[A-Za-z]?)?(?:[ .,]{1,3}|[ .,]{0,3}\r?\n[ \t>?|*]{0,8})"
        r"(?i:apt|apartment|suite|ste|unit|flat)\b\.? ?#?\d{1,6}[A-Za-z]?\b",
        0.54,
        _street,
        hint=r"(?i)\b(?:apt|apartment|suite|ste|unit|flat)\b\.? ?#?\d",
    ),
    Rule(
        "STREET_ADDRESS",
        rf"(?i:{_ANNOUNCE})[: ]{{1,3}}{_ANNOUNCED}",
        0.5,
        _announced,
        hint=rf"(?i){_ANNOUNCE}[: ]",
    ),
    Rule(
        "STREET_ADDRESS",
        rf"\b\d{{1,6}} (?:[NSEW]{{1,2}}\.? )?(?:[A-Z][a-z'-]{{2,20}} ){{1,2}}(?:{_OTHER_TYPES})\b",
        0.5,
        _street,
    ),
    Rule(
        "STREET_ADDRESS",
        rf"\b(?:rue|avenue|boulevard|chemin|impasse|allee|quai) {_OF}[A-Z][\w'-]*(?: [A-Z][\w'-]*){{0,2}}",
        0.45,
        _named,
    ),
    Rule(
        "STREET_ADDRESS",
        r"\b(?:[A-Z][a-z'.-]{1,24} ){1,3}(?:Street|Avenue|Road|Boulevard|Lane)\b",
        0.42,
        _named,
    ),
    Rule(
        "STREET_ADDRESS",
        rf"\b[A-Z][A-Za-z'.-]+(?: [A-Z][A-Za-z'.-]+){{0,2}}, (?:{_STATES}),? \d{{5}}(?:-\d{{4}})?\b",
        0.48,
        _named,
    ),
)

_CODE_AT_END = re.compile(rf"(?i)(?<![\w]){_CODE}$")


def _postcode(text: str, start: int, end: int) -> Range | None:
    found = _CODE_AT_END.search(text, start, end)
    if found is None or is_joined(text, found.start(), end):
        return None
    return found.start(), end


#: Postcodes: not on the hot path.
POSTCODE_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "POSTCODE",
        r"(?i)(?:\b|_)(?:zip(?:[ _-]?code)?|post(?:al)?[ _-]?code|plz|postleitzahl|code postal|cap|"
        rf"codigo postal|cep|pin ?code)\b['\"]?(?: (?:is|was|of|number|for [a-z ]{{1,20}} is))?[ :=#'\"]{{1,4}}{_CODE}",
        0.62,
        _postcode,
        hint=r"(?i)(?:\b|_)(?:zip|post|plz|code postal|cap\b|codigo|cep|pin ?code)",
    ),
    Rule("POSTCODE", r"\b[A-Z]{1,2}\d[A-Z\d]? \d[ABD-HJLNP-UW-Z]{2}\b", 0.45, _postcode),
    Rule("POSTCODE", r"\b[ABCEGHJ-NPRSTVXY]\d[A-Z] \d[A-Z]\d\b", 0.45, _postcode),
)
