"""CSV in blocks of a fixed size, every value as the text that it is.

A parser's guess would take the zeros off a postcode and the digits off a card number, and a guess
from the first block would break on the two millionth row; so nothing is guessed. What a CSV file
says about itself is found in its head: the encoding from its mark or its bytes, the delimiter from
its header.
"""

from __future__ import annotations

import csv
import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from cloister.core.errors import CloisterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

BLOCK_BYTES: Final = 1 << 20
"""Bytes that are parsed at a time. Arrow reads up to 32 blocks ahead, so they are small."""

_LONGEST_ROW: Final = 64 << 20  # bytes; blocks grow up to this where a row needs it

_HEAD_BYTES: Final = 1 << 20
_DELIMITERS: Final = (",", ";", "\t", "|")
# What pandas takes for missing, so that a column reads here as it will in the kernel.
_NULLS: Final = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "<NA>", "#N/A"]


class BadRow(CloisterError):
    """A CSV file with a row that its header does not fit, or that is too long."""

    default_code = "CLO-DETECT-002"


def read_csv(
    open_stream: Callable[[], Any],
    name: str,
    *,
    delimiter: str | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Returns the columns of a CSV file, all text, and its batches.

    Args:
        open_stream: Opens the content from its beginning, as a binary file of Arrow's.
        name: What errors call the file.
        delimiter: Between values; ``None`` to see it in the header.
        block_bytes: Bytes that are parsed at a time.

    Raises:
        BadRow: A row has more or fewer values than the header, or is too long.
        pyarrow.ArrowException, UnicodeError: It is no CSV.
    """
    import pyarrow as pa

    with open_stream() as stream:
        head = stream.read(_HEAD_BYTES)
    encoding = encoding_of(head)
    if delimiter is None:
        delimiter = delimiter_of(head.decode(encoding, "replace"))
    names = _header_alone(head, encoding, delimiter)
    if names is not None:
        return pa.schema([(column, pa.string()) for column in names]), iter(())
    source = _Source(open_stream, name, encoding, delimiter, block_bytes)
    return source.schema(), source.batches()


class _Source:
    """A CSV file that is opened anew, with larger blocks, when a row does not fit into one."""

    def __init__(
        self,
        open_stream: Callable[[], Any],
        name: str,
        encoding: str,
        delimiter: str,
        block_bytes: int,
    ) -> None:
        self._open_stream = open_stream
        self._name = name
        self._encoding = encoding
        self._delimiter = delimiter
        self._block_bytes = block_bytes
        self._columns: list[str] = []
        self._bad: tuple[int | None, int, int] | None = None

    def schema(self) -> pa.Schema:
        import pyarrow as pa

        while not self._columns:
            with self._explained(), self._opened(None) as reader:
                self._columns = reader.schema.names
        return pa.schema([(column, pa.string()) for column in self._columns])

    def batches(self) -> Iterator[pa.RecordBatch]:
        taken, is_whole = 0, False
        while not is_whole:
            with self._explained(), self._opened(self._columns) as reader:
                skipped = 0
                for batch in reader:
                    again = min(taken - skipped, batch.num_rows)
                    skipped += again
                    if again < batch.num_rows:
                        taken += batch.num_rows - again
                        skipped += batch.num_rows - again
                        yield batch.slice(again)
                is_whole = True

    def _opened(self, columns: list[str] | None) -> Any:
        import pyarrow as pa
        import pyarrow.csv as pv

        def refuse(row: Any) -> str:
            self._bad = (row.number, row.expected_columns, row.actual_columns)
            return "error"

        # One thread: then a bad row has a number, and no blocks pile up before they are asked for.
        return pv.open_csv(
            self._open_stream(),
            read_options=pv.ReadOptions(
                encoding=self._encoding, block_size=self._block_bytes, use_threads=False
            ),
            parse_options=pv.ParseOptions(
                delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=refuse
            ),
            convert_options=pv.ConvertOptions(
                column_types=dict.fromkeys(columns or (), pa.string()),
                null_values=_NULLS,
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Grows the blocks for a long row; tells a row that cannot be read from what is no CSV."""
        import pyarrow as pa

        try:
            yield
        except pa.ArrowInvalid as error:
            words = str(error)  # looked at, never shown
            if self._bad is not None:
                number, expected, actual = self._bad
                place = "A row" if number is None else f"Row {number}"
                message = f"{place} of {self._name} has {actual} values, its header {expected}."
                remedy = "Repair the row, or put quotes around values that hold the delimiter."
            elif "straddling object" in words:
                self._block_bytes *= 8
                if self._block_bytes <= _LONGEST_ROW:
                    return
                message = f"{self._name} has a row longer than {_LONGEST_ROW >> 20} MB."
                remedy = "Check for a quote that is never closed; else convert it to Parquet."
            elif "invalid UTF8" in words:
                message = f"{self._name} begins as UTF-8 and does not stay so."
                remedy = "Convert it to one encoding, for instance with iconv."
            else:
                raise
            raise BadRow(message, remedy=remedy) from None


def encoding_of(head: bytes) -> str:
    """Returns the encoding that a file begins in: its mark says, else UTF-8, else Latin-1.

    Args:
        head: The first megabyte, or all of it.
    """
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return "utf-16"
    try:
        head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # Cut in the middle of a character, or no UTF-8 at all.
        if error.start < len(head) - 4:
            return "latin-1"
    return "utf-8"


def delimiter_of(head: str) -> str:
    """Returns what stands between the values of a header line; a comma when nothing does."""
    line = next(iter(head.lstrip("\ufeff\r\n").splitlines()), "")
    outside = "".join(line.split('"')[::2])  # quoted names may hold anything
    if "," in outside:
        return ","
    return max(_DELIMITERS, key=outside.count)


def _header_alone(head: bytes, encoding: str, delimiter: str) -> list[str] | None:
    """Returns the columns of a file of at most one line, which Arrow refuses; else ``None``."""
    if len(head) >= _HEAD_BYTES:
        return None
    text = head.decode(encoding, "replace").lstrip("\ufeff")
    if not text.strip():
        return []
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        first = next(rows)
        return None if any(True for _ in rows) else first
    except (csv.Error, StopIteration):
        return None
