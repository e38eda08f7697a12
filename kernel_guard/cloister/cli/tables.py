"""Reads a table from standard input and writes tables by suffix.

Text formats are read and written as text throughout: a parser's guess would take the zeros off a
postcode. A file appears under its name only when it is complete.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from cloister.core.errors import CloisterError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_BATCH_ROWS: Final = 65_536


def read_standard_input() -> Any:
    """Returns the CSV on standard input as an Arrow table of text columns.

    Raises:
        CloisterError: It is not CSV (``CLO-INPUT-007``).
    """
    import io

    import pyarrow as pa
    import pyarrow.csv as pv

    content = sys.stdin.buffer.read()
    parse = pv.ParseOptions(newlines_in_values=True)
    try:
        names = pv.open_csv(io.BytesIO(content), parse_options=parse).schema.names
        convert = pv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True
        )
        return pv.read_csv(io.BytesIO(content), parse_options=parse, convert_options=convert)
    except (pa.ArrowException, UnicodeDecodeError):
        raise CloisterError(
            "Standard input is not a CSV table.",
            code="CLO-INPUT-007",
            remedy="Pipe CSV with a header line, or name a file.",
        ) from None


def write_table(table: Any, path: Path) -> None:
    """Writes a table in the format that the suffix of ``path`` names.

    Raises:
        CloisterError: The suffix is unknown or the file cannot be written (``CLO-INPUT-008``).
    """
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        raise CloisterError(
            f"Files of type {path.suffix or 'without a suffix'} are not written.",
            code="CLO-INPUT-008",
            remedy=f"Use one of: {', '.join(sorted(_WRITERS))}.",
        )
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            write(table, temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise CloisterError(
            f"{path} cannot be written ({os.strerror(error.errno or 0)}).",
            code="CLO-INPUT-008",
            remedy="Choose a directory that this account can write, with space left.",
        ) from None


def _write_csv(table: Any, path: Path, delimiter: str = ",") -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        # Arrow's own writer puts quotes around every text.
        writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
        writer.writerow(table.column_names)
        for batch in table.to_batches(_BATCH_ROWS):
            writer.writerows(zip(*(column.to_pylist() for column in batch.columns), strict=True))


def _write_tsv(table: Any, path: Path) -> None:
    _write_csv(table, path, "\t")


def _write_jsonl(table: Any, path: Path) -> None:
    with path.open("w", encoding="utf-8") as stream:
        for batch in table.to_batches(_BATCH_ROWS):
            for row in batch.to_pylist():
                stream.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")


def _write_parquet(table: Any, path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, path)


def _write_arrow(table: Any, path: Path) -> None:
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


_WRITERS: Final[dict[str, Callable[[Any, Path], None]]] = {
    ".csv": _write_csv,
    ".tsv": _write_tsv,
    ".jsonl": _write_jsonl,
    ".ndjson": _write_jsonl,
    ".parquet": _write_parquet,
    ".arrow": _write_arrow,
    ".feather": _write_arrow,
    ".ipc": _write_arrow,
}
