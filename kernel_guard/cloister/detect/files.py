"""What a table file holds: findings of its columns, and the values that feed the indexes.

Read outside any kernel. A first look is a spread sample; values are read from all batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from cloister.core.entities import default_level
from cloister.core.labels import Level
from cloister.detect.columns import classify_table
from cloister.detect.company import RowColumn
from cloister.detect.fullscan import TableClassifier
from cloister.detect.mask import text_of
from cloister.detect.tablefile import (
    SUFFIXES,
    UnreadableFile,
    format_of,
    open_table,
    read_batches,
    read_table,
    reported_batches,
)
from cloister.detect.text import find_spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from cloister.core.policy import ColumnRule
    from cloister.detect.finding import ColumnFinding
    from cloister.detect.recognizers import Recognizers
    from cloister.detect.text import Span

Search: TypeAlias = "Callable[[str], list[Span]]"

__all__ = [
    "SUFFIXES",
    "UnreadableFile",
    "classify_file",
    "cleared_values",
    "read_batches",
    "read_table",
    "sensitive_rows",
    "sensitive_values",
]

_BATCH_ROWS: Final = 65_536
_ROWS_OF_BATCH: Final = 2_048  # that the classification of a file looks at
_SAMPLE_ROWS: Final = 65_536
_MOST_ROW_GROUPS: Final = 16
_FEWEST_COLUMNS: Final = 2


def classify_file(
    path: Path,
    *,
    declared: Sequence[ColumnRule] = (),
    level_of: Callable[[str], Level] = default_level,
    recognizers: Recognizers | None = None,
    fully: bool = False,
) -> tuple[list[ColumnFinding], int]:
    """Returns the findings of a file's columns and its number of rows.

    Args:
        path: The file.
        declared: Column rules; the first that matches counts.
        level_of: The policy's level of an entity type.
        recognizers: The policy's own types and allow list.
        fully: Whether every value is looked at, and not a spread sample.

    Raises:
        UnreadableFile: It is no table.
    """
    import pyarrow as pa

    if fully:
        with open_table(path) as reader:
            known = TableClassifier(
                reader.schema.names, declared=declared, level_of=level_of, recognizers=recognizers
            )
            return known.findings_of(reader.batches)
    kept: list[Any] = []
    rows = taken = 0
    for batch in _sampled_batches(path):
        rows += batch.num_rows
        kept.append(_spread(batch, _ROWS_OF_BATCH))
        taken += kept[-1].num_rows
        if taken > _SAMPLE_ROWS:  # a long file: keep every second row of what there is
            kept = [_spread(part, (part.num_rows + 1) // 2) for part in kept]
            taken = sum(part.num_rows for part in kept)
    table = pa.Table.from_batches(kept) if kept else read_table(path, 0)
    findings = classify_table(table, declared=declared, level_of=level_of, recognizers=recognizers)
    return findings, _parquet_rows(path) if format_of(path)[0] == ".parquet" else rows


def sensitive_values(
    path: Path,
    findings: Sequence[ColumnFinding],
    *,
    level_of: Callable[[str], Level] = default_level,
    search: Search = find_spans,
) -> Iterator[tuple[str, list[str]]]:
    """Yields (entity type, unique values) of the confidential and restricted columns of a file.

    Feeds the exact-match index, outside any kernel. Prose contributes the values that patterns find
    in it, and its own lines stay out.

    Args:
        path: The file.
        findings: What :func:`classify_file` found, one for each column, in order.
        level_of: The policy's level of an entity type. A column that was declared above the level
            of its type goes by the name of its level, or its values would be treated by the type.
        search: Finds the values in prose.

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
                yield from _values_in_prose(texts, search)
            elif texts:
                yield _indexed_as(finding, level_of), texts


def sensitive_rows(
    path: Path,
    findings: Sequence[ColumnFinding],
    *,
    level_of: Callable[[str], Level] = default_level,
) -> Iterator[list[RowColumn]]:
    """Yields the confidential and restricted columns of a file side by side, batch by batch.

    Prose and nested columns are left out: their values stand for themselves. Nothing is yielded
    where one column is left, since a value needs another of its row for company.

    Args:
        path: The file.
        findings: As for :func:`sensitive_values`.
        level_of: As for :func:`sensitive_values`.

    Raises:
        UnreadableFile: It is no table.
    """
    import pyarrow as pa

    chosen = [
        (i, f) for i, f in enumerate(findings) if f.level >= Level.CONFIDENTIAL and not f.free_text
    ]
    if len(chosen) < _FEWEST_COLUMNS:
        return
    for batch in read_batches(path):
        columns = [
            RowColumn(_indexed_as(finding, level_of), *_coded(batch.column(position)))
            for position, finding in chosen
            if not pa.types.is_nested(batch.column(position).type)
        ]
        if len(columns) >= _FEWEST_COLUMNS:
            yield columns


def cleared_values(
    path: Path, findings: Sequence[ColumnFinding], *, search: Search = find_spans
) -> Iterator[tuple[Level, list[str]]]:
    """Yields (level, unique values) of the columns that an owner lowered, and what is in them.

    Raises:
        UnreadableFile: It is no table.
    """
    chosen = [(i, f.level) for i, f in enumerate(findings) if "lowered" in f.evidence]
    if not chosen:
        return
    for batch in read_batches(path):
        for position, level in chosen:
            texts = _unique_texts(batch.column(position))
            yield level, texts
            for _entity_type, values in _values_in_prose(texts, search):
                yield level, values


def _indexed_as(finding: ColumnFinding, level_of: Callable[[str], Level]) -> str:
    kind = finding.entity_type or "UNKNOWN"
    return kind if level_of(kind) >= finding.level else finding.level.name


def _coded(column: Any) -> tuple[list[str], Any]:
    """Returns the distinct values of a column as text, and for each row which it is, or -1."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    values = ["" if v is None else text_of(v) for v in column.dictionary.to_pylist()]
    codes = pc.fill_null(column.indices.cast(pa.int64()), -1)
    return values, codes.to_numpy(zero_copy_only=False).astype(np.int64)


def _values_in_prose(texts: list[str], search: Search) -> Iterator[tuple[str, list[str]]]:
    found: dict[str, dict[str, None]] = {}
    for text in texts:
        for span in search(text):
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
    if format_of(path)[0] != ".parquet":
        yield from read_batches(path)
        return
    yield from reported_batches(path, _some_row_groups(path))


def _some_row_groups(path: Path) -> Iterator[pa.RecordBatch]:
    import numpy as np
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        groups = file.num_row_groups
        picks = np.unique(np.linspace(0, groups - 1, min(groups, _MOST_ROW_GROUPS)).astype(int))
        if groups:
            yield from file.iter_batches(_BATCH_ROWS, row_groups=picks.tolist())
