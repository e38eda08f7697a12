"""Keeps what a notebook renders from calling out: the browser stands outside the kernel's sandbox.

An output can hold ``<img src="https://elsewhere/?...">``, and the browser would fetch it. A
Content-Security-Policy (W3C CSP Level 3) on every page lets the browser talk to this server only.

Known limits: CSP cannot stop a script that navigates the page away, and Chromium has no directive
for WebRTC. JupyterLab itself needs ``unsafe-eval``, so JavaScript outputs still run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import MutableMapping

HEADER: Final = "Content-Security-Policy"
CONTENT_SECURITY_POLICY: Final = "; ".join(  # noqa: FLY002 - one directive a line
    (
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
        "sandbox allow-scripts allow-same-origin allow-forms allow-modals allow-downloads",
    )
)


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
