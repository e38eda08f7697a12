"""Rules for text: addresses of machines - IP, MAC - and, off the hot path, URLs."""

from __future__ import annotations

import re
from typing import Final

from cloister.detect.rules import Rule, before

Range = tuple[int, int]

_VERSION_BEFORE = re.compile(
    r"(?i)(?:\bv|\bver\.?|\bversions?|\brelease|\bbuild|\brev|\bdriver|\bfirmware|[=<>~!]=|[<>])"
    r"[\s:='\"(]*$"
)
_NETWORK_WORD = re.compile(r"(?i)\b(?:ip|addr|address|host|client|server|peer|from|remote)\b")


def _ipv4(text: str, start: int, end: int) -> Range | None:  # noqa: PLR0911 - one return for each reason
    previous, following = before(text, start), text[end : end + 2]
    if previous.isalnum() or (previous and previous in "_.-+"):
        return None
    if following[:1].isalnum() or following[:1] in {"_", "-", "+"}:
        return None
    if following[:1] == "." and following[1:].isalnum():
        return None
    if previous == "/" and before(text, start, 2) != "//":
        return None  # Chrome/120.0.6099.71, or a path
    octets = text[start:end].split(".")
    if any(len(o) > 1 and o[0] == "0" for o in octets):
        return None
    numbers = [int(o) for o in octets]
    if max(numbers) > 255 or numbers[0] in {0, 127} or numbers[:2] == [255, 255]:
        return None
    around = before(text, start, 24)
    if _VERSION_BEFORE.search(around):
        return None
    # Small numbers throughout are more often a version than an address.
    if numbers[0] < 10 and max(numbers) < 50 and not _NETWORK_WORD.search(around):
        return None
    return start, end


def _ipv6(text: str, start: int, end: int) -> Range | None:
    if before(text, start).isalnum() or before(text, start) in {":", "_", "."}:
        return None
    if text[end : end + 1].isalnum() or text[end : end + 1] in {":", "_"}:
        return None
    groups = [g for g in text[start:end].split(":") if g]
    if len(groups) > 8 or all(len(g) == 2 for g in groups):
        return None
    if "::" in text[start:end] and len(groups) < 3 and not re.search("[a-fA-F]", text[start:end]):
        return None  # a slice: x[2000::2]
    return start, end


_MAC_WORD = re.compile(
    r"(?i)\b(?:mac|ether|hwaddr|hw address|link/ether|lladdr|bssid|wlan|wi-?fi|bluetooth|device|"
    r"nic|interface|physical address|arp)\b"
)


def _mac(text: str, start: int, end: int) -> Range | None:
    if before(text, start).isalnum() or before(text, start) in {":", "-", "_", "."}:
        return None
    if text[end : end + 1].isalnum() or text[end : end + 1] == "_":
        return None
    if text[end : end + 1] in {":", "-"} and text[end + 1 : end + 2].isalnum():
        return None
    value = text[start:end].lower()
    if len({value[i] for i in range(2, 17, 3)}) > 1 or len(set(value)) < 4:
        return None
    return start, end


def _mac_after_word(text: str, start: int, end: int) -> Range | None:
    # Alone, six pairs may also be the head of a fingerprint.
    return _mac(text, start, end) if _MAC_WORD.search(before(text, start, 48)) else None


_URL_END = ".,;:!?)]}>'\"*_"


def _url(text: str, start: int, end: int) -> Range | None:
    if before(text, start).isalnum() or before(text, start) in {"@", "_", "/", ".", "-"}:
        return None
    while end > start and text[end - 1] in _URL_END:
        if text[end - 1] == ")" and "(" in text[start:end]:
            break
        end -= 1
    return start, end


_TLD = (
    "com|org|net|edu|gov|mil|int|info|biz|io|co|ai|app|dev|me|tv|eu|us|uk|de|fr|es|it|nl|be|ch|at|"
    "se|no|dk|fi|pl|pt|ru|cz|gr|hu|ro|ie|ca|au|nz|br|mx|ar|cl|in|cn|jp|kr|za|tr|ua|il"
)

NETWORK_RULES: Final[tuple[Rule, ...]] = (
    Rule("IP_ADDRESS", r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b", 0.7, _ipv4),
    Rule(
        "IP_ADDRESS",
        r"(?i)\b(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}\b"
        r"|\b(?:[23][0-9a-f]{3}|f[cd][0-9a-f]{2}|fe[89ab][0-9a-f])(?::[0-9a-f]{1,4}){0,6}::"
        r"(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,6})?",
        0.7,
        _ipv6,
    ),
    Rule(
        "MAC_ADDRESS",
        r"\b[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}\b",
        0.8,
        _mac_after_word,
    ),
)

#: Six pairs in hexadecimal without a word before them: not on the hot path.
BARE_MAC_RULES: Final[tuple[Rule, ...]] = (
    Rule("MAC_ADDRESS", r"\b[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}\b", 0.6, _mac),
)

#: A URL says where something is, seldom who someone is: not on the hot path.
URL_RULES: Final[tuple[Rule, ...]] = (
    Rule("URL", r"(?i)\b(?:https?|ftps?|wss?|s3|gs)://[^\s<>\"'`{}|\\^]{3,}", 0.6, _url),
    Rule(
        "URL", rf"(?i)\bwww\.[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:{_TLD})\b[^\s<>\"'`{{}}|]*", 0.55, _url
    ),
    Rule(
        "URL",
        rf"\b(?:[a-z0-9][a-z0-9-]{{1,40}}\.){{1,3}}(?:{_TLD})\b(?:/[^\s<>\"'`{{}}|]*)?",
        0.45,
        _url,
    ),
)
