"""Masks on Arrow arrays: each distinct value once, and the type of the column where it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cloister.core.masks import Mask, MaskKind
from cloister.detect.masking.cells import OF_DAYS, OF_NUMBERS, mask_cells
from cloister.detect.masking.days import days_of
from cloister.detect.masking.keyed import SUBJECT
from cloister.detect.masking.marks import encodable, is_null, mark, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from cloister.detect.masking.keyed import Keyed

_DAY_IN: Final = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
# From 0001-01-01 to 9999-12-31, in days since 1970-01-01: what Python has dates for.
_FIRST_DAY: Final = -719_162
_LAST_DAY: Final = 2_932_896


def mask_array(
    column: Any, mask: Mask, entity_type: str, keyed: Keyed, subjects: Any = None
) -> Any:
    """Returns a masked column: nulls stay, and equal values stay equal where the kind says so.

    Args:
        column: An Arrow array, chunked or not, of any type.
        mask: Any kind; ``spans`` masks a value whole here.
        entity_type: Of what the column holds; it stands in tokens and marks.
        keyed: Has the workspace's key.
        subjects: For ``shift``, the column that says whose row it is. Without it, and in rows
            where it is null, nothing is shown.

    Returns:
        An array of the type that :func:`masked_type` says.
    """
    import pyarrow as pa

    if mask.kind is MaskKind.SHOW:
        return column
    kept = masked_type(column.type, mask)
    if mask.kind is MaskKind.SUPPRESS:
        return pa.nulls(len(column), kept)
    is_typed = kept == column.type and not _is_text(kept)
    if mask.kind is MaskKind.SHIFT:
        return _shifted(_whole(column), mask, entity_type, keyed, subjects)
    if mask.kind is MaskKind.PERIOD and is_typed:
        return _cut(column, mask.unit)

    def masked(values: Sequence[object]) -> list[object]:
        return mask_cells(values, mask, entity_type, keyed, is_typed=is_typed)

    return change_unique(column, masked, kept, mark(entity_type))


def masked_type(kind: pa.DataType, mask: Mask) -> pa.DataType:
    """Returns the type of a masked column; it depends on no value, so batches agree."""
    import pyarrow as pa

    if mask.kind in (MaskKind.SHOW, MaskKind.SUPPRESS):
        return kind
    if mask.kind in OF_NUMBERS and (
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    ):
        return kind
    if mask.kind in OF_DAYS and (pa.types.is_date(kind) or pa.types.is_timestamp(kind)):
        return kind
    return pa.large_string() if pa.types.is_large_string(kind) else pa.string()


def change_unique(
    column: Any, change: Callable[[Sequence[object]], Sequence[object]], kept: Any, unread: object
) -> Any:
    """Returns a column with each distinct value changed once.

    Args:
        column: An Arrow array of any type.
        change: Gets Python values, returns as many.
        kept: The type of the result.
        unread: Stands for a value that Python cannot hold: not UTF-8, a time after the year 9999.
    """
    import pyarrow as pa

    values, indices = _factorised(_whole(column))
    readable = [value for value in values if value is not UNREADABLE]
    changed = iter(change(readable))
    if not _is_text(kept):
        unread = None
    after = [unread if value is UNREADABLE else next(changed) for value in values]
    array = _array(after, kept).take(indices)
    return array if isinstance(array, (pa.Array, pa.ChunkedArray)) else pa.array(array, kept)


class _Unreadable:
    """The one object that stands for a cell which Python cannot hold."""


UNREADABLE: Final = _Unreadable()


def python_values(column: Any) -> list[object]:
    """Returns the cells of an Arrow array, :data:`UNREADABLE` for those that raise."""
    try:
        values: list[object] = column.to_pylist()
    except (ValueError, OverflowError, TypeError, ArithmeticError, ImportError):
        return [_python_value(cell) for cell in column]
    return values


def _python_value(cell: Any) -> object:
    try:
        return cell.as_py()
    except (ValueError, OverflowError, TypeError, ArithmeticError, ImportError):
        return UNREADABLE


def _whole(column: Any) -> Any:
    """Returns a column as one array; nothing of one that is too large for an array is lost."""
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        if column.num_chunks == 0:
            return pa.array([], column.type)
        try:
            return pa.concat_arrays(column.chunks)
        except pa.ArrowException:  # dictionaries that do not unify, or more text than 2 GiB
            return column
    return column


def _factorised(column: Any) -> tuple[list[object], Any]:
    """Returns the distinct values of a column, and for each row the place of its value."""
    import pyarrow as pa

    try:
        encoded = column.dictionary_encode()
        if not isinstance(encoded, pa.ChunkedArray):
            # What somebody else encoded may hold a value twice, or nulls among its values.
            return python_values(encoded.dictionary), encoded.indices
    except (pa.ArrowException, AttributeError):  # nested
        pass
    values = python_values(column)
    places = [None if value is None else place for place, value in enumerate(values)]
    return values, pa.array(places, pa.int64())


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _array(values: Sequence[object], kind: Any) -> Any:
    """Builds a column of a type; what does not fit becomes the nearest that does, or a null."""
    import pyarrow as pa

    try:
        if _is_text(kind):
            texts = [None if is_null(v) else text_of(v) for v in values]
            return pa.array([None if t is None else encodable(t) for t in texts], kind)
        if pa.types.is_integer(kind):
            bits = kind.bit_width
            low, high = (
                (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
                if pa.types.is_signed_integer(kind)
                else (0, 2**bits - 1)
            )
            whole = [min(max(v, low), high) if isinstance(v, int) else None for v in values]
            return pa.array(whole, kind)
        if pa.types.is_floating(kind):
            floats = [None if v is None else float(v) for v in values]  # type: ignore[arg-type] # numbers
            return pa.array(floats, pa.float64()).cast(kind, safe=False)
        return pa.array(values, kind)
    except (pa.ArrowException, ValueError, OverflowError, TypeError):
        return pa.nulls(len(values), kind)  # noise made a decimal too long for its type


def _cut(column: Any, unit: str) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return pc.cast(pc.floor_temporal(column, unit=unit), column.type)
    except pa.ArrowException:  # a period that begins before the type's first moment
        return pa.nulls(len(column), column.type)


def _shifted(column: Any, mask: Mask, entity_type: str, keyed: Keyed, subjects: Any) -> Any:
    """Moves each row by the days of its subject; the intervals of a subject stay."""
    import pyarrow as pa

    if subjects is None:
        owners: list[object] = []
        places = pa.nulls(len(column), pa.int32())
    else:
        owners, places = _factorised(_whole(subjects))
    kept = masked_type(column.type, mask)
    if kept != column.type or _is_text(kept):
        rows = places.to_pylist()
        masked = mask_cells(
            [mark(entity_type) if v is UNREADABLE else v for v in python_values(column)],
            mask,
            entity_type,
            keyed,
            subjects=[None if p is None or owners[p] is UNREADABLE else owners[p] for p in rows],
        )
        return _array(masked, kept)
    names = [None if is_null(o) or o is UNREADABLE else text_of(o) for o in owners]
    known = [name for name in names if name is not None]
    offsets = iter(keyed.offsets(SUBJECT, known))
    days = [None if name is None else days_of(next(offsets), mask.days) for name in names]
    return _plus_days(column, pa.array(days, pa.int64()).take(places))


def _plus_days(column: Any, days: Any) -> Any:
    """Returns dates moved by days; a null where there are none, or where no date is left."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_date32(kind):
        day, number = 1, pc.cast(column.view(pa.int32()), pa.int64())
    else:
        day = _DAY_IN["ms" if pa.types.is_date64(kind) else kind.unit]
        number = column.view(pa.int64())
    # Within these bounds nothing overflows: a shift has at most 3,650 days.
    lowest, highest = -(2**63) // day + 3_650, (2**63 - 1) // day - 3_650
    first, last = max(_FIRST_DAY, lowest) * day, (min(_LAST_DAY, highest) + 1) * day
    is_near = pc.and_(pc.greater_equal(number, first), pc.less(number, last))
    safe = pc.if_else(is_near, number, pa.scalar(None, pa.int64()))
    moved = pc.add(safe, pc.multiply(days, day))
    is_date = pc.and_(pc.greater_equal(moved, first), pc.less(moved, last))
    moved = pc.if_else(is_date, moved, pa.scalar(None, pa.int64()))
    return (pc.cast(moved, pa.int32()) if pa.types.is_date32(kind) else moved).view(kind)
