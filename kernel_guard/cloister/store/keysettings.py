"""Who holds the key above all keys: ``keys.yaml`` in the home, which only its owner can write.

Without the file the workspace's keys lie in the home as they are, protected by the mode of their
files. With it they are wrapped by a key that a provider holds: one made from a passphrase, one in a
hardware module (PKCS#11), in Vault, or in AWS KMS. A file that cannot be read or says something
unknown is an error, never a reason to go on with keys in clear.

The file holds no secret: passphrases, PINs and tokens come from a private file or the environment.
"""

from __future__ import annotations

import getpass
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit

from cloister.core.errors import CloisterError
from cloister.store.files import NotPrivateError, read_private

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cloister.store.home import Home

_MOST_BYTES: Final = 16_384
_FROM: Final = ("file", "env", "prompt")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class KeySettingsInvalid(CloisterError):
    """``keys.yaml`` or a secret that it names cannot be used, so no key can be opened."""

    default_code = "CLO-KEYS-005"


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where a passphrase, PIN or token comes from; exactly one of the three.

    Attributes:
        what: What it is, for messages.
        file: A file of this account with mode 0600.
        env: An environment variable. Kernels do not get it.
        is_prompted: It is asked for on the terminal, so only commands can open the keys.
    """

    what: str
    file: Path | None = None
    env: str | None = None
    is_prompted: bool = False

    def read(self, environ: Mapping[str, str] = os.environ) -> str:
        """Returns the secret; never log it.

        Raises:
            KeySettingsInvalid: It is not there, or others can read it.
        """
        secret = ""
        if self.file is not None:
            try:
                secret = read_private(self.file, _MOST_BYTES).decode("utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError, NotPrivateError) as error:
                raise KeySettingsInvalid(
                    f"The file with the {self.what} cannot be read, or others can read it.",
                    code="CLO-KEYS-006",
                    remedy="Make it a regular file of this account with mode 0600.",
                ) from error
        elif self.env is not None:
            secret = environ.get(self.env, "")
        elif self.is_prompted and sys.stdin.isatty():
            secret = getpass.getpass(f"{self.what.capitalize()}: ")
        if not secret:
            raise KeySettingsInvalid(
                f"There is no {self.what} where keys.yaml says that it is.",
                code="CLO-KEYS-006",
                remedy="Set the variable or fill the file that keys.yaml names; a prompt needs a "
                "terminal.",
            )
        return secret


@dataclass(frozen=True, slots=True)
class PassphraseSettings:
    """``provider: local``: a key made from a passphrase with Argon2id."""

    passphrase: SecretSource


@dataclass(frozen=True, slots=True)
class Pkcs11Settings:
    """``provider: pkcs11``: keys in a hardware module.

    Attributes:
        module: The module's library.
        token: Label of the token.
        pin: Its user PIN.
        wrap_key: Label of the AES key that wraps; made in the token when it is not there.
        signing_key: Label for signing keys of the record in the token; ``None`` signs outside it.
    """

    module: str
    token: str
    pin: SecretSource
    wrap_key: str
    signing_key: str | None = None


@dataclass(frozen=True, slots=True)
class VaultSettings:
    """``provider: vault``: a key of HashiCorp Vault's (or OpenBao's) transit engine."""

    url: str
    key: str
    token: SecretSource
    mount: str = "transit"
    namespace: str | None = None
    ca_file: str | None = None


@dataclass(frozen=True, slots=True)
class AwsKmsSettings:
    """``provider: aws-kms``: a symmetric key of AWS KMS; credentials are those of the AWS SDK."""

    key_id: str
    region: str
    endpoint: str | None = None


KeySettings: TypeAlias = PassphraseSettings | Pkcs11Settings | VaultSettings | AwsKmsSettings


def read_key_settings(home: Home) -> KeySettings | None:
    """Returns what ``keys.yaml`` says, or ``None`` where there is none.

    Raises:
        KeySettingsInvalid: It cannot be read, or says something unknown.
    """
    try:
        text = read_private(home.key_settings_path, _MOST_BYTES)
    except FileNotFoundError:
        return None
    except (OSError, NotPrivateError) as error:
        raise KeySettingsInvalid(
            "keys.yaml cannot be read, or others can read it.",
            remedy="Make it a regular file of this account with mode 0600.",
        ) from error
    return parse_key_settings(text)


def parse_key_settings(text: bytes) -> KeySettings:
    """Reads and checks settings.

    Raises:
        KeySettingsInvalid: They say something unknown.
    """
    import yaml

    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError):
        raise _invalid("is not YAML") from None
    if not isinstance(content, dict) or not all(
        isinstance(key, str) and isinstance(value, (str, bool)) for key, value in content.items()
    ):
        raise _invalid("is not a mapping of names to texts")
    read = _READERS.get(content.pop("provider", None))
    if read is None:
        raise _invalid(f"has no provider that is known ({', '.join(sorted(_READERS))})")
    fields = _Fields(content)
    settings = read(fields)
    if fields.left:
        raise _invalid(f"has a setting that its provider does not know: {min(fields.left)}")
    return settings


class _Fields:
    """The settings of one provider; each is taken once, and what is left is not known."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.left = content

    def text(self, name: str) -> str:
        value = self.optional(name)
        if value is None:
            raise _invalid(f"has no {name}")
        return value

    def optional(self, name: str) -> str | None:
        value = self.left.pop(name, None)
        if value is not None and (not isinstance(value, str) or not value):
            raise _invalid(f"has a {name} that is no text")
        return value

    def address(self, name: str, value: str | None) -> str | None:
        """Takes https only: a token or a key goes over it. This machine itself is no network."""
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            is_here = parts.scheme == "http" and parts.hostname in _LOOPBACK
            is_right = (parts.scheme == "https" and parts.hostname) or is_here
            has_secret = parts.username is not None or parts.password is not None
        except ValueError:
            is_right = has_secret = False
        if not is_right or has_secret:
            raise _invalid(f"has a {name} that is no https:// address without a password")
        return value

    def secret(self, name: str, what: str) -> SecretSource:
        named = {how: self.left.pop(f"{name}_{how}", None) for how in _FROM}
        given = {how: value for how, value in named.items() if value not in {None, False}}
        if len(given) != 1:
            raise _invalid(f"must name one place for the {what}: {name}_file or {name}_env")
        if "prompt" in given:
            return SecretSource(what, is_prompted=True)
        file, env = named["file"], named["env"]
        if not isinstance(file or env, str):
            raise _invalid(f"has a place for the {what} that is no text")
        return SecretSource(what, Path(file).expanduser() if file else None, env)


def _passphrase(fields: _Fields) -> PassphraseSettings:
    return PassphraseSettings(fields.secret("passphrase", "passphrase"))


def _pkcs11(fields: _Fields) -> Pkcs11Settings:
    return Pkcs11Settings(
        module=fields.text("module"),
        token=fields.text("token"),
        pin=fields.secret("pin", "PIN"),
        wrap_key=fields.text("wrap_key"),
        signing_key=fields.optional("signing_key"),
    )


def _vault(fields: _Fields) -> VaultSettings:
    return VaultSettings(
        url=fields.address("url", fields.text("url")) or "",
        key=fields.text("key"),
        token=fields.secret("token", "token"),
        mount=fields.optional("mount") or "transit",
        namespace=fields.optional("namespace"),
        ca_file=fields.optional("ca_file"),
    )


def _aws_kms(fields: _Fields) -> AwsKmsSettings:
    endpoint = fields.address("endpoint", fields.optional("endpoint"))
    return AwsKmsSettings(fields.text("key_id"), fields.text("region"), endpoint)


_READERS: Final[dict[Any, Callable[[_Fields], KeySettings]]] = {
    "local": _passphrase,
    "pkcs11": _pkcs11,
    "vault": _vault,
    "aws-kms": _aws_kms,
}


def _invalid(reason: str) -> KeySettingsInvalid:
    return KeySettingsInvalid(
        f"keys.yaml {reason}, so no key can be opened.",
        remedy="Repair it; its settings are in the reference under Configuration, The keys.",
    )
