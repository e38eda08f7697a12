"""Table files: CSV, Parquet, Arrow and JSON lines, opened at any size and read in batches.

A file may be larger than memory: at most a few batches of it are held. CSV is text throughout
(:mod:`cloister.detect.delimited`); JSON lines keep numbers as numbers
(:mod:`cloister.detect.jsonlines`); dates stay the text that they are.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cloister.core.errors import CloisterError
from cloister.detect.delimited import BLOCK_BYTES, read_csv
from cloister.detect.jsonlines import read_json_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

SUFFIXES: Final = (".csv", ".tsv", ".parquet", ".arrow", ".feather", ".ipc", ".jsonl", ".ndjson")
_CODECS: Final = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
_COMPRESSED: Final = frozenset({".csv", ".tsv", ".jsonl", ".ndjson"})
BATCH_BYTES: Final = 8 << 20
_BATCH_ROWS: Final = 65_536
_PARQUET_BUFFER: Final = 1 << 20


class UnreadableFile(CloisterError):
    """A file that is no table, or not in a format that is read."""

    default_code = "CLO-DETECT-001"


@dataclass(frozen=True, slots=True)
class TableReader:
    """An open table file: its columns, its batches, and how far the reading has come.

    Attributes:
        schema: Columns and types, the same for all batches.
        size: Bytes of the file.
        batches: The rows; they can be taken once.
        position: Returns how many bytes of the file were read, about.
    """

    schema: pa.Schema
    size: int
    batches: Iterator[pa.RecordBatch]
    position: Callable[[], int]


@contextmanager
def open_table(
    path: Path, *, batch_bytes: int = BATCH_BYTES, row_groups: Sequence[int] = ()
) -> Iterator[TableReader]:
    """Opens a table file of any size, by its suffix; at most a few batches are in memory.

    Args:
        path: CSV, TSV, JSON lines (these also compressed: ``.gz``, ``.bz2``, ``.zst``), Parquet or
            Arrow (file or stream).
        batch_bytes: Bytes of one batch, about.
        row_groups: Of a Parquet file, which row groups; all when empty.

    Raises:
        UnreadableFile: The suffix is unknown, or the content is not what the suffix says.
    """
    with _reported(path):
        opened = _Open(path, batch_bytes, row_groups)
    try:
        with _reported(path):
            schema, batches = opened.table()
        yield TableReader(
            schema, opened.size, reported_batches(path, batches), lambda: opened.position
        )
    finally:
        opened.close()


def read_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yields the batches of a table file, by its suffix.

    Raises:
        UnreadableFile: The suffix is unknown, or the content is not what the suffix says.
    """
    with open_table(path) as reader:
        yield from reader.batches


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    """Tells what goes wrong without a word of the content."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, UnicodeError, ValueError, EOFError, RecursionError):
        raise UnreadableFile(
            f"{path.name} cannot be read as a {format_of(path)[0].lstrip('.')} table.",
            code="CLO-DETECT-002",
            remedy="Check that it is complete and that its suffix says what it is.",
        ) from None
    except OSError as error:
        # Arrow has no other class for a compressed stream that ends too early.
        is_damaged = error.errno is None
        raise UnreadableFile(
            f"{path.name} cannot be read ({type(error).__name__}).",
            code="CLO-DETECT-002" if is_damaged else "CLO-DETECT-003",
            remedy="Check that it is complete."
            if is_damaged
            else "Check that the file exists and may be read.",
        ) from None


def reported_batches(path: Path, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yields ``batches``; what goes wrong on the way is told without a word of the content."""
    while True:
        with _reported(path):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def read_table(path: Path, rows: int | None = None) -> pa.Table:
    """Returns the first ``rows`` rows of a table file, or all of it."""
    import pyarrow as pa

    taken, count = [], 0
    with open_table(path) as reader:
        for batch in reader.batches:
            taken.append(batch)
            count += batch.num_rows
            if rows is not None and count >= rows:
                break
        table = pa.Table.from_batches(taken, reader.schema)
    return table if rows is None else table.slice(0, rows)


def format_of(path: Path) -> tuple[str, str | None]:
    """Returns the suffix that says what a file is, and the codec that it is compressed with."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if len(suffixes) == 2 and suffixes[1] in _CODECS and suffixes[0] in _COMPRESSED:
        return suffixes[0], _CODECS[suffixes[1]]
    return (suffixes[-1] if suffixes else ""), None


def is_table_file(path: Path) -> bool:
    """Returns whether a file is read as a table, going by its name."""
    return format_of(path)[0] in SUFFIXES


class _Open:
    """One open file: what has to be closed, and how far it was read."""

    def __init__(self, path: Path, batch_bytes: int, row_groups: Sequence[int]) -> None:
        self._path = path
        self._suffix, self._codec = format_of(path)
        self._batch_bytes = batch_bytes
        self._row_groups = row_groups
        self._opened = ExitStack()
        self._raw: Any = None
        self._share = 0.0  # of a file that is not read from front to back
        if self._suffix not in SUFFIXES:
            raise UnreadableFile(
                f"Files of type {self._suffix or 'without a suffix'} are not read.",
                remedy=f"Use one of: {', '.join(SUFFIXES)}.",
            )
        self.size = path.stat().st_size

    def close(self) -> None:
        self._opened.close()

    @property
    def position(self) -> int:
        if self._raw is None:
            return int(self._share * self.size)
        return int(self._raw.tell()) if not self._raw.closed else self.size

    def table(self) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        match self._suffix:
            case ".csv" | ".tsv":
                schema, blocks = read_csv(
                    self._stream,
                    self._path.name,
                    delimiter="\t" if self._suffix == ".tsv" else None,
                    block_bytes=min(BLOCK_BYTES, self._batch_bytes),
                )
                return schema, self._joined(blocks)
            case ".jsonl" | ".ndjson":
                return read_json_lines(self._stream, batch_bytes=self._batch_bytes)
            case ".parquet":
                return self._parquet()
            case _:
                return self._arrow()

    def _stream(self) -> Any:
        """Opens the content from its beginning; the last one opened says how far reading is."""
        import pyarrow as pa

        self._raw = self._opened.enter_context(pa.OSFile(str(self._path)))
        if self._codec is None:
            return self._raw
        return self._opened.enter_context(pa.CompressedInputStream(self._raw, self._codec))

    def _parquet(self) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        import pyarrow.parquet as pq

        # Buffered: a column chunk, which can be as long as the file, is not read as a whole.
        file = self._opened.enter_context(
            pq.ParquetFile(self._path, buffer_size=_PARQUET_BUFFER, pre_buffer=False)
        )
        groups = list(self._row_groups or range(file.metadata.num_row_groups))
        total = max(1, sum(file.metadata.row_group(i).num_rows for i in groups))
        content = sum(file.metadata.row_group(i).total_byte_size for i in groups)
        rows = max(1, min(_BATCH_ROWS, self._batch_bytes * total // max(1, content)))

        def batches() -> Iterator[pa.RecordBatch]:
            done = 0
            for batch in file.iter_batches(rows, row_groups=groups, use_threads=False):
                done += batch.num_rows
                self._share = done / total
                yield batch

        return file.schema_arrow, batches()

    def _arrow(self) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        import pyarrow as pa

        # Mapped: a batch that is as long as the file costs address space and no memory.
        source = self._opened.enter_context(pa.memory_map(str(self._path)))
        try:
            reader = pa.ipc.open_file(source)
        except pa.ArrowInvalid:
            source.seek(0)
            self._raw = source
            stream = pa.ipc.open_stream(source)
            return stream.schema, (part for batch in stream for part in self._parts(batch))
        count = reader.num_record_batches

        def batches() -> Iterator[pa.RecordBatch]:
            for number in range(count):
                yield from self._parts(reader.get_batch(number))
                self._share = (number + 1) / count

        return reader.schema, batches()

    def _joined(self, blocks: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yields small batches joined to the size that was asked for; fewer are faster."""
        import pyarrow as pa

        parts: list[Any] = []
        size = rows = 0
        for block in blocks:
            parts.append(block)
            size += block.nbytes
            rows += block.num_rows
            if size >= self._batch_bytes or rows >= _BATCH_ROWS:
                yield from pa.Table.from_batches(parts).combine_chunks().to_batches()
                parts, size, rows = [], 0, 0
        if parts:
            yield from pa.Table.from_batches(parts).combine_chunks().to_batches()

    def _parts(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Yields a batch in slices of the size that was asked for."""
        each = max(1, batch.nbytes // max(1, batch.num_rows))
        rows = max(1, min(_BATCH_ROWS, self._batch_bytes // each))
        for start in range(0, batch.num_rows, rows):
            yield batch.slice(start, rows)
