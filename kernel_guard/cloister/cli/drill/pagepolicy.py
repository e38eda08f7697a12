"""Whether a browser lets a page call others: the Content-Security-Policy that came with it.

A page that may call out is a way out, whatever it holds today. Of several policies a browser keeps
all. Source: W3C Content Security Policy Level 3, sections 4.1 and 6.1.
"""

from __future__ import annotations

import re
from typing import Final

from cloister.cli.drill.serverclient import END_OF_HEADERS

_HEADER: Final = "content-security-policy"
#: What a page loads or sends without being asked. Where one is missing, ``default-src`` counts.
_FETCHES: Final = (
    *("img-src", "connect-src", "style-src", "font-src", "media-src", "frame-src"),
    *("script-src", "worker-src", "object-src"),
)
#: For these it does not.
_BEYOND_FETCHES: Final = ("form-action", "base-uri")
#: Sources that lie on no other host.
_OWN: Final = re.compile(r"'[^']*'|data:|blob:")


def page_may_call(answer: bytes) -> bool:
    """Returns whether an answer of a server is a page that a browser lets call other hosts."""
    head, found, _ = answer.partition(END_OF_HEADERS)
    headers = [line.partition(": ") for line in head.decode("latin-1").splitlines()]
    is_page = any(n.lower() == "content-type" and "html" in v for n, _, v in headers)
    if not found or not is_page:
        return False
    policies = [
        _directives(policy)
        for name, _, value in headers
        if name.lower() == _HEADER
        for policy in value.split(",")
    ]
    names = (*_FETCHES, *_BEYOND_FETCHES)
    return not all(any(_holds(policy, name) for policy in policies) for name in names)


def _directives(policy: str) -> dict[str, list[str]]:
    directives: dict[str, list[str]] = {}
    for directive in policy.split(";"):
        name, *sources = directive.split() or [""]
        directives.setdefault(name.lower(), sources)  # the first of a name counts
    return directives


def _holds(policy: dict[str, list[str]], name: str) -> bool:
    """Returns whether a policy lets a directive's requests go to its own host only."""
    sources = policy.get(name)
    if sources is None and name not in _BEYOND_FETCHES:
        sources = policy.get("default-src")
    return sources is not None and all(map(_OWN.fullmatch, sources))
