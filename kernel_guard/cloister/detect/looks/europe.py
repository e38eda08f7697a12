"""Identity and tax numbers of Europe.

Dates of birth inside a number are part of its pattern, check digits are laws. Sources: the national
rules as python-stdnum states them, and Presidio's recognisers for German social insurance and for
the names of the types.
"""

from __future__ import annotations

from typing import Final

from cloister.detect.guards import Stdnum, guarded
from cloister.detect.laws import (
    DIGITS,
    Followed,
    Luhn,
    Mod11And10,
    OneRepeated,
    Spelled,
    Weighted,
    powers,
)
from cloister.detect.looks.look import Look

DAY: Final = r"(?:0[1-9]|[12]\d|3[01])"
MONTH: Final = r"(?:0[1-9]|1[0-2])"
_DAY_OF_INTEGER: Final = r"(?:0?[1-9]|[12]\d|3[01])"
# The right check digit for each remainder. What is left of 11 can be 10 or 11: there is no such
# digit, or it is 0.
_FROM_10: Final = "0987654321"
_FROM_11: Final = "0-987654321"
_FROM_11_ELSE_0: Final = "00987654321"
_SAME: Final = "0123456789-"
_SAME_ELSE_0: Final = "01234567890"

# People of a column are born in more years than a business counts invoices of.
_GENERATIONS: Final = 12

_NIF: Final = Weighted(
    powers(10, 8, 23), 23, "TRWAGMYFPDXBNJZSQVHLCKE", values=("0X", "1Y", "2Z", *"3456789")
)
# Corsica's departments 2A and 2B count as 19 and 18: the letters are worth -1 and -2.
_NIR_VALUES: Final = (*DIGITS, *("" for _ in range(85)), "B", "A")
_BALTIC: Final = Followed(
    Weighted((1, 2, 3, 4, 5, 6, 7, 8, 9, 1), 11, _SAME),
    Weighted((3, 4, 5, 6, 7, 8, 9, 1, 2, 3), 11, _SAME_ELSE_0),
)


def _born(values: list[str]) -> int:
    """Returns how many values are numbers of people; none, if all begin with dates of a few years.

    Danish numbers have no check digit since 2007, and invoices are numbered like them.
    """
    years = {value[4:6] for value in values}
    return len(values) if len(years) >= min(_GENERATIONS, len(values) / 2) else 0


EUROPE: tuple[Look, ...] = (
    # United Kingdom
    Look(
        "UK_NHS",
        r"\d{9,10}|\d{3}[ -]\d{3}[ -]\d{4}",
        check=guarded(10, Weighted((10, 9, 8, 7, 6, 5, 4, 3, 2), 11, _FROM_11)),
        hint=r"\bnhs\b|\bchi (?:no|num|number)\b",
        chance=0.09,
    ),
    Look(
        "UK_NINO",
        r"(?i)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][ -]?\d{2}[ -]?\d{2}[ -]?\d{2}[ -]?[A-D]",
        hint=r"\bnino\b|\bnational insurance\b|\bni (?:no|num|number)\b",
        chance=0.1,
    ),
    # Spain
    Look(
        "ES_NIE",
        r"(?i)[XYZ][ -]?\d{7}[ -]?[A-HJ-NP-TV-Z]",
        check=guarded(9, _NIF),
        hint=r"\bnie\b",
        chance=0.004,
    ),
    Look(
        "ES_NIF",
        r"(?i)(?:\d{7,8}|\d{1,2}\.\d{3}\.\d{3}|[XYZ][ -]?\d{7})[ -]?[A-HJ-NP-TV-Z]",
        check=guarded(9, _NIF),
        hint=r"\b(?:nif|dni)\b",
        chance=0.04,
    ),
    Look(
        "TAX_ID",
        r"(?i)[A-HJNP-SUVW][ -]?\d{7}[ -]?[\dA-J]",
        check=Stdnum("es.cif"),
        hint=r"\bcif\b",
        alone=False,
    ),
    # Italy
    Look(
        "IT_FISCAL_CODE",
        r"(?i)[A-Z]{3} ?[A-Z]{3} ?[\dLMNP-V]{2}[A-EHLMPR-T][\dLMNP-V]{2} ?[A-Z][\dLMNP-V]{3}[A-Z]",
        is_strong=True,
        check=Stdnum("it.codicefiscale"),
        hint=r"\bcodice fiscale\b|\bcod fisc\b",
        chance=1e-4,
    ),
    Look(
        "IT_VAT_CODE",
        r"(?i)(?:IT ?)?\d{11}",
        check=guarded(11, Luhn(), prefix="IT"),
        hint=r"\bpartita iva\b|\bp iva\b|\bvat\b",
        alone=False,
        chance=0.1,
    ),
    Look(
        "IT_IDENTITY_CARD",
        r"(?i)[A-Z]{2} ?\d{5}[A-Z]{2}|[A-Z]{2} ?\d{7}|\d{7}[A-Z]{2}",
        hint=r"\bcarta (?:d )?identita\b",
        alone=False,
    ),
    # Poland
    Look(
        "PL_PESEL",
        rf"\d{{1,2}}(?:[02468][1-9]|[13579][0-2]){DAY}\d{{5}}",
        check=guarded(11, Weighted((1, 3, 7, 9, 1, 3, 7, 9, 1, 3), 10, _FROM_10)),
        hint=r"\bpesel\b",
        chance=0.019,
    ),
    Look(
        "TAX_ID",
        r"\d{10}|\d{3}-\d{3}-\d{2}-\d{2}|\d{3}-\d{2}-\d{2}-\d{3}",
        check=guarded(10, Weighted((6, 5, 7, 2, 3, 4, 5, 6, 7), 11, _SAME)),
        hint=r"\bnip\b",
        chance=0.09,
    ),
    # Nordic countries
    Look(
        "FI_PERSONAL_IDENTITY_CODE",
        rf"(?i){DAY}{MONTH}\d{{2}}[-+A-FU-Y]\d{{3}}[\dA-FHJ-NPR-Y]",
        is_strong=True,
        check=Stdnum("fi.hetu"),
        hint=r"\bhetu\b|\bhenkilotunnus\b",
        chance=1e-3,
    ),
    Look(
        "SE_PERSONNUMMER",
        rf"(?:19|20)?\d{{1,2}}{MONTH}(?:0[1-9]|[1278]\d|[369][01]|6\d)[-+]?\d{{4}}",
        check=guarded(12, Luhn(start=2)),
        hint=r"\bpersonn(?:umme)?r\b|\bsamordningsn(?:umme)?r\b",
        chance=0.008,
    ),
    Look(
        "SE_ORGANISATIONSNUMMER",
        r"\d{2}[2-9]\d{3}-?\d{4}",
        check=guarded(10, Luhn()),
        hint=r"\borg(?:anisations)? ?n(?:umme)?r\b",
        alone=False,
        chance=0.08,
    ),
    Look(  # Norway, with D, H and test numbers
        "NATIONAL_ID",
        r"(?:[04]?[1-9]|[1256]\d|[37][01])(?:[048][1-9]|[159][0-2])\d{2} ?\d{5}",
        check=guarded(
            11,
            Weighted((3, 7, 6, 1, 8, 9, 4, 5, 2), 11, _FROM_11),
            Weighted((5, 4, 3, 2, 7, 6, 5, 4, 3, 2), 11, _FROM_11),
        ),
        hint=r"\bfodselsn(?:umme)?r\b|\bfnr\b|\bpersonnummer\b",
        chance=0.001,
    ),
    Look(  # Denmark
        "NATIONAL_ID",
        rf"{DAY}{MONTH}\d{{2}}-\d{{4}}",
        check=_born,
        hint=r"\bcpr\b",
        chance=0.04,
    ),
    Look(
        "NATIONAL_ID",
        rf"{_DAY_OF_INTEGER}{MONTH}\d{{6}}",
        hint=r"\bcpr\b",
        alone=False,
        chance=0.05,
    ),
    Look(  # Iceland
        "NATIONAL_ID",
        rf"{_DAY_OF_INTEGER}{MONTH}\d{{2}}-?\d{{3}}[089]",
        check=guarded(10, Weighted((3, 2, 7, 6, 5, 4, 3, 2, 1), 11)),
        hint=r"\bkennitala\b",
        chance=0.001,
    ),
    # Germany, Austria, Switzerland
    Look(
        "DE_TAX_ID",
        r"[1-9]\d{10}|[1-9]\d(?: \d{3}){3}",
        check=guarded(11, Mod11And10(), OneRepeated(10)),
        hint=r"\bsteuer ?(?:id|identifikations ?nummer|idnr)\b|\bidnr\b|\btax ?id\b",
        chance=0.04,
    ),
    Look(
        "DE_SOCIAL_SECURITY",
        rf"(?i)\d{{2}} ?(?:{DAY}|5[1-9]|[67]\d|8[01]){MONTH}\d{{2}} ?[A-Z] ?\d{{3}}",
        is_strong=True,
        check=guarded(
            12,
            Spelled(
                8,
                Weighted((2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), 10, DIGITS, sums_digits=True),
            ),
        ),
        hint=r"\b(?:sozial|renten)?versicherungs ?nummer\b|\bsvnr\b|\brvnr\b",
        chance=0.003,
    ),
    Look(
        "DE_HEALTH_INSURANCE",
        r"(?i)[A-Z]\d{3} ?\d{3} ?\d{3}",
        check=guarded(
            10,
            Spelled(0, Weighted((1, 2, 1, 2, 1, 2, 1, 2, 1, 2), 10, DIGITS, sums_digits=True)),
        ),
        hint=r"\bkvnr\b|\bkrankenversicherten ?nummer\b|\bversicherten ?(?:nummer|nr|id)\b",
        chance=0.1,
    ),
    Look(
        "DE_ID_CARD",
        r"(?i)[CFGHJKLMNPRTVWXYZ][CFGHJKLMNPRTVWXYZ\d]{7}\d{1,2}",
        hint=r"\b(?:personal)?ausweis(?: ?(?:nummer|nr))?\b",
        alone=False,
    ),
    Look(  # Austria
        "NATIONAL_ID",
        rf"[1-9]\d{{3}} ?{DAY}(?:0[1-9]|1[0-5])\d{{2}}",
        check=guarded(10, Weighted((3, 7, 9, -1, 5, 8, 4, 2, 1, 6), 11)),
        hint=r"\bsvnr\b|\bsozialversicherungs ?nummer\b",
        chance=0.004,
    ),
    Look(  # Switzerland
        "NATIONAL_ID",
        r"756(?:\d{10}|[. ]\d{4}[. ]\d{4}[. ]\d{2})",
        is_strong=True,
        check=guarded(13, Weighted((1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3), 10, _FROM_10)),
        hint=r"\bahvn?(?:13)?\b|\bavs\b",
        chance=1e-4,
    ),
    # France, Belgium, Netherlands
    Look(
        "NATIONAL_ID",
        r"(?i)[1-478] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?"
        r"(?:0[1-9]|[1-8]\d|9[0-7])",
        is_strong=True,
        check=guarded(15, Weighted((*powers(10, 13, 97), 10, 1), 97, values=_NIR_VALUES)),
        hint=r"\bnir\b|\bnuméro de securite sociale\b|\bsecurite sociale\b|\binsee\b",
        chance=0.005,
    ),
    Look(  # Belgium; from 2000 a 2 is thought in front
        "NATIONAL_ID",
        rf"\d{{1,2}}\.?(?:[024][1-9]|[135][0-2]|[024]0)\.?(?:{DAY}|00)[-.]?\d{{3}}[.-]?\d{{2}}",
        check=guarded(
            11,
            Weighted((*powers(10, 9, 97), 10, 1), 97, remainders=(0, -2 * 10**9 % 97)),
        ),
        hint=r"\brijksregister(?:nummer)?\b|\bnational register\b|\binsz\b|\bniss\b",
        chance=0.004,
    ),
    Look(  # Netherlands
        "NATIONAL_ID",
        r"\d{8,9}|\d{4}\.\d{2}\.\d{3}",
        check=guarded(9, Weighted((9, 8, 7, 6, 5, 4, 3, 2, -1), 11)),
        hint=r"\bbsn\b|\bburgerservice ?nummer\b|\bsofi(?: ?nummer)?\b",
        chance=0.091,
    ),
    # Portugal, Ireland, Greece
    Look(
        "TAX_ID",
        r"[1235689]\d{8}|[1235689]\d{2} \d{3} \d{3}",
        check=guarded(9, Weighted((9, 8, 7, 6, 5, 4, 3, 2), 11, _FROM_11_ELSE_0)),
        hint=r"\bnif\b|\bcontribuinte\b",
        chance=0.1,
    ),
    Look(
        "NATIONAL_ID",
        r"(?i)\d{7} ?[A-W][A-IW]?",
        check=Stdnum("ie.pps"),
        hint=r"\bppsn?\b",
        chance=0.043,
    ),
    Look(
        "NATIONAL_ID",
        rf"{_DAY_OF_INTEGER}{MONTH}\d{{7}}",
        check=guarded(11, Luhn()),
        hint=r"\bamka\b",
        chance=0.004,
    ),
    # Central and south-eastern Europe
    Look(  # Czechia and Slovakia
        "NATIONAL_ID",
        rf"\d{{1,2}}(?:[05][1-9]|[16][0-2]|[27][1-9]|[38][0-2]){DAY}/?\d{{4}}",
        check=guarded(10, Weighted(powers(10, 9, 11), 11, _SAME_ELSE_0)),
        hint=r"\brodne cislo\b|\brc\b",
        chance=0.015,
    ),
    Look(  # Romania
        "NATIONAL_ID",
        rf"[1-9]\d{{2}}{MONTH}{DAY}(?:0[1-9]|[1-4]\d|5[12]|7\d|8\d)\d{{4}}",
        check=guarded(13, Weighted((2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9), 11, "01234567891")),
        hint=r"\bcnp\b|\bcod numeric personal\b",
        chance=0.002,
    ),
    Look(  # Bulgaria
        "NATIONAL_ID",
        rf"\d{{1,2}}(?:[024][1-9]|[135][0-2]){DAY}\d{{4}}",
        check=guarded(10, Weighted((2, 4, 8, 5, 10, 9, 7, 3, 6), 11, _SAME_ELSE_0)),
        hint=r"\begn\b",
        chance=0.01,
    ),
    Look(  # Estonia and Lithuania
        "NATIONAL_ID",
        rf"[1-8]\d{{2}}{MONTH}{DAY}\d{{4}}",
        check=guarded(11, _BALTIC),
        hint=r"\bisikukood\b|\basmens kodas\b",
        chance=0.003,
    ),
    Look(  # Latvia
        "NATIONAL_ID",
        rf"(?:{_DAY_OF_INTEGER}{MONTH}\d{{2}}-?[0-2]|32\d{{4}}-?\d)\d{{4}}",
        check=guarded(11, Weighted((10, 5, 8, 4, 2, 1, 6, 3, 7, 9), 11, "12345678900")),
        hint=r"\bpersonas kods\b",
        chance=0.002,
    ),
    Look(  # Croatia
        "NATIONAL_ID",
        r"\d{11}",
        check=guarded(11, Mod11And10()),
        hint=r"\boib\b",
        chance=0.1,
    ),
    Look(  # Slovenia and the other successors of Yugoslavia
        "NATIONAL_ID",
        rf"{_DAY_OF_INTEGER}{MONTH}(?:9\d{{2}}|0[0-3]\d)\d{{6}}",
        check=guarded(13, Weighted((7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2), 11, _FROM_11_ELSE_0)),
        hint=r"\bemso\b|\bjmbg\b",
        chance=4e-4,
    ),
    # Türkiye, Russia
    Look(
        "TR_NATIONAL_ID",
        r"[1-9]\d{10}",
        check=guarded(
            11,
            Weighted((3, 1, 3, 1, 3, 1, 3, 1, 3), 10, _FROM_10),
            Weighted((1, 1, 1, 1, 1, 1, 1, 1, 1, 1), 10, DIGITS),
        ),
        hint=r"\btckn\b|\btc ?kimlik\b|\bkimlik\b",
        chance=0.009,
    ),
    Look(
        "TAX_ID",
        r"\d{11,12}",
        check=guarded(
            12,
            Weighted((7, 2, 4, 10, 3, 5, 9, 4, 6, 8), 11, _SAME_ELSE_0),
            Weighted((3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8), 11, _SAME_ELSE_0),
        ),
        hint=r"\binn\b",
        chance=0.011,
    ),
    # Value added tax numbers say their country; businesses have them, and people who are one.
    Look(
        "TAX_ID",
        r"(?i)(?:AT ?U|BE|BG|CY|CZ|DE|DK|EE|EL|ES|FI|FR|GB|HR|HU|IE|IT|LT|LU|LV|MT|NL|PL|PT|RO|SE"
        r"|SI|SK) ?[\dA-Z]{1,2}[\d .]{6,12}[\dA-Z]{0,3}",
        hint=r"\bvat\b|\bust ?id(?: ?nr)?\b|\btva\b|\bbtw\b|\bmoms\b",
        alone=False,
    ),
)
