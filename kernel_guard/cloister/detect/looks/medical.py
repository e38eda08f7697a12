"""Codes of diagnoses, findings, drugs and procedures.

A code says nothing about anybody by itself; in a row with a person it is that person's health.

Sources: WHO ICD-10, CMS ICD-9-CM, SNOMED International's release file specification (Verhoeff's
rule and partitions), Regenstrief's LOINC guide (mod 10), FDA's National Drug Code.
"""

from __future__ import annotations

from typing import Final

from cloister.detect.guards import AnyLength
from cloister.detect.laws import Luhn, Verhoeff
from cloister.detect.looks.look import Look

# A list of codes, some without a point, has points in most values; other codes have none.
_POINTED_SHARE: Final = 0.3


def _icd10(values: list[str]) -> int:
    """Returns how many values are codes; none, unless a fair part has the point of ICD."""
    pointed = sum("." in value for value in values)
    letters = {value[0].upper() for value in values}
    return len(values) if pointed >= _POINTED_SHARE * len(values) and len(letters) > 1 else 0


MEDICAL: tuple[Look, ...] = (
    Look(
        "MEDICAL",
        r"(?i)[A-TV-Z]\d[\dAB](?:\.[\dA-TV-Z]{1,4})?",
        check=_icd10,
        hint=r"\bicd(?: ?10)?\b|\bdiagnos[ei]s\b|\bdx\b",
        chance=0.05,
    ),
    Look(
        "MEDICAL",
        r"(?i)[A-TV-Z]\d[\dAB](?:\.?[\dA-TV-Z]{1,4})?|\d{3}(?:\.?\d{1,2})?|V\d{2}\.?\d{0,2}|E\d{3}\.?\d?",
        hint=r"\bicd(?: ?(?:9|10))?(?: ?cm)?\b|\bdiag(?:nos[ei]s)?(?: ?code)?\b|\bdx\b",
        alone=False,
    ),
    Look(
        "MEDICAL",
        r"[1-9]\d{2,14}(?:[01][0-2])\d",
        check=AnyLength(Verhoeff()),
        hint=r"\bsnomed\b|\bsct(?:id)?\b",
        chance=0.006,
    ),
    Look(
        "MEDICAL",
        r"\d{1,5}-\d",
        check=AnyLength(Luhn()),
        hint=r"\bloinc\b",
        chance=0.1,
    ),
    Look(
        "MEDICAL",
        r"\d{4,5}-\d{3,4}-\d{1,2}|\d{10,11}",
        hint=r"\bndc\b",
        alone=False,
    ),
    Look(
        "MEDICAL",
        r"(?i)\d{4}[\dF-U]|[A-V]\d{4}",
        hint=r"\bcpt\b|\bhcpcs\b|\bprocedure code\b",
        alone=False,
    ),
    Look("MEDICAL", r"(?i)[A-DGHJL-NPRSV]\d{2}[A-Z]{2}\d{2}", hint=r"\batc\b", chance=0.005),
)
