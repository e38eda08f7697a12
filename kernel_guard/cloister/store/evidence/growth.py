"""Proves that a log only grew since a checkpoint that somebody kept (RFC 9162 section 2.1.4).

The proof is a JSON document with the two signed checkpoints and the path between them. It shows no
event, and says nothing about what was added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cloister.core.errors import CloisterError
from cloister.store.checkpoint import CheckpointError, verify_checkpoint
from cloister.store.merkle import verify_consistency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloister.store.checkpoint import Checkpoint, Verifier
    from cloister.store.evidence.reader import EvidenceReader

FORMAT: Final = "cloister-growth-v1"
_MOST_NODES: Final = 64


def prove_growth(reader: EvidenceReader, kept: str, verifier: Verifier) -> dict[str, Any]:
    """Returns the proof that the log continues a checkpoint.

    Args:
        reader: The log.
        kept: The checkpoint that was kept, as a signed note.
        verifier: Whose signature counts.

    Raises:
        CloisterError: The log does not continue it (``CLO-WITNESS-002``).
        CheckpointError: It is not signed by the log's key.
        StoreUnavailable: The log cannot be read.
    """
    old = verify_checkpoint(kept, verifier)
    head = reader.head()
    if head is None or old.size > head.size or (old.size and reader.root(old.size) != old.root):
        raise CloisterError(
            "This record does not continue the checkpoint that was kept.",
            code="CLO-WITNESS-002",
            remedy="Keep all files as evidence; see: cloister lineage verify --against FILE",
        )
    path = reader.consistency(old.size, head.size)
    return {
        "format": FORMAT,
        "old": kept,
        "checkpoint": head.note,
        "path": [node.hex() for node in path],
    }


def verify_growth(
    proof: dict[str, Any], verifier: Verifier, kept: Sequence[Checkpoint] = ()
) -> tuple[Checkpoint, Checkpoint]:
    """Checks what :func:`prove_growth` returned, offline.

    Args:
        proof: The document.
        verifier: Whose signature counts.
        kept: Where it is not empty, the proof must begin at one of these.

    Returns:
        The older and the newer checkpoint.

    Raises:
        ValueError: It is not such a proof, or it does not hold.
    """
    try:
        path = [bytes.fromhex(node) for node in proof["path"]]
        old = verify_checkpoint(proof["old"], verifier)
        new = verify_checkpoint(proof["checkpoint"], verifier)
    except CheckpointError:
        raise
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("this is not a proof") from error
    if kept and old not in kept:
        raise ValueError("the proof begins at another checkpoint than the one that was kept")
    if len(path) > _MOST_NODES or not verify_consistency(
        old.size, old.root, new.size, new.root, path
    ):
        raise ValueError("the newer checkpoint does not continue the older one")
    return old, new
