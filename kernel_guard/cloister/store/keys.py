"""The workspace's keys: what derives from them, who signs the record, and where they are.

The hierarchy (``docs/adr/0007-key-hierarchy.md``): a provider's key wraps the key files; in
``keys/workspace.key`` are the root, from which tokens and the exact-match index derive
(HKDF-SHA256, RFC 5869, one label each), and the workspace keys, by generation, which wrap the data
keys of the record's payloads. ``keys/lineage.key`` holds the Ed25519 key that signs the record, and
``keys/lineage.pub`` its public half and how keys followed each other, in the key formats of C2SP
signed-note, so that other tools verify checkpoints.

Keys are made once, when the home is initialised, and change by ``cloister keys rotate`` only. A
missing, damaged or readable-by-others key is an error and never replaced: a new one would make old
records unreadable and tokens change.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, Final

from cloister.store.files import NotPrivateError, create_exclusive, read_private
from cloister.store.keyfile import (
    ED25519,
    KEY_BYTES,
    KeyringError,
    SigningKey,
    SigningKeys,
    WorkspaceKeys,
    damaged_key,
    decode_base64,
    decode_signing,
    decode_workspace,
    derive_key,
    encode_first_signer,
    encode_workspace,
    key_id,
)

if TYPE_CHECKING:
    from cloister.store.checkpoint import Verifier
    from cloister.store.home import Home
    from cloister.store.keyproviders.provider import KeyProvider, Signer

__all__ = ["Keyring", "KeyringError", "create_keys", "derive_key", "key_id", "open_keyring"]

WORKSPACE_FILE: Final = "workspace.key"
SIGNING_FILE: Final = "lineage.key"
PUBLIC_FILE: Final = "lineage.pub"
_MAX_KEY_FILE: Final = 1_000_000  # bytes; a succession of signing keys takes 300


class Keyring:
    """The keys of one workspace, held in memory. Never logged, pickled or sent anywhere."""

    def __init__(
        self, workspace: WorkspaceKeys, signing: SigningKeys, provider: KeyProvider | None = None
    ) -> None:
        self._workspace = workspace
        self._signing = signing
        self._provider = provider
        self._signers: dict[str, Signer] = {}
        self.key_name = signing.origin
        """Name of the signing keys and origin of this workspace's checkpoints."""

    def __repr__(self) -> str:
        return f"Keyring({self.key_name!r})"

    @cached_property
    def token_key(self) -> bytes:
        """32 bytes for the tokens that stand for masked values."""
        return derive_key(self._workspace.root, "token")

    @cached_property
    def reversible_key(self) -> bytes:
        """32 bytes for the tokens that the broker can undo."""
        return derive_key(self._workspace.root, "reversible")

    @cached_property
    def index_key(self) -> bytes:
        """32 bytes for the digests of the exact-match index."""
        return derive_key(self._workspace.root, "index")

    @cached_property
    def payload_key(self) -> bytes:
        """32 bytes for payloads from before there were data keys; those are only read."""
        return derive_key(self._workspace.root, "payload")

    @cached_property
    def subject_key(self) -> bytes:
        """32 bytes for what names an erased person in the record without saying who it was."""
        return derive_key(self._workspace.root, "subject")

    @cached_property
    def authority_secret(self) -> bytes:
        """64 bytes from which the key of the workspace's certificate authority derives."""
        return b"".join(derive_key(self._workspace.root, f"authority-{half}") for half in "ab")

    @property
    def workspace_keys(self) -> WorkspaceKeys:
        """What ``workspace.key`` holds."""
        return self._workspace

    @property
    def signing_keys(self) -> SigningKeys:
        """What ``lineage.key`` holds."""
        return self._signing

    @property
    def provider(self) -> KeyProvider | None:
        """Who wraps the key files, ``None`` where they lie in clear."""
        return self._provider

    def wrapping_key(self, generation: int) -> bytes | None:
        """Returns the workspace key of a generation, ``None`` where it is not here."""
        return self._workspace.generations.get(generation)

    @property
    def signer(self) -> Signer:
        """The key in force, which signs checkpoints.

        Raises:
            KeyringError: The stored key does not match its own fingerprint.
            KeyProviderError: A provider holds it, and does not let it be used.
        """
        return self.signer_of(self._signing.keys[0])

    def signer_of(self, key: SigningKey) -> Signer:
        """Returns one of the signing keys; see :attr:`signer`."""
        found = self._signers.get(key.identifier)
        if found is None:
            found = self._signers[key.identifier] = self._signer_of(key)
        return found

    def _signer_of(self, key: SigningKey) -> Signer:
        if key.seed is None:
            if self._provider is None or key.label is None:
                raise damaged_key("signing key")
            return self._provider.signer(key.label)
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        signer = Ed25519PrivateKey.from_private_bytes(key.seed)
        public = signer.public_key().public_bytes_raw()
        if key_id(self.key_name, public).hex() != key.identifier:
            raise damaged_key("signing key")
        return signer

    def public_of(self, key: SigningKey) -> bytes:
        """Returns the 32 raw bytes of a signing key's public half.

        Raises:
            KeyringError: The stored key does not match its own fingerprint.
        """
        if key.public:
            return key.public
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self.signer_of(key)  # compares it with its id
        seed = key.seed or b""
        return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()

    @cached_property
    def public_key_bytes(self) -> bytes:
        """The 32 raw bytes of the Ed25519 public key in force."""
        return self.public_of(self._signing.keys[0])

    @cached_property
    def verifier(self) -> Verifier:
        """Who may sign this workspace's record: the key in force, and those before it.

        Raises:
            KeyringError: The successions of keys do not hold.
        """
        from cloister.store.succession import SuccessionError, verifier_of

        try:
            return verifier_of(self.key_name, self.public_key_bytes, self._signing.successions)
        except SuccessionError:
            raise damaged_key("signing key") from None

    @property
    def verifier_line(self) -> str:
        """The public key as a C2SP verifier key, ``<name>+<id>+<base64>``."""
        return format_verifier(self.key_name, self.public_key_bytes)

    @property
    def public_text(self) -> str:
        """What ``lineage.pub`` holds: the verifier key, and below it how keys followed."""
        return "".join(f"{line}\n" for line in (self.verifier_line, *self._signing.successions))


def open_keyring(home: Home, *, may_be_plain: bool = False) -> Keyring:
    """Reads the keys of a workspace. Imports ``cryptography`` only where a provider wraps them.

    Args:
        home: The workspace.
        may_be_plain: Whether keys in clear are taken although ``keys.yaml`` names a provider; only
            for the command that wraps them.

    Raises:
        KeyringError: A key is missing (``CLO-KEYS-001``), damaged (``CLO-KEYS-002``), other
            accounts can read it (``CLO-KEYS-003``), or it is not wrapped as ``keys.yaml`` says
            (``CLO-KEYS-004``).
        KeySettingsInvalid: ``keys.yaml`` cannot be used.
        KeyProviderError: The provider does not open them.
    """
    provider = configured_provider(home)
    workspace = read_key_file(home, WORKSPACE_FILE, "workspace key")
    signing = read_key_file(home, SIGNING_FILE, "signing key")
    return Keyring(
        decode_workspace(workspace, provider, may_be_plain=may_be_plain),
        decode_signing(signing, provider, may_be_plain=may_be_plain),
        provider,
    )


def configured_provider(home: Home) -> KeyProvider | None:
    """Returns whom ``keys.yaml`` names, ``None`` where there is no such file.

    Raises:
        KeySettingsInvalid: It cannot be used.
    """
    if not home.key_settings_path.exists():
        return None
    from cloister.store.keyproviders.choice import provider_for
    from cloister.store.keysettings import read_key_settings

    settings = read_key_settings(home)
    return None if settings is None else provider_for(settings)


def create_keys(home: Home) -> None:
    """Makes the keys that are missing. Called once, while a new home is initialised.

    Raises:
        OSError: A key file could not be written.
    """
    import secrets

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    workspace = WorkspaceKeys(secrets.token_bytes(KEY_BYTES), {1: secrets.token_bytes(KEY_BYTES)})
    create_exclusive(home.keys_dir / WORKSPACE_FILE, encode_workspace(workspace, [None]))

    signer = Ed25519PrivateKey.generate()
    public = signer.public_key().public_bytes_raw()
    name = f"cloister-{hashlib.sha256(public).hexdigest()[:16]}"
    first = encode_first_signer(name, public, signer.private_bytes_raw())
    create_exclusive(home.keys_dir / SIGNING_FILE, first)
    # Written from the key that is really stored: this process may have lost the race above.
    stored = open_keyring(home)
    create_exclusive(home.keys_dir / PUBLIC_FILE, stored.public_text.encode())


def format_verifier(name: str, public_key: bytes) -> str:
    """Returns an Ed25519 public key as a C2SP verifier key."""
    encoded = base64.b64encode(ED25519 + public_key).decode()
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
    raw = decode_base64(encoded) or b""
    public = raw[1:]
    if not name or raw[:1] != ED25519 or len(public) != KEY_BYTES:
        raise damaged_key("public key")
    if key_id(name, public).hex() != identifier:
        raise damaged_key("public key")
    return name, public


def parse_public(text: str) -> Verifier:
    """Reads a file like ``lineage.pub``: a verifier key, and below it successions of keys.

    Raises:
        KeyringError: The key is none, or a succession does not hold.
    """
    from cloister.store.succession import SuccessionError, verifier_of

    line, *successions = text.strip().split("\n")
    name, public = parse_verifier(line)
    try:
        return verifier_of(name, public, successions)
    except SuccessionError:
        raise damaged_key("public key") from None


def read_key_file(home: Home, file_name: str, what: str) -> bytes:
    """Reads a key file that nobody else can read.

    Raises:
        KeyringError: It is missing, or not private.
    """
    try:
        return read_private(home.keys_dir / file_name, _MAX_KEY_FILE)
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
    except OSError as error:
        raise KeyringError(
            f"The {what} cannot be read ({type(error).__name__}).",
            remedy="Check the permissions of keys/ in the workspace's home.",
        ) from error
