"""Signed statements of how long the record is and what it holds.

Formats: C2SP tlog-checkpoint (origin, size, root) inside C2SP signed-note, so that any transparency
log tool can verify, witness or store them. Signatures are Ed25519 over the note's text.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cloister.store.keyfile import key_id
from cloister.store.merkle import HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

_SIGNATURE_MARK: Final = "\u2014 "
_MAX_NOTE: Final = 16_384  # bytes; signed-note lets a reader set a limit


class CheckpointError(ValueError):
    """A text is not a checkpoint, or is not signed by the key that was asked for."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log states about itself.

    Attributes:
        origin: Name of the log; here the name of its signing key.
        size: Number of events.
        root: Root hash of the Merkle tree over them.
    """

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        """Returns the text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class Era:
    """The checkpoints that one key signs.

    Attributes:
        public_key: 32 bytes.
        first: Its smallest size.
        last: Its largest size, ``None`` for the key in force.
    """

    public_key: bytes
    first: int
    last: int | None

    def covers(self, size: int) -> bool:
        """Returns whether the key signs checkpoints of this size."""
        return self.first <= size and (self.last is None or size <= self.last)


@dataclass(frozen=True, slots=True)
class Verifier:
    """Who may sign a log: its name and the Ed25519 public key (32 bytes) that is trusted.

    Attributes:
        name: Name of the log and its keys.
        public_key: The key that is trusted.
        eras: Where keys followed each other (:mod:`cloister.store.succession`): which key signs
            which sizes. Empty where there was one key ever.
        successions: The statements that say so.
    """

    name: str
    public_key: bytes
    eras: tuple[Era, ...] = ()
    successions: tuple[str, ...] = ()

    def keys_for(self, size: int) -> list[bytes]:
        """Returns the keys that may sign a checkpoint of this size."""
        if not self.eras:
            return [self.public_key]
        return [era.public_key for era in self.eras if era.covers(size)]


def sign_checkpoint(
    checkpoint: Checkpoint, name: str, identifier: bytes, sign: Callable[[bytes], bytes]
) -> str:
    """Returns a checkpoint as a signed note.

    Args:
        checkpoint: What to state.
        name: Name of the signing key.
        identifier: The key's four-byte id.
        sign: Returns the Ed25519 signature of its argument.
    """
    body = checkpoint.body()
    signature = base64.b64encode(identifier + sign(body.encode())).decode()
    return f"{body}\n{_SIGNATURE_MARK}{name} {signature}\n"


def parse_checkpoint(note: str) -> Checkpoint:
    """Reads what a note states, without believing it.

    Raises:
        CheckpointError: It is not a checkpoint.
    """
    body, _ = _split_note(note)
    lines = body.split("\n")
    if len(lines) < 4 or lines[-1] != "":
        raise CheckpointError("a checkpoint has at least three lines")
    origin, size, encoded = lines[:3]
    if not size.isascii() or not size.isdigit() or (size != "0" and size.startswith("0")):
        raise CheckpointError("the size is not a decimal number")
    try:
        root = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise CheckpointError("the root is not base64") from None
    if not origin or len(root) != HASH_BYTES:
        raise CheckpointError("the origin or the root is missing")
    return Checkpoint(origin, int(size), root)


def verify_checkpoint(note: str, verifier: Verifier) -> Checkpoint:
    """Returns what a note states, if this key signed it for the log of its own name.

    Raises:
        CheckpointError: It is not a checkpoint, names another log, or has no valid signature.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    checkpoint = parse_checkpoint(note)
    if checkpoint.origin != verifier.name:
        raise CheckpointError("the checkpoint is of another log")
    body, signatures = _split_note(note)
    for public_key in verifier.keys_for(checkpoint.size):
        wanted = key_id(verifier.name, public_key)
        key = Ed25519PublicKey.from_public_bytes(public_key)
        for name, raw in signatures:
            if name != verifier.name or raw[:4] != wanted:
                continue  # a witness's signature, which is not ours to check
            try:
                key.verify(raw[4:], body.encode())
            except InvalidSignature:
                break
            return checkpoint
    raise CheckpointError("the signature is not valid")


def _split_note(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Splits a note into its text, with the last newline, and its signatures."""
    if len(note) > _MAX_NOTE or not note.endswith("\n"):
        raise CheckpointError("this is not a signed note")
    body, separator, tail = note.rpartition("\n\n")
    if not separator or not tail:
        raise CheckpointError("this is not a signed note")
    signatures = []
    for line in tail[:-1].split("\n"):
        name, space, encoded = line.removeprefix(_SIGNATURE_MARK).partition(" ")
        if not line.startswith(_SIGNATURE_MARK) or not name or not space:
            raise CheckpointError("a signature line is not well formed")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise CheckpointError("a signature is not base64") from None
        if base64.b64encode(raw).decode() != encoded:
            # The last character has bits that count for nothing; a change of them is damage, too.
            raise CheckpointError("a signature is not base64")
        signatures.append((name, raw))
    return body + "\n", signatures
