"""Devices, networks and vehicles.

Sources: RFC 791 and RFC 4291 (IP), IEEE 802 (MAC), 3GPP TS 23.003 (IMEI), ITU-T E.118 (SIM cards),
ISO 3779 and 49 CFR 565 (vehicles).
"""

from __future__ import annotations

from typing import Final

from cloister.detect.guards import AnyLength, guarded
from cloister.detect.laws import Luhn, Weighted
from cloister.detect.looks.look import Look

_VIN_VALUES: Final = (
    "0",
    "1AJ",
    "2BKS",
    "3CLT",
    "4DMU",
    "5ENV",
    "6FW",
    "7GPX",
    "8HY",
    "9RZ",
)
# The ninth character checks all others, and is not weighted itself.
_VIN_WEIGHTS: Final = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
# Versions count up from zero; among addresses some octet is nearly always larger.
_VERSION_MOST: Final = 64
_PRIVATE_OCTET: Final = 10
_OCTET_MOST: Final = 255
_SHORTEST_PLATE: Final = 4


def _addresses(values: list[str]) -> int:
    """Returns how many values are addresses; none of four octets, if all could be versions."""
    octets = []
    wide = 0
    for value in values:
        if value.count(":") > 1:
            wide += 1
            continue
        parts = value.partition(":")[0].partition("/")[0].split(".")
        if all(len(p) == 1 or p[0] != "0" for p in parts) and max(map(int, parts)) <= _OCTET_MOST:
            octets.append([int(p) for p in parts])
    are_small = all(max(numbers) < _VERSION_MOST for numbers in octets)
    if are_small and any(numbers[0] != _PRIVATE_OCTET for numbers in octets):
        return wide
    return wide + len(octets)


def _vins(values: list[str]) -> int:
    """Returns how many values are vehicles with a right check character."""
    by_check: dict[str, list[str]] = {}
    for value in values:
        by_check.setdefault(value[8].upper(), []).append(value)
    return sum(
        guarded(
            17,
            Weighted(
                _VIN_WEIGHTS,
                11,
                remainders=(10 if check == "X" else int(check),),
                values=_VIN_VALUES,
            ),
        )(group)
        for check, group in by_check.items()
    )


def _plates(values: list[str]) -> int:
    """Returns how many values mix letters and digits, as plates of vehicles do."""
    return sum(
        len(value) >= _SHORTEST_PLATE
        and any(c.isdigit() for c in value)
        and any(c.isalpha() for c in value)
        for value in values
    )


DEVICES: tuple[Look, ...] = (
    Look(
        "IP_ADDRESS",
        r"\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5}|/\d{1,2})?"
        r"|(?i:(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}"
        r"|(?:[23][0-9a-f]{3}|f[cd][0-9a-f]{2}|fe80)(?::[0-9a-f]{1,4}){0,6}::[0-9a-f:]*"
        r"|::ffff:\d{1,3}(?:\.\d{1,3}){3})(?:/\d{1,3})?",
        check=_addresses,
        hint=r"\bip(?: ?v ?[46])?(?: addr(?:ess)?)?\b",
        chance=0.02,
    ),
    Look(
        "MAC_ADDRESS",
        r"(?i)(?:[0-9a-f]{2}:){5}[0-9a-f]{2}|(?:[0-9a-f]{2}-){5}[0-9a-f]{2}"
        r"|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}",
        is_strong=True,
        hint=r"\bmac\b|\bbssid\b|\bethernet\b",
        chance=1e-6,
    ),
    Look(
        "MAC_ADDRESS",
        r"(?i)[0-9a-f]{12}",
        hint=r"\bmac\b|\bbssid\b",
        alone=False,
    ),
    Look(
        "IMEI",
        r"(?:0[1-9]|1[0-3]|3[035]|4[459]|5[0-4]|86|9[1789])(?:\d{13}|-\d{6}-\d{6}-\d|\d{4}-\d{2}-\d{6}-\d)",
        check=guarded(15, Luhn()),
        hint=r"\bimei\b",
        chance=0.02,
    ),
    Look(
        "IMSI",
        r"[2-7]\d{14}",
        check=None,
        hint=r"\bimsi\b",
        alone=False,
    ),
    Look(
        "ICCID",
        r"89\d{17,18}",
        check=AnyLength(Luhn()),
        hint=r"\biccid\b|\bsim\b",
        chance=0.001,
    ),
    # Identifiers of a device or an advertising profile are UUIDs or long hexadecimal numbers.
    Look(
        "DEVICE_ID",
        r"(?i)[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{16,40}|[A-Z\d]{8,20}",
        hint=r"\bdevice ?(?:id|uuid|uid|identifier|serial)\b|\budid\b|\bidf[av]\b"
        r"|\bgps ?adid\b|\bgaid\b|\baaid\b|\badvert(?:ising|iser) ?id\b|\bandroid ?id\b"
        r"|\bmeid\b|\bhardware ?id\b",
        alone=False,
    ),
    Look(
        "VIN",
        r"(?i)[1-9A-HJ-NPR-Z][A-HJ-NPR-Z\d]{7}[\dX][A-HJ-NPR-TV-Y\d][A-HJ-NPR-Z\d]{3}\d{4}",
        check=_vins,
        hint=r"\bvin\b|\bvehicle identification\b",
        chance=0.004,
    ),
    Look(  # Europe leaves the ninth character free
        "VIN",
        r"(?i)[A-HJ-NPR-Z\d]{17}",
        hint=r"\bvin\b|\bvehicle identification\b|\bchassis\b",
        alone=False,
    ),
    Look(
        "LICENSE_PLATE",
        r"(?i)[A-ZÄÖÜ\d]{1,4}[ ·-]?[A-Z\d]{1,4}(?:[ -]?[A-Z\d]{1,4}){0,2}",
        check=_plates,
        hint=r"\b(?:licen[cs]e|number|registration|vehicle|car) ?plates?\b"
        r"|\bplate (?:no|num|number)\b|\bvehicle ?reg(?:istration)?(?: ?(?:no|num|number))?\b"
        r"|\bkennzeichen\b|\bmatricula\b|\btarga\b",
        alone=False,
    ),
)
