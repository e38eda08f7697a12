"""Classifies and masks tables of any size in passes over their batches.

To classify is one pass over every value. To mask is two: the findings of the whole table decide how
each column is masked, so they are known before the first row is written. Nothing here knows where
batches come from; the same functions run on a file, in a Ray task and in Spark's ``mapInArrow``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from cloister.core.entities import default_level
from cloister.core.errors import CloisterError
from cloister.detect.fullscan import TableClassifier
from cloister.detect.jsonlines import JSON_TEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    import pyarrow as pa

    from cloister.core.labels import Level
    from cloister.core.policy import ColumnRule
    from cloister.detect.finding import ColumnFinding
    from cloister.detect.tablefile import TableReader
    from cloister.detect.tablewriter import TableWriter

Masking: TypeAlias = "Callable[[pa.Table], pa.Table]"
"""Masks some rows of a table: the same columns in the same order, types that rows do not change."""

Progress: TypeAlias = "Callable[[int, int], None]"
"""Is told after each batch how many bytes of how many were read."""


@dataclass(frozen=True, slots=True)
class Classification:
    """What a whole table holds.

    Attributes:
        findings: One for each column, in order.
        rows: How many rows there are.
    """

    findings: tuple[ColumnFinding, ...]
    rows: int


def silent(_done: int, _total: int) -> None:
    """Progress that nobody watches."""


def classify_batches(
    names: Sequence[str],
    batches: Iterable[pa.RecordBatch],
    *,
    declared: Sequence[ColumnRule] = (),
    level_of: Callable[[str], Level] = default_level,
    recognizers: Any = None,
) -> Classification:
    """Returns what a table holds, from every value of its batches.

    Args:
        names: Column names, in order.
        batches: All rows.
        declared: Column rules; the first that matches counts.
        level_of: The policy's level of an entity type.
        recognizers: The policy's own types and allow lists.
    """
    classifier = TableClassifier(
        list(names), declared=declared, level_of=level_of, recognizers=recognizers
    )
    findings, rows = classifier.findings_of(batches)
    return Classification(tuple(findings), rows)


def classify_table_file(
    reader: TableReader,
    *,
    declared: Sequence[ColumnRule] = (),
    level_of: Callable[[str], Level] = default_level,
    recognizers: Any = None,
    progress: Progress = silent,
) -> Classification:
    """Returns what an open file holds, from every value; a few batches are in memory at a time.

    Raises:
        UnreadableFile: It is no table after all.
    """

    def watched() -> Iterator[pa.RecordBatch]:
        for batch in reader.batches:
            yield batch
            progress(reader.position(), reader.size)

    return classify_batches(
        reader.schema.names,
        watched(),
        declared=declared,
        level_of=level_of,
        recognizers=recognizers,
    )


def mask_batches(batches: Iterable[pa.RecordBatch], masking: Masking) -> Iterator[pa.RecordBatch]:
    """Yields batches with their columns masked, one for each that is not empty.

    With ``functools.partial(mask_batches, masking=...)`` it is the function that Spark's
    ``DataFrame.mapInArrow`` takes, and of any engine that maps iterators of Arrow batches.

    Args:
        batches: Rows of one schema.
        masking: Masks some rows.
    """
    import pyarrow as pa

    for batch in batches:
        if batch.num_rows:
            yield one_batch(masking(pa.Table.from_batches([batch])))


def mask_table_file(
    reader: TableReader,
    open_sink: Callable[[pa.Schema], AbstractContextManager[TableWriter]],
    masking: Masking,
    *,
    progress: Progress = silent,
    check: Callable[[], None] = lambda: None,
) -> int:
    """Writes a masked copy of an open file and returns its number of rows.

    Args:
        reader: The file; it is only read.
        open_sink: Opens what takes the copy; a file appears when it is whole.
        masking: Masks some rows, by the findings of the whole file.
        progress: Told how far the reading has come.
        check: Called before the copy appears; it raises if it must not.

    Raises:
        UnreadableFile: The source is no table after all.
        CloisterError: The target cannot be written (``CLO-INPUT-008``), or ``check`` refuses.
    """
    schema, rows = masked_schema(reader.schema, masking), 0
    with open_sink(schema) as writer:
        for batch in mask_batches(reader.batches, masking):
            write_as(writer, batch, schema)
            rows += batch.num_rows
            progress(reader.position(), reader.size)
        check()
    return rows


def write_as(writer: TableWriter, batch: pa.RecordBatch, schema: pa.Schema) -> None:
    """Writes a batch in the types of the first one.

    Raises:
        CloisterError: A mask gave a type that cannot be turned into the column's
            (``CLO-DETECT-006``).
    """
    import pyarrow as pa

    try:
        table = pa.Table.from_batches([batch]).cast(schema)
    except (pa.ArrowException, ValueError):
        raise CloisterError(
            "A mask gave values of different types in one column, and nothing was written.",
            code="CLO-DETECT-006",
            remedy="Choose another mask for the column, or write CSV.",
        ) from None
    writer.write(one_batch(table))


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """Returns a table as one batch."""
    import pyarrow as pa

    arrays: list[Any] = []
    for column in table.columns:
        whole = column.combine_chunks()
        arrays.append(whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole)
    return pa.RecordBatch.from_arrays(arrays, schema=table.schema)


def masked_schema(schema: pa.Schema, masking: Masking) -> pa.Schema:
    """Returns the columns and types of a masked copy.

    It still says which texts were JSON in the source; whatever else the source's metadata says
    stays behind, since nobody has classified it. Names may repeat, so fields go by position.
    """
    import pyarrow as pa

    if not schema.names:
        return schema
    fields = []
    for new, old in zip(masking(schema.empty_table()).schema, schema, strict=True):
        is_json = new.type == old.type and old.metadata and JSON_TEXT in old.metadata
        fields.append(new.with_metadata({JSON_TEXT: b"1"} if is_json else None))
    return pa.schema(fields)
