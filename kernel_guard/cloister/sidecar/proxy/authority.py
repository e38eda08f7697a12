"""The workspace's certificate authority: lets the proxy open TLS, for sandboxes only.

Its key derives from the workspace key, so it needs no file of its own and changes with it; its
certificate is made anew for each kernel and stands in the bundle of that kernel's sandbox alone.
It signs no other authorities. Certificates of hosts are made in memory when a kernel may connect
to the host, and live for 90 days.

It has no name constraints: the hosts of the policy change while a kernel runs, and every client
that trusts the authority reaches hosts only through the proxy that has the key.

Source: RFC 5280 sections 4.2.1.1 to 4.2.1.12; FIPS 186-5 appendix A.2.1 (key from random bits).
"""

from __future__ import annotations

import datetime as dt
import os
import ssl
from collections import OrderedDict
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
_AUTHORITY_DAYS: Final = 365
_LEAF_DAYS: Final = 90
_BACK: Final = dt.timedelta(hours=1)  # clocks differ
_MOST_CONTEXTS: Final = 256


class Authority:
    """Signs certificates of hosts.

    Args:
        key: Its private key.
        certificate: Its own certificate.
    """

    def __init__(self, key: EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self._certificate = certificate

    @classmethod
    def from_secret(cls, secret: bytes, now: dt.datetime) -> Authority:
        """Derives the key and makes a certificate that is valid for a year.

        Args:
            secret: At least 40 uniform bytes: 64 bits more than the key has.
            now: The time, with its zone.

        Raises:
            ValueError: The secret is too short.
        """
        if len(secret) < 40:
            raise ValueError("an authority's secret has at least 40 bytes")
        scalar = int.from_bytes(secret, "big") % (_ORDER - 1) + 1
        key = ec.derive_private_key(scalar, ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Cloister workspace")])
        subject_key = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACK)
            .not_valid_after(now + dt.timedelta(days=_AUTHORITY_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(subject_key, critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subject_key),
                critical=False,
            )
            .sign(key, hashes.SHA256())
        )
        return cls(key, certificate)

    @classmethod
    def from_pem(cls, certificate: str, key: str) -> Authority:
        """Reads what :attr:`certificate_pem` and :attr:`key_pem` wrote."""
        private = serialization.load_pem_private_key(key.encode(), password=None)
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise TypeError("the authority's key is on the curve P-256")
        return cls(private, x509.load_pem_x509_certificate(certificate.encode()))

    @property
    def certificate_pem(self) -> str:
        """The certificate that sandboxes trust."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """The private key; for the proxy process alone."""
        return self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()

    def sign(self, host: str, public_key: ec.EllipticCurvePublicKey, now: dt.datetime) -> bytes:
        """Returns a certificate for a host, PEM.

        Args:
            host: Lower-case name or canonical address.
            public_key: What it certifies.
            now: The time, with its zone.
        """
        try:
            name: x509.GeneralName = x509.IPAddress(ip_address(host))
        except ValueError:
            name = x509.DNSName(host)
        issuer_key = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host[:64])]))
            .issuer_name(self._certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACK)
            .not_valid_after(now + dt.timedelta(days=_LEAF_DAYS))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([name]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)


class HostContexts:
    """TLS contexts with which the proxy answers in a host's place; the newest are kept.

    Args:
        authority: Signs.
    """

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._contexts: OrderedDict[str, tuple[dt.datetime, ssl.SSLContext]] = OrderedDict()

    def of(self, host: str) -> ssl.SSLContext:
        """Returns the context for a host that the policy has allowed."""
        now = dt.datetime.now(dt.UTC)
        kept = self._contexts.get(host)
        if kept is not None and now - kept[0] < dt.timedelta(days=_LEAF_DAYS - 1):
            self._contexts.move_to_end(host)
            return kept[1]
        context = self._make(host, now)
        self._contexts[host] = (now, context)
        if len(self._contexts) > _MOST_CONTEXTS:
            self._contexts.popitem(last=False)
        return context

    def _make(self, host: str, now: dt.datetime) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.num_tickets = 0
        context.set_alpn_protocols(["http/1.1"])
        pem = self._authority.sign(host, self._key.public_key(), now)
        pem += self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        # ssl reads certificates from files only; this one has no name and no disk.
        with os.fdopen(os.memfd_create("certificate", os.MFD_CLOEXEC), "wb") as file:
            file.write(pem)
            file.flush()
            context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
        return context


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
