# ruff: noqa: E501 - patterns of words read best unbroken
"""Rules for text: names of people, and their user names, where the words around them say so.

A name has no pattern of its own. Names of people in loaded data are recognised by exact match;
these rules add the places where a text itself says that a name follows. They run on every output,
so a key such as ``name`` alone is believed only when the gazetteer knows the first word.
"""

from __future__ import annotations

import re
from typing import Final

from cloister.detect.gazetteer import given_names, surnames
from cloister.detect.namewords import ORG_ENDS, ORG_STARTS
from cloister.detect.rules import Rule, before
from cloister.detect.words import COMMON_WORDS

Range = tuple[int, int]

_PART = r"(?:[A-Z][a-z]{1,20}(?:['-][A-Za-z][a-z]{1,20})?|(?:Mc|Mac|O'|D'|De|Di|Van|La)[A-Z][a-z]{1,20})"
_PARTICLE = r"(?:van der|van de|van den|von der|de la|de los|van|von|de|da|dos|del|della|di|el|al|bin|ben|ter)"
_NAME = rf"(?:{_PART}|[A-Z]\.)(?: (?:{_PARTICLE} )?(?:[A-Z]\.|{_PART})){{0,3}}"
_TITLES = (
    r"Mrs?|Ms|Miss|Mx|Dr|Prof|Professor|Sir|Madam|Dame|Rev|Fr|Hon|Capt|Captain|Sgt|Lt|Herr|Frau|Mme|"
    r"Mlle|Sra?|Srta|Dott|Ing|Nurse|Officer|Judge|Senator"
)
_CUE = re.compile(
    rf"(?:\b(?:{_TITLES})\.? (?:<[a-z]{{1,8}}>)?|(?i:name is|name's|named|i am called|call me|calls me|calls him|"
    r"calls her|goes by|known as) |(?i:\bDear|\bHi|\bHello|\bHey) |(?i:regards|sincerely|cheers|"
    r"yours truly|best wishes|thanks|thank you|faithfully|respectfully),?\s{1,4}|(?i:signed(?: by)?)[: ]+)"
)
_TYPE_NAMES = """
    and but data for is it no not on or test the this unknown string int integer float double object
    boolean bool utf8 categorical date datetime datetime64 enum list struct int64 int32 float64 null
    none nan true false all team everyone sir madam world there you again folks customer user admin
    support people friends colleagues please note best kind regards how what when where why i we my
    sales service marketing human product first last full name column value type number
"""
_NO_NAMES = frozenset(_TYPE_NAMES.split())


def _called(text: str, start: int, end: int) -> Range | None:
    cue = _CUE.search(text, start, end)
    if cue is None or text[end : end + 1].isalnum() or text[end : end + 1] in {"_", "("}:
        return None
    first = cue.end()
    word = re.split(r"[ .]", text[first:end], maxsplit=1)[0].lower()
    if word in _NO_NAMES:
        return None
    # "Dear Will" is a name, "Hello World" is not: an ordinary word needs a title before it.
    is_ordinary = word in COMMON_WORDS and " " not in text[first:end]
    if is_ordinary and not re.match(rf"(?:{_TITLES})\b", cue.group()):
        return None
    return first, end


_CLOSINGS = (
    r"Best|All the best|Thanks|Many thanks|Thank you|Warmly|Viele Gr(?:u|ue)(?:ss|x)e|"
    r"Mit freundlichen Gr(?:u|ue)(?:ss|x)en|Cordialement|Bien a vous|Saludos|Un saludo|Atentamente|"
    r"Distinti saluti|Cordiali saluti|Met vriendelijke groet|Atenciosamente|Med vanlig halsning|"
    r"Med venlig hilsen|Pozdrawiam|Z powazaniem"
)
_SIGNED_AT_END = re.compile(rf"(?:[,.!]\s{{1,4}}|\s*\n\s*)({_NAME})[ \t\r]*\n?$")


def _signed(text: str, start: int, end: int) -> Range | None:
    """Claims the name that a letter ends with; an ordinary word alone is none."""
    found = _SIGNED_AT_END.search(text, start, end)
    if found is None:
        return None
    words = [word.lower().rstrip(".") for word in found[1].split()]
    if words[0] in _NO_NAMES or (len(words) == 1 and words[0] in COMMON_WORDS):
        return None
    return found.span(1)


_AFTER_KEY = re.compile(rf"['\"]?({_NAME}|[A-Z][a-z]+, {_NAME})['\"]?$")


def _keyed(text: str, start: int, end: int) -> Range | None:
    """Claims the value of a key that is only used for people."""
    found = _AFTER_KEY.search(text, start, end)
    if (
        found is None
        or text[end : end + 1].isalnum()
        or text[end : end + 1] in {"_", "(", ".", "["}
    ):
        return None
    first = re.split("[ ,.]", found[1], maxsplit=1)[0].lower()
    return None if first in _NO_NAMES else found.span(1)


def _keyed_name(text: str, start: int, end: int) -> Range | None:
    """Claims the value of ``name``, which is a person's when the gazetteer knows its first word."""
    place = _keyed(text, start, end)
    if place is None or text.startswith((", dtype", ", Length"), end):  # how pandas ends a series
        return None
    words = re.findall(r"[A-Za-z][\w'-]*", text[slice(*place)].lower())
    if len(words) < 2:
        return None
    is_known = words[0] in given_names() or (words[-1] in given_names() and words[0] in surnames())
    return place if is_known else None


_USER_AT_END = re.compile(r"['\"]?([A-Za-z][\w.-]{2,31})['\"]?$")
_NO_USERS = """
    root admin administrator user users username none null true false nobody postgres mysql guest test
    system default string anonymous unknown public service daemon www-data ubuntu jupyter jovyan self
    name agent data group input login password id object int str and the is has not with for was can
    interface experience defined error guide story stories info
"""
_NOT_A_USER = frozenset(_NO_USERS.split())


def _user(text: str, start: int, end: int) -> Range | None:
    found = _USER_AT_END.search(text, start, end)
    if (
        found is None
        or text[end : end + 1] in {"(", "[", "/", "="}
        or text[end : end + 1].isalnum()
    ):
        return None
    value = found[1].rstrip(".-")
    if value.lower() in _NOT_A_USER or (text[end : end + 1] == "@"):
        return None
    if re.fullmatch(r"[a-z_]+\.[a-z_.]+", value) and before(text, start + 1, 1) == "":
        return None
    return found.start(1), found.start(1) + len(value)


def _user_said(text: str, start: int, end: int) -> Range | None:
    """Claims a user name in a sentence, when it is written like one."""
    place = _user(text, start, end)
    if place is None:
        return None
    value = text[slice(*place)]
    return (
        place
        if re.search(r"[\d_.]", value) or text[start:end].rstrip().endswith(("'", '"'))
        else None
    )


_PEOPLE = (
    r"patient|customer|client|employee|contact|cardholder|card_?holder|account_?holder|beneficiary|"
    r"recipient|sender|author|doctor|physician|nurse|student|teacher|manager|guest|passenger|"
    r"applicant|spouse|insured|payee|tenant|member|attendee|owner|assignee|reporter"
)
_KEY_END = r"['\"]?\s{0,2}[:=]\s{0,2}"

PEOPLE_RULES: Final[tuple[Rule, ...]] = (
    Rule("PERSON", rf"\b(?:{_TITLES})\.? (?:<[a-z]{{1,8}}>)?{_NAME}", 0.6, _called),
    Rule(
        "PERSON",
        rf"(?i:\b(?:my|his|her|their|the|whose|patient|customer|full)? ?(?:name is|name's)|\bnamed|\bcalls? me|"
        rf"\bcalls h(?:im|er)|\bgoes by|\bi am called) {_NAME}",
        0.6,
        _called,
        hint=r"(?i)name is |name's |named |calls? me |calls h|goes by |am called ",
    ),
    Rule(
        "PERSON",
        rf"\b(?:Dear|DEAR|Hi|Hello|Hey) {_NAME}[,!.:\n]",
        0.58,
        lambda t, s, e: _called(t, s, e - 1),
    ),
    Rule(
        "PERSON",
        rf"(?i:\b(?:regards|sincerely|cheers|yours truly|best wishes|faithfully|respectfully),?)\s{{1,4}}{_NAME}\b",
        0.58,
        _called,
        hint=r"(?i)regards|sincerely|cheers|yours truly|best wishes|faithfully|respectfully",
    ),
    Rule(  # what a letter ends with, on a line of its own or before the end of one
        "PERSON",
        rf"\b(?:{_CLOSINGS})[,.!]?\s{{1,4}}{_NAME}[ \t\r]*(?:\n|$)",
        0.57,
        _signed,
        hint=rf"\b(?:{_CLOSINGS})[,.!]?\s{{1,4}}[A-Z]",
    ),
    Rule(
        "PERSON",
        rf"(?i:(?:\b|_)(?:(?:first|last|full|given|family|sur|maiden|middle|customer|patient|employee|"
        rf"client|contact|holder|user)[ _]?name|{_PEOPLE})){_KEY_END}['\"]?(?:[A-Z][a-z]+, )?{_NAME}['\"]?",
        0.62,
        _keyed,
        hint=rf"(?i)(?:name|{_PEOPLE}){_KEY_END}['\"]?[A-Z]",
    ),
    Rule(
        "PERSON",
        rf"(?i:(?:\b|_)(?:name|nom|nombre|nome|naam)){_KEY_END}['\"]?(?:[A-Z][a-z]+, )?{_NAME}['\"]?",
        0.62,
        _keyed_name,
        hint=rf"(?i)(?:\b|_)(?:name|nom|nombre|nome|naam){_KEY_END}['\"]?[A-Z]",
    ),
    Rule(
        "USERNAME",
        r"(?i)(?:\b|_)(?:user(?:[ _]?(?:name|id))?|login(?:[ _]?name)?|uname|screen_?name|nick(?:name)?|handle)"
        r"(?:=|['\"]: ?)['\"]?[A-Za-z][\w.-]{2,31}\b['\"]?",
        0.7,
        _user,
        hint=r"(?i)(?:\b|_)(?:user|login|uname|screen_?name|nick|handle)\w{0,6}[ _]?\w{0,4}(?:=|['\"]: ?)",
    ),
    Rule(
        "USERNAME",
        r"(?i)\b(?:user ?name|login|user ?id|screen name|handle|nickname|account name)"
        r"(?: (?:is|was)|:) ?['\"]?[A-Za-z][\w.-]{2,31}\b['\"]?",
        0.62,
        _user_said,
        hint=r"(?i)\b(?:user ?name|login|user ?id|screen name|handle|nickname|account name)(?: is| was|:)",
    ),
    Rule(
        "USERNAME",
        r"(?i)\b(?:for|by|from|invalid|failed|as) (?:invalid )?user:? ['\"]?[A-Za-z][\w.-]{2,31}\b['\"]?",
        0.65,
        _user_said,
    ),
)


def _account(text: str, start: int, end: int) -> Range | None:
    """Claims the last word as the name of an account, where programs write nothing else."""
    found = _ACCOUNT_AT_END.search(text, start, end)
    if found is None or found[1].lower() in _NOT_A_USER:
        return None
    return found.span(1)


_ACCOUNT_AT_END = re.compile(r"([A-Za-z_][\w.-]{2,31})(?: from| \[|[ \t\r]*)$")

_ROLES_TEXT = """
    actions admin administrator analyst board bot chair clerk committee council court department desk
    director division engineer engineering group hub lead manager office officer operations owner
    panel pipeline reviewer scheduler secretary security server service staff supervisor support
    system team unit user
"""
_ROLES = frozenset(_ROLES_TEXT.split())
_ACTOR_AT_END = re.compile(rf"(?:by|to) ({_NAME})$")


def _actor(text: str, start: int, end: int) -> Range | None:
    """Claims who has done something, when that is two words or more and no organisation."""
    found = _ACTOR_AT_END.search(text, start, end)
    if found is None or text[end : end + 1].isalnum() or text[end : end + 1] in {"_", "("}:
        return None
    words = [word.lower().rstrip(".") for word in found[1].split()]
    if len(words) < 2 or words[0] in _NO_NAMES | ORG_STARTS or words[-1] in ORG_ENDS | _ROLES:
        return None
    return None if all(word in COMMON_WORDS for word in words) else found.span(1)


#: Who has done something, in tickets and reports: not on the hot path.
ACTOR_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "PERSON",
        r"\b(?i:opened|reported|raised|submitted|filed|requested|assigned|escalated|signed|approved|"
        r"reviewed|seen|examined|referred|treated|interviewed|prepared|witnessed|accompanied) (?:by|to) "
        rf"{_NAME}\b",
        0.5,
        _actor,
    ),
)

#: Names of accounts in logs and settings: not on the hot path.
ACCOUNT_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "USERNAME",
        r"(?im)(?:^[ \t]*(?:- )?(?:user(?:_?name)?|login)|\b(?:benutzername|nombre de usuario|usuario|"
        r"nom d'utilisateur|utilisateur|nome utente|gebruikersnaam))[ \t]*[:=][ \t]+[A-Za-z][\w.-]{2,31}[ \t\r]*$",
        0.6,
        _account,
        hint=r"(?i)(?:user(?:_?name)?|login|benutzername|usuario|utilisateur|utente|gebruikersnaam)"
        r"[ \t]*[:=][ \t]",
    ),
    Rule(  # sshd, and PAM's sessions
        "USERNAME",
        r"\b(?:password|publickey|keyboard-interactive/pam) for (?:invalid user )?[A-Za-z_][\w.-]{2,31} from"
        r"|\bsession (?:opened|closed) for user [A-Za-z_][\w.-]{2,31}\b",
        0.65,
        _account,
    ),
    Rule(  # the Common Log Format of web servers: host, identity, user, [time]
        "USERNAME",
        r"(?m)^[\w.:]{3,45} [\w-]{1,20} [A-Za-z][\w.-]{2,31} \[",
        0.6,
        _account,
        hint=r"\[\d\d/[A-Z][a-z][a-z]/\d{4}:",
    ),
    Rule(
        "USERNAME",
        r"\b(?i:log(?:ged|s)?[ -]?(?:in|on)|signed in|authenticated) as [A-Za-z][\w.-]{2,31}\b",
        0.55,
        _account,
    ),
)
