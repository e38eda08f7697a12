"""Takes secrets out of code before it is kept: keys, tokens, passwords in assignments and URLs."""

from __future__ import annotations

import re

_RULES = tuple(
    re.compile(pattern)
    for pattern in (
        (
            r"(?i)(?P<keep>\b\w*?(?:password|passwd|pwd|secret|token|api_?key|access_?key|auth)\w*"
            r"['\"]?\s*[:=]\s*)(?P<secret>f?(?P<q>['\"])(?:(?!(?P=q)).)+(?P=q))"
        ),
        r"(?P<keep>[a-z][a-z0-9+.-]{1,20}://[^/\s:@'\"]{1,100}:)(?P<secret>[^@\s'\"]+)(?=@)",
        r"(?P<keep>(?i:\bbearer\s+))(?P<secret>[A-Za-z0-9._~+/=-]{12,})",
        r"(?P<keep>\b)(?P<secret>(?:AKIA|ASIA)[A-Z0-9]{16}\b)",
        r"(?P<keep>\b)(?P<secret>gh[pousr]_[A-Za-z0-9]{30,}\b)",
        r"(?P<keep>\b)(?P<secret>github_pat_[A-Za-z0-9_]{30,}\b)",
        r"(?P<keep>\b)(?P<secret>xox[abprs]-[A-Za-z0-9-]{10,}\b)",
        r"(?P<keep>\b)(?P<secret>sk-[A-Za-z0-9_-]{20,})",
        r"(?P<keep>\b)(?P<secret>eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,})",
        (
            r"(?s)(?P<keep>-----BEGIN [A-Z ]*PRIVATE KEY-----)(?P<secret>.*?)"
            r"(?=-----END [A-Z ]*PRIVATE KEY-----|\Z)"
        ),
    )
)


def redact_secrets(code: str) -> str:
    """Returns ``code`` with every secret replaced by ``[secret]``; the rest stays as it is."""
    for rule in _RULES:
        code = rule.sub(_redact, code)
    return code


def _redact(match: re.Match[str]) -> str:
    quote = match.groupdict().get("q") or ""
    return f"{match['keep']}{quote}[secret]{quote}"
