"""Data files: CSV, Parquet, Arrow and JSON lines, read in batches outside any kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cloister.core.entities import default_level
from cloister.core.errors import CloisterError
from cloister.core.labels import Level
from cloister.detect.columns import classify_table
from cloister.detect.text import find_spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from cloister.core.policy import ColumnRule
    from cloister.detect.columns import ColumnFinding

SUFFIXES: Final = (".csv", ".tsv", ".parquet", ".arrow", ".feather", ".ipc", ".jsonl", ".ndjson")
SAMPLE_ROWS: Final = 20_000


class UnreadableFile(CloisterError):
    """A file that is no table, or not in a format that is read."""

    default_code = "CLO-DETECT-001"


def read_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yields the batches of a table file, by its suffix.

    Raises:
        UnreadableFile: The suffix is unknown, or the content is not what the suffix says.
    """
    import pyarrow as pa

    try:
        yield from _open(path)
    except (pa.ArrowException, UnicodeDecodeError, EOFError):
        raise UnreadableFile(
            f"{path.name} cannot be read as a {path.suffix.lstrip('.')} table.",
            code="CLO-DETECT-002",
            remedy="Check that it is complete and that its suffix says what it is.",
        ) from None
    except OSError as error:
        raise UnreadableFile(
            f"{path.name} cannot be read ({type(error).__name__}).",
            code="CLO-DETECT-003",
            remedy="Check that the file exists and may be read.",
        ) from None


def read_table(path: Path, rows: int | None = None) -> pa.Table:
    """Returns the first ``rows`` rows of a table file, or all of it."""
    import pyarrow as pa

    batches, count = [], 0
    for batch in read_batches(path):
        batches.append(batch)
        count += batch.num_rows
        if rows is not None and count >= rows:
            break
    if not batches:
        return pa.table({})
    table = pa.Table.from_batches(batches)
    return table if rows is None else table.slice(0, rows)


def classify_file(
    path: Path,
    *,
    declared: Sequence[ColumnRule] = (),
    level_of: Callable[[str], Level] = default_level,
) -> tuple[list[ColumnFinding], int]:
    """Returns the findings of a file's columns and its number of rows.

    Raises:
        UnreadableFile: It is no table.
    """
    import pyarrow as pa

    kept: list[Any] = []
    rows = 0
    for batch in read_batches(path):
        if rows < SAMPLE_ROWS:
            kept.append(batch)
        rows += batch.num_rows
    table = pa.Table.from_batches(kept) if kept else pa.table({})
    return classify_table(table, declared=declared, level_of=level_of), rows


def sensitive_values(
    path: Path, findings: Sequence[ColumnFinding]
) -> Iterator[tuple[str, list[str]]]:
    """Yields (entity type, unique values) of the confidential and restricted columns of a file.

    Prose contributes the values that patterns find in it, and its own lines stay out.

    Raises:
        UnreadableFile: It is no table.
    """
    import pyarrow.compute as pc

    chosen = [(i, f) for i, f in enumerate(findings) if f.level >= Level.CONFIDENTIAL]
    if not chosen:
        return
    for batch in read_batches(path):
        for position, finding in chosen:
            texts = [str(v) for v in pc.unique(batch.column(position)).to_pylist() if v is not None]
            if finding.free_text:
                for text in texts:
                    for span in find_spans(text):
                        yield span.entity_type, [text[span.start : span.end]]
            else:
                yield finding.entity_type or "UNKNOWN", texts


def _open(path: Path) -> Iterator[pa.RecordBatch]:
    suffix = path.suffix.lower()
    if suffix in {".csv", ".tsv"}:
        yield from _csv(path, "\t" if suffix == ".tsv" else ",")
    elif suffix == ".parquet":
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(65_536)
    elif suffix in {".arrow", ".feather", ".ipc"}:
        yield from _arrow(path)
    elif suffix in {".jsonl", ".ndjson"}:
        import pyarrow.json as pj

        yield from pj.read_json(path).to_batches(65_536)
    else:
        raise UnreadableFile(
            f"Files of type {suffix or 'without a suffix'} are not read.",
            remedy=f"Use one of: {', '.join(SUFFIXES)}.",
        )


def _csv(path: Path, delimiter: str) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.csv as pv

    header = pv.open_csv(
        path, parse_options=pv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    ).schema.names
    # Everything is text: a parser's guess would take the zeros off a postcode and a card's digits.
    reader = pv.open_csv(
        path,
        parse_options=pv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=True
        ),
    )
    yield from reader


def _arrow(path: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        try:
            reader = pa.ipc.open_file(source)
        except pa.ArrowInvalid:
            source.seek(0)
            yield from pa.ipc.open_stream(source)
            return
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)
