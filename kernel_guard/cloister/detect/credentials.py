"""Rules for text: secrets that open something - keys, tokens, passwords.

Known key formats are found by their prefix. A password has no format, so it is found by what stands
before it, and only when what follows reads like a value: code that passes a variable on
(``password=password``, ``token=os.environ[...]``) holds no secret.
"""

from __future__ import annotations

import re

from cloister.detect.rules import Rule, before

Range = tuple[int, int]

_PLACEHOLDER = re.compile(
    r"(?i)[*x.•_-]+|<.*>?|\{.*|\$.*|%.*|\[.*|none|null|true|false|nan|str|string|int|bool|bytes|"
    r"object|optional|required|redacted|hidden|secret|password|token|your[ _-].*"
)
_VALUE_AT_END = re.compile(
    r"['\"]?(?:[:=]>?|\s(?:is|was))\s*[bfru]?(['\"]?)(\S(?:.*\S)?)$", re.DOTALL
)
_VALUE_ENDS = re.compile(r"[\s'\",;)]|&(?=\w+=)")
_PEM_END = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")
_PEM_BODY = re.compile(r"(?:[A-Za-z0-9+/=]|\\n|\s)*")
_LONGEST_KEY_CHARS = 16_384


def _key(text: str, start: int, end: int) -> Range | None:
    if before(text, start) in {"-", "_"} or before(text, start).isalnum():
        return None
    value = text[start:end]
    # Words with dashes between them are no key.
    if value.startswith(("sk-", "rk_", "sk_")) and not (
        re.search(r"\d", value) and re.search(r"[A-Za-z0-9]{12}", value)
    ):
        return None
    return start, end


def _pem(text: str, start: int, end: int) -> Range:
    close = _PEM_END.search(text, end, end + _LONGEST_KEY_CHARS)
    if close is not None:
        return start, close.end()
    body = _PEM_BODY.match(text, end, min(len(text), end + _LONGEST_KEY_CHARS))
    return start, body.end() if body else end


def _assigned(text: str, start: int, end: int) -> Range | None:
    found = _VALUE_AT_END.search(text[start:end])
    if found is None:
        return None
    quote, value = found.groups()
    first = start + found.start(2)
    if quote:
        value = value.partition(quote)[0]
        is_value = len(value) >= 4
    else:
        value = _VALUE_ENDS.split(value, maxsplit=1)[0].rstrip(".")
        is_value = _reads_like_password(value, text[first + len(value) : first + len(value) + 1])
    if not is_value or _PLACEHOLDER.fullmatch(value):
        return None
    return first, first + len(value)


def _reads_like_password(value: str, following: str) -> bool:
    """Returns whether an unquoted value is more likely a secret than a name in code or a path."""
    if len(value) < 6 or re.search(r"[(\[{<>]", value) or following in {"(", "["}:
        return False
    if re.fullmatch(r"[A-Za-z_][\w]*(?:\.[A-Za-z_]\w*)+", value) or value.startswith(
        ("/", "~", "./")
    ):
        return False
    if re.fullmatch(r"[\d.,:eE+-]+", value):
        return False
    has_letter = re.search(r"[A-Za-z]", value)
    return bool(has_letter and re.search(r"[\d!@#$%^&*?+=~]", value))


def _in_url(text: str, start: int, end: int) -> Range | None:
    first = text.index(":", text.index("://", start) + 3) + 1
    value = text[first : end - 1]
    return None if _PLACEHOLDER.fullmatch(value) else (first, end - 1)


def _after_scheme(text: str, start: int, end: int) -> Range | None:
    first = start + text[start:end].rindex(text[start:end].rsplit(maxsplit=1)[-1])
    value = text[first:end]
    return (first, end) if re.search(r"\d", value) and re.search(r"[A-Za-z]", value) else None


CREDENTIAL_RULES: tuple[Rule, ...] = (
    Rule(
        "SECRET",
        r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b|\bgh[pousr]_[A-Za-z0-9]{30,}"
        r"|\bgithub_pat_[A-Za-z0-9_]{30,}|\bglpat-[A-Za-z0-9_-]{20,}"
        r"|\bxox[abeoprs]-[A-Za-z0-9-]{10,}|\bhf_[A-Za-z0-9]{30,}|\bnpm_[A-Za-z0-9]{36}"
        r"|\bpypi-[A-Za-z0-9_-]{50,}|\bAIza[A-Za-z0-9_-]{35}"
        r"|\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"
        r"|\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}|\bsk-[A-Za-z0-9_-]{20,}"
        r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
        0.98,
        _key,
        hint=r"\b(?:A[KSBC]IA|ASIA|ACCA)[A-Z0-9]{16}\b|\bgh[pousr]_\w{8}|\bgithub_pat_|\bglpat-"
        r"|\bxox[abeoprs]-|\bhf_\w{8}|\bnpm_\w{8}|\bpypi-\w{8}|\bAIza\w{8}|\bSG\.\w{8}"
        r"|\b[rs]k_(?:live|test)_|\bsk-[\w-]{8}|\beyJ[\w-]{8}",
    ),
    Rule("SECRET", r"-----BEGIN (?:[A-Z]+ ){0,3}PRIVATE KEY-----", 1.0, _pem),
    Rule("SECRET", r"(?i)hooks\.slack\.com/services/[A-Z0-9]+/[A-Z0-9]+/[A-Z0-9]{8,}", 0.98),
    Rule(
        "SECRET",
        r"(?i)(?:password|passwd|passphrase|passcode|\bpwd|_pwd|secret|api_?key|access_?key|"
        r"secret_?key|auth_?token|access_?token|private_?key)(?:[A-Za-z_]{0,12})?['\"]?"
        r"(?:\s{0,4}(?:[:=]>?)\s{0,4}|\s(?:is|was):?\s)[bfru]?(?:'[^'\n]{4,}'|\"[^\"\n]{4,}\""
        r"|[^\s'\"]{4,})",
        0.93,
        _assigned,
        hint=r"(?i)(?:passw|passphrase|passcode|pwd|secret|api_?key|access_?key|_?token|private_?key)"
        r"\w{0,12}['\"]?(?:\s{0,4}[:=]|\s(?:is|was))",
    ),
    Rule(
        "SECRET",
        r"\b[A-Za-z][A-Za-z0-9+.-]{1,20}://[^/\s:@'\"]*:[^@\s'\"/]{3,}@",
        0.96,
        _in_url,
        hint=r"://[^/\s:@'\"]*:[^@\s'\"/]*@",
    ),
    Rule(
        "SECRET",
        r"(?i)\b(?:bearer|basic)\s+[A-Za-z0-9._~+/=-]{16,}",
        0.92,
        _after_scheme,
        hint=r"(?i)\b(?:bearer|basic)\s+[a-z0-9._~+/=-]{16}",
    ),
)
