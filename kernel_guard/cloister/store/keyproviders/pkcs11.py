"""A key-encryption key and signing keys in a hardware module, by PKCS#11 (OASIS, version 2.40 on).

The KEK is an AES-256 key that the module makes and does not give out (``CKA_SENSITIVE``, not
``CKA_EXTRACTABLE``); it encrypts with ``CKM_AES_GCM``, the context as additional data. A version is
a key: ``label``, ``label-2``, ``label-3``. Signing keys are Ed25519 (``CKM_EDDSA``) and likewise
stay inside, so who copies a home cannot sign its record.
"""

from __future__ import annotations

import base64
import hmac
import os
import re
import threading
from typing import TYPE_CHECKING, Any, Final

from cloister.store.keyproviders.provider import (
    KeyProviderError,
    no_signing_key,
    not_installed,
    other_key,
    out_of_reach,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from cloister.store.keyproviders.provider import Signer
    from cloister.store.keysettings import Pkcs11Settings

_NAME: Final = "pkcs11"
_NONCE_BYTES: Final = 12
_TAG_BITS: Final = 128
_EDWARDS25519: Final = b"\x13\x0cedwards25519"  # the curve's name, a PrintableString (PKCS#11 3.0)


class Pkcs11Provider:
    """Wraps and signs inside a token. Safe to call from several threads.

    Args:
        settings: Which token, and which keys in it.
    """

    name = _NAME

    def __init__(self, settings: Pkcs11Settings) -> None:
        self._settings = settings
        self._session: Any = None

    @property
    def reference(self) -> str:
        """The token and the key's label."""
        return f"{self._settings.token}/{self._settings.wrap_key}"

    def wrap(self, secret: bytes, context: bytes) -> str:
        """Wraps with the newest key, making the first one if there is none."""
        nonce = os.urandom(_NONCE_BYTES)
        with self._open() as session:
            labels = self._labels(session, "SECRET_KEY", self._settings.wrap_key)
            label = labels[-1] if labels else self._make_key(session, self._settings.wrap_key)
            sealed = self._key(session, label).encrypt(secret, **_gcm(nonce, context))
        return f"{label}:{base64.b64encode(nonce + sealed).decode()}"

    def unwrap(self, wrapped: str, context: bytes) -> bytes:
        """Unwraps with the key that the text names."""
        import pkcs11

        label, _, encoded = wrapped.rpartition(":")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except ValueError:
            raise other_key(_NAME) from None
        with self._open() as session:
            try:
                key = self._key(session, label)
                opened: bytes = key.decrypt(raw[_NONCE_BYTES:], **_gcm(raw[:_NONCE_BYTES], context))
            except (pkcs11.NoSuchKey, pkcs11.MultipleObjectsReturned):
                raise other_key(_NAME) from None
            except (pkcs11.GeneralError, pkcs11.EncryptedDataInvalid, pkcs11.FunctionFailed,
                    pkcs11.EncryptedDataLenRange):  # fmt: skip
                raise other_key(_NAME) from None  # how modules say that the tag is wrong
        return opened

    def rotate(self) -> str:
        """Makes the next key in the token."""
        base = self._settings.wrap_key
        with self._open() as session:
            label = self._make_key(session, _next_label(base, self._labels(session, "SECRET_KEY",
                                                                           base)))  # fmt: skip
        return f"the token made the key {label}"

    def make_signer(self) -> tuple[str, bytes] | None:
        """Makes a signing key in the token, where the settings name one."""
        base = self._settings.signing_key
        if base is None:
            return None
        import pkcs11
        from pkcs11 import Attribute

        with self._open() as session:
            label = _next_label(base, self._labels(session, "PRIVATE_KEY", base))
            curve = session.create_domain_parameters(
                pkcs11.KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: _EDWARDS25519}, local=True
            )
            public, _ = curve.generate_keypair(
                mechanism=pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
                store=True,
                label=label,
                private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
            )
            return label, bytes(public[Attribute.EC_POINT][-32:])  # a DER octet string of 32 bytes

    def signer(self, label: str) -> Signer:
        """Returns the key of this label; each signature is made in the token."""
        import pkcs11

        with self._open() as session:
            try:
                key = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=label)
            except (pkcs11.NoSuchKey, pkcs11.MultipleObjectsReturned):
                raise no_signing_key(_NAME) from None
        return _TokenSigner(key)

    def close(self) -> None:
        """Lets go of the session, which others of this process may use."""
        self._session = None

    def _open(self) -> AbstractContextManager[Any]:
        return _Held(self._connect)

    def _connect(self) -> Any:
        if self._session is None:
            self._session = _session(self._settings)
        return self._session

    def _key(self, session: Any, label: str) -> Any:
        import pkcs11

        return session.get_key(object_class=pkcs11.ObjectClass.SECRET_KEY, label=label)

    def _make_key(self, session: Any, label: str) -> str:
        import pkcs11
        from pkcs11 import Attribute

        session.generate_key(
            pkcs11.KeyType.AES,
            256,
            label=label,
            store=True,
            capabilities=pkcs11.MechanismFlag.ENCRYPT | pkcs11.MechanismFlag.DECRYPT,
            template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
        )
        return label

    def _labels(self, session: Any, kind: str, base: str) -> list[str]:
        """Returns the labels of a key's versions, oldest first."""
        import pkcs11
        from pkcs11 import Attribute

        wanted = {Attribute.CLASS: getattr(pkcs11.ObjectClass, kind)}
        return _versions(base, (key.label for key in session.get_objects(wanted)))


_mutex: Final = threading.RLock()
_sessions: Final[dict[tuple[str, str], tuple[Any, bytes]]] = {}
_REMEMBERED_BY: Final = os.urandom(32)


def _session(settings: Pkcs11Settings) -> Any:
    """Returns this process's session with a token: PKCS#11 logs a process in, and once.

    Raises:
        KeyProviderError: The module, the token or its PIN is not right.
    """
    try:
        import pkcs11
    except ImportError:
        raise not_installed("a PKCS#11 module", "pkcs11") from None
    pin = settings.pin.read()
    named = hmac.digest(_REMEMBERED_BY, pin.encode(), "sha256")
    place = settings.module, settings.token
    found = _sessions.get(place)
    if found is not None:
        if not hmac.compare_digest(found[1], named):
            raise refused(_NAME)
        return found[0]
    try:
        library = pkcs11.lib(settings.module)
        session = library.get_token(token_label=settings.token).open(rw=True, user_pin=pin)
    except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLocked, pkcs11.PinLenRange):
        raise refused(_NAME) from None
    except (pkcs11.PKCS11Error, RuntimeError, OSError):
        raise out_of_reach(_NAME) from None
    _sessions[place] = session, named
    return session


class _Held:
    """One thread at a time; what a module says is told in our words."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect

    def __enter__(self) -> Any:
        _mutex.acquire()
        try:
            return self._connect()
        except BaseException:
            _mutex.release()
            raise

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        _mutex.release()
        if error is not None and not isinstance(error, KeyProviderError):
            import pkcs11

            if isinstance(error, pkcs11.PKCS11Error):
                raise refused(_NAME) from None


class _TokenSigner:
    def __init__(self, key: Any) -> None:
        self._key = key

    def sign(self, data: bytes, /) -> bytes:
        """Signs in the token."""
        import pkcs11

        with _mutex:
            try:
                signature: bytes = self._key.sign(data, mechanism=pkcs11.Mechanism.EDDSA)
            except pkcs11.PKCS11Error:
                raise refused(_NAME) from None
        return signature


def _gcm(nonce: bytes, context: bytes) -> dict[str, Any]:
    import pkcs11

    parameters = pkcs11.GCMParams(nonce, context, _TAG_BITS)
    return {"mechanism": pkcs11.Mechanism.AES_GCM, "mechanism_param": parameters}


def _versions(base: str, labels: Iterator[str]) -> list[str]:
    found: dict[int, str] = {}
    for label in labels:
        match = re.fullmatch(re.escape(base) + r"(?:-(\d{1,6}))?", label or "")
        if match:
            found[int(match[1] or 1)] = label
    return [found[number] for number in sorted(found)]


def _next_label(base: str, labels: list[str]) -> str:
    if not labels:
        return base
    number = labels[-1].removeprefix(base).removeprefix("-")
    return f"{base}-{int(number or 1) + 1}"
