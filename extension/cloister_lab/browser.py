"""Keeps what a notebook renders from calling out: the browser stands outside the kernel's sandbox.

An output can hold ``<img src="https://elsewhere/?...">``, and the browser would fetch it. A
Content-Security-Policy (W3C CSP Level 3) on every page lets the browser talk to this server only.

Pages get two policies in one header, and a browser keeps both. ``sandbox`` stands in the first,
alone: Jupyter's handlers add a directive of their own to the end of the header, and in one policy a
second ``sandbox`` counts for nothing, so a file of the workspace would run as part of the server.

A file that is opened (``/files/``, exports) is no page of ours: it gets a sandbox without scripts,
which stops a refresh to another address, too, and loads nothing but pictures of this server.

Known limits: CSP cannot stop a script that navigates the page away, and Chromium has no directive
for WebRTC; so scripts are withheld. JupyterLab itself needs ``unsafe-eval``, and its page and those
of Notebook hold one script, which takes the token out of the address; its hash is allowed. Where
the policy lets scripts out, those in outputs run and anywidgets load their code, from here only.
"""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

HEADER: Final = "Content-Security-Policy"
_PAGE_SANDBOX: Final = (
    "sandbox allow-scripts allow-same-origin allow-forms allow-modals allow-downloads"
)
_PAGE_SOURCES: Final = (
    "default-src 'self'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self' data:",
    "media-src 'self' data: blob:",
    "connect-src 'self'",
    "worker-src 'self' blob:",
    "frame-src 'self' blob: data:",
    "object-src 'none'",
    "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors 'self'",
)
_OWN_SCRIPT: Final = re.compile(r"<script(?: type=\"text/javascript\")?>(.*?)</script>", re.DOTALL)
_OWN_PAGES: Final = (("jupyterlab", "static/index.html"), ("notebook", "templates/*.html"))
FILE_POLICY: Final = "; ".join(  # noqa: FLY002 - one directive a line
    (
        "sandbox allow-downloads",
        "default-src 'none'",
        "img-src 'self' data:",
        "media-src 'self' data:",
        "font-src data:",
        "style-src 'unsafe-inline'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    )
)
_RUN_AS: Final = frozenset(
    {"script", "worker", "sharedworker", "serviceworker", "audioworklet", "paintworklet", "xslt"}
)


def would_run(headers: Mapping[str, str]) -> bool:
    """Returns whether a browser asks for a file in order to run it (W3C Fetch Metadata).

    A page may run scripts of this server, and so would run those of the workspace, too.

    Args:
        headers: Of the request.
    """
    return headers.get("Sec-Fetch-Dest", "") in _RUN_AS


def page_policy(*, allows_scripts: bool = False) -> str:
    """Returns the policies of pages.

    Args:
        allows_scripts: Whether what a kernel sends may run.
    """
    # A hash would make a browser ignore that scripts of outputs are allowed.
    more = ["'unsafe-inline'", "blob:"] if allows_scripts else own_scripts()
    sources = [" ".join(["script-src 'self' 'unsafe-eval'", *more]), *_PAGE_SOURCES]
    return f"{_PAGE_SANDBOX}, {'; '.join(sources)}"


def own_scripts() -> list[str]:
    """Returns the hashes of the scripts in the pages of JupyterLab and Notebook, as installed."""
    found = []
    for package, pattern in _OWN_PAGES:
        spec = find_spec(package)
        for root in (spec.submodule_search_locations or ()) if spec else ():
            for page in sorted(Path(root).glob(pattern)):
                for text in _OWN_SCRIPT.findall(page.read_text("utf-8")):
                    if "{{" not in text and "{%" not in text:  # the same on every page
                        digest = hashlib.sha256(text.encode()).digest()
                        found.append(f"'sha256-{base64.b64encode(digest).decode('ascii')}'")
    return list(dict.fromkeys(found))


def restrict_pages(settings: MutableMapping[str, Any], *, allows_scripts: bool = False) -> bool:
    """Sets the policy on all pages of a server and returns whether it did.

    A policy that the administrator has set through ``tornado_settings`` stays.

    Args:
        settings: The web application's settings.
        allows_scripts: Whether what a kernel sends may run, as the policy says at the start.
    """
    headers = dict(settings.get("headers", {}))
    if HEADER in headers:
        return False
    settings["headers"] = {**headers, HEADER: page_policy(allows_scripts=allows_scripts)}
    return True
