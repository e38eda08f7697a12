"""Encrypts the payloads of the record, each under a data key of its own.

A payload is sealed with AES-256-GCM under 32 fresh random bytes, its data key, which is used once.
The data key is wrapped by the workspace key of the newest generation, again with AES-256-GCM, and
lies in the table ``data_key`` beside the event. Both are bound to the place: the log's origin, the
event's number, and the payload to its type, too, so that neither can be moved.

The header commits to the sealed payload and to no key. So a data key can be destroyed, which
destroys the payload, and wrapped anew by another generation, and no hash in the tree changes.

A random nonce is safe for 2**32 data keys of one generation (NIST SP 800-38D section 8.3); rotate
before. Payloads from before there were data keys are read with a key that derives from the root.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from cloister.core.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister.store.keys import Keyring

WrappedKey: TypeAlias = tuple[int, bytes]
"""A generation of workspace keys, and a data key that its key wraps."""

_MARK: Final = b"CLPAYLD2"
"""What a sealed payload with a data key begins with; an older one begins with a random nonce."""

_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class SealedPayload:
    """What is stored of a payload.

    Attributes:
        content: What the header commits to.
        key: Its wrapped data key, which nothing commits to.
    """

    content: bytes = field(repr=False)
    key: WrappedKey = field(repr=False)


def has_data_key(sealed: bytes) -> bool:
    """Returns whether a stored payload is one that a data key opens."""
    return sealed.startswith(_MARK)


class PayloadBox:
    """Seals and opens payloads of one workspace.

    Args:
        keyring: Its keys.
        reload: Returns its keys as they are now; asked when a data key is of a generation that
            ``keyring`` does not have, because keys were rotated meanwhile.
    """

    def __init__(self, keyring: Keyring, reload: Callable[[], Keyring] | None = None) -> None:
        self._keyring = keyring
        self._reload = reload
        self._origin = keyring.key_name.encode()
        self._wrappers: dict[int, Any] = {}
        self._older: Any = None

    def seal(self, generation: int, seq: int, kind: str, payload: bytes) -> SealedPayload:
        """Seals a payload under a new data key.

        Args:
            generation: The workspace key that wraps the data key.
            seq: Number of the event.
            kind: Type of the event.
            payload: What to seal.

        Raises:
            StoreUnavailable: This home does not have that workspace key.
        """
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        noise = os.urandom(_KEY_BYTES + _NONCE_BYTES)
        key, nonce = noise[:_KEY_BYTES], noise[_KEY_BYTES:]
        sealed = AESGCM(key).encrypt(nonce, payload, self._payload_place(seq, kind))
        return SealedPayload(_MARK + nonce + sealed, (generation, self.wrap(generation, seq, key)))

    def open(self, seq: int, kind: str, sealed: bytes, key: WrappedKey | None) -> bytes | None:
        """Returns the payload, or ``None`` when it was changed, moved, or its key is not there."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            if not has_data_key(sealed):
                return self._open_older(seq, sealed)
            data_key = None if key is None else self.unwrap(seq, key)
            if data_key is None:
                return None
            nonce, content = sealed[8 : 8 + _NONCE_BYTES], sealed[8 + _NONCE_BYTES :]
            return AESGCM(data_key).decrypt(nonce, content, self._payload_place(seq, kind))
        except (InvalidTag, ValueError):
            return None

    def wrap(self, generation: int, seq: int, data_key: bytes) -> bytes:
        """Returns a data key, wrapped.

        Raises:
            StoreUnavailable: This home does not have that workspace key.
        """
        wrapper = self._wrapper(generation)
        if wrapper is None:
            raise missing_generation()
        nonce = os.urandom(_NONCE_BYTES)
        wrapped: bytes = wrapper.encrypt(nonce, data_key, self._key_place(seq, generation))
        return nonce + wrapped

    def unwrap(self, seq: int, key: WrappedKey) -> bytes | None:
        """Returns a data key, or ``None`` when it is of another place, log or workspace key."""
        from cryptography.exceptions import InvalidTag

        generation, wrapped = key
        wrapper = self._wrapper(generation)
        if wrapper is None:
            return None
        place = self._key_place(seq, generation)
        try:
            data_key: bytes = wrapper.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], place)
        except (InvalidTag, ValueError):
            return None
        return data_key

    def _wrapper(self, generation: int) -> Any:
        found = self._wrappers.get(generation)
        if found is None:
            key = self._keyring.wrapping_key(generation)
            if key is None and self._reload is not None:
                self._keyring = self._reload()
                key = self._keyring.wrapping_key(generation)
            if key is None:
                return None
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            found = self._wrappers[generation] = AESGCM(key)
        return found

    def _open_older(self, seq: int, sealed: bytes) -> bytes:
        if self._older is None:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            self._older = AESGCM(self._keyring.payload_key)
        place = b"cloister-payload-v1\0" + self._origin + b"\0" + seq.to_bytes(8, "big")
        payload: bytes = self._older.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place)
        return payload

    def _payload_place(self, seq: int, kind: str) -> bytes:
        return b"cloister-payload-v2\0%b\0%b%b" % (
            self._origin, seq.to_bytes(8, "big"), kind.encode())  # fmt: skip

    def _key_place(self, seq: int, generation: int) -> bytes:
        return b"cloister-data-key-v1\0%b\0%b%b" % (
            self._origin, seq.to_bytes(8, "big"), generation.to_bytes(4, "big"))  # fmt: skip


def missing_generation() -> StoreUnavailable:
    """Returns the refusal where keys were rotated, and this home did not get the new ones."""
    return StoreUnavailable(
        "The record's keys were rotated, and this home does not have the new ones.",
        code="CLO-STORE-012",
        remedy="Copy keys/ from the home where they were rotated; or restore them from a backup.",
    )
