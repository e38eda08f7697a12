"""Tables that leave as files: what their columns hold, and CSV with its columns masked.

A salary or a diagnosis has no pattern: only the column says what it is. So a table is classified
before it leaves, like a file of the catalogue. The content is in memory and never on a disk.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cloister.core.errors import CloisterError
from cloister.core.policy import Treatment
from cloister.detect.columns import classify_table
from cloister.detect.delimited import delimiter_of, encoding_of, read_csv
from cloister.detect.jsonlines import read_json_lines
from cloister.detect.mask import mask_table, text_of
from cloister.detect.recognizers import Recognizers

if TYPE_CHECKING:
    from cloister.detect.valuefinder import ValueFinder

TEXT_TABLES: Final = (".csv", ".tsv", ".jsonl", ".ndjson")
BINARY_TABLES: Final = (".parquet", ".arrow", ".feather", ".ipc")
_GROWTH: Final = 20  # how much larger than its file a table may be in memory
_HEAD_BYTES: Final = 65_536


class TableTooLarge(ValueError):
    """A table that unfolds to much more than its file."""


@dataclass(frozen=True, slots=True)
class TableFound:
    """What a table holds.

    Attributes:
        entities: How many values of which type are not shown; a column counts its rows.
        masked: The table as text without them, for formats that are text.
    """

    entities: Counter[str]
    masked: str = ""


def examine_text_table(data: bytes, suffix: str, finder: ValueFinder) -> TableFound | None:
    """Returns what the columns of a CSV or JSON lines file hold, ``None`` if it is no table."""
    import pyarrow as pa

    try:
        table = _read_text_table(data, suffix)
    except (CloisterError, pa.ArrowException, ValueError, RecursionError):
        return None
    findings, entities = _findings(table, finder)
    if not entities:
        return TableFound(entities)
    masked = mask_table(
        table,
        findings,
        finder.policy.display.__getitem__,
        finder.keyed,
        level_of=finder.policy.level_of,
        mask_of=finder.policy.mask_for,
        recognizers=Recognizers.of(finder.policy),
    )
    return TableFound(entities, _written(masked, data, suffix))


def examine_binary_table(data: bytes, suffix: str, finder: ValueFinder) -> TableFound:
    """Returns what a Parquet or Arrow file holds; its schema's metadata counts as text.

    Raises:
        TableTooLarge: It unfolds to too much.
        ValueError: It is not what its suffix says (``pyarrow.ArrowInvalid`` is one).
    """
    table = _read_binary_table(data, suffix)
    _, entities = _findings(table, finder)
    texts = [key + b"\n" + value for key, value in (table.schema.metadata or {}).items()]
    for text in texts:
        entities.update(s.entity_type for s in finder.find(text.decode("utf-8", "replace")))
    return TableFound(entities)


def _findings(table: Any, finder: ValueFinder) -> tuple[list[Any], Counter[str]]:
    """Returns the findings of a table's columns, and what the policy does not show of it."""
    policy = finder.policy
    findings = classify_table(
        table,
        declared=policy.columns,
        level_of=policy.level_of,
        recognizers=Recognizers.of(policy),
    )
    entities: Counter[str] = Counter()
    for finding, column in zip(findings, table.columns, strict=True):
        entities.update(s.entity_type for s in finder.find(finding.name))
        if policy.display[finding.level] is not Treatment.SHOW and len(column) > column.null_count:
            kind = finding.entity_type or ("FREE_TEXT" if finding.free_text else None)
            # A type that is shown by itself takes the name of the level that the column has.
            is_named = kind is not None and policy.level_of(kind) >= finding.level
            entities[kind if is_named and kind else finding.level.name] += len(column)
        elif "lowered" not in finding.evidence:
            text = "\n".join(text_of(v) for v in column.unique().to_pylist() if v is not None)
            entities.update(span.entity_type for span in finder.find(text))
    return findings, entities


def _read_text_table(data: bytes, suffix: str) -> Any:
    import pyarrow as pa

    def opened() -> Any:
        return pa.BufferReader(data)

    if suffix in {".csv", ".tsv"}:
        delimiter = "\t" if suffix == ".tsv" else None
        schema, batches = read_csv(opened, "table", delimiter=delimiter)
    else:
        schema, batches = read_json_lines(opened)
    return pa.Table.from_batches(list(batches), schema)


def _read_binary_table(data: bytes, suffix: str) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    most = max(len(data) * _GROWTH, 1_000_000)
    if suffix == ".parquet":
        file = pq.ParquetFile(pa.BufferReader(data))
        groups = range(file.metadata.num_row_groups)
        if sum(file.metadata.row_group(i).total_byte_size for i in groups) > most:
            raise TableTooLarge
        return file.read()
    try:
        reader = pa.ipc.open_file(pa.BufferReader(data))
        batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        return pa.Table.from_batches(batches, reader.schema)
    except pa.ArrowInvalid:
        stream = pa.ipc.open_stream(pa.BufferReader(data))
        return stream.read_all()


def _written(table: Any, data: bytes, suffix: str) -> str:
    out = io.StringIO()
    if suffix in {".jsonl", ".ndjson"}:
        for row in table.to_pylist():
            out.write(json.dumps(row, ensure_ascii=False, default=text_of) + "\n")
        return out.getvalue()
    head = data[:_HEAD_BYTES]
    text = head.decode(encoding_of(head), "replace")
    writer = csv.writer(
        out, delimiter="\t" if suffix == ".tsv" else delimiter_of(text), lineterminator="\n"
    )
    writer.writerow(table.column_names)
    for batch in table.to_batches():
        columns = [
            [None if v is None else text_of(v) for v in c.to_pylist()] for c in batch.columns
        ]
        writer.writerows(zip(*columns, strict=True))
    return out.getvalue()
