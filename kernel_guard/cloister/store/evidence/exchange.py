"""One HTTP request to a witness: small, bounded in time and length, never redirected.

It goes out of the guard's own process, never out of a kernel, and carries nothing but a checkpoint:
the log's name, a number and a hash.
"""

from __future__ import annotations

import http.client
import ssl
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from cloister.store.evidence.answers import WitnessUnavailable

TIMEOUT_S: Final = 10.0
_MOST_ANSWER_BYTES: Final = 65_536


class Reply(NamedTuple):
    """What came back."""

    status: int
    body: bytes


def post(url: str, body: bytes, content_type: str, ca_file: str | None = None) -> Reply:
    """Sends one POST request.

    Args:
        url: ``http`` or ``https``.
        body: What to send.
        content_type: Its type.
        ca_file: Certificates that are trusted in place of the system's.

    Raises:
        WitnessUnavailable: It did not answer, or with something that is no answer.
    """
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"Content-Type": content_type, "Connection": "close"}
    try:
        connection = _connection(parts.scheme, parts.hostname or "", parts.port, ca_file)
        try:
            connection.request("POST", target, body, headers)
            response = connection.getresponse()
            data = response.read(_MOST_ANSWER_BYTES + 1)
        finally:
            connection.close()
    except ssl.SSLError as error:
        raise WitnessUnavailable("its certificate or TLS is not accepted") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise WitnessUnavailable(f"it does not answer ({type(error).__name__})") from error
    if len(data) > _MOST_ANSWER_BYTES:
        raise WitnessUnavailable("its answer is too long")
    return Reply(response.status, data)


def _connection(
    scheme: str, host: str, port: int | None, ca_file: str | None
) -> http.client.HTTPConnection:
    if scheme == "https":
        context = ssl.create_default_context(cafile=ca_file)
        return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
    return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
