"""A witness that is a file elsewhere: every checkpoint that was sent to it, one after the other.

The file lies on another host or medium (a mounted share, a write-once volume) and is only appended
to, so a medium that allows nothing else holds a history that nobody can take back. What counts is
every checkpoint in it that the log's key signed; a torn last line, as a lost mount leaves it, is
passed over and never joined with what follows.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from cloister.store.checkpoint import Checkpoint, CheckpointError, Verifier, verify_checkpoint
from cloister.store.evidence.record_verifier import parse_notes

if TYPE_CHECKING:
    from pathlib import Path

_SHARED_FILE: Final = 0o644  # a number and a hash; those who audit have to read it
_TAIL_BYTES: Final = 65_536
_MOST_BYTES: Final = 512_000_000


def read_kept(path: Path, verifier: Verifier) -> tuple[Checkpoint, ...]:
    """Returns all checkpoints of a file that a reviewer, or a witness, kept.

    Args:
        path: One checkpoint, or many one after the other.
        verifier: Whose signature counts.

    Raises:
        CheckpointError: It holds none that ``verifier`` signed.
        OSError: It cannot be read.
    """
    with path.open("rb") as stream:
        return tuple(checkpoint for _, checkpoint in _signed(stream.read(_MOST_BYTES), verifier))


def read_newest(path: Path, verifier: Verifier) -> tuple[str, Checkpoint] | None:
    """Returns the largest of a journal's last checkpoints, ``None`` before the first one.

    Raises:
        CheckpointError: The file holds no checkpoint that ``verifier`` signed.
        OSError: It cannot be read.
    """
    try:
        with path.open("rb") as stream:
            length = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, length - _TAIL_BYTES))
            data = stream.read()
    except FileNotFoundError:
        return None
    if not data:
        return None
    return max(_signed(data, verifier), key=lambda pair: pair[1].size)


def append(path: Path, note: str) -> None:
    """Adds a checkpoint to a journal; it is on the medium when this returns.

    Raises:
        OSError: It cannot be written.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, _SHARED_FILE)
    try:
        length = os.fstat(descriptor).st_size
        is_torn = length > 0 and os.pread(descriptor, 1, length - 1) != b"\n"
        data = b"\n" * is_torn + note.encode()
        if os.write(descriptor, data) != len(data):
            raise OSError(errno.EIO, "the checkpoint was written in part")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _signed(data: bytes, verifier: Verifier) -> list[tuple[str, Checkpoint]]:
    # What is read may begin inside a checkpoint, and end inside one.
    _, origin, rest = data.partition(verifier.name.encode() + b"\n")
    found = []
    for note in parse_notes(origin + rest):
        text = note.data.decode("utf-8", "replace")
        try:
            found.append((text, verify_checkpoint(text, verifier)))
        except CheckpointError:
            continue
    if not found:
        raise CheckpointError("the file holds no checkpoint that the log's key signed")
    return found
