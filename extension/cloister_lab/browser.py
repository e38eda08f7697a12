"""Keeps what a notebook renders from calling out: the browser stands outside the kernel's sandbox.

An output can hold ``<img src="https://elsewhere/?...">``, and the browser would fetch it. A
Content-Security-Policy (W3C CSP Level 3) on every page lets the browser talk to this server only.

Pages get two policies in one header, and a browser keeps both. ``sandbox`` stands in the first,
alone: Jupyter's handlers add a directive of their own to the end of the header, and in one policy a
second ``sandbox`` counts for nothing, so a file of the workspace would run as part of the server.

A file that is opened (``/files/``, exports) is no page of ours: it gets a sandbox without scripts,
which stops a refresh to another address, too, and loads nothing but pictures of this server.

Known limits: CSP cannot stop a script that navigates the page away, and Chromium has no directive
for WebRTC; so scripts are withheld. JupyterLab itself needs ``unsafe-eval``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

HEADER: Final = "Content-Security-Policy"
_PAGE_SANDBOX: Final = (
    "sandbox allow-scripts allow-same-origin allow-forms allow-modals allow-downloads"
)
_PAGE_SOURCES: Final = (
    "default-src 'self'",
    "script-src 'self' 'unsafe-eval'",
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
CONTENT_SECURITY_POLICY: Final = f"{_PAGE_SANDBOX}, {'; '.join(_PAGE_SOURCES)}"
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


def restrict_pages(settings: MutableMapping[str, Any]) -> bool:
    """Sets the policy on all pages of a server and returns whether it did.

    A policy that the administrator has set through ``tornado_settings`` stays.

    Args:
        settings: The web application's settings.
    """
    headers = dict(settings.get("headers", {}))
    if HEADER in headers:
        return False
    settings["headers"] = {**headers, HEADER: CONTENT_SECURITY_POLICY}
    return True
