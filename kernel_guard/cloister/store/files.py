"""Private files of the home: written whole or not at all, readable by the owner only.

Every file that the store writes itself (not SQLite) goes through here, so that a crash or two
racing processes never leave half a file, and nothing becomes readable for other accounts.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PRIVATE_FILE = 0o600
PRIVATE_DIR = 0o700


class NotPrivateError(Exception):
    """A file is not a regular file of this account with mode 0600."""


def write_atomic(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replaces ``path`` by ``data``; readers see the old bytes or the new ones, never a mix.

    Args:
        path: Where to write. Its directory must exist.
        data: The whole content.
        durable: Whether to wait until file and directory are on the disk.

    Raises:
        OSError: It could not be written; the old file is untouched.
    """
    temporary = _write_temporary(path, data, durable=durable)
    try:
        temporary.replace(path)
    except OSError:
        _discard(temporary)
        raise
    if durable:
        sync_directory(path.parent)


def create_exclusive(path: Path, data: bytes) -> bool:
    """Creates ``path`` with ``data`` unless it exists; racing callers agree on one content.

    Returns:
        Whether this call created it.

    Raises:
        OSError: It could not be written.
    """
    if path.exists():
        return False
    temporary = _write_temporary(path, data, durable=True)
    try:
        # A link, unlike a rename, fails when the name is taken: the first writer wins.
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        _discard(temporary)
    sync_directory(path.parent)
    return True


def read_private(path: Path, limit: int) -> bytes:
    """Reads a secret file after checking that only this account can.

    Args:
        path: The file; a symbolic link is refused.
        limit: The most bytes that it may hold.

    Raises:
        NotPrivateError: It is not a regular file, is longer than ``limit``, belongs to another
            account, or others may read it.
        OSError: It is missing or cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if (
            not stat.S_ISREG(status.st_mode)
            or status.st_uid != os.geteuid()
            or status.st_mode & 0o077
            or status.st_size > limit
        ):
            raise NotPrivateError
        return stream.read(limit + 1)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock between processes while the block runs.

    Args:
        path: A lock file; made when missing, never removed (removing it would split the lock).
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Waits until the names in a directory are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_temporary(path: Path, data: bytes, *, durable: bool) -> Path:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(6).hex()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, PRIVATE_FILE)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError:
        _discard(temporary)
        raise
    return temporary


def _discard(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
