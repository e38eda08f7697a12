# ruff: noqa: E501 - a table reads best with one row a line
"""Rules for text: accounts, bank codes and wallets; what stands on a card beside its number.

An account number is any few digits, so a word before it has to say what it is.
"""

from __future__ import annotations

from typing import Final

from cloister.detect.checksums import IBAN_LENGTH
from cloister.detect.documents import distinct
from cloister.detect.rules import Rule, worded


def is_routing_number(digits: str) -> bool:
    """Returns whether nine digits are a routing number of the American Bankers Association."""
    if len(digits) != 9 or not digits.isdecimal():
        return False
    weights = (3, 7, 1) * 3
    return sum(int(d) * w for d, w in zip(digits, weights, strict=True)) % 10 == 0


def is_bic(code: str) -> bool:
    """Returns whether a code can be a bank's of ISO 9362: its country is one that has IBANs, or else."""
    return len(code) in {8, 11} and (
        code[4:6].upper() in IBAN_LENGTH or code[4:6].upper() in _OTHER_BANKS
    )


_OTHER_BANKS: Final = frozenset(
    ("US", "CA", "AU", "NZ", "JP", "CN", "HK", "SG", "IN", "KR", "ZA", "MX", "TH")
)

PAYMENT_RULES: Final[tuple[Rule, ...]] = (
    worded("BANK_ACCOUNT", r"(?:bank )?(?:account|acct|acc|a/c)[ _]?(?:number|num|no|nr|#)|bank[ _]account|kontonummer|konto-?nr|numero de cuenta|numero de compte|rekeningnummer", r"\d[\d -]{4,20}\d"),
    worded("ABA_ROUTING_NUMBER", r"(?:aba|routing|rtn)(?:[ _](?:transit )?(?:number|num|no))?", r"\d{9}", is_routing_number),
    worded("BANK_ACCOUNT", r"sort[ _-]?code", r"\d{2}-\d{2}-\d{2}|\d{6}"),
    worded("BIC", r"bic|swift(?:[ /-](?:bic|code))?", r"[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?", is_bic),
    worded("CVV", r"cvv2?|cvc2?|cvn|card verification (?:value|code)|security code", r"\d{3,4}"),
    worded("CARD_EXPIRY", r"exp(?:iry|ires?|iration)?(?:[ _]date)?|valid (?:thru|until|to)|good thru", r"(?:0[1-9]|1[0-2]) ?/ ?(?:20)?\d{2}"),
    distinct("CRYPTO", r"\b[13][1-9A-HJ-NP-Za-km-z]{25,34}\b|\bbc1[02-9ac-hj-np-z]{25,71}\b", "bitcoin", score=0.85),
    distinct("CRYPTO", r"\b0x[0-9a-fA-F]{40}\b", score=0.8),
)  # fmt: skip
