"""Invented rows in the types of the table that they look like."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from cloister.core.labels import Level
from cloister.core.masks import REDACTED_WHOLE, Mask
from cloister.detect.masking.marks import UNKNOWN, encodable, is_null
from cloister.hooks.masking import canonical_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloister.hooks.labels import ColumnLabel, FrameLabels
    from cloister.hooks.policyview import PolicyView

#: Rows of a large table that are looked at.
_MOST_ROWS = 200_000


def preview_frame(obj: Any, labels: FrameLabels, policy: PolicyView, rows: int, seed: int) -> Any:
    """Returns a frame of invented rows.

    Args:
        obj: A pandas or polars DataFrame.
        labels: What its columns hold.
        policy: What may be shown of them.
        rows: How many rows to invent.
        seed: Chooses them.
    """
    import pyarrow as pa

    from cloister.detect.lookalike import lookalike

    is_polars = type(obj).__module__.startswith("polars")
    places = range(len(labels.columns))
    columns = [_polars_column(obj, i) if is_polars else _pandas_column(obj, i) for i in places]
    # A table on its side has a label for each row, and a cell is as sensitive as either says.
    is_on_side = any(x is not None and policy.masks(x.level) for x in labels.rows)
    masks = [(_mask(x, policy, is_on_side=is_on_side), _called(x)) for x in labels.columns]
    table = pa.Table.from_arrays(columns, [str(i) for i in places])
    invented = lookalike(table, masks, rows, seed)
    if is_polars:
        import polars as pl

        series = [
            _polars_series(name, column, kind)
            for name, column, kind in zip(obj.columns, invented.columns, obj.dtypes, strict=True)
        ]
        return pl.DataFrame(series)
    return _pandas_frame(obj, invented, labels, policy)


def _mask(label: ColumnLabel | None, policy: PolicyView, *, is_on_side: bool) -> Mask:
    """Returns the mask of a column; prose and computed values are invented though shown."""
    if is_on_side or (label is not None and label.free_text):
        return REDACTED_WHOLE
    return policy.mask_for(
        None if label is None else label.entity_type, Level.PUBLIC if label is None else label.level
    )


def _called(label: ColumnLabel | None) -> str:
    return UNKNOWN if label is None or not label.entity_type else label.entity_type


def _pandas_column(frame: Any, place: int) -> Any:
    import pandas as pd
    import pyarrow as pa

    column = frame.iloc[:_MOST_ROWS, place]
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    try:
        with warnings.catch_warnings():  # pandas' own, of how Arrow reads its times with zones
            warnings.simplefilter("ignore")
            return pa.array(column.array, from_pandas=True)
    except (pa.ArrowException, ValueError, TypeError, OverflowError, NotImplementedError):
        texts = [None if is_null(v) else canonical_text(v) for v in column.tolist()]
        return pa.array([None if t is None else encodable(t) for t in texts], pa.string())


def _pandas_frame(frame: Any, invented: Any, labels: FrameLabels, policy: PolicyView) -> Any:
    import pandas as pd

    from cloister.hooks.pandas_masking import mask_index

    made = pd.DataFrame(
        {
            i: _pandas_series(column.to_pylist(), dtype)
            for i, (column, dtype) in enumerate(zip(invented.columns, frame.dtypes, strict=True))
        },
        index=range(invented.num_rows),
    )
    made.columns = mask_index(frame.columns, labels.masked(policy).header, policy)
    return made


def _pandas_series(values: Sequence[object], dtype: Any) -> Any:
    """Returns a column of a type; of categories, only the invented ones."""
    import pandas as pd

    if isinstance(dtype, pd.CategoricalDtype):
        return pd.Series(pd.Categorical(values))
    try:
        return pd.Series(values, dtype=dtype)
    except (ValueError, TypeError, OverflowError):
        return pd.Series(values, dtype=object)  # a type that has no nulls, or is of another library


def _polars_column(frame: Any, place: int) -> Any:
    import polars as pl
    import pyarrow as pa

    column = frame.to_series(place).head(_MOST_ROWS)
    if column.dtype == pl.Object:
        return pa.nulls(len(column), pa.string())
    if isinstance(column.dtype, (pl.Categorical, pl.Enum)):
        column = column.cast(pl.String)
    array = column.to_arrow()
    return array.cast(pa.large_string()) if pa.types.is_string_view(array.type) else array


def _polars_series(name: str, column: Any, dtype: Any) -> Any:
    import polars as pl

    if isinstance(dtype, pl.Enum):
        dtype = pl.Categorical()  # an Enum's type lists all its categories
    try:
        return pl.Series(name, column.to_pylist()).cast(dtype)
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError):
        return pl.Series(name, [None] * len(column), dtype=pl.String)
