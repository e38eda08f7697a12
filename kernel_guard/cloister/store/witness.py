"""The newest checkpoint, kept outside the database, so that a shortened log is seen.

The file is a plain signed note that can be copied to another host or a write-once medium. It only
moves forward: whatever order processes finish in, an older checkpoint never replaces a newer one.
It is a few hundred bytes in one disk block, written over in place under a lock: replacing the file
by renaming costs ten times as much, on every execution. It is not flushed to the disk each time;
after a loss of power it may be behind the log, never ahead of it, and the next writer brings it up
to date.
"""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING, Final

from cloister.store.checkpoint import Checkpoint, CheckpointError, Verifier, verify_checkpoint
from cloister.store.files import PRIVATE_FILE, write_atomic

if TYPE_CHECKING:
    from pathlib import Path

_MAX_WITNESS: Final = 16_384  # bytes
_READ_ATTEMPTS: Final = 3
_READ_PAUSE_S: Final = 0.01


def read_witness(path: Path, verifier: Verifier) -> Checkpoint | None:
    """Returns the witnessed checkpoint, or ``None`` when there is no witness file.

    Raises:
        CheckpointError: The file is not a checkpoint that ``verifier`` signed.
        OSError: It cannot be read.
    """
    for attempt in range(_READ_ATTEMPTS):
        try:
            with path.open("rb") as stream:
                text = stream.read(_MAX_WITNESS).decode("utf-8")
            return verify_checkpoint(text, verifier)
        except FileNotFoundError:
            return None
        except (UnicodeDecodeError, CheckpointError) as error:
            if attempt + 1 == _READ_ATTEMPTS:
                if isinstance(error, CheckpointError):
                    raise
                raise CheckpointError("the witness is not text") from None
            time.sleep(_READ_PAUSE_S)  # it may have been read while it was written
    return None


class WitnessWriter:
    """Moves one witness file forward; any number of processes may do so at once."""

    def __init__(self, path: Path, verifier: Verifier) -> None:
        self._path = path
        self._verifier = verifier
        self._lock = -1
        self._file = -1

    def advance(self, note: str, size: int, *, durable: bool = False) -> None:
        """Writes a checkpoint unless the file already holds a newer one.

        Args:
            note: The signed checkpoint.
            size: How many events it covers.
            durable: Whether to wait until it is on the disk.

        Raises:
            CheckpointError: The file holds something else than a checkpoint of this log.
            OSError: It cannot be written.
        """
        if self._lock < 0:
            name = self._path.with_name(".lock")
            self._lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            current = self._current_size()
            if current is None or durable:
                if current is None or current < size:
                    write_atomic(self._path, note.encode(), durable=durable)
            elif current < size:
                self._write_over(note.encode())
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Closes the lock file."""
        for descriptor in (self._lock, self._file):
            if descriptor >= 0:
                os.close(descriptor)
        self._lock = self._file = -1

    def _write_over(self, data: bytes) -> None:
        length = os.fstat(self._file).st_size
        os.pwrite(self._file, data, 0)
        if length > len(data):
            os.ftruncate(self._file, len(data))

    def _current_size(self) -> int | None:
        """Returns the size in the file; the signature is checked when a log is opened."""
        try:
            self._open_current()
        except FileNotFoundError:
            return None
        lines = os.pread(self._file, _MAX_WITNESS, 0).split(b"\n", 2)
        if len(lines) < 3 or lines[0] != self._verifier.name.encode() or not lines[1].isdigit():
            raise CheckpointError("the witness is not a checkpoint of this log")
        return int(lines[1])

    def _open_current(self) -> None:
        """Opens the file that the path names now; somebody may have put another one there."""
        named = self._path.stat()
        if self._file >= 0:
            held = os.fstat(self._file)
            if (held.st_ino, held.st_dev) == (named.st_ino, named.st_dev):
                return
            os.close(self._file)
            self._file = -1
        self._file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
