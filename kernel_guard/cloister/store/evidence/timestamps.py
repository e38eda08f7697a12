"""Time stamps by RFC 3161: a third party's word that a checkpoint existed at a time.

A stamp does not remember a log, so it does not see a copy put back. It bounds *when* a history was
made: who writes a new one today cannot have it stamped yesterday. Requests and answers are built
and checked with ``rfc3161-client`` (extra ``timestamps``); its strict DER parser refuses the
answers of ``openssl ts -chain``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cloister.core.errors import CloisterError
from cloister.store.evidence.answers import WitnessUnavailable
from cloister.store.evidence.exchange import post

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from rfc3161_client import VerifierBuilder


class Stamp(NamedTuple):
    """A time stamp: the answer of the authority as it came, and the time in it."""

    token: bytes
    time_s: int


def request_stamp(url: str, ca_file: Path, data: bytes) -> Stamp:
    """Has bytes stamped and verifies the stamp.

    Args:
        url: The authority.
        ca_file: Its root certificates (PEM), and intermediate ones that it does not send.
        data: What is stamped; only its SHA-256 is sent.

    Raises:
        WitnessUnavailable: There is no valid stamp.
    """
    client = _library()
    request = (
        client.TimestampRequestBuilder()
        .data(data)
        .hash_algorithm(client.HashAlgorithm.SHA256)
        .cert_request(cert_request=True)
        .build()
    )
    reply = post(url, request.as_bytes(), "application/timestamp-query")
    if reply.status != 200:
        raise WitnessUnavailable(f"it answers with HTTP status {reply.status}")
    builder = client.VerifierBuilder.from_request(request)
    return Stamp(reply.body, _verified(reply.body, data, ca_file, builder))


def verify_stamp(token: bytes, ca_file: Path, data: bytes) -> int:
    """Returns the time of a stamp over these bytes, seconds since 1970.

    Raises:
        WitnessUnavailable: The stamp is not valid.
    """
    return _verified(token, data, ca_file, _library().VerifierBuilder())


def _verified(token: bytes, data: bytes, ca_file: Path, builder: VerifierBuilder) -> int:
    from cryptography.x509 import load_pem_x509_certificates

    client = _library()
    try:
        roots = load_pem_x509_certificates(ca_file.read_bytes())
    except (OSError, ValueError) as error:
        raise WitnessUnavailable("the file with its certificates cannot be read") from error
    for certificate in roots:
        builder = builder.add_root_certificate(certificate)
    try:
        response = client.decode_timestamp_response(token)
        builder.build().verify_message(response, data)
        return int(response.tst_info.gen_time.timestamp())
    except (ValueError, client.VerificationError) as error:
        raise WitnessUnavailable("its answer is no valid time stamp") from error


def _library() -> ModuleType:
    try:
        import rfc3161_client
    except ImportError:
        raise CloisterError(
            "Time stamps need the package rfc3161-client.",
            code="CLO-WITNESS-005",
            remedy="Run: pip install 'cloister[timestamps]'",
        ) from None
    return rfc3161_client
