"""Rows as tensors, prepared without a look at any other row.

What is learned from data before noise is added is outside every guarantee. So features are scaled
by public bounds, never by their own mean; missing values become the middle; values are clipped;
labels are the public classes. Column names, types and the number of rows are taken as public.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from cloister.core.carried import column_notes
from cloister.core.entities import names_people
from torch.utils.data import Dataset, TensorDataset

from cloister_dp.errors import (
    ColumnRefused,
    DataUnsuitable,
    PrivacyParameterInvalid,
    PublicInputMissing,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """How columns become inputs; usable on new frames, because it knows nothing of the data.

    Attributes:
        columns: In the order of the inputs.
        bounds: Public bounds of every column, which is clipped and scaled to [-1, 1].
    """

    columns: tuple[str, ...]
    bounds: Mapping[str, tuple[float, float]]

    def inputs(self, frame: Any) -> torch.Tensor:
        """Returns the columns of a pandas frame as ``[rows, columns]``, 32-bit floats."""
        return torch.stack([self._column(frame, name) for name in self.columns], dim=1)

    def _column(self, frame: Any, name: str) -> torch.Tensor:
        numbers = torch.from_numpy(frame[name].to_numpy(dtype="float64", na_value=math.nan).copy())
        low, high = self.bounds[name]
        middle, half = (low + high) / 2, (high - low) / 2
        clipped = numbers.nan_to_num(nan=middle, posinf=high, neginf=low).clamp(low, high)
        return ((clipped - middle) / half).float()


class TensorRows(Dataset[Any]):  # type: ignore[misc] # torch is skipped by the type checker
    """Rows of two tensors, fetched a whole batch at a time."""

    def __init__(self, inputs: torch.Tensor, targets: torch.Tensor) -> None:
        self._inputs = inputs
        self._targets = targets

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self._inputs[row], self._targets[row]

    def __getitems__(self, rows: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = torch.as_tensor(rows, dtype=torch.long)
        return self._inputs[chosen], self._targets[chosen]


@dataclass(frozen=True, slots=True)
class Source:
    """Data that passed every check that needs no look at it.

    Attributes:
        data: A pandas frame or a torch dataset.
        rows: How many, taken as public.
        features: For a frame.
        target: For a frame.
        classes: Public classes of the target, or ``None``.
        is_number: Whether a frame's target is a number and no class.
    """

    data: Any
    rows: int
    features: FeatureSpec | None = None
    target: str | None = None
    classes: tuple[Any, ...] | None = None
    is_number: bool = False
    target_bounds: tuple[float, float] | None = None

    def load(self) -> Dataset[Any]:
        """Touches the data: returns it as a dataset of ``(input, target)`` pairs."""
        if self.features is None:
            if isinstance(self.data, TensorDataset) and len(self.data.tensors) == 2:
                return TensorRows(*self.data.tensors)
            return cast("Dataset[Any]", self.data)
        return TensorRows(self.features.inputs(self.data), self._targets())

    def _targets(self) -> torch.Tensor:
        column = self.data[self.target]
        if self.classes is not None:
            import pandas as pd

            return torch.from_numpy(pd.Index(list(self.classes)).get_indexer(column).copy()).long()
        numbers = torch.from_numpy(column.to_numpy(dtype="float64", na_value=math.nan).copy())
        if not self.is_number:
            return numbers.nan_to_num(nan=-1.0, posinf=-1.0, neginf=-1.0).clamp(-1, 2**31).long()
        if self.target_bounds is not None:
            numbers = numbers.clamp(*self.target_bounds)
        return numbers.float()


def check_source(
    data: Any,
    *,
    target: str | None,
    features: Sequence[str] | None,
    bounds: Mapping[str, tuple[float, float]] | None,
    classes: Sequence[Any] | None,
    wants_numbers: bool,
) -> Source:
    """Checks names, types and labels of data, and none of its values.

    Raises:
        ColumnRefused: A column identifies people, is missing or holds no numbers.
        PublicInputMissing: A feature that is a number has no bounds.
        DataUnsuitable: The data is of another kind.
        PrivacyParameterInvalid: Bounds are not two ascending numbers.
    """
    if isinstance(data, Dataset):
        return _check_dataset(data, target, features, bounds, classes)
    if not (hasattr(data, "columns") and hasattr(data, "attrs")):
        raise DataUnsuitable(
            f"{type(data).__name__} cannot be trained on.",
            remedy="Pass a pandas DataFrame (from polars: df.to_pandas()) or a torch Dataset.",
        )
    names = [str(c) for c in data.columns]
    if target is None:
        raise DataUnsuitable(
            "It is not said which column is to be predicted.", remedy='Pass target="column".'
        )
    chosen = [n for n in names if n != target] if features is None else list(features)
    for name in (target, *chosen):
        if names.count(name) != 1:
            raise ColumnRefused(
                f"There is {'no' if name not in names else 'more than one'} column {name!r}.",
                remedy="Check target and features.",
            )
    if not chosen or target in chosen:
        raise ColumnRefused(
            "The features are one or more columns other than the target.",
            remedy="Pass features=[...].",
        )
    _refuse_identifiers(data, chosen, target)
    scaled = _scales(data, chosen, _check_bounds(bounds or {}, {*names}))
    kind = data[target].dtype.kind
    if classes is None and kind not in "iufb":
        raise ColumnRefused(
            f"The target {target!r} holds no numbers, and its classes read off the data would"
            " publish that a rare one exists.",
            remedy="Pass classes=[...] from the codebook.",
        )
    return Source(
        data,
        len(data),
        FeatureSpec(tuple(chosen), {name: scaled[name] for name in chosen}),
        target,
        None if classes is None else _check_classes(classes),
        is_number=classes is None and (wants_numbers or kind == "f"),
        target_bounds=scaled.get(target),
    )


def _check_dataset(data: Any, *not_for_datasets: object) -> Source:
    if any(x is not None for x in not_for_datasets):
        raise DataUnsuitable(
            "target, features, bounds and classes are for data frames; a torch dataset already"
            " holds pairs of input and target.",
            remedy="Leave them out, or pass a data frame.",
        )
    if not hasattr(data, "__len__") or not hasattr(data, "__getitem__"):
        raise DataUnsuitable(
            "A stream cannot be sampled, and without sampling by chance the guarantee is another.",
            remedy="Pass a dataset with a length, for instance a TensorDataset.",
        )
    return Source(data, len(data))


def _refuse_identifiers(data: Any, chosen: list[str], target: str) -> None:
    for name, note in column_notes(data).items():
        if names_people(note.entity_type) and name in {*chosen, target}:
            kept = [n for n in chosen if n != name]
            raise ColumnRefused(
                f"Column {name!r} is labelled {note.entity_type}: it identifies people or holds"
                " their words, and a model would learn who they are.",
                remedy=f"Leave it out: features={kept}"
                if name != target
                else "Choose another target.",
            )


def _scales(
    data: Any, chosen: list[str], bounds: dict[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    """Returns the bounds with those of boolean features, which need none."""
    found = dict(bounds)
    for name in chosen:
        if data[name].dtype.kind not in "iufb":
            raise ColumnRefused(
                f"Column {name!r} holds no numbers.",
                remedy=f"Leave it out with features=[...], or encode it by public categories:"
                f" (df[{name!r}] == 'A').astype(int) for each.",
            )
        if data[name].dtype.kind == "b":
            found.setdefault(name, (0.0, 1.0))
        elif name not in found:
            raise PublicInputMissing(
                f"Feature {name!r} has no bounds, and a scale read off the data would be a release"
                " of its own.",
                remedy=f"Pass bounds={{{name!r}: (low, high)}}, named without looking at the data,"
                " or leave the feature out.",
            )
    return found


def _check_bounds(
    bounds: Mapping[str, tuple[float, float]], names: set[str]
) -> dict[str, tuple[float, float]]:
    checked: dict[str, tuple[float, float]] = {}
    for name, (low, high) in bounds.items():
        if name not in names:
            raise ColumnRefused(
                f"There are bounds for {name!r}, which is no column.",
                remedy="Check the names in bounds.",
            )
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise PrivacyParameterInvalid(
                f"The bounds of {name!r} are not two finite numbers, the lower one first.",
                remedy=f"For instance bounds={{{name!r}: (0, 120)}}.",
            )
        checked[name] = (float(low), float(high))
    return checked


def _check_classes(classes: Sequence[Any]) -> tuple[Any, ...]:
    found = tuple(classes)
    if len(found) < 2 or len(set(found)) != len(found):
        raise PrivacyParameterInvalid(
            "classes are two or more different values.", remedy="For instance [0, 1]."
        )
    return found
