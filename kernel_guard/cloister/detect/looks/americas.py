"""Identity, tax and provider numbers of the Americas.

Sources: the Social Security Administration, the Internal Revenue Service and CMS for the United
States; the national rules as python-stdnum states them; Presidio for the names of the types.
"""

from __future__ import annotations

from typing import Final

from cloister.detect.checksums import is_ssn
from cloister.detect.guards import Stdnum, compact, guarded
from cloister.detect.laws import DIGITS, LETTERS, Luhn, Weighted
from cloister.detect.looks.europe import DAY, MONTH
from cloister.detect.looks.look import Look

_FROM_10: Final = "0987654321"
_FROM_11_ELSE_0: Final = "00987654321"
_CURP_VALUES: Final = (*DIGITS, *LETTERS[:14], "", *LETTERS[14:])  # Ñ stands between N and O
_ITIN_GROUP: Final = r"(?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])"


def _ssns(values: list[str]) -> int:
    # An integer has lost the zeros of the north-east; a text has not.
    return sum(is_ssn(number.zfill(9)) for number in compact(values))


AMERICAS: tuple[Look, ...] = (
    # United States
    Look(
        "US_SSN",
        r"\d{3}-\d{2}-\d{4}|\d{3} \d{2} \d{4}",
        is_strong=True,
        check=_ssns,
        hint=r"\bssn\b|\bsoc(?:ial)? sec(?:urity)?\b",
        chance=0.01,
    ),
    Look(
        "US_SSN",
        r"\d{7,9}",
        check=_ssns,
        hint=r"\bssn\b|\bsoc(?:ial)? sec(?:urity)?\b",
        alone=False,
        chance=0.9,
    ),
    Look(
        "US_ITIN",
        rf"9\d{{2}}-{_ITIN_GROUP}-\d{{4}}|9\d{{2}} {_ITIN_GROUP} \d{{4}}",
        is_strong=True,
        hint=r"\bitin\b",
        chance=0.005,
    ),
    Look(
        "US_ITIN",
        rf"9\d{{2}}{_ITIN_GROUP}\d{{4}}",
        hint=r"\bitin\b|\btax ?(?:payer)? ?id\b",
        alone=False,
        chance=0.05,
    ),
    Look(
        "TAX_ID",
        r"\d{2}-\d{7}",
        check=Stdnum("us.ein"),
        hint=r"\bf?ein\b|\btax ?(?:payer)? ?id\b|\btin\b|\bemployer id",
        alone=False,
        chance=0.8,
    ),
    Look(
        "US_NPI",
        r"[12]\d{9}|[12]\d{3}[ -]\d{3}[ -]\d{3}",
        check=guarded(10, Luhn(prefix="80840")),
        hint=r"\bnpi\b|\bnational provider\b",
        chance=0.02,
    ),
    Look(
        "US_MBI",
        r"(?i)[1-9][AC-HJKMNP-RT-Y][\dAC-HJKMNP-RT-Y]\d-?[AC-HJKMNP-RT-Y][\dAC-HJKMNP-RT-Y]\d-?"
        r"[AC-HJKMNP-RT-Y]{2}\d{2}",
        is_strong=True,
        hint=r"\bmbi\b|\bmedicare\b",
        chance=1e-3,
    ),
    Look(
        "MEDICAL_LICENSE",
        r"(?i)[ABCDEFGHJKLMPRSTUX][A-Z9]-?\d{7}",
        check=guarded(9, Weighted((1, 2, 1, 2, 1, 2), 10, DIGITS, start=2)),
        hint=r"\bdea\b",
        chance=0.07,
    ),
    # Canada
    Look(
        "CA_SIN",
        r"[1-79]\d{8}|[1-79]\d{2}[ -]\d{3}[ -]\d{3}",
        check=guarded(9, Luhn()),
        hint=r"\bsin\b|\bsocial insurance\b|\bnas\b",
        chance=0.08,
    ),
    # Brazil
    Look(
        "BR_CPF",
        r"\d{9,11}|\d{3}\.\d{3}\.\d{3}-\d{2}",
        check=guarded(
            11,
            Weighted((10, 9, 8, 7, 6, 5, 4, 3, 2), 11, _FROM_11_ELSE_0),
            Weighted((11, 10, 9, 8, 7, 6, 5, 4, 3, 2), 11, _FROM_11_ELSE_0),
        ),
        hint=r"\bcpf\b",
        chance=0.01,
    ),
    Look(
        "TAX_ID",
        r"\d{13,14}|\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}",
        check=guarded(
            14,
            Weighted((5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2), 11, _FROM_11_ELSE_0),
            Weighted((6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2), 11, _FROM_11_ELSE_0),
        ),
        hint=r"\bcnpj\b",
        chance=0.01,
    ),
    # Mexico
    Look(
        "NATIONAL_ID",
        rf"(?i)[A-Z]{{4}}\d{{2}}{MONTH}{DAY}[HMX][A-Z]{{5}}[A-Z\d]\d",
        is_strong=True,
        check=guarded(
            18,
            Weighted(
                (18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2),
                10,
                _FROM_10,
                values=_CURP_VALUES,
            ),
        ),
        hint=r"\bcurp\b",
        chance=1e-4,
    ),
    Look(
        "TAX_ID",
        rf"(?i)[A-ZÑ&]{{3,4}}-?\d{{2}}{MONTH}{DAY}-?[A-Z\d]{{2}}[A\d]",
        hint=r"\brfc\b",
        chance=0.03,
    ),
    # Argentina, Chile, Ecuador, Dominican Republic
    Look(
        "TAX_ID",
        r"(?:2[0347]|3[034])-?\d{8}-?\d",
        check=guarded(11, Weighted((5, 4, 3, 2, 7, 6, 5, 4, 3, 2), 11, "09987654321")),
        hint=r"\bcui[tl]\b",
        chance=0.006,
    ),
    Look(
        "NATIONAL_ID",
        r"(?i)\d{1,2}\.?\d{3}\.?\d{3}-[\dK]",
        check=guarded(9, Weighted((3, 2, 7, 6, 5, 4, 3, 2), 11, "0K987654321")),
        hint=r"\bru[tn]\b",
        chance=0.09,
    ),
    Look(
        "NATIONAL_ID",
        r"(?:0?[1-9]|1\d|2[0-4]|30)[0-6]\d{7}",
        check=guarded(10, Luhn()),
        hint=r"\bcedula\b|\bci\b",
        alone=False,
        chance=0.02,
    ),
    Look(
        "NATIONAL_ID",
        r"\d{3}-\d{7}-\d",
        check=guarded(11, Luhn()),
        hint=r"\bcedula\b",
        chance=0.1,
    ),
)
