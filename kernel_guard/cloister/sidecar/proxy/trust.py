"""Whom the proxy trusts upstream, and whom programs in the sandbox trust."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

BUNDLE_NAME: Final = "ca-bundle.pem"

BUNDLE_VARIABLES: Final = (
    "SSL_CERT_FILE",  # OpenSSL, Python, httpx, Ruby, Go
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
)
"""What programs read the bundle's path from. ``SSL_CERT_DIR`` must not be set."""


def system_roots() -> str:
    """Returns the certificates that this machine trusts, PEM; certifi's where it has none."""
    paths = ssl.get_default_verify_paths()
    for name in (paths.cafile, paths.openssl_cafile, "/etc/ssl/certs/ca-certificates.crt"):
        if name and Path(name).is_file():
            return Path(name).read_text("utf-8", "replace")
    try:
        import certifi
    except ImportError:
        return ""
    return Path(certifi.where()).read_text("utf-8", "replace")


def bundle(authority: str) -> str:
    """Returns the certificates that a sandbox trusts: the machine's, and the workspace's own.

    Args:
        authority: The workspace's certificate, PEM.
    """
    return f"{system_roots().rstrip()}\n{authority}"


def upstream_context(ca_file: str | None) -> ssl.SSLContext:
    """Returns the context with which upstreams are verified.

    Args:
        ca_file: More certificates to trust, PEM, or ``None``.

    Raises:
        OSError: The file cannot be read; ssl.SSLError is one.
    """
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"] and (roots := system_roots()):
        context.load_verify_locations(cadata=roots)
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
