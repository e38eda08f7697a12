"""Where a command's tables come from and go to: files of any size, or CSV on a pipe.

A pipe can be read only once and masking takes two passes, so what is piped is held in memory;
nothing of it is put on a disk on the way. A file is read in batches.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloister.core.errors import CloisterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from cloister.detect.tablefile import TableReader
    from cloister.detect.tablewriter import TableWriter

STANDARD_STREAM: Final = Path("-")


class SourceChanged(CloisterError):
    """A file that was changed between the pass that classified it and the pass that masked it."""

    default_code = "CLO-INPUT-010"


@dataclass(frozen=True, slots=True)
class Source:
    """A table that can be read more than once.

    Attributes:
        name: What people call it.
        open: Opens it from its beginning.
        check: Raises if it is not what it was when this was made.
    """

    name: str
    open: Callable[[], AbstractContextManager[TableReader]]
    check: Callable[[], None]


def source_of(path: Path) -> Source:
    """Returns the table at a path; ``-`` is CSV on standard input.

    Raises:
        CloisterError: Standard input is not CSV (``CLO-INPUT-007``), or has a bad row
            (``CLO-DETECT-002``).
    """
    from cloister.detect.tablefile import TableReader, open_table

    if path != STANDARD_STREAM:
        return Source(path.name, lambda: open_table(path), partial(_check, path, _stamp(path)))
    table = read_standard_input()

    def reopened() -> AbstractContextManager[TableReader]:
        size = table.nbytes
        return nullcontext(TableReader(table.schema, size, iter(table.to_batches()), lambda: size))

    return Source("standard input", reopened, lambda: None)


def sink_of(path: Path) -> Callable[[Any], AbstractContextManager[TableWriter]]:
    """Returns what opens the copy for writing; ``-`` is CSV on standard output.

    Raises:
        CloisterError: A file of this name could never be written (``CLO-INPUT-008``).
    """
    from cloister.detect.tablewriter import check_target, open_writer

    if path == STANDARD_STREAM:
        return _standard_output
    check_target(path)
    return partial(open_writer, path)


def read_standard_input() -> Any:
    """Returns the CSV on standard input as an Arrow table of text columns.

    Raises:
        CloisterError: It is not CSV (``CLO-INPUT-007``), or has a bad row (``CLO-DETECT-002``).
    """
    import pyarrow as pa

    from cloister.detect.delimited import BLOCK_BYTES, read_csv

    content = sys.stdin.buffer.read()
    try:
        schema, batches = read_csv(
            lambda: pa.BufferReader(content),
            "standard input",
            block_bytes=min(BLOCK_BYTES, len(content) + 1),
        )
        return pa.Table.from_batches(batches, schema)
    except (pa.ArrowException, UnicodeError, ValueError):
        raise CloisterError(
            "Standard input is not a CSV table.",
            code="CLO-INPUT-007",
            remedy="Pipe CSV with a header line, or name a file.",
        ) from None


@contextmanager
def _standard_output(schema: Any) -> Iterator[TableWriter]:
    from cloister.detect.tablewriter import csv_writer

    stream = sys.stdout.buffer
    try:
        writer = csv_writer(stream, schema)
        yield writer
        writer.close()
        stream.flush()
    except BrokenPipeError:
        raise  # the reader has gone; the command ends quietly
    except OSError as error:
        raise CloisterError(
            f"Standard output cannot be written ({os.strerror(error.errno or 0)}).",
            code="CLO-INPUT-008",
            remedy="Check where it leads.",
        ) from None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None  # opening it tells why
    return found.st_mtime_ns, found.st_size, found.st_ino


def _check(path: Path, stamp: tuple[int, int, int] | None) -> None:
    if _stamp(path) != stamp:
        raise SourceChanged(
            f"{path.name} was changed while it was read, so its columns may hold something else "
            "by now. Nothing was written.",
            remedy="Run it again when nobody writes the file.",
        )
