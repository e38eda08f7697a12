"""What a column's name says: words in several languages, with what the values must look like.

``DateOfBirth``, ``date_of_birth`` and ``DATE OF BIRTH`` read the same. A name only proposes; the
values can speak against it (a column ``email`` without any ``@`` holds no addresses).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

# What values must look like, as patterns that match a whole value (RE2, applied by Arrow).
ANY = r"(?s).*"
LETTERS = r"(?s).*\pL.*"
NAME = r"[\pL][\pL\pM .,'\x{2019}`\x{B4}()&/-]{0,80}"
DATE = (
    r"(?i)\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[ T].*)?|\d{1,2}[-/. ]\d{1,2}[-/. ]\d{2,4}(?: .*)?"
    r"|\d{8}|\d{6}|\d{1,2}[- ]?[a-z]{3,9}[- ,]+\d{2,4}|[a-z]{3,9}\.? \d{1,2},? \d{4}"
)
CODE = r"[\pL\d][\pL\d ._/#-]{0,40}"
NUMBERED = r"(?s).*\d.*"
DIGITS_6_16 = r"\D{0,4}(?:\d\D{0,3}){6,16}(?:\D*\d{1,5})?"


@dataclass(frozen=True, slots=True)
class NameRule:
    """Names that propose an entity type.

    Attributes:
        entity_type: Presidio's name.
        names: Matches the words of a column name, searched.
        values: What a value must look like, as a pattern for the whole value.
        share: How large a share of the values must look like that.
        person_only: Whether the name counts only in a table about people (``name``, ``title``).
    """

    entity_type: str
    names: re.Pattern[str]
    values: str = ANY
    share: float = 0.55
    person_only: bool = False


_PEOPLE = (
    "patient|customer|client|person|employee|emp|contact|user|member|doctor|physician|nurse|author|"
    "owner|holder|cardholder|guest|student|teacher|manager|player|passenger|applicant|spouse|mother|"
    "father|parent|child|next of kin|kin|borrower|insured|beneficiary|payee|staff|worker|candidate|"
    "subscriber|buyer|seller|driver|participant|subject|resident|tenant|victim|witness|reporter|"
    "respondent|caller|donor|recipient|sender|agent|rep|provider|clinician|supervisor|kunde|cliente"
)


def _rule(
    entity_type: str,
    names: str,
    values: str = ANY,
    share: float = 0.55,
    *,
    person_only: bool = False,
) -> NameRule:
    return NameRule(entity_type, re.compile(names), values, share, person_only)


#: The first rule whose name matches and whose values agree decides.
NAME_RULES: tuple[NameRule, ...] = (
    _rule(
        "DATE_OF_BIRTH",
        r"\b(?:dob|birth ?date|date ?birth|birth ?day|date of birth|born(?: on)?|birth dt|"
        r"date (?:de )?naissance|geburts ?datum|geburtstag|fecha (?:de )?nacimiento|"
        r"data (?:di )?nascita|data nascimento|geboortedatum)\b|^birth$|^geb$",
        DATE,
    ),
    _rule(
        "US_SSN", r"\b(?:ssn|social security|soc sec|social sec)\b", r"\D{0,2}(?:\d\D?){7,9}", 0.5
    ),
    _rule("CVV", r"\b(?:cvv2?|cvc2?|csc|card verification|security code)\b", r"\d{3,4}"),
    _rule(
        "CARD_EXPIRY", r"\b(?:cc|card)\b.*\bexp|\bexp(?:iry|iration|ires)?\b.*\bcard\b", NUMBERED
    ),
    _rule(
        "CREDIT_CARD",
        r"\b(?:credit ?card|debit ?card|card (?:no|num|number|pan)|cc ?(?:no|num|number)|ccn|pan|"
        r"primary account number|kreditkarte)\b",
        r"(?:\d[ -]?){11,18}\d",
    ),
    _rule("IBAN_CODE", r"\biban\b", r"(?i)[a-z]{2}\d{2}[a-z0-9 -]{8,40}", 0.5),
    _rule(
        "BANK_ACCOUNT",
        r"\b(?:bank ?account|account (?:no|num|number|to|from)|acct (?:no|num|number)?|"
        r"sort code|bban|konto(?:nummer)?)\b",
        r"[\dA-Za-z][\dA-Za-z -]{4,33}",
    ),
    _rule(
        "MEDICAL_RECORD",
        r"\b(?:mrn|medical record(?: (?:no|num|number|id))?|nhs(?: ?(?:no|num|number|id))?|"
        r"patient (?:number|no)|health (?:card|insurance) (?:no|number|id)|medicare|medicaid)\b",
        NUMBERED,
    ),
    _rule(
        "NATIONAL_ID",
        r"\b(?:national ?(?:id|insurance|identity)(?: ?(?:no|num|number))?|ni ?(?:no|number)|nino|"
        r"birth number|personal ?(?:number|nummer|code|id no)|citizen (?:id|number)|identity card|"
        r"id card|id (?:no|number)|aadhaar|dni|nie|nif|curp|cpf|cnp|bsn|pesel|rodne cislo|"
        r"codice fiscale|sozialversicherungsnummer|insee|hukou|rrn|nric|emirates id)\b",
        NUMBERED,
    ),
    _rule("PASSPORT", r"\bpass(?:port|eport|aporte)(?: ?(?:no|num|number|id))?\b", NUMBERED),
    _rule(
        "DRIVER_LICENSE",
        r"\b(?:driver'?s? ?licen[sc]e|driving licen[sc]e|dl (?:no|number)|license number)\b",
        NUMBERED,
    ),
    _rule(
        "TAX_ID",
        r"\b(?:tax ?(?:id|no|number|payer)|tin|itin|ein|steuer ?(?:id|nummer))\b",
        NUMBERED,
    ),
    _rule(
        "EMAIL_ADDRESS",
        r"\b(?:e ?mails?|mail(?: address)?|courriel|correo(?: electronico)?)\b",
        r"(?s).*@.*",
    ),
    _rule(
        "PHONE_NUMBER",
        r"\b(?:(?:tele)?phones?|tel|mobile|cell(?: ?phone)?|fax|telefon[oe]?|handy|movil|msisdn|"
        r"landline|whatsapp)\b|\b(?:home|work|cell)phone\b",
        DIGITS_6_16,
        0.5,
    ),
    _rule(
        "IP_ADDRESS",
        r"\bip(?: ?v?[46])?(?: ?addr(?:ess)?)?\b|^(?:client|source|src|remote) ip\b",
        r"[\da-fA-F.:]{3,45}(?:/\d+)?",
    ),
    _rule(
        "SECRET",
        r"\b(?:passwords?|passwd|pwd|passphrase|pin(?: code)?|secrets?|api ?keys?|private key|"
        r"access ?key|(?:\w+ ?)?token|credentials?|mot de passe|passwort)\b",
        r"\S{4,}",
    ),
    _rule(
        "USERNAME",
        r"\b(?:user ?name|login(?: ?(?:name|id))?|screen ?name|nick ?name|handle|user ?login|"
        r"account name)\b|^e ?mails?(?: address)?$",
        r"[^\s@]{2,64}",
    ),
    _rule(
        "STREET_ADDRESS",
        r"\b(?:street(?: ?(?:name|address|line))?|address(?: ?line)?(?: ?[123])?|addr(?: ?[123])?|"
        r"adresse|strasse|stra(?:ss|ß)e|direccion|indirizzo|rue|calle|domicilio|endereco)\b",
        LETTERS,
    ),
    _rule(
        "POSTCODE",
        r"\b(?:zip(?: ?code)?|post ?codes?|postal(?: ?code)?|code postal|plz|postleitzahl|cap|cep|"
        r"codigo postal)\b",
        r"[\dA-Za-z][\dA-Za-z -]{1,10}",
    ),
    _rule(
        "CITY",
        r"\b(?:city|town|ville|ort|stadt|ciudad|citta|municipality|locality|village)\b",
        LETTERS,
    ),
    _rule(
        "PERSON",
        r"^(?:full ?name|first ?name|last ?name|middle ?(?:name|initial)|given ?name|sur ?name|"
        r"family ?name|maiden ?name|birth name|fore ?name|fname|lname|mname|"
        r"mothers? maiden(?: name)?|"
        r"prenom|nom|nom (?:de )?famille|vor ?name|nach ?name|familien ?name|nombres?|apellidos?|"
        r"nome|cognome|sobrenome|voornaam|achternaam|name (?:first|last|middle|full|given))$"
        rf"|\b(?:{_PEOPLE})s?(?: full| first| last| given| family| middle)? ?names?$"
        r"|\b(?:first|last|given|middle|family|maiden) ?name\b|\bsur ?name\b|\bfull ?name\b",
        NAME,
    ),
    _rule(
        "PERSON",
        r"^(?:patient|physician|doctor|attending|nurse|surgeon|next of kin|spouse|cardholder|"
        r"account holder|beneficiary|contact person|emergency contact|signed by|author)$",
        NAME,
    ),
    _rule("PERSON", r"^names?$", NAME, person_only=True),
    _rule("RACE_ETHNICITY", r"\b(?:race|ethnic(?:ity)?(?: group)?|ethnic origin)\b", LETTERS),
    _rule("RELIGION", r"\b(?:religion|religious|faith|denomination)\b", LETTERS),
    _rule("SEXUAL_ORIENTATION", r"\bsexual orientation\b", LETTERS),
    _rule("POLITICAL_VIEW", r"\b(?:political (?:view|party|affiliation)|union member(?:ship)?)\b"),
    _rule(
        "SALARY",
        r"\b(?:salar(?:y|ies)|wages?|income|compensation|commission(?: pct)?|gehalt|annual pay)\b",
        r"(?s).*[\d<>].*",
    ),
    _rule("AGE", r"^(?:age|alter|edad|patient age|age (?:years|yrs|at .*))$", r"\d{1,3}(?:\.\d+)?"),
    _rule(
        "GENDER",
        r"^(?:gender|sex|geschlecht|sexo|sesso|genre)$|\bgender\b",
        r"[\pL\d][\pL /-]{0,30}",
    ),
    _rule("MARITAL_STATUS", r"\b(?:marital(?: status)?|civil status)\b"),
    _rule("COUNTRY", r"\b(?:country(?: full| name| code)?|nation(?:ality)?|land|pais)\b", LETTERS),
    _rule(
        "REGION",
        r"^(?:state(?: full| name| code)?|region|province|county|bundesland|canton|"
        r"\w+ (?:region|state))$",
        LETTERS,
    ),
    _rule(
        "PERSON_ID",
        rf"\b(?:{_PEOPLE})s? ?(?:id|key|no|num|number|code|uuid|guid)$|^(?:pid|uid|user)$|"
        r"\breports to\b",
        CODE,
    ),
)

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SEPARATORS = re.compile(r"[\W_]+")


@lru_cache(maxsize=4096)
def words_of(name: str) -> str:
    """Returns a column name as lower-case words: ``DateOfBirth`` gives ``date of birth``."""
    plain = "".join(
        c for c in unicodedata.normalize("NFKD", name[:200]) if not unicodedata.combining(c)
    )
    return _SEPARATORS.sub(" ", _CAMEL.sub(" ", plain)).strip().lower()


@lru_cache(maxsize=4096)
def proposals(name: str) -> tuple[NameRule, ...]:
    """Returns the rules that a column name calls for, in order."""
    words = words_of(name)
    return tuple(rule for rule in NAME_RULES if rule.names.search(words)) if words else ()
