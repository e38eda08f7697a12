"""A key-encryption key in the transit engine of HashiCorp Vault, or of OpenBao.

``encrypt`` and ``decrypt`` with the context as ``associated_data``, which needs a key of type
``aes256-gcm96`` (the default) or ``chacha20-poly1305``. The ciphertext names the key's version
(``vault:v2:...``). The policy of the token needs ``update`` on ``encrypt/KEY`` and
``decrypt/KEY``, and for ``cloister keys rotate`` on ``keys/KEY/rotate``.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final

from cloister.store.keyproviders.provider import (
    WrappingProvider,
    not_installed,
    other_key,
    out_of_reach,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister.store.keyproviders.provider import KeyProviderError
    from cloister.store.keysettings import VaultSettings

_NAME: Final = "vault"
_TIMEOUT_S: Final = 5


class VaultProvider(WrappingProvider):
    """Wraps in Vault.

    Args:
        settings: Which server and key.
    """

    name = _NAME

    def __init__(self, settings: VaultSettings) -> None:
        self._settings = settings
        self._client: Any = None

    @property
    def reference(self) -> str:
        """The server, the engine and the key."""
        settings = self._settings
        return f"{settings.url} {settings.mount}/{settings.key}"

    def wrap(self, secret: bytes, context: bytes) -> str:
        """Wraps with the newest version of the key."""
        answer = self._ask(
            "encrypt_data",
            plaintext=base64.b64encode(secret).decode(),
            associated_data=base64.b64encode(context).decode(),
        )
        wrapped = _field(answer, "ciphertext")
        if not wrapped.startswith("vault:"):
            raise refused(_NAME)
        return wrapped

    def unwrap(self, wrapped: str, context: bytes) -> bytes:
        """Unwraps with the version that the text names."""
        answer = self._ask(
            "decrypt_data",
            ciphertext=wrapped,
            associated_data=base64.b64encode(context).decode(),
        )
        try:
            return base64.b64decode(_field(answer, "plaintext"), validate=True)
        except binascii.Error:
            raise refused(_NAME) from None

    def rotate(self) -> str:
        """Asks Vault for a new version of the key."""
        self._ask("rotate_key")
        return f"Vault made a new version of {self._settings.key}"

    def close(self) -> None:
        """Closes the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.adapter.close()

    def _ask(self, operation: str, **fields: str) -> Any:
        try:
            import hvac
            import requests
            from hvac.exceptions import VaultError
        except ImportError:
            raise not_installed("Vault", "vault") from None
        settings = self._settings
        if self._client is None:
            self._client = hvac.Client(
                url=settings.url,
                token=settings.token.read(),
                namespace=settings.namespace,
                verify=settings.ca_file or True,
                timeout=_TIMEOUT_S,
                allow_redirects=False,  # a token goes to nobody but the server that was named
            )
        call: Callable[..., Any] = getattr(self._client.secrets.transit, operation)
        try:
            return call(name=settings.key, mount_point=settings.mount, **fields)
        except VaultError as error:
            raise _refusal(error) from None
        except (requests.RequestException, OSError, ValueError):
            raise out_of_reach(_NAME) from None


def _refusal(error: Exception) -> KeyProviderError:
    """Turns Vault's answer into ours; never its text, which names paths."""
    from hvac import exceptions

    if isinstance(error, exceptions.InvalidRequest):
        return other_key(_NAME)  # 400: the ciphertext is of another key or context
    away = (exceptions.VaultDown, exceptions.VaultNotInitialized, exceptions.InternalServerError,
            exceptions.BadGateway, exceptions.RateLimitExceeded)  # fmt: skip
    if isinstance(error, away):
        return out_of_reach(_NAME)
    return refused(_NAME)


def _field(answer: Any, name: str) -> str:
    try:
        value = answer["data"][name]
    except (TypeError, KeyError):
        value = None
    if not isinstance(value, str):
        raise refused(_NAME)
    return value
