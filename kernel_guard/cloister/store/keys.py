"""The workspace's keys: one secret that the others derive from, and the key that signs the record.

``keys/workspace.key`` holds 32 random bytes. Subkeys for tokens, the exact-match index and record
payloads derive from it with HKDF-SHA256 (RFC 5869), one label each, so that knowing one says
nothing about another. ``keys/lineage.key`` holds the Ed25519 signing key and ``keys/lineage.pub``
its public half, in the key formats of C2SP signed-note, so that other tools verify checkpoints.

Keys are made once, when the home is initialised. A missing, damaged or readable-by-others key is an
error and never replaced: a new one would make old records unreadable and tokens change.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from functools import cached_property
from typing import TYPE_CHECKING, Final

from cloister.core.errors import CloisterError
from cloister.store.files import NotPrivateError, create_exclusive, read_private

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from cloister.store.home import Home

KEY_BYTES: Final = 32
_MAX_KEY_FILE: Final = 1024  # bytes
_ED25519: Final = b"\x01"  # signature type of C2SP signed-note
_WORKSPACE_FORMAT: Final = "cloister-workspace-key-v1"
_SIGNER_PREFIX: Final = "PRIVATE+KEY"


class KeyringError(CloisterError):
    """A key of the workspace is missing, damaged or not private."""

    default_code = "CLO-KEYS-001"


class Keyring:
    """The keys of one workspace, held in memory. Never logged, pickled or sent anywhere."""

    def __init__(
        self, workspace_key: bytes, signing_seed: bytes, key_name: str, key_id: bytes
    ) -> None:
        self._workspace_key = workspace_key
        self._signing_seed = signing_seed
        self._key_id = key_id
        self.key_name = key_name
        """Name of the signing key and origin of this workspace's checkpoints."""

    def __repr__(self) -> str:
        return f"Keyring({self.key_name!r})"

    @cached_property
    def token_key(self) -> bytes:
        """32 bytes for the tokens that stand for masked values."""
        return derive_key(self._workspace_key, "token")

    @cached_property
    def reversible_key(self) -> bytes:
        """32 bytes for the tokens that the broker can undo."""
        return derive_key(self._workspace_key, "reversible")

    @cached_property
    def index_key(self) -> bytes:
        """32 bytes for the digests of the exact-match index."""
        return derive_key(self._workspace_key, "index")

    @cached_property
    def payload_key(self) -> bytes:
        """32 bytes for the encryption of record payloads."""
        return derive_key(self._workspace_key, "payload")

    @cached_property
    def authority_secret(self) -> bytes:
        """64 bytes from which the key of the workspace's certificate authority derives."""
        return b"".join(derive_key(self._workspace_key, f"authority-{half}") for half in "ab")

    @cached_property
    def signer(self) -> Ed25519PrivateKey:
        """The key that signs checkpoints.

        Raises:
            KeyringError: The stored key does not match its own fingerprint.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        signer = Ed25519PrivateKey.from_private_bytes(self._signing_seed)
        if key_id(self.key_name, signer.public_key().public_bytes_raw()) != self._key_id:
            raise _damaged("signing key")
        return signer

    @cached_property
    def public_key_bytes(self) -> bytes:
        """The 32 raw bytes of the Ed25519 public key."""
        return self.signer.public_key().public_bytes_raw()

    @property
    def verifier_line(self) -> str:
        """The public key as a C2SP verifier key, ``<name>+<id>+<base64>``."""
        return format_verifier(self.key_name, self.public_key_bytes)


def open_keyring(home: Home) -> Keyring:
    """Reads the keys of a workspace. Does not import ``cryptography``; first use of a signer does.

    Raises:
        KeyringError: A key is missing (``CLO-KEYS-001``), damaged (``CLO-KEYS-002``), or
            other accounts can read it (``CLO-KEYS-003``).
    """
    workspace_key = _parse_workspace(_read(home, "workspace.key", "workspace key"))
    name, identifier, seed = _parse_signer(_read(home, "lineage.key", "signing key"))
    return Keyring(workspace_key, seed, name, identifier)


def create_keys(home: Home) -> None:
    """Makes the keys that are missing. Called once, while a new home is initialised.

    Raises:
        OSError: A key file could not be written.
    """
    import secrets

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    secret = secrets.token_bytes(KEY_BYTES)
    text = f"{_WORKSPACE_FORMAT}+{_check_value(secret)}+{base64.b64encode(secret).decode()}\n"
    create_exclusive(home.keys_dir / "workspace.key", text.encode())

    signer = Ed25519PrivateKey.generate()
    public = signer.public_key().public_bytes_raw()
    name = f"cloister-{hashlib.sha256(public).hexdigest()[:16]}"
    encoded = base64.b64encode(_ED25519 + signer.private_bytes_raw()).decode()
    line = f"{_SIGNER_PREFIX}+{name}+{key_id(name, public).hex()}+{encoded}\n"
    create_exclusive(home.keys_dir / "lineage.key", line.encode())
    # Written from the key that is really stored: this process may have lost the race above.
    stored = open_keyring(home)
    create_exclusive(home.keys_dir / "lineage.pub", f"{stored.verifier_line}\n".encode())


def derive_key(secret: bytes, purpose: str) -> bytes:
    """Returns a 32-byte subkey: HKDF-SHA256 (RFC 5869) without salt, one output block."""
    extracted = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(extracted, f"cloister/{purpose}/v1".encode() + b"\x01", "sha256")


def key_id(name: str, public_key: bytes) -> bytes:
    """Returns the four-byte id of an Ed25519 key (C2SP signed-note, "Signature types")."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()[:4]


def format_verifier(name: str, public_key: bytes) -> str:
    """Returns an Ed25519 public key as a C2SP verifier key."""
    encoded = base64.b64encode(_ED25519 + public_key).decode()
    return f"{name}+{key_id(name, public_key).hex()}+{encoded}"


def parse_verifier(line: str) -> tuple[str, bytes]:
    """Reads a C2SP verifier key.

    Returns:
        The key's name and its 32 raw bytes.

    Raises:
        KeyringError: It is not an Ed25519 verifier key, or its id does not match.
    """
    name, _, rest = line.strip().partition("+")
    identifier, _, encoded = rest.partition("+")
    raw = _decode(encoded, "public key")
    public = raw[1:]
    if not name or raw[:1] != _ED25519 or len(public) != KEY_BYTES:
        raise _damaged("public key")
    if key_id(name, public).hex() != identifier:
        raise _damaged("public key")
    return name, public


def _read(home: Home, file_name: str, what: str) -> str:
    try:
        return read_private(home.keys_dir / file_name, _MAX_KEY_FILE).decode("ascii").strip()
    except FileNotFoundError:
        raise KeyringError(
            f"The workspace has no {what}.",
            remedy="Restore keys/ from a backup. A new workspace starts with: cloister init",
        ) from None
    except NotPrivateError:
        raise KeyringError(
            f"The {what} is not a private file of this account.",
            code="CLO-KEYS-003",
            remedy="As its owner run chmod 600 on the files in keys/, and find out who read them.",
        ) from None
    except UnicodeDecodeError:
        raise _damaged(what) from None
    except OSError as error:
        raise KeyringError(
            f"The {what} cannot be read ({type(error).__name__}).",
            remedy="Check the permissions of keys/ in the workspace's home.",
        ) from error


def _parse_workspace(text: str) -> bytes:
    kind, _, rest = text.partition("+")
    check, _, encoded = rest.partition("+")
    secret = _decode(encoded, "workspace key")
    valid = kind == _WORKSPACE_FORMAT and len(secret) == KEY_BYTES
    if not valid or not hmac.compare_digest(check, _check_value(secret)):
        raise _damaged("workspace key")
    return secret


def _parse_signer(text: str) -> tuple[str, bytes, bytes]:
    # Base64 may hold "+", names may not: split from the left, at most as often as there are fields.
    parts = text.split("+", 4)
    if len(parts) != 5 or "+".join(parts[:2]) != _SIGNER_PREFIX or not parts[2]:
        raise _damaged("signing key")
    raw = _decode(parts[4], "signing key")
    if raw[:1] != _ED25519 or len(raw) != 1 + KEY_BYTES:
        raise _damaged("signing key")
    try:
        return parts[2], bytes.fromhex(parts[3]), raw[1:]
    except ValueError:
        raise _damaged("signing key") from None


def _check_value(secret: bytes) -> str:
    """Four bytes that show damage to the key file; they say nothing useful about a random key."""
    return hashlib.sha256(b"cloister-workspace-key-check\0" + secret).hexdigest()[:8]


def _decode(text: str, what: str) -> bytes:
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _damaged(what) from None
    # The last character has bits that count for nothing; a change of them is damage all the same.
    if base64.b64encode(decoded).decode() != text:
        raise _damaged(what)
    return decoded


def _damaged(what: str) -> KeyringError:
    return KeyringError(
        f"The {what} is damaged.",
        code="CLO-KEYS-002",
        remedy="Restore keys/ from a backup; a new key could not read the old records.",
    )
