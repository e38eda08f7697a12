# ruff: noqa: E501 - a table reads best with one row a line
"""Rules for text: numbers on people's documents - identity, tax, health, passports, licences.

Two kinds. A number whose writing and check digits leave little to chance counts anywhere; other
numbers count where a word before them says what they are and, where there is one, the check digit
is right. Check digits are python-stdnum's, imported by country when a candidate is met.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final

from cloister.detect.checksums import is_luhn
from cloister.detect.rules import Rule, is_joined, worded

if TYPE_CHECKING:
    from collections.abc import Callable

Range = tuple[int, int]

_HEADER_CHARS: Final = 2_000


@cache
def _standard(module: str) -> Callable[[str], bool]:
    """Returns python-stdnum's decision for one kind of number."""
    try:
        valid: Callable[[str], bool] = import_module(f"stdnum.{module}").is_valid
    except ImportError:  # an older python-stdnum: the words and the writing decide
        return lambda _value: True
    return valid


def checked(module: str) -> Callable[[str], bool]:
    """Returns a decision that imports python-stdnum's when it is first needed."""
    return lambda value: bool(_standard(module)(value))


def distinct(entity_type: str, pattern: str, *modules: str, score: float = 0.8) -> Rule:
    """Returns a rule for numbers that count anywhere when one of the check digits is right."""

    def check(text: str, start: int, end: int) -> Range | None:
        if is_joined(text, start, end):
            return None
        value = text[start:end]
        return (start, end) if any(_standard(m)(value) for m in modules) else None

    return Rule(entity_type, pattern, score, check if modules else _whole)


def headed(
    entity_type: str, word: str, pattern: str, is_valid: Callable[[str], bool], *, score: float
) -> Rule:
    """Returns a rule for numbers that a word above them explains, as the header of a table does."""
    said = re.compile(rf"(?i)(?:\b|_){word}")

    def check(text: str, start: int, end: int) -> Range | None:
        if is_joined(text, start, end) or not is_valid(text[start:end]):
            return None
        return (start, end) if said.search(text, max(0, start - _HEADER_CHARS), start) else None

    return Rule(entity_type, pattern, score, check, hint=rf"(?i){word}")


def _whole(text: str, start: int, end: int) -> Range | None:
    return None if is_joined(text, start, end) else (start, end)


def _plausible_date(value: str) -> bool:
    return 1 <= int(value[2:4]) <= 12 and 1 <= int(value[4:6]) <= 31


def _korean(text: str, start: int, end: int) -> Range | None:
    return _whole(text, start, end) if _plausible_date(text[start : start + 6]) else None


def _has_digits(value: str) -> bool:
    return sum(c.isdigit() for c in value) >= 4


def _is_npi(value: str) -> bool:
    return is_luhn(f"80840{value}")  # 45 CFR 162.406


_VIN_VALUE: Final = dict(
    zip("ABCDEFGHJKLMNPRSTUVWXYZ0123456789", (*range(1, 9), *range(1, 6), 7, 9, *range(2, 10), *range(10)), strict=True)
)  # fmt: skip
_VIN_WEIGHT: Final = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def is_vin(value: str) -> bool:
    """Returns whether a vehicle identification number has the check digit of 49 CFR 565.15."""
    letters = value.upper()
    if len(letters) != len(_VIN_WEIGHT) or any(c not in _VIN_VALUE for c in letters):
        return False
    rest = sum(_VIN_VALUE[c] * w for c, w in zip(letters, _VIN_WEIGHT, strict=True)) % 11
    return letters[8] == ("X" if rest == 10 else str(rest))


def _is_like_vin(value: str) -> bool:
    """Returns whether a number after the word for it is one: Europe's have no check digit."""
    return is_vin(value) or (sum(c.isdigit() for c in value) >= 5 and value[-4:].isdigit())


_DISTINCT: Final = (
    distinct("IN_PAN", r"\b[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]\b", score=0.75),
    distinct("IT_FISCAL_CODE", r"(?i)\b[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]\b", "it.codicefiscale"),
    distinct("FR_NIR", r"\b[12]\d{2}(?:0[1-9]|1[0-2]|[2-4]\d)(?:\d{2}|2[AB])\d{6} ?\d{2}\b|\b[12] \d{2} (?:0[1-9]|1[0-2]|[2-4]\d) (?:\d{2}|2[AB]) \d{3} \d{3} ?[ /]?\d{2}\b", "fr.nir"),
    distinct("BR_CPF", r"\b\d{3}\.\d{3}\.\d{3}-\d{2}\b", "br.cpf"),
    distinct("BR_CNPJ", r"\b\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}\b", "br.cnpj"),
    distinct("CL_RUT", r"\b\d{1,2}\.\d{3}\.\d{3}-[\dkK]\b", "cl.rut"),
    distinct("AR_CUIT", r"\b(?:20|23|24|27|30|33|34)-\d{8}-\d\b", "ar.cuit"),
    distinct("MX_CURP", r"\b[A-Z][AEIOUX][A-Z]{2}\d{6}[HM][A-Z]{5}[A-Z\d]\d\b", "mx.curp"),
    distinct("FI_PERSONAL_IDENTITY_CODE", r"\b\d{6}[-+A]\d{3}[0-9A-FHJ-NPR-Y]\b", "fi.hetu"),
    distinct("BE_NATIONAL_NUMBER", r"\b\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}\b", "be.nn"),
    distinct("CH_AHV", r"\b756\.\d{4}\.\d{4}\.\d{2}\b", "ch.ssn"),
    distinct("SG_NRIC_FIN", r"\b[STFGM]\d{7}[A-Z]\b", "sg.nric", score=0.7),
    distinct("CN_RESIDENT_ID", r"\b[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx]\b", "cn.ric"),
    distinct("US_ITIN", r"\b9\d{2}-(?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])-\d{4}\b", score=0.8),
    distinct("UK_NINO", r"\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] \d{2} \d{2} \d{2} [A-D]\b", score=0.8),
    distinct("ES_NIE", r"\b[XYZ]-?\d{7}-?[A-HJ-NP-TV-Z]\b", "es.nie", score=0.7),
    distinct("ES_NIF", r"\b\d{8}-?[A-HJ-NP-TV-Z]\b", "es.dni", score=0.65),
    distinct("SE_PERSONNUMMER", r"\b(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])[-+]\d{4}\b", "se.personnummer"),
    Rule("KR_RRN", r"\b\d{6}-[1-4]\d{6}\b", 0.75, _korean),
)  # fmt: skip

_WORDED: Final = (
    worded("UK_NINO", r"ni(?:no| ?number)|national insurance(?: (?:number|no))?", r"[A-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D]"),
    worded("UK_NHS", r"nhs(?: ?(?:number|no|id))?", r"\d{3}[ -]?\d{3}[ -]?\d{4}", checked("gb.nhs")),
    worded("IN_AADHAAR", r"aadh?aa?r|uidai|uid", r"\d{4}[ -]?\d{4}[ -]?\d{4}", checked("in_.aadhaar")),
    worded("ES_NIF", r"dni|nif|documento", r"\d{8}[ -]?[A-Z]", checked("es.dni")),
    worded("DE_TAX_ID", r"steuer-?(?:id|identifikationsnummer|nummer)|idnr|tax id", r"\d{2} ?\d{3} ?\d{3} ?\d{3}", checked("de.idnr")),
    worded("DE_SOCIAL_SECURITY", r"(?:renten|sozial)versicherungs-?(?:nummer|nr)|rvnr|svnr", r"\d{2} ?\d{6} ?[A-Z] ?\d{3}"),
    worded("DE_ID_CARD", r"(?:personal)?ausweis(?:-?(?:nr|nummer|id))?", r"[CFGHJKLMNPRTVWXYZ0-9]{9,10}", _has_digits),
    worded("PL_PESEL", r"pesel", r"\d{11}", checked("pl.pesel")),
    worded("NL_BSN", r"bsn|burgerservicenummer|sofi-?nummer", r"\d{4}[. ]?\d{2}[. ]?\d{3}", checked("nl.bsn")),
    worded("SE_PERSONNUMMER", r"person(?:nummer|al (?:identity|id) (?:number|no))|pnr", r"\d{6,8}[-+ ]?\d{4}"),
    worded("NO_FODSELSNUMMER", r"f[ox]dselsnummer|personnummer|fnr", r"\d{6} ?\d{5}", checked("no.fodselsnummer")),
    worded("DK_CPR", r"cpr(?:-?(?:nummer|nr|number))?", r"\d{6}-?\d{4}"),
    worded("AT_SVNR", r"svnr|sozialversicherungsnummer|versicherungsnummer", r"\d{4} ?\d{6}", checked("at.vnr")),
    worded("PT_NIF", r"nif|contribuinte", r"\d{3} ?\d{3} ?\d{3}", checked("pt.nif")),
    worded("BR_CPF", r"cpf", r"\d{3}\.?\d{3}\.?\d{3}-?\d{2}", checked("br.cpf")),
    worded("CA_SIN", r"sin|social insurance(?: (?:number|no))?", r"\d{3}[- ]?\d{3}[- ]?\d{3}", checked("ca.sin")),
    worded("AU_TFN", r"tfn|tax file (?:number|no)", r"\d{3}[- ]?\d{3}[- ]?\d{3}", checked("au.tfn")),
    worded("AU_MEDICARE", r"medicare", r"\d{4}[- ]?\d{5}[- ]?\d"),
    worded("AU_ABN", r"abn", r"\d{2} ?\d{3} ?\d{3} ?\d{3}", checked("au.abn")),
    worded("ZA_ID_NUMBER", r"(?:south african |sa )?id(?: number| no)?", r"\d{13}", checked("za.idnr")),
    worded("TR_NATIONAL_ID", r"t\.?c\.?|kimlik|tckn", r"[1-9]\d{10}", checked("tr.tckimlik")),
    worded("IL_ID", r"teudat zehut|israeli id", r"\d{9}", checked("il.idnr")),
    worded("JP_MY_NUMBER", r"my number|kojin bango", r"\d{4}[- ]?\d{4}[- ]?\d{4}", checked("jp.in_")),
    worded("US_ITIN", r"itin", r"9\d{2}[- ]?\d{2}[- ]?\d{4}"),
    worded("US_EIN", r"ein|employer identification(?: number)?|fein", r"\d{2}-\d{7}"),
    worded("US_MBI", r"mbi|medicare (?:beneficiary|number|id)", r"[1-9][A-Z][A-Z0-9]\d-?[A-Z][A-Z0-9]\d-?[A-Z]{2}\d{2}"),
    worded("US_NPI", r"npi", r"[12]\d{9}", _is_npi),
    worded("PASSPORT", r"passport(?:[ _]?(?:number|num|no|nr|id))?|reisepass(?:nummer)?|pasaporte|passeport|passaporto|paspoort", r"[A-Z]{0,3}\d{6,9}[A-Z]?|[A-Z]\d{2}[A-Z]{2}\d{4}|[CFGHJKLMNPRTVWXYZ0-9]{9}", _has_digits),
    worded("DRIVER_LICENSE", r"(?:driv(?:er'?s?|ing)[ _]?|dl[ _])licen[cs]e(?:[ _]?(?:number|num|no|nr|id))?|dl[ _]?(?:number|no|#)|licen[cs]e (?:number|no\.?)|f[ux]hrerschein(?:nummer)?|permis de conduire|patente|rijbewijs|licencia de conducir", r"[A-Z]{0,5}[- ]?\d[A-Z0-9]*(?:[- ][A-Z0-9]*\d[A-Z0-9]*)*", _has_digits),
    worded("NATIONAL_ID", r"national[ _](?:id|identity|identification)(?:[ _](?:number|card|no))?|(?:identity|id)[ _]card(?:[ _](?:number|no))?|personalausweis(?:nummer|nr)?|citizen[ _]id|government[ _]id", r"[A-Z0-9]{1,3}[-. ]?\d[A-Z0-9.-]{4,18}", _has_digits),
    worded("TAX_ID", r"tax[ _](?:id|identification|payer)(?:[ _](?:number|no|id))?|tin|taxpayer id|vat(?:[ _](?:number|no|id))?|codice fiscale|partita iva", r"[A-Z]{0,3}\d[A-Z0-9-]{6,18}", _has_digits),
    worded("MEDICAL_RECORD", r"mrn|medical record(?: (?:no|number|id))?|patient[ _](?:id|no|number)|health (?:plan|insurance)(?: (?:beneficiary|member))? (?:id|number|no)", r"[A-Z]{0,4}-?\d[A-Z0-9-]{3,14}", _has_digits),
    worded("VIN", r"vin|chassis(?: (?:no|number))?|vehicle identification(?: number)?", r"[A-HJ-NPR-Z0-9]{17}", _is_like_vin),
    worded("LICENSE_PLATE", r"licen[cs]e plate|number plate|plate (?:number|no)|(?:vehicle|car|reg(?:istration)?\.?) plate|kennzeichen|matricula|registration (?:number|plate)", r"[A-Z0-9]{1,4}[- ]?[A-Z0-9]{1,4}(?:[- ][A-Z0-9]{1,4})?", lambda v: any(c.isdigit() for c in v) and len(v) >= 5),
    worded("IMEI", r"imei", r"\d{2}-?\d{6}-?\d{6}-?\d", checked("imei")),
)  # fmt: skip

DOCUMENT_RULES: Final[tuple[Rule, ...]] = (*_DISTINCT, *_WORDED)

#: Numbers in tables: not on the hot path.
HEADED_RULES: Final[tuple[Rule, ...]] = (
    headed("UK_NHS", "nhs", r"\b\d{3}[ -]\d{3}[ -]\d{4}\b", checked("gb.nhs"), score=0.8),
)
