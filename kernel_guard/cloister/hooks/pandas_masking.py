"""Masked copies of pandas objects: same shape, index, nulls and order; other objects behind.

Nothing of the user's is changed: copies are shallow, and only masked parts get new arrays.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from cloister.hooks.labels import name_text
from cloister.hooks.masking import mask_values
from cloister.hooks.pandas_labels import level_values
from cloister.hooks.pandas_provenance import release

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloister.hooks.labels import ColumnLabel, FrameLabels
    from cloister.hooks.policyview import PolicyView

    #: Makes a masked column's header from its name and label.
    Rename = Callable[[object, ColumnLabel], object]


def keep_name(name: object, _label: ColumnLabel) -> object:
    """Leaves a masked column's name as it is."""
    return name


def mask_frame(
    frame: Any, labels: FrameLabels, policy: PolicyView, rename: Rename = keep_name
) -> Any:
    """Returns a masked copy of a DataFrame.

    Args:
        frame: The rows and columns to mask.
        labels: Labels of exactly these rows and columns, only the masked ones set.
        policy: How each level is shown.
        rename: What to write over a masked column, index level or row.
    """
    import numpy as np

    masked = frame.copy(deep=False)
    masked.attrs = {}
    release(masked, [n for n, label in zip(frame.columns, labels.columns, strict=True) if label])
    for i, label in enumerate(labels.columns):
        if label is not None:
            column = frame.iloc[:, i]
            shown = mask_values(column.tolist(), label, policy, partial(_cells_named, frame))
            masked.isetitem(i, _typed(shown, column.dtype))
    if any(labels.rows):
        cells = np.empty(frame.shape, dtype=object)
        for i in range(frame.shape[1]):
            cells[:, i] = _objects(masked.iloc[:, i].tolist())
        for row, label in enumerate(labels.rows):
            if label is not None:
                cells[row, :] = _objects(mask_values(list(cells[row, :]), label, policy))
        for i in range(frame.shape[1]):
            masked.isetitem(i, cells[:, i])
    masked.index = mask_index(frame.index, labels.index, policy, rename, labels.rows)
    masked.columns = _mask_columns(frame.columns, labels, policy, rename)
    return masked


def mask_series(
    series: Any, labels: FrameLabels, policy: PolicyView, rename: Rename = keep_name
) -> Any:
    """Returns a masked copy of a Series; its labels are those of a table with one column."""
    masked = mask_frame(series.to_frame(), labels, policy, rename).iloc[:, 0]
    if series.name is None:  # to_frame has called it 0
        label = labels.columns[0]
        return masked.rename(None if label is None else rename(None, label))
    return masked


def mask_index(
    index: Any,
    labels: Sequence[ColumnLabel | None],
    policy: PolicyView,
    rename: Rename = keep_name,
    rows: Sequence[ColumnLabel | None] = (),
) -> Any:
    """Returns a masked copy of an Index, or the same one when nothing in it is masked.

    Args:
        index: Any Index.
        labels: One for each of its levels.
        policy: How each level is shown.
        rename: What to write over a masked level, or beside a masked row's name.
        rows: For a table on its side, the label of each row.
    """
    import pandas as pd

    if not any(labels) and not any(rows):
        return index
    names = [
        name if label is None else rename(name, label)
        for name, label in zip(index.names, labels, strict=True)
    ]
    if index.nlevels == 1:
        values = level_values(index)[0]
        if labels[0] is not None:
            values = mask_values(values, labels[0], policy)
        elif any(rows):
            values = [
                v if label is None else rename(v, label)
                for v, label in zip(values, rows, strict=True)
            ]
        return pd.Index(_objects(values), dtype=object, name=names[0], tupleize_cols=False)
    arrays = [
        index.get_level_values(i)
        if label is None
        else pd.Index(_objects(mask_values(values, label, policy)), dtype=object)
        for i, (values, label) in enumerate(zip(level_values(index), labels, strict=True))
    ]
    return pd.MultiIndex.from_arrays(arrays, names=names)


def _mask_columns(columns: Any, labels: FrameLabels, policy: PolicyView, rename: Rename) -> Any:
    import pandas as pd

    columns = mask_index(columns, labels.header, policy, rename)
    if not any(labels.columns) or rename is keep_name:
        return columns
    renamed: list[object] = []
    for name, label in zip(columns, labels.columns, strict=True):
        if label is None:
            renamed.append(name)
        elif columns.nlevels == 1:
            renamed.append(rename(name, label))
        else:
            # The reason stands in the innermost header that is not empty.
            place = max((i for i, part in enumerate(name) if part != ""), default=len(name) - 1)
            renamed.append((*name[:place], rename(name[place], label), *name[place + 1 :]))
    if columns.nlevels > 1:
        return pd.MultiIndex.from_tuples(renamed, names=columns.names)
    return pd.Index(_objects(renamed), dtype=object, name=columns.name, tupleize_cols=False)


def _cells_named(frame: Any, name: str) -> Sequence[object] | None:
    """Returns the cells of the one column or index level of a name, ``None`` without one."""
    places = [i for i, column in enumerate(frame.columns) if name_text(column) == name]
    levels = [i for i, level in enumerate(frame.index.names) if name_text(level) == name]
    if len(places) + len(levels) != 1:
        return None
    if levels:
        return level_values(frame.index)[levels[0]]
    cells: list[object] = frame.iloc[:, places[0]].tolist()
    return cells


def _typed(values: Sequence[object], dtype: Any) -> Any:
    """Returns masked cells in the type of their column, where the mask has kept it."""
    import pandas as pd

    if not any(isinstance(value, str) for value in values) and (
        pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_datetime64_any_dtype(dtype)
    ):
        try:
            return pd.array(values, dtype=dtype)
        except (ValueError, TypeError, OverflowError):
            pass  # a null where the type has none
    return _objects(values)


def _objects(values: Sequence[object]) -> Any:
    """Returns a one-dimensional object array; numpy would make two dimensions of nested lists."""
    import numpy as np

    array = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        array[i] = value
    return array
