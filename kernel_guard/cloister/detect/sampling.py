"""A spread sample of a column as text: fast on any length, possible on any Arrow type."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

SAMPLE_ROWS = 1_024
GATE_VALUES = 256
_LONGEST_CHARS = 1_000
_MOST_LEAVES = 2_048


@dataclass(frozen=True, slots=True)
class Sample:
    """Some values of a column.

    Attributes:
        texts: Unique values as text, without outer spaces, nulls and empty ones.
        gate: At most 256 of them, spread.
        values: How many values the sample had, nulls and empty ones not counted.
        is_text: Whether the column holds text (or bytes), and not numbers or times.
        is_whole: Whether it holds whole numbers.
        is_time: Whether it holds dates or times.
        is_nested: Whether it holds lists, structures or maps; ``texts`` are their leaves.
    """

    texts: list[str]
    gate: list[str]
    values: int
    is_text: bool
    is_whole: bool
    is_time: bool
    is_nested: bool


def spread_sample(values: Any, rows: int = SAMPLE_ROWS) -> Any:
    """Returns at most ``rows`` values spread evenly over an Arrow array, without nulls.

    A column that is nearly all null is searched for what it has.
    """
    import numpy as np
    import pyarrow as pa

    chunks = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    length = sum(len(chunk) for chunk in chunks)
    if length <= rows:
        picked = [chunk.drop_null() for chunk in chunks]
    else:
        picks = np.linspace(0, length - 1, rows).astype(np.int64)
        picked, start = [], 0
        for chunk in chunks:
            low, high = picks.searchsorted([start, start + len(chunk)])
            picked.append(chunk.take(pa.array(picks[low:high] - start)).drop_null())
            start += len(chunk)
        if sum(len(p) for p in picked) < min(32, rows):
            picked = [chunk.drop_null()[:rows] for chunk in chunks if chunk.null_count < len(chunk)]
    joined = pa.concat_arrays(picked) if picked else pa.array([], values.type)
    return joined[:rows]


def sample_column(values: Any) -> Sample:
    """Returns a spread sample of a column, as text.

    Args:
        values: An Arrow array or chunked array of any type.
    """
    import pyarrow as pa

    kind = values.type
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    picked = spread_sample(values)
    if isinstance(picked, pa.ExtensionArray):
        picked = picked.storage
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        picked = picked.dictionary_decode()
    is_nested = pa.types.is_nested(kind)
    is_text = is_nested or _is_text(kind)
    texts = [text for value in _as_text(picked, kind) if (text := value.strip())]
    unique = list(dict.fromkeys(texts))
    step = max(1.0, len(unique) / GATE_VALUES)
    gate = [unique[int(i * step)] for i in range(min(len(unique), GATE_VALUES))]
    return Sample(
        unique,
        gate,
        len(texts),
        is_text,
        pa.types.is_integer(kind) or _is_integral(unique, kind),
        pa.types.is_temporal(kind),
        is_nested,
    )


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    is_one_of = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
        pa.types.is_fixed_size_binary,
    )
    return any(check(kind) for check in is_one_of)


def _is_integral(texts: list[str], kind: Any) -> bool:
    """Returns whether a column of floats holds whole numbers only: a null widened its integers."""
    import pyarrow as pa

    if not (pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return False
    return bool(texts) and all(text.removeprefix("-").isdecimal() for text in texts)


def _as_text(picked: Any, kind: Any) -> list[str]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        longest = pc.max(pc.binary_length(picked)).as_py() or 0
        if longest > _LONGEST_CHARS:
            picked = pc.utf8_slice_codeunits(picked, 0, _LONGEST_CHARS)
        plain: list[str] = picked.to_pylist()
        return plain
    leaves: list[str] = []
    for value in picked.to_pylist():
        _collect(value, leaves)
    return leaves


def _collect(value: object, leaves: list[str]) -> None:
    """Adds the texts of a value and of what is in it."""
    if value is None or len(leaves) >= _MOST_LEAVES:
        return
    if isinstance(value, dict):
        for item in value.values():
            _collect(item, leaves)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _collect(item, leaves)
    elif isinstance(value, bytes):
        leaves.append(value[:_LONGEST_CHARS].decode("utf-8", "replace"))
    elif isinstance(value, float):
        if math.isfinite(value):
            leaves.append(
                str(int(value)) if value.is_integer() and abs(value) < 1e20 else str(value)
            )
    else:
        text = str(value)[:_LONGEST_CHARS]
        leaves.append(text.encode("utf-8", "replace").decode("utf-8"))
