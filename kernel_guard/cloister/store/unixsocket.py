"""Names a Unix socket by a path of any length: the address of one holds only 107 bytes."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MOST_BYTES: Final = 107  # sun_path without its NUL, unix(7)


@contextmanager
def near(path: Path) -> Iterator[str]:
    """Yields an address for ``bind`` or ``connect`` that leads to a path.

    Raises:
        OSError: The directory cannot be opened.
    """
    if len(os.fsencode(path)) <= _MOST_BYTES:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
