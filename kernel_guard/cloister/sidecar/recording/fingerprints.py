"""What a file held: SHA-256 of its content, made outside the kernel and off the path of its cells.

A file is read as a stream in a thread of its own, once for each size, change time and inode. One
that is larger than :data:`MOST_BYTES` is known by samples of fixed places and its size, and the
fingerprint says so. What changes while it is read has none.
"""

from __future__ import annotations

import hashlib
import logging
import os
import queue
import stat
import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloister.core.records import Json

logger = logging.getLogger(__name__)

MOST_BYTES: Final = 1 << 30
"""Larger files are sampled: hashing a gigabyte takes seconds of a core."""

SAMPLES: Final = 64
SAMPLE_BYTES: Final = 1 << 20
WHOLE: Final = "sha256"
SAMPLED: Final = "sha256-samples-64"
_CHUNK_BYTES: Final = 1 << 20
_MOST_KNOWN: Final = 10_000
_MOST_WAITING: Final = 10_000
_END: Final = object()


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a file held.

    Attributes:
        algorithm: ``sha256`` of the whole, or ``sha256-samples-64``.
        digest: Hex.
        size: Bytes.
    """

    algorithm: str
    digest: str
    size: int

    def facts(self) -> dict[str, Json]:
        """Returns it for the record."""
        facts: dict[str, Json] = {"sha256": self.digest, "size": self.size}
        return facts if self.algorithm == WHOLE else {**facts, "sampled": True}


def fingerprint(path: Path) -> Fingerprint | None:
    """Returns what a file holds now; ``None`` where that cannot be said.

    A kernel can put a link or a pipe in the place of a file that it wrote. Neither is followed, or
    waited for.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                return None
            whole = hashlib.sha256()
            if before.st_size <= MOST_BYTES:
                while chunk := file.read(_CHUNK_BYTES):
                    whole.update(chunk)
            else:
                whole.update(before.st_size.to_bytes(8, "big"))
                last = before.st_size - SAMPLE_BYTES
                for i in range(SAMPLES):
                    whole.update(os.pread(file.fileno(), SAMPLE_BYTES, last * i // (SAMPLES - 1)))
            if _mark(os.fstat(file.fileno())) != _mark(before):
                return None
    except OSError:
        return None
    kind = WHOLE if before.st_size <= MOST_BYTES else SAMPLED
    return Fingerprint(kind, whole.hexdigest(), before.st_size)


class Fingerprinter:
    """Fingerprints files one after the other. Safe to use from several threads.

    Args:
        done: Called in the thread that reads, with what was asked for and the fingerprint.
    """

    def __init__(self, done: Callable[[object, Path, Fingerprint | None], None]) -> None:
        self._done = done
        self._known: OrderedDict[tuple[int, ...], Fingerprint] = OrderedDict()
        self._waiting: queue.Queue[tuple[object, Path] | object] = queue.Queue(_MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def known(self, path: Path) -> Fingerprint | None:
        """Returns the fingerprint of a file that is still as it was when it was made."""
        try:
            mark = _mark(path.stat())
        except OSError:
            return None
        with self._lock:
            return self._known.get(mark)

    def ask(self, what: object, path: Path) -> None:
        """Has a file fingerprinted; ``done`` hears of it. Beyond a bound, it hears nothing."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="files", daemon=True)
                self._thread.start()
        try:
            self._waiting.put_nowait((what, path))
        except queue.Full:
            logger.warning("too many files wait for their fingerprint; one is left out")

    def stop(self, timeout_s: float) -> None:
        """Waits so long for what was asked for."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            with suppress(queue.Full):  # then there is more to do than there is time for
                self._waiting.put_nowait(_END)
            thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            asked = self._waiting.get()
            if not isinstance(asked, tuple):
                return
            what, path = asked
            found = self.known(path)
            if found is None:
                found = self._make(path)
            try:
                self._done(what, path, found)
            except Exception as error:  # noqa: BLE001 - the next file is looked at all the same
                logger.error("a fingerprint is not recorded (%s)", type(error).__name__)

    def _make(self, path: Path) -> Fingerprint | None:
        try:
            mark = _mark(path.stat())
        except OSError:
            return None
        found = fingerprint(path)
        if found is not None:
            with self._lock:
                self._known[mark] = found
                if len(self._known) > _MOST_KNOWN:
                    self._known.popitem(last=False)
        return found


def _mark(status: os.stat_result) -> tuple[int, ...]:
    """Returns what changes with the content; the change time cannot be set back by a kernel."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
