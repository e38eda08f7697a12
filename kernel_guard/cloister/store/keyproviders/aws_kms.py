"""A key-encryption key in AWS KMS: ``Encrypt`` and ``Decrypt`` with an encryption context.

The context is part of what KMS authenticates, and stands in CloudTrail; it names the workspace's
log and no person. The account needs ``kms:Encrypt`` and ``kms:Decrypt`` on the key, and for
``cloister keys rotate`` also ``kms:RotateKeyOnDemand``.
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
    from cloister.store.keyproviders.provider import KeyProviderError
    from cloister.store.keysettings import AwsKmsSettings

_NAME: Final = "aws-kms"
_TIMEOUT_S: Final = 5


class AwsKmsProvider(WrappingProvider):
    """Wraps in AWS KMS.

    Args:
        settings: Which key; credentials are found as the AWS SDK finds them.
    """

    name = _NAME

    def __init__(self, settings: AwsKmsSettings) -> None:
        self._settings = settings
        self._client: Any = None

    @property
    def reference(self) -> str:
        """The region and the key."""
        return f"{self._settings.region} {self._settings.key_id}"

    def wrap(self, secret: bytes, context: bytes) -> str:
        """Wraps with the key's newest material."""
        answer = self._ask("encrypt", Plaintext=secret, EncryptionContext=_context(context))
        return base64.b64encode(answer["CiphertextBlob"]).decode()

    def unwrap(self, wrapped: str, context: bytes) -> bytes:
        """Unwraps; the key is named, so that no other key of the account is tried."""
        try:
            blob = base64.b64decode(wrapped, validate=True)
        except (binascii.Error, ValueError):
            raise other_key(_NAME) from None
        answer = self._ask("decrypt", CiphertextBlob=blob, EncryptionContext=_context(context))
        plaintext: bytes = answer["Plaintext"]
        return plaintext

    def rotate(self) -> str:
        """Asks KMS for new key material; older material still unwraps."""
        self._ask("rotate_key_on_demand")
        return f"KMS rotated {self._settings.key_id}"

    def close(self) -> None:
        """Closes the connections."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _ask(self, operation: str, **fields: Any) -> Any:
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
        except ImportError:
            raise not_installed("AWS KMS", "aws") from None
        settings = self._settings
        try:
            if self._client is None:
                config = Config(
                    connect_timeout=_TIMEOUT_S,
                    read_timeout=_TIMEOUT_S,
                    retries={"total_max_attempts": 2},
                )
                self._client = boto3.client(
                    "kms",
                    region_name=settings.region,
                    endpoint_url=settings.endpoint,
                    config=config,
                )
            return getattr(self._client, operation)(KeyId=settings.key_id, **fields)
        except ClientError as error:
            raise _refusal(error) from None
        except NoCredentialsError:
            raise refused(_NAME) from None
        except (BotoCoreError, OSError, ValueError):
            raise out_of_reach(_NAME) from None


def _context(context: bytes) -> dict[str, str]:
    return {"cloister": base64.b64encode(context).decode()}


def _refusal(error: Any) -> KeyProviderError:
    """Turns the answer of KMS into ours; never its text, which names accounts and keys."""
    code = error.response.get("Error", {}).get("Code", "")
    if code in {"InvalidCiphertextException", "IncorrectKeyException"}:
        return other_key(_NAME)
    if code in {"ThrottlingException", "KMSInternalException", "DependencyTimeoutException",
                "InternalFailure", "ServiceUnavailable"}:  # fmt: skip
        return out_of_reach(_NAME)
    return refused(_NAME)
