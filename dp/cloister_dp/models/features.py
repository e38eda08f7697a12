"""Features as the models take them: which columns, and their public bounds.

Columns that identify people are refused, and so is every bound that would be read off the data.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

from cloister.core.carried import column_notes
from cloister.core.entities import names_people

from cloister_dp.errors import (
    ColumnRefused,
    DataUnsuitable,
    PrivacyParameterInvalid,
    PublicInputMissing,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

Bounds: TypeAlias = "Mapping[str, tuple[float, float]] | Sequence[tuple[float, float]]"
"""``{column: (low, high)}`` for a frame, or one pair for each column of an array."""


def check_features(
    data: Any, bounds: Bounds | None
) -> tuple[tuple[str, ...] | None, np.ndarray, np.ndarray]:
    """Returns the columns, the middles and the half widths of their bounds; reads no value.

    Args:
        data: A pandas frame of numeric columns, or an array ``[rows, columns]``.
        bounds: See :data:`Bounds`; columns of booleans need none.

    Returns:
        Names of the columns, ``None`` for an array; middles and half widths, ``[columns]`` each.

    Raises:
        CloisterError: A column or a bound cannot be used.
    """
    import numpy as np

    given: Any = {} if bounds is None else bounds
    columns: tuple[str, ...] | None = None
    if hasattr(data, "columns"):
        columns = tuple(str(c) for c in data.columns)
        _refuse_columns(data, columns)
        if not hasattr(given, "get"):
            raise PublicInputMissing(
                "The bounds of a frame are named by column.",
                remedy="Pass bounds={column: (low, high)}.",
            )
        pairs = [(c, given.get(c, (0, 1) if data[c].dtype.kind == "b" else None)) for c in columns]
    else:
        shape: tuple[int, ...] = getattr(data, "shape", ())
        if len(shape) != 2 or getattr(getattr(data, "dtype", None), "kind", "") not in "iufb":
            raise DataUnsuitable(
                "Features are a pandas frame or a numeric array of two dimensions.",
                remedy="Pass df[[...]] or a numpy array.",
            )
        listed = [] if hasattr(given, "get") else list(given)
        padded = [*listed, *[None] * shape[1]]
        pairs = [(str(i), padded[i]) for i in range(shape[1])]
    if not pairs:
        raise DataUnsuitable("There are no columns.", remedy="Select some: df[[...]].")
    checked = [_check_pair(name, pair) for name, pair in pairs]
    low, high = np.array(checked, dtype="float64").T
    return columns, (low + high) / 2, (high - low) / 2


def _refuse_columns(data: Any, columns: tuple[str, ...]) -> None:
    if len(set(columns)) != len(columns):
        raise ColumnRefused("A column name appears twice.", remedy="Rename one.")
    notes = column_notes(data)
    for name in columns:
        note = notes.get(name)
        if note is not None and names_people(note.entity_type):
            raise ColumnRefused(
                f"Column {name!r} is labelled {note.entity_type}: it identifies people.",
                remedy="Leave it out: df[[...]].",
            )
        if data[name].dtype.kind not in "iufb":
            raise ColumnRefused(
                f"Column {name!r} holds no numbers.",
                remedy="Encode it, or leave it out: df[[...]].",
            )


def _check_pair(name: str, pair: Any) -> tuple[float, float]:
    if pair is None:
        raise PublicInputMissing(
            f"Column {name!r} has no bounds, and bounds read off the data would publish its"
            " extreme values.",
            remedy=f"Pass bounds={{{name!r}: (low, high)}}, named without looking at the data.",
        )
    low, high = float(pair[0]), float(pair[1])
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise PrivacyParameterInvalid(
            f"The bounds of {name!r} are not two finite numbers, the lower one first.",
            remedy=f"For instance bounds={{{name!r}: (0, 120)}}.",
        )
    return low, high


def numbers_of(data: Any, name: Any) -> np.ndarray:
    """Returns a column's values, ``[rows]``; what is missing is NaN."""
    import numpy as np

    if hasattr(data, "columns"):
        numbers: np.ndarray = data[name].to_numpy(dtype="float64", na_value=math.nan)
        return numbers
    return np.asarray(data[:, name], dtype="float64")
