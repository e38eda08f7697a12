"""Invented rows that look like a table: its columns and types, and nobody's values.

For writing code, tests and reports without the data. Each column is drawn by itself, so no row is
copied and nothing is said of how columns go together. What is stated of a column that the policy
shows has at least ten rows behind it: a category, either end of a range, a share. Ends are rounded,
shares are in steps of 5 %. Of a column that the policy masks only the type is true and the share of
nulls; its values come from nowhere. The same seed gives the same rows. This is no synthetic data
for statistics, and gives no differential privacy: ranges and categories are those of the data.
"""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from cloister.core.masks import MaskKind
from cloister.detect.masking.marks import UNKNOWN, is_stand_in
from cloister.detect.text import find_spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pyarrow as pa

    from cloister.core.masks import Mask

#: Rows that stand behind whatever is stated of a column.
LEAST_ROWS: Final = 10
MOST_CATEGORIES: Final = 50
#: Of a larger table, its first rows are enough.
SAMPLE_ROWS: Final = 200_000
_SHARE_STEPS: Final = 20
_TEXT: Final = "TEXT"  # what is shown, but too varied to be told
_LONGEST_CATEGORY: Final = 60
_BASE32: Final = "abcdefghijklmnopqrstuvwxyz234567"
_EPOCH: Final = dt.date(1970, 1, 1).toordinal()
_FIRST_DAY: Final = dt.date(2000, 1, 1).toordinal() - _EPOCH
_DAYS: Final = 3_652
_DAY_S: Final = 86_400
_MONTH: Final = 30  # days


class _Day(int):
    """Days since 1970-01-01."""


def lookalike(
    table: pa.Table, masks: Sequence[tuple[Mask, str]], rows: int, seed: int = 0
) -> pa.Table:
    """Returns invented rows with the columns and the types of a table.

    Args:
        table: The rows that they shall look like; a sample of a large table will do.
        masks: For each column its mask, and the type that its values are called by.
        rows: How many rows to invent.
        seed: Chooses them.
    """
    import numpy as np
    import pyarrow as pa

    columns = []
    for place, (column, (mask, entity_type)) in enumerate(zip(table.columns, masks, strict=True)):
        random = np.random.default_rng([seed, place])
        flat = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
        values = None
        if mask.kind is MaskKind.SHOW:
            values = _like(flat, rows, random)
        if values is None:
            is_text = mask.kind is MaskKind.SHOW and entity_type == UNKNOWN
            values = _invented(column.type, _TEXT if is_text else entity_type, rows, random)
        is_null = random.random(rows) < _null_share(flat)
        cells = [None if n else v for n, v in zip(is_null, values, strict=True)]
        columns.append(_array(cells, column.type))
    return pa.table(columns, names=table.column_names)


def _null_share(column: Any) -> float:
    """Returns the share of nulls in steps of 5 %; none in a table too small to say."""
    if not len(column) or len(column) < 2 * LEAST_ROWS:
        return 0.0
    share: float = column.null_count / len(column)
    return round(share * _SHARE_STEPS) / _SHARE_STEPS


def _like(column: Any, rows: int, random: np.random.Generator) -> list[Any] | None:
    """Returns values like those of a column that may be shown, ``None`` where that says too much.

    They are its frequent categories, or lie in the range that at least ten rows exceed on
    either side.
    """
    import pyarrow as pa

    known = column.drop_null()
    kind = known.type
    if pa.types.is_dictionary(kind):
        known, kind = known.dictionary_decode(), kind.value_type
    if len(known) < 2 * LEAST_ROWS or pa.types.is_nested(kind) or pa.types.is_binary(kind):
        return None
    categories = _categories(known)
    if categories is not None:
        values, weights = categories
        return [values[i] for i in random.choice(len(values), size=rows, p=weights)]
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _numbers_like(known, rows, random)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return _days_like(known, rows, random)
    return _written_like(known, rows, random)


def _written_like(column: Any, rows: int, random: np.random.Generator) -> list[Any] | None:
    """Returns text like numbers or dates that are written as text, as CSV has them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for kind in (pa.int64(), pa.float64(), pa.date32()):
        try:
            values = _like(pc.cast(column, kind), rows, random)
        except pa.ArrowException:
            continue
        return None if values is None else [_written(value) for value in values]
    return None


def _written(value: object) -> str:
    if isinstance(value, _Day):
        return dt.date.fromordinal(value + _EPOCH).isoformat()
    return str(value)


def _categories(column: Any) -> tuple[list[Any], list[float]] | None:
    """Returns the frequent categories of a column with their shares, ``None`` if it has none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    is_counted = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if not (is_counted or pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)):
        return None
    counted = pc.value_counts(column)
    if len(counted) > len(column) // LEAST_ROWS:
        return None  # most values are rare
    kept: list[tuple[int, Any]] = []
    for pair in counted:
        if pair["counts"].as_py() < LEAST_ROWS:
            continue
        try:
            value = pair["values"].as_py()
        except UnicodeDecodeError:
            continue
        if not isinstance(value, str) or _is_category(value):
            kept.append((pair["counts"].as_py(), value))
    if not 0 < len(kept) <= MOST_CATEGORIES:
        return None
    kept.sort(key=lambda pair: (-pair[0], str(pair[1])))
    shares = [max(round(count / len(column) * _SHARE_STEPS), 1) for count, _ in kept]
    return [value for _, value in kept], [share / sum(shares) for share in shares]


def _is_category(text: str) -> bool:
    return len(text) <= _LONGEST_CATEGORY and (is_stand_in(text) or not find_spans(text))


def _numbers_like(column: Any, rows: int, random: np.random.Generator) -> list[Any] | None:
    import pyarrow as pa

    is_integer = pa.types.is_integer(column.type)
    numbers = sorted(float(v) for v in column.to_pylist() if isinstance(v, int) or math.isfinite(v))
    ends = _ends(numbers)
    if ends is None:
        return None
    low, high = ends
    step = 10.0 ** math.floor(math.log10(max(high - low, 1e-9))) / 10
    if is_integer:
        step = max(step, 1.0)
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    drawn = random.uniform(low, high, rows)
    if is_integer:
        return [round(v) for v in drawn]
    digits = max(0, 2 - math.floor(math.log10(step)))
    return [round(float(v), digits) for v in drawn]


def _days_like(column: Any, rows: int, random: np.random.Generator) -> list[Any] | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    days = pc.cast(pc.cast(column, pa.date32(), safe=False), pa.int32()).to_pylist()
    ends = _ends(sorted(float(day) for day in days))
    if ends is None:
        return None
    low = math.floor(ends[0] / _MONTH) * _MONTH
    high = math.ceil(ends[1] / _MONTH) * _MONTH
    return [_Day(int(day)) for day in random.integers(low, high, rows, endpoint=True)]


def _ends(ordered: Sequence[float]) -> tuple[float, float] | None:
    """Returns the ends of a range that ten rows lie at or beyond on either side."""
    if len(ordered) < 2 * LEAST_ROWS:
        return None
    return ordered[LEAST_ROWS - 1], ordered[-LEAST_ROWS]


def _invented(kind: Any, entity_type: str, rows: int, random: np.random.Generator) -> list[Any]:
    """Returns values of a type that are nobody's; nulls where nothing can be invented."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        letters = random.integers(0, len(_BASE32), (rows, 10))
        return [f"{entity_type}~{''.join(_BASE32[i] for i in row)}" for row in letters]
    if pa.types.is_boolean(kind):
        return [bool(bit) for bit in random.integers(0, 2, rows)]
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return [_Day(_FIRST_DAY + int(day)) for day in random.integers(0, _DAYS, rows)]
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return [int(number) for number in random.integers(0, 100, rows)]
    return [None] * rows


def _array(cells: Sequence[Any], kind: Any) -> Any:  # noqa: PLR0911 - one for each type
    """Builds a column; nulls where the type holds no such values after all."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        if pa.types.is_dictionary(kind):
            return pa.array(_plain(cells), kind.value_type).dictionary_encode().cast(kind)
        if pa.types.is_date(kind):
            return pc.cast(pa.array(_plain(cells), pa.int32()).view(pa.date32()), kind)
        if pa.types.is_timestamp(kind):
            seconds = [None if day is None else int(day) * _DAY_S for day in cells]
            return pc.cast(pa.array(seconds, pa.timestamp("s", kind.tz)), kind)
        if pa.types.is_decimal(kind):
            unit = Decimal(1).scaleb(-kind.scale)
            return pa.array(
                [None if v is None else Decimal(str(v)).quantize(unit) for v in cells], kind
            )
        if pa.types.is_floating(kind):
            floats = [None if v is None else float(v) for v in cells]
            return pa.array(floats, pa.float64()).cast(kind, safe=False)
        return pa.array(_plain(cells), kind)
    except (pa.ArrowException, ValueError, OverflowError, TypeError, ArithmeticError):
        return pa.nulls(len(cells), kind)


def _plain(cells: Sequence[Any]) -> list[Any]:
    return [int(cell) if isinstance(cell, _Day) else cell for cell in cells]
