"""Writes tables batch by batch; a file appears under its name only when it is complete.

What is written lies beside its target under a hidden name until it is whole and on the disk; then
it takes the target's place in one step. A full disk, an error or an interrupt leaves the target as
it was and nothing beside it.
"""

from __future__ import annotations

import csv
import json
import os
import stat
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

from cloister.core.errors import CloisterError
from cloister.detect.jsonlines import JSON_TEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa


class TableWriter(Protocol):
    """Takes batches of one schema."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Writes one batch."""

    def close(self) -> None:
        """Writes what a format has at its end; the file stays open."""


def check_target(path: Path) -> None:
    """Refuses a target that could never be written, before anything is read.

    Raises:
        CloisterError: Its suffix is unknown, or it is a directory (``CLO-INPUT-008``).
    """
    if path.suffix.lower() not in _WRITERS:
        raise CloisterError(
            f"Files of type {path.suffix or 'without a suffix'} are not written.",
            code="CLO-INPUT-008",
            remedy=f"Use one of: {', '.join(sorted(_WRITERS))}.",
        )
    if path.is_dir():
        raise CloisterError(
            f"{path} is a directory.", code="CLO-INPUT-008", remedy="Name a file in it."
        )


@contextmanager
def open_writer(path: Path, schema: pa.Schema) -> Iterator[TableWriter]:
    """Opens a table file for writing, in the format that its suffix names.

    Args:
        path: The target; it is replaced when the block ends without an exception.
        schema: Columns and types of every batch.

    Raises:
        CloisterError: The file cannot be written (``CLO-INPUT-008``).
    """
    check_target(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.part")
    try:
        with _writable(path):
            stream = _create(temporary, path)
        writer: TableWriter | None = None
        try:
            with _writable(path):
                writer = _Reported(_WRITERS[path.suffix.lower()](stream, schema), path)
            yield writer
            writer.close()
            with _writable(path):
                stream.flush()
                os.fsync(stream.fileno())
        finally:
            # After an error this is thrown away. A writer that is still open writes its end when
            # it is collected, so it ends here, while it has a stream.
            with suppress(Exception):
                if writer is not None:
                    writer.close()
            with suppress(OSError):
                stream.close()
        with _writable(path):
            temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def csv_writer(stream: IO[bytes], schema: pa.Schema) -> TableWriter:
    """Returns a writer of CSV with a comma, for a stream that belongs to the caller."""
    return _Delimited(stream, schema, ",")


class _Reported:
    """Turns what goes wrong in a writer into an error without content."""

    def __init__(self, writer: TableWriter, path: Path) -> None:
        self._writer, self._path = writer, path
        self._is_finished = False

    def write(self, batch: pa.RecordBatch) -> None:
        with _writable(self._path):
            self._writer.write(batch)

    def close(self) -> None:
        if not self._is_finished:
            self._is_finished = True
            with _writable(self._path):
                self._writer.close()


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise CloisterError(
            f"{path} cannot be written ({reason}).",
            code="CLO-INPUT-008",
            remedy="Choose a directory that this account can write, with space left.",
        ) from None


def _create(temporary: Path, target: Path) -> IO[bytes]:
    """Creates a file that nobody else may read who may not read the target that it replaces."""
    try:
        mode = stat.S_IMODE(target.stat().st_mode)
    except OSError:
        mode = 0o666  # less the umask
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    return os.fdopen(descriptor, "wb")


class _Rows:
    """Takes rows from a writer of csv, without their line ends."""

    def __init__(self) -> None:
        self._rows: list[str] = []

    def write(self, row: str) -> None:
        self._rows.append(row[:-2])

    def take(self) -> bytes:
        text = "".join(row + "\n" for row in self._rows)
        self._rows = []
        return text.encode("utf-8", "replace")


class _Delimited:
    """CSV with quotes where they are needed; Arrow's own writer puts them around every text."""

    def __init__(self, stream: IO[bytes], schema: pa.Schema, delimiter: str) -> None:
        self._stream = stream
        self._rows = _Rows()
        # A value is quoted where it holds a character of the line end, so that has both of them;
        # what is written ends its lines as Unix does.
        self._csv = csv.writer(self._rows, delimiter=delimiter, lineterminator="\r\n")
        self._has_columns = bool(schema.names)
        if self._has_columns:
            self._csv.writerow(schema.names)
            stream.write(self._rows.take())

    def write(self, batch: pa.RecordBatch) -> None:
        if self._has_columns:
            columns = (column.to_pylist() for column in batch.columns)
            self._csv.writerows(zip(*columns, strict=True))
            self._stream.write(self._rows.take())

    def close(self) -> None:
        pass


class _JsonLines:
    """One JSON object a line. What was JSON in the source, and is not masked, is JSON again."""

    def __init__(self, stream: IO[bytes], schema: pa.Schema) -> None:
        self._stream = stream
        self._nested = [f.name for f in schema if f.metadata and JSON_TEXT in f.metadata]

    def write(self, batch: pa.RecordBatch) -> None:
        lines = []
        for row in batch.to_pylist():
            for name in self._nested:
                with suppress(ValueError, TypeError, RecursionError):
                    row[name] = json.loads(row[name])
            lines.append(json.dumps(row, ensure_ascii=False, default=str))
        self._stream.write("".join(line + "\n" for line in lines).encode("utf-8", "replace"))

    def close(self) -> None:
        pass


class _Parquet:
    def __init__(self, stream: IO[bytes], schema: pa.Schema) -> None:
        import pyarrow.parquet as pq

        self._writer = pq.ParquetWriter(stream, schema)

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)

    def close(self) -> None:
        self._writer.close()


class _Arrow:
    def __init__(self, stream: IO[bytes], schema: pa.Schema) -> None:
        import pyarrow as pa

        # Batches of one column may come with different dictionaries.
        options = pa.ipc.IpcWriteOptions(unify_dictionaries=True)
        self._writer = pa.ipc.new_file(stream, schema, options=options)

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)

    def close(self) -> None:
        self._writer.close()


def _tsv(stream: IO[bytes], schema: pa.Schema) -> TableWriter:
    return _Delimited(stream, schema, "\t")


_WRITERS: Final[dict[str, Callable[[IO[bytes], Any], TableWriter]]] = {
    ".csv": csv_writer,
    ".tsv": _tsv,
    ".jsonl": _JsonLines,
    ".ndjson": _JsonLines,
    ".parquet": _Parquet,
    ".arrow": _Arrow,
    ".feather": _Arrow,
    ".ipc": _Arrow,
}
