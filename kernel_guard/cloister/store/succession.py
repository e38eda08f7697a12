"""How one signing key of a log follows another, in words that need nobody's trust but a key's.

A succession is one line, ``succession SIZE OLD NEW SIG SIG``: the old key signs checkpoints of up
to ``SIZE`` events, the new one all larger ones. Both sign it, so whoever trusts *either* of them
learns the other: a reviewer with an old ``lineage.pub`` verifies new checkpoints, and one with the
new file verifies old ones. It is announced in the log, in an event that the old key's checkpoint
covers, and stands in ``lineage.pub`` below the key.

What is signed: ``cloister-key-succession-v1``, origin, size, old and new key in base64, a line
each. Pure, but for the signatures.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cloister.store.checkpoint import Era, Verifier
from cloister.store.keyfile import KEY_BYTES, decode_base64

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ANNOUNCED: Final = "keys.signing_rotated"
_WORD: Final = "succession"
_SIGNATURE_BYTES: Final = 64
_MOST: Final = 10_000


class SuccessionError(ValueError):
    """A line is no succession, or its signatures do not hold, or a chain is not one."""


@dataclass(frozen=True, slots=True)
class Succession:
    """One key after another.

    Attributes:
        size: Events that the old key's last checkpoint covers.
        old: Public key, 32 bytes.
        new: Public key, 32 bytes.
        line: As it is written down.
    """

    size: int
    old: bytes
    new: bytes
    line: str


def state_succession(
    origin: str,
    size: int,
    old: tuple[bytes, Callable[[bytes], bytes]],
    new: tuple[bytes, Callable[[bytes], bytes]],
) -> Succession:
    """Returns a succession that both keys sign.

    Args:
        origin: Name of the log.
        size: Events that the old key's last checkpoint covers.
        old: Public key, and what signs with it.
        new: The same of the new key.
    """
    statement = _statement(origin, size, old[0], new[0])
    parts = [old[0], new[0], old[1](statement), new[1](statement)]
    encoded = " ".join(base64.b64encode(part).decode() for part in parts)
    return Succession(size, old[0], new[0], f"{_WORD} {size} {encoded}")


def parse_succession(line: str, origin: str) -> Succession:
    """Reads a succession and checks both signatures.

    Raises:
        SuccessionError: It does not hold.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    parts = line.split(" ")
    decoded = [decode_base64(part) for part in parts[2:]]
    lengths = [KEY_BYTES, KEY_BYTES, _SIGNATURE_BYTES, _SIGNATURE_BYTES]
    if parts[0] != _WORD or [len(raw or b"") for raw in decoded] != lengths:
        raise SuccessionError("this is no succession of keys")
    if not (parts[1].isascii() and parts[1].isdigit()) or parts[1].startswith("0"):
        raise SuccessionError("this is no succession of keys")
    old, new, by_old, by_new = (raw or b"" for raw in decoded)
    statement = _statement(origin, int(parts[1]), old, new)
    try:
        Ed25519PublicKey.from_public_bytes(old).verify(by_old, statement)
        Ed25519PublicKey.from_public_bytes(new).verify(by_new, statement)
    except (InvalidSignature, ValueError):
        raise SuccessionError("a succession of keys is not signed by both") from None
    return Succession(int(parts[1]), old, new, line)


def verifier_of(name: str, public_key: bytes, lines: Iterable[str]) -> Verifier:
    """Returns who may sign a log, given one key that is trusted and what followed what.

    Args:
        name: Name of the log.
        public_key: The key that is trusted.
        lines: Successions, in any order, of which some may be said twice.

    Raises:
        SuccessionError: One does not hold, or they are no chain that the key is part of.
    """
    unique = list(dict.fromkeys(lines))
    if len(unique) > _MOST:
        raise SuccessionError("there are too many successions of keys")
    chain = sorted((parse_succession(line, name) for line in unique), key=lambda s: s.size)
    if not chain:
        return Verifier(name, public_key)
    keys = [chain[0].old, *(item.new for item in chain)]
    is_chain = all(item.old == before for item, before in zip(chain, keys, strict=False))
    sizes = [item.size for item in chain]
    if not is_chain or len(set(sizes)) != len(sizes) or len(set(keys)) != len(keys):
        raise SuccessionError("the successions of keys are no chain")
    if public_key not in keys:
        raise SuccessionError("the key that is trusted is not part of the succession of keys")
    firsts = [0, *(size + 1 for size in sizes)]
    lasts = [*sizes, None]
    eras = tuple(Era(*each) for each in zip(keys, firsts, lasts, strict=True))
    return Verifier(name, public_key, eras, tuple(item.line for item in chain))


def _statement(origin: str, size: int, old: bytes, new: bytes) -> bytes:
    lines = ["cloister-key-succession-v1", origin, str(size)]
    lines += [base64.b64encode(key).decode() for key in (old, new)]
    return ("\n".join(lines) + "\n").encode()
