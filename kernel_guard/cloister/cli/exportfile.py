"""Where an export goes: standard output, or a private file that appears when it is whole."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from cloister.core.errors import CloisterError

if TYPE_CHECKING:
    from collections.abc import Iterator

STANDARD_OUTPUT: Final = Path("-")


def exists() -> CloisterError:
    """Returns the error for a name that is taken."""
    return CloisterError(
        "There is a file of this name already.", code="CLO-EXPORT-002", remedy="Choose another."
    )


def not_writable(error: OSError) -> CloisterError:
    """Returns the error for a file that cannot be written."""
    return CloisterError(
        f"The export cannot be written ({type(error).__name__}).",
        code="CLO-EXPORT-002",
        remedy="Choose a directory that this account can write, with room in it.",
    )


@contextmanager
def target(path: Path) -> Iterator[IO[bytes]]:
    """Opens what an export is written to; where it fails, no file is left behind.

    Args:
        path: The file, readable by this account only; ``-`` for standard output.

    Raises:
        CloisterError: There is such a file, or it cannot be written (``CLO-EXPORT-002``).
    """
    if path == STANDARD_OUTPUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if path.exists():
        raise exists()
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise not_writable(error) from error
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.link(temporary, path)  # a link, unlike a rename, takes nobody's place
    except FileExistsError:
        raise exists() from None
    except BrokenPipeError:
        raise
    except OSError as error:
        raise not_writable(error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()
