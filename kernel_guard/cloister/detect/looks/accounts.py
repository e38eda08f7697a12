"""Payment cards, bank accounts and wallets.

Sources: ISO/IEC 7812-1 (cards), ISO 13616 (IBAN), ISO 9362 (BIC), the American Bankers Association
(routing numbers), BIP 173 and BIP 350 (bech32), EIP 55 (hexadecimal addresses).
"""

from __future__ import annotations

import math
from typing import Final

from cloister.detect.checksums import card_mask, iban_mask, issuer_mask
from cloister.detect.guards import compact, guarded
from cloister.detect.laws import Weighted
from cloister.detect.looks.look import Look
from cloister.detect.wallets import count_addresses

# ISO 3166-1, the part of a BIC that is no free choice; Kosovo uses XK.
_COUNTRIES: Final = (
    "A[DEFGILMOQRSTUWXZ]|B[ABDEFGHIJLMNOQRSTVWYZ]|C[ACDFGHIKLMNORUVWXYZ]|D[EJKMOZ]|E[CEGHRST]"
    "|F[IJKMOR]|G[ABDEFGHILMNPQRSTUWY]|H[KMNRTU]|I[DELMNOQRST]|J[EMOP]|K[EGHIMNPRWYZ]"
    "|L[ABCIKRSTUVY]|M[ACDEFGHKLMNOPQRSTUVWXYZ]|N[ACEFGILOPRUZ]|OM|P[AEFGHKLMNRSTWY]|QA|R[EOSUW]"
    "|S[ABCDEGHIJKLMNORSTVXYZ]|T[CDFGHJKLMNORTVWZ]|U[AGMSYZ]|V[ACEGINU]|W[FS]|XK|Y[ET]|Z[AMW]"
)

_LUHN_CHANCE: Final = 0.1
_DEVIATIONS: Final = 3.0
_FEW: Final = 20


def _cards(values: list[str]) -> int:
    """Returns how many values are cards; none, if no more than chance lets pass.

    Order numbers of sixteen digits that begin with 4 look like cards, and one in ten of them keeps
    Luhn's rule. Cards in a column of such numbers show when more do.
    """
    numbers = compact(values)
    cards = int(card_mask(numbers).sum())
    candidates = int(issuer_mask(numbers).sum())
    by_chance = _LUHN_CHANCE * candidates
    spread = math.sqrt(by_chance * (1 - _LUHN_CHANCE))
    is_chance = candidates > _FEW and cards <= by_chance + _DEVIATIONS * spread
    return 0 if is_chance else cards


def _ibans(values: list[str]) -> int:
    return int(iban_mask(compact(values)).sum())


ACCOUNTS: tuple[Look, ...] = (
    Look(
        "CREDIT_CARD",
        r"\d(?:[ -]?\d){12,18}",
        is_strong=True,
        check=_cards,
        hint=r"\b(?:credit|debit)? ?card (?:no|num|number)\b|\bpan\b|\bccn\b",
        chance=0.02,
    ),
    Look(
        "IBAN_CODE",
        r"[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}",
        is_strong=True,
        check=_ibans,
        hint=r"\biban\b",
        chance=1e-4,
    ),
    Look(  # ABA; an integer has lost the zeros of the north-east
        "ROUTING",
        r"(?:0?\d|1[0-2]|2[1-9]|3[0-2]|6[1-9]|7[0-2]|80)\d{7}|[0-3678]\d{3}-\d{4}-\d",
        check=guarded(9, Weighted((3, 7, 1, 3, 7, 1, 3, 7, 1), 10)),
        hint=r"\broutings?\b|\baba\b|\brtn\b|\btransit\b",
        chance=0.037,
    ),
    Look(
        "ROUTING",
        r"\d{2}[- ]?\d{2}[- ]?\d{2}",
        hint=r"\bsort ?code\b",
        alone=False,
    ),
    Look("ROUTING", r"\d{3}-?\d{3}", hint=r"\bbsb\b", alone=False),
    Look("ROUTING", r"(?i)[A-Z]{4}0[A-Z\d]{6}", hint=r"\bifsc\b", chance=0.02),
    Look("ROUTING", r"[1-9]\d{2} ?\d{3} ?\d{2}", hint=r"\bblz\b|\bbankleitzahl\b", alone=False),
    # Words in capitals have the same form: of eight letters two must be a country's.
    Look(
        "BIC",
        rf"(?i)[A-Z]{{4}}(?:{_COUNTRIES})[A-Z\d]{{2}}(?:[A-Z\d]{{3}})?",
        hint=r"\bbic\b|\bswift\b",
        alone=False,
        chance=0.35,
    ),
    Look(
        "BIC",
        rf"[A-Z]{{4}}(?:{_COUNTRIES})[A-Z\d]{{2}}(?:XXX|\d{{3}})",
        hint=r"\bbic\b|\bswift\b",
        chance=0.01,
    ),
    Look(
        "CRYPTO",
        r"[13][1-9A-HJ-NP-Za-km-z]{25,34}|(?i:bc1)[02-9ac-hj-np-zAC-HJ-NP-Z]{11,71}"
        r"|0x[0-9a-fA-F]{40}",
        is_strong=True,
        check=count_addresses,
        hint=r"\bbtc\b|\bbitcoin\b|\beth(?:ereum)?\b|\bwallet\b|\bcrypto\b",
        chance=1e-9,
    ),
)
