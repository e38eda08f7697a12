"""Replaces the key that signs the record, so that nobody signs with the old one afterwards.

The order, each step safe to be stopped after and safe to be done again:

1. the new key goes into ``lineage.key``, second;
2. one transaction: an event announces it, with the succession that both keys sign, the old key
   signs the checkpoint, and the head says that the new key signs from now on;
3. the new key becomes the first in ``lineage.key``, the old one is dropped, and ``lineage.pub`` is
   written.

Whoever appends between 2 and 3 finds the announcement and does step 3 (:func:`promote_signer`); who
does not have the new key appends nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloister.core.records import Record
from cloister.store.entry import parse_body
from cloister.store.files import locked, write_atomic
from cloister.store.keyfile import SigningKey, SigningKeys, encode_signing, key_id
from cloister.store.keys import PUBLIC_FILE, SIGNING_FILE, open_keyring
from cloister.store.succession import (
    ANNOUNCED,
    Succession,
    SuccessionError,
    parse_succession,
    state_succession,
)

if TYPE_CHECKING:
    from cloister.core.records import Json
    from cloister.store.home import Home
    from cloister.store.keys import Keyring
    from cloister.store.lineage_store import LineageStore


def add_signer(home: Home) -> Keyring:
    """Makes the next signing key, unless one is waiting already, and keeps it second (step 1).

    Raises:
        KeyringError, KeyProviderError: The keys cannot be opened, or the provider makes none.
        OSError: The file cannot be written.
    """
    with locked(home.keys_dir / ".lock"):
        keyring = open_keyring(home)
        signing = keyring.signing_keys
        if len(signing.keys) == 1:
            current = _complete(keyring, signing.keys[0])
            following = _new_signer(keyring)
            _write(home, keyring, SigningKeys(signing.origin, (current, following),
                                              signing.successions))  # fmt: skip
        return open_keyring(home)


def announcement(keyring: Keyring, actor: dict[str, Json], seq: int) -> Record:
    """Returns the event that announces the second signing key, as number ``seq`` (step 2)."""
    old, new = keyring.signing_keys.keys
    stated = state_succession(
        keyring.key_name,
        seq + 1,
        (keyring.public_of(old), keyring.signer_of(old).sign),
        (keyring.public_of(new), keyring.signer_of(new).sign),
    )
    body: dict[str, Json] = {"old": old.identifier, "new": new.identifier}
    return Record(ANNOUNCED, {**actor, **body, "succession": stated.line})


def promote_signer(home: Home, store: LineageStore, signer: str | None) -> Keyring | None:
    """Puts the key first that the log says is in force, if this home has it (step 3).

    Args:
        home: The workspace.
        store: Its record, in a transaction.
        signer: Id of the key in force, from the head.

    Returns:
        The keys afterwards; ``None`` when this home does not have that key, or it is not announced.
    """
    with locked(home.keys_dir / ".lock"):
        keyring = open_keyring(home)
        signing = keyring.signing_keys
        waiting = [key for key in signing.keys[1:] if key.identifier == signer]
        found = _announced(store, signing.origin, signer)
        if not waiting or found is None or found.old != keyring.public_key_bytes:
            return keyring if signing.keys[0].identifier == signer else None
        lines = (*signing.successions, found.line)
        _write(home, keyring, SigningKeys(signing.origin, tuple(waiting), lines))
        keyring = open_keyring(home)
        write_atomic(home.keys_dir / PUBLIC_FILE, keyring.public_text.encode())
        return keyring


def announced_lines(headers: list[bytes]) -> list[str]:
    """Returns the successions in announcements; whether they hold is the reader's to check."""
    lines = []
    for header in headers:
        try:
            line = parse_body(header).get("succession")
        except ValueError:
            continue
        if isinstance(line, str):
            lines.append(line)
    return lines


def _announced(store: LineageStore, origin: str, signer: str | None) -> Succession | None:
    rows = store.execute(
        "SELECT header FROM event WHERE type = :type ORDER BY seq", {"type": ANNOUNCED}
    ).fetchall()
    for line in reversed(announced_lines([row[0] for row in rows])):
        try:
            found = parse_succession(line, origin)
        except SuccessionError:
            continue
        if key_id(origin, found.new).hex() == signer:
            return found
    return None


def _complete(keyring: Keyring, key: SigningKey) -> SigningKey:
    """Returns a key with its public half, which the first file of a home leaves out."""
    return SigningKey(key.identifier, keyring.public_of(key), key.seed, key.label)


def _new_signer(keyring: Keyring) -> SigningKey:
    made = None if keyring.provider is None else keyring.provider.make_signer()
    if made is not None:
        label, public = made
        return SigningKey(key_id(keyring.key_name, public).hex(), public, None, label)
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    signer = Ed25519PrivateKey.generate()
    public = signer.public_key().public_bytes_raw()
    identifier = key_id(keyring.key_name, public).hex()
    return SigningKey(identifier, public, signer.private_bytes_raw())


def _write(home: Home, keyring: Keyring, signing: SigningKeys) -> None:
    write_atomic(home.keys_dir / SIGNING_FILE, encode_signing(signing, [keyring.provider]))
