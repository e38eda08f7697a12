"""JSON lines in batches of one schema: what is mixed or nested becomes text.

Any line may add a column or another type, so the file is read twice: once for the columns and
types of all lines, once for the values. Neither keeps more than a batch.
"""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

BATCH_BYTES: Final = 8 << 20
BATCH_ROWS: Final = 65_536
_LONGEST_LINE: Final = 256 << 20  # bytes
_MOST_COLUMNS: Final = 10_000
_EXACT_IN_FLOAT: Final = 1 << 53
_LARGEST_INTEGER: Final = 1 << 63

JSON_TEXT: Final = b"cloister.json"
"""Field metadata of a column whose texts are JSON, so that a writer of JSON can put it back."""


def read_json_lines(
    open_stream: Callable[[], Any], *, batch_bytes: int = BATCH_BYTES
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Returns the columns of a file of JSON objects, one a line, and its batches.

    Args:
        open_stream: Opens the content from its beginning, as a binary file.
        batch_bytes: Bytes of text that one batch is made of, about.

    Raises:
        ValueError: A line is no JSON object.
    """
    import pyarrow as pa

    kinds: dict[str, set[str]] = {}
    for _, row in _rows(open_stream):
        for name, value in row.items():
            kinds.setdefault(name, set()).add(_kind(value))
        if len(kinds) > _MOST_COLUMNS:
            raise ValueError("too many columns")
    schema = pa.schema([_field(name, seen - {"null"}) for name, seen in kinds.items()])

    def batches() -> Iterator[pa.RecordBatch]:
        rows: list[dict[str, Any]] = []
        size = 0
        for length, row in _rows(open_stream):
            rows.append(row)
            size += length
            if size >= batch_bytes or len(rows) >= BATCH_ROWS:
                yield _batch(rows, schema)
                rows, size = [], 0
        if rows:
            yield _batch(rows, schema)

    return schema, batches()


def _rows(open_stream: Callable[[], Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    with open_stream() as stream:
        lines = io.BufferedReader(stream)
        is_first = True
        while line := lines.readline(_LONGEST_LINE):
            if len(line) == _LONGEST_LINE:
                raise ValueError("a line that is too long")
            if is_first:
                line = line.removeprefix(b"\xef\xbb\xbf")  # a mark, no content
                is_first = False
            if line.strip():
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError("a line that is no object")
                yield len(line), row


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        if -_EXACT_IN_FLOAT <= value <= _EXACT_IN_FLOAT:
            return "int"
        return "long" if -_LARGEST_INTEGER <= value < _LARGEST_INTEGER else "huge"
    if isinstance(value, float):
        return "float"
    return "text" if isinstance(value, str) else "json"


def _field(name: str, kinds: set[str]) -> Any:
    import pyarrow as pa

    if not kinds:
        return pa.field(name, pa.string())
    if kinds == {"bool"}:
        return pa.field(name, pa.bool_())
    if kinds <= {"int", "long"}:
        return pa.field(name, pa.int64())
    if kinds <= {"int", "float"}:  # with a long integer a float would change its digits
        return pa.field(name, pa.float64())
    if kinds == {"text"}:
        return pa.field(name, pa.string())
    return pa.field(name, pa.string(), metadata=None if "text" in kinds else {JSON_TEXT: b"1"})


def _batch(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = []
    for field in schema:
        values = [row.get(field.name) for row in rows]
        if pa.types.is_string(field.type):
            values = [None if value is None else _text(value) for value in values]
        arrays.append(pa.array(values, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # Half of a character has no UTF-8 form, and Arrow text is UTF-8.
    return text.encode("utf-8", "replace").decode("utf-8")
