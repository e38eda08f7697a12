"""What a workspace needs of whoever holds its key-encryption key (KEK), and how they fail.

A provider wraps 32 bytes and unwraps them again, bound to a *context*: what is unwrapped under
another context than it was wrapped under is refused. It never learns what the 32 bytes open. A
wrapped text names the version of the KEK, so that the KEK can be rotated and older texts still
open. Some providers also keep signing keys, which then never leave them.
"""

from __future__ import annotations

from typing import Protocol

from cloister.core.errors import CloisterError

REFUSED = "CLO-KEYS-007"
OUT_OF_REACH = "CLO-KEYS-008"
NOT_INSTALLED = "CLO-KEYS-009"
OTHER_KEY = "CLO-KEYS-010"


class KeyProviderError(CloisterError):
    """The provider of the key-encryption key did not do what was asked; nothing is opened."""

    default_code = REFUSED


class Signer(Protocol):
    """An Ed25519 key that signs, wherever it is."""

    def sign(self, data: bytes, /) -> bytes:
        """Returns the signature (RFC 8032) over ``data``."""
        ...


class KeyProvider(Protocol):
    """Holds the key-encryption key of a workspace."""

    @property
    def name(self) -> str:
        """As ``provider`` in ``keys.yaml``."""
        ...

    @property
    def reference(self) -> str:
        """Which key of which server or token, without a secret; tells one from another."""
        ...

    def wrap(self, secret: bytes, context: bytes) -> str:
        """Returns ``secret`` (32 bytes) wrapped by the newest version of the key.

        Raises:
            KeyProviderError: As for :meth:`unwrap`.
        """
        ...

    def unwrap(self, wrapped: str, context: bytes) -> bytes:
        """Returns what was wrapped.

        Raises:
            KeyProviderError: The provider refuses (``CLO-KEYS-007``), is out of reach
                (``CLO-KEYS-008``), its driver is missing (``CLO-KEYS-009``), or this was wrapped by
                another key or under another context (``CLO-KEYS-010``).
        """
        ...

    def rotate(self) -> str:
        """Makes a new version of the key, which wraps from now on; older ones still unwrap.

        Returns:
            What happened, for people.

        Raises:
            KeyProviderError: As for :meth:`unwrap`.
        """
        ...

    def make_signer(self) -> tuple[str, bytes] | None:
        """Makes a signing key that never leaves the provider.

        Returns:
            Its label and 32 bytes of public key; ``None`` where signing keys are kept wrapped.
        """
        ...

    def signer(self, label: str) -> Signer:
        """Returns the signing key of this label.

        Raises:
            KeyProviderError: There is none.
        """
        ...

    def close(self) -> None:
        """Ends the session with the provider."""
        ...


def other_key(provider: str) -> KeyProviderError:
    """Returns the refusal of what this key did not wrap, or not for this."""
    return KeyProviderError(
        f"The keys of this workspace were not wrapped by the key that {provider} has here.",
        code=OTHER_KEY,
        remedy="Check that keys.yaml names the right key or passphrase; another one opens nothing.",
    )


def out_of_reach(provider: str) -> KeyProviderError:
    """Returns the refusal while a provider cannot be reached."""
    return KeyProviderError(
        f"The key provider ({provider}) is out of reach, so no key can be opened.",
        code=OUT_OF_REACH,
        remedy="Check the address and the network; then try again. Nothing runs unrecorded.",
    )


def refused(provider: str) -> KeyProviderError:
    """Returns the refusal of a provider that answers, and does not allow it."""
    return KeyProviderError(
        f"The key provider ({provider}) refuses this account, or has no such key.",
        remedy="Check the credentials in the place that keys.yaml names, and what they may do.",
    )


def not_installed(provider: str, extra: str) -> KeyProviderError:
    """Returns the refusal where a provider's driver is missing."""
    return KeyProviderError(
        f"The keys are held by {provider}, and what that needs is not installed.",
        code=NOT_INSTALLED,
        remedy=f"Install it: pip install 'cloister[{extra}]'",
    )


def no_signing_key(provider: str) -> KeyProviderError:
    """Returns the refusal where a signing key should be in a provider, and is not."""
    return KeyProviderError(
        f"The key that signs the record is not held by {provider}.",
        remedy="Check that keys.yaml names the token or server that it was made in.",
    )


class WrappingProvider:
    """What providers share that wrap and sign nothing."""

    name: str

    def make_signer(self) -> tuple[str, bytes] | None:
        """Signing keys are kept wrapped; over a network a signature for each append is too far."""
        return None

    def signer(self, label: str) -> Signer:
        """There is none here."""
        del label
        raise no_signing_key(self.name)
