"""A key-encryption key made from a passphrase with Argon2id (RFC 9106, second recommended option).

The files of a workspace share a salt, so that opening them costs one derivation; rotating makes a
new salt, and so a new key. The costs stand with the salt, bounded, so that they can be raised later
and a forged file cannot ask for all memory of the machine. A process remembers the keys that it
derived, as it holds what they open anyway.
"""

from __future__ import annotations

import base64
import hmac
import os
import re
from typing import TYPE_CHECKING, Final

from cloister.store.keyproviders.provider import (
    NOT_INSTALLED,
    KeyProviderError,
    WrappingProvider,
    other_key,
)

if TYPE_CHECKING:
    from cloister.store.keysettings import PassphraseSettings

_MEMORY_KIB: Final = 64 * 1024
_PASSES: Final = 3
_LANES: Final = 4
_MOST_MEMORY_KIB: Final = 1024 * 1024
_MOST_PASSES: Final = 20
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_SHAPE: Final = re.compile(r"argon2id\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/=]+)")
_NAME: Final = "local"


class PassphraseProvider(WrappingProvider):
    """Wraps with a key that exists only while somebody has the passphrase.

    Args:
        settings: Where the passphrase comes from; it is read once, when it is first needed.
    """

    name = _NAME
    reference = "passphrase"

    def __init__(self, settings: PassphraseSettings) -> None:
        self._source = settings.passphrase
        self._passphrase: bytes | None = None
        self._salt: bytes | None = None

    def wrap(self, secret: bytes, context: bytes) -> str:
        """Wraps under the salt of the files that were opened, or a new one."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        costs = f"m={_MEMORY_KIB},t={_PASSES},p={_LANES}"
        if self._salt is None:
            self._salt = os.urandom(_SALT_BYTES)
        salt, nonce = self._salt, os.urandom(_NONCE_BYTES)
        cipher = AESGCM(self._key(salt, _MEMORY_KIB, _PASSES, _LANES))
        sealed = nonce + cipher.encrypt(nonce, secret, _bound(costs, context))
        return f"argon2id${costs}${base64.b64encode(salt + sealed).decode()}"

    def unwrap(self, wrapped: str, context: bytes) -> bytes:
        """Unwraps; a wrong passphrase is another key."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        match = _SHAPE.fullmatch(wrapped)
        if match is None:
            raise other_key(_NAME)
        memory, passes, lanes = (int(match[i]) for i in (1, 2, 3))
        if memory > _MOST_MEMORY_KIB or passes > _MOST_PASSES:
            raise other_key(_NAME)
        try:
            raw = base64.b64decode(match[4], validate=True)
            salt, nonce = raw[:_SALT_BYTES], raw[_SALT_BYTES : _SALT_BYTES + _NONCE_BYTES]
            cipher = AESGCM(self._key(salt, memory, passes, lanes))
            self._salt = salt
            bound = _bound(f"m={memory},t={passes},p={lanes}", context)
            return cipher.decrypt(nonce, raw[_SALT_BYTES + _NONCE_BYTES :], bound)
        except (InvalidTag, ValueError):
            raise other_key(_NAME) from None

    def rotate(self) -> str:
        """Takes a new salt, and so a new key, for what is wrapped from now on."""
        self._salt = os.urandom(_SALT_BYTES)
        return "a new salt; for a new passphrase give --provider a file that names it"

    def close(self) -> None:
        """Forgets the passphrase."""
        self._passphrase = None

    def _key(self, salt: bytes, memory_kib: int, passes: int, lanes: int) -> bytes:
        if self._passphrase is None:
            self._passphrase = self._source.read().encode("utf-8", "surrogateescape")
        named = hmac.digest(_REMEMBERED_BY, self._passphrase, "sha256")
        costs = memory_kib, passes, lanes
        key = _remembered.get((named, salt, costs))
        if key is None:
            if len(_remembered) >= _MOST_REMEMBERED:
                _remembered.clear()
            key = _remembered[named, salt, costs] = _derive(self._passphrase, salt, costs)
        return key


_MOST_REMEMBERED: Final = 16
_REMEMBERED_BY: Final = os.urandom(32)
_remembered: dict[tuple[bytes, bytes, tuple[int, int, int]], bytes] = {}


def _derive(passphrase: bytes, salt: bytes, costs: tuple[int, int, int]) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    memory_kib, passes, lanes = costs
    try:
        kdf = Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory_kib)
        return kdf.derive(passphrase)
    except UnsupportedAlgorithm:
        raise KeyProviderError(
            "This build of cryptography has no Argon2id.",
            code=NOT_INSTALLED,
            remedy="Install the wheel that its project builds: pip install cryptography",
        ) from None
    except MemoryError:
        raise KeyProviderError(
            "There is not enough memory to open the keys with the passphrase.",
            remedy=f"{memory_kib // 1024} MiB are needed for a moment.",
        ) from None


def _bound(costs: str, context: bytes) -> bytes:
    return b"cloister-kek-argon2id-v1\0" + costs.encode() + b"\0" + context
