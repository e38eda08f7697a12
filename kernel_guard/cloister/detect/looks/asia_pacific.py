"""Identity and tax numbers of Asia, the Pacific, the Middle East and Africa.

Sources: the national rules as python-stdnum states them; for Singapore, Hong Kong and Taiwan, whose
rules it lacks, the published algorithms; Presidio for Medicare numbers and the names of the types.
"""

from __future__ import annotations

from typing import Final

from cloister.detect.guards import Stdnum, compact, guarded
from cloister.detect.laws import (
    DIGITS,
    LETTERS,
    Either,
    Followed,
    Luhn,
    Series,
    Spelled,
    Verhoeff,
    Weighted,
)
from cloister.detect.looks.europe import DAY, MONTH
from cloister.detect.looks.look import Look

_FROM_10: Final = "0987654321"
_FROM_11_ELSE_0: Final = "00987654321"
_KOREAN: Final = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
_INLAND_REVENUE: Final = "0-987654321"


def _nric(first: str, checks: str, offset: int = 0) -> Series:
    """Returns the law of one series of Singapore; the offset turns its table of letters."""
    weights = (2, 7, 6, 5, 4, 3, 2)
    return Series(first, Weighted(weights, 11, checks[offset:] + checks[:offset], start=1))


def _korean_businesses(values: list[str]) -> int:
    """Returns how many values have the check digit of a Korean business.

    Of the product of the ninth digit, both digits count; python-stdnum does not check it.
    """
    count = 0
    for number in compact(values):
        digits = [int(d) for d in number]
        total = sum(d * w for d, w in zip(digits, (1, 3, 7, 1, 3, 7, 1, 3, 5, 1), strict=True))
        count += (total + digits[8] * 5 // 10) % 10 == 0
    return count


ASIA_PACIFIC: tuple[Look, ...] = (
    # India
    Look(
        "IN_AADHAAR",
        r"[2-9]\d{11}|[2-9]\d{3}[ -]\d{4}[ -]\d{4}",
        check=guarded(12, Verhoeff()),
        hint=r"\baadha+r\b|\buidai\b|\buid (?:no|num|number)\b",
        chance=0.08,
    ),
    Look(
        "IN_PAN",
        r"(?i)[A-Z]{3}[ABCFGHJKLPT][A-Z]\d{4}[A-Z]",
        hint=r"\bpan (?:no|num|number|card)\b|^pan$",
        chance=0.005,
    ),
    Look(
        "IN_GSTIN",
        r"(?i)\d{2}[A-Z]{3}[ABCFGHJKLPT][A-Z]\d{4}[A-Z][\dA-Z]Z[\dA-Z]",
        is_strong=True,
        check=Stdnum("in_.gstin"),
        hint=r"\bgst(?:in)?\b",
        chance=1e-4,
    ),
    Look(
        "IN_VOTER",
        r"(?i)[A-Z]{3}\d{7}",
        check=Stdnum("in_.epic"),
        hint=r"\bepic\b|\bvoter\b",
        chance=0.1,
    ),
    # Australia and New Zealand
    Look(
        "AU_TFN",
        r"\d{8,9}|\d{3} \d{3} \d{3}",
        check=guarded(9, Weighted((1, 4, 3, 7, 5, 8, 6, 9, 10), 11)),
        hint=r"\btfn\b|\btax file\b",
        chance=0.0911,
    ),
    Look(
        "AU_ABN",
        r"(?:1[1-9]|[2-9]\d)(?:\d{9}|(?: \d{3}){3})",
        # One is subtracted from the first digit, whose weight is ten.
        check=guarded(11, Weighted((10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19), 89, remainders=(10,))),
        hint=r"\babn\b|\bbusiness number\b",
        chance=0.0112,
    ),
    Look(
        "AU_ACN",
        r"\d{9}|\d{3} \d{3} \d{3}",
        check=guarded(9, Weighted((8, 7, 6, 5, 4, 3, 2, 1), 10, _FROM_10)),
        hint=r"\bacn\b|\bcompany number\b",
        alone=False,
        chance=0.1,
    ),
    Look(
        "AU_MEDICARE",
        r"[2-6]\d{9}|[2-6]\d{3}[ -]\d{5}[ -]\d",
        check=guarded(10, Weighted((1, 3, 7, 9, 1, 3, 7, 9), 10, DIGITS)),
        hint=r"\bmedicare\b",
        chance=0.05,
    ),
    Look(  # New Zealand
        "TAX_ID",
        r"(?:1[0-4]\d|[1-9]\d)\d{6}|(?:1[0-4]|[1-9])\d-\d{3}-\d{3}",
        check=guarded(
            9,
            Followed(
                Weighted((3, 2, 7, 6, 5, 4, 3, 2), 11, _INLAND_REVENUE),
                Weighted((7, 4, 3, 2, 5, 2, 7, 6), 11, _INLAND_REVENUE),
            ),
        ),
        hint=r"\bird\b",
        alone=False,
        chance=0.1,
    ),
    # Singapore, Malaysia, Thailand, Indonesia, the Philippines
    Look(
        "SG_NRIC_FIN",
        r"(?i)[STFGM]\d{7}[A-Z]",
        is_strong=True,
        check=guarded(
            9,
            Either(
                (
                    _nric("S", "JZIHGFEDCBA"),
                    _nric("T", "JZIHGFEDCBA", 4),
                    _nric("F", "XWUTRQPNMLK"),
                    _nric("G", "XWUTRQPNMLK", 4),
                    _nric("M", "XWUTRQPNJLK", 3),
                )
            ),
        ),
        hint=r"\bnric\b|\bfin\b",
        chance=0.007,
    ),
    Look(
        "SG_UEN",
        r"(?i)\d{8,9}[A-Z]|[RST]\d{2}[A-Z]{2}\d{4}[A-Z]",
        check=Stdnum("sg.uen"),
        hint=r"\buen\b",
        alone=False,
        chance=0.04,
    ),
    Look(  # Malaysia
        "NATIONAL_ID",
        rf"\d{{2}}{MONTH}{DAY}-\d{{2}}-\d{{4}}",
        check=Stdnum("my.nric"),
        hint=r"\bnric\b|\bmykad\b|\bic (?:no|num|number)\b",
        chance=0.02,
    ),
    Look(
        "NATIONAL_ID",
        rf"\d{{2}}{MONTH}{DAY}\d{{6}}",
        check=Stdnum("my.nric"),
        hint=r"\bnric\b|\bmykad\b|\bic (?:no|num|number)\b",
        alone=False,
        chance=0.02,
    ),
    Look(
        "TH_TNIN",
        r"[1-8]\d{12}|[1-8]-\d{4}-\d{5}-\d{2}-\d",
        check=guarded(
            13, Weighted((2, 1, 0, -1, -2, -3, -4, -5, -6, -7, -8, -9), 11, "10987654321")
        ),
        hint=r"\bthai id\b|\btnin\b",
        chance=0.08,
    ),
    Look(  # Indonesia
        "NATIONAL_ID",
        rf"[1-9]\d{{5}}(?:{DAY}|[4-6]\d|7[01]){MONTH}\d{{6}}",
        check=Stdnum("id.nik"),
        hint=r"\bnik\b|\bktp\b",
        chance=0.02,
    ),
    Look(
        "PH_TIN",
        r"\d{3}-\d{3}-\d{3}(?:-\d{3,5})?",
        hint=r"\btin\b|\btaxpayer id",
        alone=False,
    ),
    Look(
        "PH_UMID",
        r"\d{4}-\d{7}-\d",
        hint=r"\bumid\b|\bcrn\b|\bsss\b",
        alone=False,
    ),
    # China, Hong Kong, Taiwan, Korea, Japan
    Look(  # China
        "NATIONAL_ID",
        rf"(?i)[1-9]\d{{5}}(?:18|19|20)\d{{2}}{MONTH}{DAY}\d{{3}}[\dX]",
        is_strong=True,
        check=guarded(
            18,
            Weighted((7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2), 11, "10X98765432"),
        ),
        hint=r"\bshenfen ?zheng\b|\bresident id",
        chance=1e-4,
    ),
    Look(  # Hong Kong
        "NATIONAL_ID",
        r"(?i)[A-Z]\d{6}(?:\([\dA]\)|[\dA])",
        check=guarded(
            8,
            # A space counts as 36 in front of a single letter, with weight nine.
            Weighted((8, 7, 6, 5, 4, 3, 2, 1), 11, remainders=(6,), values=DIGITS + LETTERS),
        ),
        hint=r"\bhkid\b",
        chance=0.09,
    ),
    Look(  # Taiwan
        "NATIONAL_ID",
        r"(?i)[A-Z][1289]\d{8}",
        check=guarded(
            10,
            Spelled(
                0,
                Weighted((1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1), 10),
                ordinals="ABCDEFGHJKLMNPQRSTUVXYWZIO",
                first=10,
            ),
        ),
        hint=r"\bshenfen ?zheng\b",
        chance=0.04,
    ),
    Look(
        "KR_RRN",
        rf"\d{{2}}{MONTH}{DAY}-?[0-49]\d{{6}}",
        check=guarded(13, Weighted(_KOREAN, 11, "10987654321")),
        hint=r"\brrn\b|\bjumin\b|\bresident registration\b",
        chance=0.002,
    ),
    Look(
        "KR_FRN",
        rf"\d{{2}}{MONTH}{DAY}-?[5-8]\d{{6}}",
        check=guarded(13, Weighted(_KOREAN, 11, "32109876543")),
        hint=r"\bfrn\b|\bforeigner registration\b",
        chance=0.0015,
    ),
    Look(
        "KR_BRN",
        r"\d{3}-\d{2}-\d{5}",
        check=_korean_businesses,
        hint=r"\bbrn\b",
        chance=0.09,
    ),
    Look(  # Japan
        "NATIONAL_ID",
        r"\d{12}|\d{4}[ -]\d{4}[ -]\d{4}",
        check=guarded(12, Weighted((6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2), 11, _FROM_11_ELSE_0)),
        hint=r"\bmy ?number\b|\bindividual number\b|\bkojin bango\b",
        chance=0.1,
    ),
    # Middle East, Pakistan, Africa
    Look(  # Israel; nine digits with Luhn's rule are many things
        "NATIONAL_ID",
        r"\d{8,9}",
        check=guarded(9, Luhn()),
        hint=r"\bteudat ?zehut\b|\btz\b|\bmispar zehut\b",
        alone=False,
        chance=0.1,
    ),
    Look(  # United Arab Emirates
        "NATIONAL_ID",
        r"784-?(?:19|20)\d{2}-?\d{7}-?\d",
        check=guarded(15, Luhn()),
        hint=r"\bemirates id\b|\beid\b",
        chance=1e-4,
    ),
    Look(  # Pakistan: no check digit
        "NATIONAL_ID", r"[1-7]\d{4}-\d{7}-[1-9]", hint=r"\bcnic\b|\bnadra\b", chance=0.01
    ),
    Look("NATIONAL_ID", r"[1-7]\d{11}[1-9]", hint=r"\bcnic\b|\bnadra\b", alone=False, chance=0.6),
    Look(
        "ZA_ID_NUMBER",
        rf"\d{{1,2}}{MONTH}{DAY}\d{{4}}[01]\d{{2}}|\d{{2}}{MONTH}{DAY} \d{{4}} [01]\d{{2}}",
        check=guarded(13, Luhn()),
        hint=r"\b(?:sa|za|rsa) id\b|\bid (?:no|num|number)\b",
        chance=7e-4,
    ),
    Look("NG_NIN", r"\d{11}", hint=r"\bnin\b", alone=False),
    Look(  # Egypt: no published check digit
        "NATIONAL_ID",
        rf"[23]\d{{2}}{MONTH}{DAY}\d{{7}}",
        hint=r"\bnational id\b|\braqm qawmi\b",
        alone=False,
        chance=0.01,
    ),
)
