"""Data files: CSV, Parquet, Arrow and JSON lines, read in batches outside any kernel.

CSV is read as text throughout: a parser's guess would take the zeros off a postcode and the digits
off a card number. JSON lines keep numbers as numbers; dates stay the text that they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cloister.core.entities import default_level
from cloister.core.errors import CloisterError
from cloister.core.labels import Level
from cloister.detect.columns import classify_table
from cloister.detect.mask import text_of
from cloister.detect.text import find_spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from cloister.core.policy import ColumnRule
    from cloister.detect.columns import ColumnFinding

SUFFIXES: Final = (".csv", ".tsv", ".parquet", ".arrow", ".feather", ".ipc", ".jsonl", ".ndjson")
_BATCH_ROWS: Final = 65_536
_ROWS_OF_BATCH: Final = 2_048  # that the classification of a file looks at
_SAMPLE_ROWS: Final = 65_536
_MOST_ROW_GROUPS: Final = 16


class UnreadableFile(CloisterError):
    """A file that is no table, or not in a format that is read."""

    default_code = "CLO-DETECT-001"


def read_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yields the batches of a table file, by its suffix.

    Raises:
        UnreadableFile: The suffix is unknown, or the content is not what the suffix says.
    """
    yield from _reported(path, _open(path))


def _reported(path: Path, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yields ``batches``; what goes wrong on the way is told without a word of the content."""
    import pyarrow as pa

    try:
        yield from batches
    except (pa.ArrowException, UnicodeError, ValueError, EOFError):
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
    rows = taken = 0
    for batch in _sampled_batches(path):
        rows += batch.num_rows
        kept.append(_spread(batch, _ROWS_OF_BATCH))
        taken += kept[-1].num_rows
        if taken > _SAMPLE_ROWS:  # a long file: keep every second row of what there is
            kept = [_spread(part, (part.num_rows + 1) // 2) for part in kept]
            taken = sum(part.num_rows for part in kept)
    table = pa.Table.from_batches(kept) if kept else pa.table({})
    findings = classify_table(table, declared=declared, level_of=level_of)
    return findings, _parquet_rows(path) if path.suffix.lower() == ".parquet" else rows


def sensitive_values(
    path: Path, findings: Sequence[ColumnFinding]
) -> Iterator[tuple[str, list[str]]]:
    """Yields (entity type, unique values) of the confidential and restricted columns of a file.

    Feeds the exact-match index, outside any kernel. Prose contributes the values that patterns find
    in it, and its own lines stay out.

    Args:
        path: The file.
        findings: What :func:`classify_file` found, one for each column, in order.

    Raises:
        UnreadableFile: It is no table.
    """
    chosen = [(i, f) for i, f in enumerate(findings) if f.level >= Level.CONFIDENTIAL]
    if not chosen:
        return
    for batch in read_batches(path):
        for position, finding in chosen:
            texts = _unique_texts(batch.column(position))
            if finding.free_text:
                yield from _values_in_prose(texts)
            elif texts:
                yield finding.entity_type or "UNKNOWN", texts


def _values_in_prose(texts: list[str]) -> Iterator[tuple[str, list[str]]]:
    found: dict[str, dict[str, None]] = {}
    for text in texts:
        for span in find_spans(text):
            found.setdefault(span.entity_type, {})[text[span.start : span.end]] = None
    for entity_type, values in found.items():
        yield entity_type, list(values)


def _unique_texts(column: Any) -> list[str]:
    """Returns the distinct values of a column as text, with the leaves of nested ones."""
    import pyarrow as pa

    if pa.types.is_nested(column.type):
        leaves: list[str] = []
        for value in column.to_pylist():
            _leaves(value, leaves)
        return list(dict.fromkeys(leaves))
    return [text_of(v) for v in column.unique().to_pylist() if v is not None]


def _leaves(value: object, found: list[str]) -> None:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            _leaves(item, found)
    elif value is not None:
        found.append(text_of(value))


def _spread(batch: Any, rows: int) -> Any:
    import numpy as np
    import pyarrow as pa

    if batch.num_rows <= rows:
        return batch
    return batch.take(pa.array(np.linspace(0, batch.num_rows - 1, rows).astype(np.int64)))


def _parquet_rows(path: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def _sampled_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yields batches to classify a file by; of a large Parquet file some row groups only."""
    if path.suffix.lower() != ".parquet":
        yield from read_batches(path)
        return
    yield from _reported(path, _some_row_groups(path))


def _some_row_groups(path: Path) -> Iterator[pa.RecordBatch]:
    import numpy as np
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        groups = file.num_row_groups
        picks = np.unique(np.linspace(0, groups - 1, min(groups, _MOST_ROW_GROUPS)).astype(int))
        if groups:
            yield from file.iter_batches(_BATCH_ROWS, row_groups=picks.tolist())


def _open(path: Path) -> Iterator[pa.RecordBatch]:
    suffix = path.suffix.lower()
    if suffix in {".csv", ".tsv"}:
        yield from _csv(path, "\t" if suffix == ".tsv" else ",")
    elif suffix == ".parquet":
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(_BATCH_ROWS)
    elif suffix in {".arrow", ".feather", ".ipc"}:
        yield from _arrow(path)
    elif suffix in {".jsonl", ".ndjson"}:
        yield from _json_lines(path)
    else:
        raise UnreadableFile(
            f"Files of type {suffix or 'without a suffix'} are not read.",
            remedy=f"Use one of: {', '.join(SUFFIXES)}.",
        )


def _csv(path: Path, delimiter: str) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.csv as pv

    parse = pv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    read = pv.ReadOptions(encoding=_encoding(path))
    with pv.open_csv(path, read_options=read, parse_options=parse) as first_look:
        header = first_look.schema.names
    convert = pv.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()),
        null_values=_NULLS,
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    with pv.open_csv(
        path, read_options=read, parse_options=parse, convert_options=convert
    ) as reader:
        yield from reader


# What pandas takes for missing, so that a column reads here as it will in the kernel.
_NULLS: Final = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "<NA>", "#N/A"]


def _encoding(path: Path) -> str:
    """Returns the encoding that a CSV file begins in: its mark says, else UTF-8, else Latin-1."""
    with path.open("rb") as file:
        head = file.read(1 << 20)
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return "utf-16"
    try:
        head[:-4].decode("utf-8")
    except UnicodeDecodeError as error:
        # Cut in the middle of a character, or no UTF-8 at all.
        if error.start < len(head) - 8:
            return "latin-1"
    return "utf-8"


def _json_lines(path: Path) -> Iterator[pa.RecordBatch]:
    """Reads JSON lines with the types that JSON has; what is mixed or nested becomes text."""
    import json

    import pyarrow as pa

    names: dict[str, None] = {}
    rows: list[dict[str, object]] = []
    with path.open(encoding="utf-8-sig") as file:
        for line in file:
            if line.strip():
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise pa.ArrowInvalid("a line that is no object")
                names.update(dict.fromkeys(row))
                rows.append(row)
    columns = [_json_column([row.get(name) for row in rows]) for name in names]
    yield from pa.table(columns, names=list(names)).to_batches(_BATCH_ROWS)


def _json_column(values: list[object]) -> Any:
    import json

    import pyarrow as pa

    kinds = {type(v) for v in values if v is not None}
    if kinds <= {bool} or kinds <= {int} or kinds <= {int, float} or kinds <= {str}:
        try:
            return pa.array(values, from_pandas=True)
        except (pa.ArrowException, OverflowError, UnicodeEncodeError):
            pass  # an integer of more than 64 bits, or half of a character
    texts = [
        None
        if v is None
        else (v if isinstance(v, str) else json.dumps(v, ensure_ascii=False))
        .encode("utf-8", "replace")
        .decode("utf-8")
        for v in values
    ]
    return pa.array(texts, pa.string())


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
