"""Cosignatures of witnesses: C2SP tlog-cosignature, type ``cosignature/v1`` (Ed25519).

A cosignature says: as of this time, the largest consistent tree that I have seen of this log has
this root. What is signed begins with a line of its own, so no cosignature passes for a checkpoint.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cloister.core.errors import CloisterError
from cloister.store.evidence.record_verifier import CannotTell, Key, cosigned_at, parse_key
from cloister.store.evidence.record_verifier import parse_note as parse_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

COSIGNED: Final = 4
"""Signature type byte of C2SP signed-note for timestamped Ed25519 cosignatures."""


class WitnessKeyError(CloisterError):
    """A witness's key is not one."""

    default_code = "CLO-WITNESS-003"


@dataclass(frozen=True, slots=True)
class Cosigned:
    """What one witness has said about a checkpoint.

    Attributes:
        line: Its signature line, with the line end.
        time_s: When, seconds since 1970 by the witness's clock.
    """

    line: str
    time_s: int


def parse_witness_key(line: str) -> Key:
    """Returns the public key of a witness.

    Raises:
        WitnessKeyError: It is not a C2SP verifier key of the type for cosignatures.
    """
    try:
        key = parse_key(line)
    except CannotTell:
        key = None
    if key is None or key.kind != COSIGNED:
        raise WitnessKeyError(
            "The key of a witness is not a verifier key for cosignatures.",
            remedy="Use the line that the witness's operator gives out: cloister witness show DIR",
        )
    return key


def cosign(body: bytes, key: Key, time_s: int, sign: Callable[[bytes], bytes]) -> str:
    """Returns the signature line of a witness.

    Args:
        body: Text of the checkpoint, with its last newline.
        key: The witness's public key; its name and id stand in the line.
        time_s: Now.
        sign: Returns the Ed25519 signature of its argument.
    """
    signature = sign(b"cosignature/v1\ntime %d\n%b" % (time_s, body))
    raw = key.identifier() + time_s.to_bytes(8, "big") + signature
    return f"\N{EM DASH} {key.name} {base64.b64encode(raw).decode()}\n"


def find_cosignature(note: str, lines: str, key: Key) -> Cosigned | None:
    """Returns the cosignature of one witness among lines that it answered with.

    Args:
        note: The checkpoint that was sent.
        lines: The answer: signature lines, of which those of unknown keys are ignored.
        key: The witness's public key.

    Returns:
        Its cosignature if there is one and it is valid, else ``None``.
    """
    for line in lines.splitlines(keepends=True):
        parsed = parse_bytes((note + line).encode())
        time_s = None if parsed is None else cosigned_at(parsed, key)
        if time_s is not None:
            return Cosigned(line, time_s)
    return None
