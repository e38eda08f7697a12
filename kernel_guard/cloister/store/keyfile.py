"""The two key files of a home, ``keys/workspace.key`` and ``keys/lineage.key``: what is in them.

A key file is in one of two forms:

- *plain*, one line ``FORMAT+CHECK+BASE64``: its mode is all that protects it;
- *sealed*, a JSON object: the content is encrypted under a key of the file's own (AES-256-GCM), and
  that key is wrapped by a provider (:mod:`cloister.store.keyproviders`). While a workspace moves
  from one provider to another there are two wrappings, so it opens before and after the move; the
  wrapping ``machine`` is the file's key in clear, for moves from and to the plain form.

Versions: ``cloister-workspace-key-v1`` (32 bytes, until 0.1) has no keys for data keys; the first
generation of those derives from it. ``v2`` holds them beside it. ``PRIVATE+KEY+...`` is one signing
key, as in C2SP signed-note; ``cloister-signing-keys-v2`` holds several and how they followed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cloister.core.errors import CloisterError
from cloister.store.keyproviders.provider import OTHER_KEY, KeyProviderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloister.store.keyproviders.provider import KeyProvider

KEY_BYTES: Final = 32
ED25519: Final = b"\x01"  # signature type of C2SP signed-note
_WORKSPACE_V1: Final = "cloister-workspace-key-v1"
_WORKSPACE_V2: Final = "cloister-workspace-keys-v2"
_SIGNING_V2: Final = "cloister-signing-keys-v2"
_SIGNER_V1: Final = "PRIVATE+KEY"
_SEALED: Final = "cloister-sealed-keys-v1"
_MACHINE: Final = "machine"
_NONCE_BYTES: Final = 12
_CHECK_DIGITS: Final = 8


class KeyringError(CloisterError):
    """A key of the workspace is missing, damaged or not private."""

    default_code = "CLO-KEYS-001"


@dataclass(frozen=True, slots=True)
class WorkspaceKeys:
    """What ``workspace.key`` holds.

    Attributes:
        root: Tokens, the exact-match index and older payloads derive from it; it never changes.
        generations: Keys that wrap data keys, by number. The newest wraps; an older one is there
            while a rotation is under way.
    """

    root: bytes = field(repr=False)
    generations: dict[int, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One Ed25519 key of the record: its public half, and where its private half is.

    Attributes:
        identifier: Four bytes, hex (C2SP signed-note).
        public: 32 bytes.
        seed: The private half, or ``None`` where a provider holds it.
        label: Its label there.
    """

    identifier: str
    public: bytes
    seed: bytes | None = field(default=None, repr=False)
    label: str | None = None


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """What ``lineage.key`` holds.

    Attributes:
        origin: Name of the log and of its keys.
        keys: The key in force first; a second one is there while it is being replaced.
        successions: Statements of how one key followed another, oldest first.
    """

    origin: str
    keys: tuple[SigningKey, ...]
    successions: tuple[str, ...] = ()


def key_id(name: str, public_key: bytes) -> bytes:
    """Returns the four-byte id of an Ed25519 key (C2SP signed-note, "Signature types")."""
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + public_key).digest()[:4]


def encode_workspace(keys: WorkspaceKeys, providers: Sequence[KeyProvider | None]) -> bytes:
    """Returns the file that holds these keys.

    Args:
        keys: The keys.
        providers: Who wraps; ``None`` is the machine's own file. Two while moving.
    """
    content = {
        "root": _base64(keys.root),
        "generations": {str(n): _base64(key) for n, key in keys.generations.items()},
    }
    return _encode(_WORKSPACE_V2, "workspace", content, providers)


def decode_workspace(
    text: bytes, provider: KeyProvider | None, *, may_be_plain: bool = False
) -> WorkspaceKeys:
    """Reads ``workspace.key``.

    Args:
        text: Its content.
        provider: Whom ``keys.yaml`` names, ``None`` without it.
        may_be_plain: Whether keys in clear are taken although there is a provider.

    Raises:
        KeyringError: It is damaged (``CLO-KEYS-002``), or not wrapped as ``keys.yaml`` says
            (``CLO-KEYS-004``).
        KeyProviderError: The provider does not open it.
    """
    what = "workspace key"
    if text.startswith(b"{"):
        content = _unsealed(text, "workspace", what, provider)
    else:
        _check_place(provider, may_be_plain=may_be_plain)
        line = _ascii(text, what)
        kind, _, rest = line.partition("+")
        check, _, encoded = rest.partition("+")
        raw = _decode(encoded, what)
        is_known = kind in {_WORKSPACE_V1, _WORKSPACE_V2}
        if not is_known or not hmac.compare_digest(check, _check_value(kind, raw)):
            raise damaged_key(what)
        if kind == _WORKSPACE_V1:
            if len(raw) != KEY_BYTES:
                raise damaged_key(what)
            return WorkspaceKeys(raw, {1: derive_key(raw, "data-keys")})
        content = raw
    try:
        stated = json.loads(content)
        generations = {int(n): _decode(k, what) for n, k in stated["generations"].items()}
        keys = WorkspaceKeys(_decode(stated["root"], what), generations)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise damaged_key(what) from None
    if not generations or {len(k) for k in (keys.root, *generations.values())} != {KEY_BYTES}:
        raise damaged_key(what)
    return keys


def encode_signing(keys: SigningKeys, providers: Sequence[KeyProvider | None]) -> bytes:
    """Returns the file that holds these keys; see :func:`encode_workspace`."""
    content = {
        "origin": keys.origin,
        "keys": [
            {
                "public": _base64(key.public),
                "seed": None if key.seed is None else _base64(key.seed),
                "label": key.label,
            }
            for key in keys.keys
        ],
        "successions": list(keys.successions),
    }
    return _encode(_SIGNING_V2, "signing", content, providers)


def encode_first_signer(origin: str, public: bytes, seed: bytes) -> bytes:
    """Returns the file of a new home: one signing key, as other tools of C2SP write it."""
    encoded = _base64(ED25519 + seed)
    return f"{_SIGNER_V1}+{origin}+{key_id(origin, public).hex()}+{encoded}\n".encode()


def decode_signing(
    text: bytes, provider: KeyProvider | None, *, may_be_plain: bool = False
) -> SigningKeys:
    """Reads ``lineage.key``; see :func:`decode_workspace`. Public halves are not computed here.

    Raises:
        KeyringError, KeyProviderError: As for :func:`decode_workspace`.
    """
    what = "signing key"
    if text.startswith(b"{"):
        content = _unsealed(text, "signing", what, provider)
    else:
        _check_place(provider, may_be_plain=may_be_plain)
        line = _ascii(text, what)
        if line.startswith(_SIGNER_V1):
            return _first_signer(line, what)
        kind, _, rest = line.partition("+")
        check, _, encoded = rest.partition("+")
        content = _decode(encoded, what)
        if kind != _SIGNING_V2 or not hmac.compare_digest(check, _check_value(kind, content)):
            raise damaged_key(what)
    try:
        stated = json.loads(content)
        origin = stated["origin"]
        keys = tuple(_signing_key(origin, key, what) for key in stated["keys"])
        successions = tuple(stated["successions"])
        is_right = isinstance(origin, str) and keys and all(isinstance(s, str) for s in successions)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise damaged_key(what) from None
    if not is_right:
        raise damaged_key(what)
    return SigningKeys(origin, keys, successions)


def wrappers_of(text: bytes) -> list[str]:
    """Returns who wraps a key file: names of providers, ``machine`` for a key in clear.

    Raises:
        KeyringError: It is damaged.
    """
    if not text.startswith(b"{"):
        return [_MACHINE]
    try:
        return [str(wrapping["by"]) for wrapping in json.loads(text)["wrappings"]]
    except (ValueError, KeyError, TypeError):
        raise damaged_key("key file") from None


def derive_key(secret: bytes, purpose: str) -> bytes:
    """Returns a 32-byte subkey: HKDF-SHA256 (RFC 5869) without salt, one output block."""
    extracted = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(extracted, f"cloister/{purpose}/v1".encode() + b"\x01", "sha256")


def decode_base64(text: str) -> bytes | None:
    """Decodes what has exactly one spelling; another one is damage, and gives ``None``."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    # The last character has bits that count for nothing; a change of them is damage all the same.
    return decoded if base64.b64encode(decoded).decode() == text else None


def damaged_key(what: str) -> KeyringError:
    """Returns the refusal of a damaged key."""
    return KeyringError(
        f"The {what} is damaged.",
        code="CLO-KEYS-002",
        remedy="Restore keys/ from a backup; a new key could not read the old records.",
    )


def _signing_key(origin: str, stated: dict[str, Any], what: str) -> SigningKey:
    public = _decode(stated["public"], what)
    seed = None if stated["seed"] is None else _decode(stated["seed"], what)
    if len(public) != KEY_BYTES or (seed is None) is (stated["label"] is None):
        raise damaged_key(what)
    return SigningKey(key_id(origin, public).hex(), public, seed, stated["label"])


def _first_signer(line: str, what: str) -> SigningKeys:
    # Base64 may hold "+", names may not: split from the left, at most as often as there are fields.
    parts = line.split("+", 4)
    if len(parts) != 5 or "+".join(parts[:2]) != _SIGNER_V1 or not parts[2]:
        raise damaged_key(what)
    raw = _decode(parts[4], what)
    if raw[:1] != ED25519 or len(raw) != 1 + KEY_BYTES or len(parts[3]) != _CHECK_DIGITS:
        raise damaged_key(what)
    # Its public half is computed, and compared with the id, when it is first used.
    return SigningKeys(parts[2], (SigningKey(parts[3], b"", raw[1:]),))


def _encode(
    kind: str, holds: str, stated: dict[str, Any], providers: Sequence[KeyProvider | None]
) -> bytes:
    content = json.dumps(stated, sort_keys=True, separators=(",", ":")).encode()
    if list(providers) == [None]:
        return f"{kind}+{_check_value(kind, content)}+{_base64(content)}\n".encode()
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key, nonce, name = os.urandom(KEY_BYTES), os.urandom(_NONCE_BYTES), os.urandom(16).hex()
    context = _context(holds, name)
    document = {
        "format": _SEALED,
        "holds": holds,
        "name": name,
        "box": _base64(nonce + AESGCM(key).encrypt(nonce, content, context)),
        "wrappings": [
            {"by": _MACHINE, "key": "", "wrapped": _base64(key)}
            if provider is None
            else {
                "by": provider.name,
                "key": provider.reference,
                "wrapped": provider.wrap(key, context),
            }
            for provider in providers
        ],
    }
    return json.dumps(document, sort_keys=True).encode() + b"\n"


def _unsealed(text: bytes, holds: str, what: str, provider: KeyProvider | None) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        document = json.loads(text)
        context = _context(holds, document["name"])
        box = _decode(document["box"], what)
        is_right = (document["format"], document["holds"]) == (_SEALED, holds)
        wrappings = [(w["by"], w["key"], w["wrapped"]) for w in document["wrappings"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise damaged_key(what) from None
    if not is_right:
        raise damaged_key(what)
    key = _file_key(wrappings, context, what, provider)
    try:
        return AESGCM(key).decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], context)
    except (InvalidTag, ValueError):
        raise damaged_key(what) from None


def _file_key(
    wrappings: list[tuple[str, str, str]], context: bytes, what: str, provider: KeyProvider | None
) -> bytes:
    """Returns the file's own key, unwrapped by whoever ``keys.yaml`` names and nobody else."""
    name, reference = (_MACHINE, "") if provider is None else (provider.name, provider.reference)
    # Its own reference first; a server or token may have been given another name since.
    found = [wrapped for by, key, wrapped in wrappings if by == name and key == reference]
    found += [wrapped for by, key, wrapped in wrappings if by == name and key != reference]
    if not found:
        raise KeyringError(
            f"The {what} is not wrapped by the provider that keys.yaml names.",
            code="CLO-KEYS-004",
            remedy="Restore keys.yaml; a provider is changed with: cloister keys rotate --provider",
        )
    if provider is None:
        return _decode(found[0], what)
    for wrapped in found[:-1]:  # two while the passphrase of one provider changes
        try:
            return provider.unwrap(wrapped, context)
        except KeyProviderError as error:
            if error.code != OTHER_KEY:
                raise
    return provider.unwrap(found[-1], context)


def _context(holds: str, name: str) -> bytes:
    return f"{_SEALED}\0{holds}\0{name}".encode()


def _check_place(provider: KeyProvider | None, *, may_be_plain: bool) -> None:
    if provider is not None and not may_be_plain:
        raise KeyringError(
            "keys.yaml names a provider, but the keys lie in the home in clear.",
            code="CLO-KEYS-004",
            remedy="Run: cloister keys rotate. It wraps them.",
        )


def _check_value(kind: str, content: bytes) -> str:
    """Four bytes that show damage to a key file; they say nothing useful about random keys."""
    label = b"cloister-workspace-key-check" if kind == _WORKSPACE_V1 else kind.encode()
    return hashlib.sha256(label + b"\0" + content).hexdigest()[:_CHECK_DIGITS]


def _ascii(text: bytes, what: str) -> str:
    try:
        return text.decode("ascii").strip()
    except UnicodeDecodeError:
        raise damaged_key(what) from None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str, what: str) -> bytes:
    decoded = decode_base64(text)
    if decoded is None:
        raise damaged_key(what)
    return decoded
