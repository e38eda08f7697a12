"""Returns the provider that ``keys.yaml`` names; imports only that one."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from cloister.store.keysettings import (
    AwsKmsSettings,
    PassphraseSettings,
    Pkcs11Settings,
    VaultSettings,
)

if TYPE_CHECKING:
    from cloister.store.keyproviders.provider import KeyProvider
    from cloister.store.keysettings import KeySettings


def provider_for(settings: KeySettings) -> KeyProvider:
    """Returns a provider that has not been asked for anything yet."""
    match settings:
        case PassphraseSettings():
            from cloister.store.keyproviders.passphrase import PassphraseProvider

            return PassphraseProvider(settings)
        case Pkcs11Settings():
            from cloister.store.keyproviders.pkcs11 import Pkcs11Provider

            return Pkcs11Provider(settings)
        case VaultSettings():
            from cloister.store.keyproviders.vault import VaultProvider

            return VaultProvider(settings)
        case AwsKmsSettings():
            from cloister.store.keyproviders.aws_kms import AwsKmsProvider

            return AwsKmsProvider(settings)
        case _:
            assert_never(settings)
