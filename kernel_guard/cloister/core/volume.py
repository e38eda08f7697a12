"""How much of a dataset one user may see or send in a day: limits, and what a charge comes to.

Rows, cells and bytes are counted outside the kernel. A limit warns before it stops: at ``alert`` of
it once, and from the limit on nothing more that is counted by it leaves until the day ends (UTC).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Measure(Enum):
    """What is counted."""

    ROWS = "rows"
    CELLS = "cells"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Amount:
    """How much leaves, or has left."""

    rows: int = 0
    cells: int = 0
    bytes: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.rows + other.rows, self.cells + other.cells, self.bytes + other.bytes)

    def of(self, measure: Measure) -> int:
        """Returns the number of one measure."""
        match measure:
            case Measure.ROWS:
                return self.rows
            case Measure.CELLS:
                return self.cells
            case Measure.BYTES:
                return self.bytes


@dataclass(frozen=True, slots=True)
class VolumeLimit:
    """One limit for each user, dataset and day.

    Attributes:
        id: Rule id, ``limits.volume[0]``.
        dataset: Name of a dataset; ``*``, ``?`` and ``[]`` are wildcards.
        most: The most by measure; a measure that is not in it is not limited.
        alert: The part of a limit at which a notice is given, in (0, 1].
    """

    id: str
    dataset: str
    most: tuple[tuple[Measure, int], ...]
    alert: float = 0.8

    def covers(self, dataset: str) -> bool:
        """Returns whether the limit is about this dataset."""
        return fnmatchcase(dataset, self.dataset)


class Standing(Enum):
    """Where a charge leaves somebody, mildest first."""

    WITHIN = "within"
    ALERT = "alert"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one charge comes to under one limit.

    Attributes:
        standing: Whether it may leave, and whether a notice is due.
        limit: The limit that says so.
        measure: What it counts.
        most: The most of it in a day.
    """

    standing: Standing
    limit: VolumeLimit
    measure: Measure
    most: int

    @property
    def rule(self) -> str:
        """The rule's id with its measure, ``limits.volume[0].rows``."""
        return f"{self.limit.id}.{self.measure.value}"


_ORDER: Final = tuple(Standing)


def judge(
    limits: Sequence[VolumeLimit], dataset: str, before: Amount, charge: Amount
) -> Verdict | None:
    """Judges a charge under all limits of a dataset.

    Args:
        limits: The policy's.
        dataset: Which one.
        before: What has left today.
        charge: What would leave now; nothing of it passes when it would go beyond a limit.

    Returns:
        The strictest verdict, ``None`` when every limit has room. A notice is due only with the
        charge that crosses its threshold.
    """
    verdicts = []
    for limit in limits:
        if not limit.covers(dataset):
            continue
        for measure, most in limit.most:
            was, add = before.of(measure), charge.of(measure)
            if add and was + add > most:
                verdicts.append(Verdict(Standing.OVER, limit, measure, most))
            elif was < most * limit.alert <= was + add:
                verdicts.append(Verdict(Standing.ALERT, limit, measure, most))
    return max(verdicts, key=lambda v: _ORDER.index(v.standing), default=None)


def volume_limits_from_list(entries: Sequence[Mapping[str, Any]]) -> tuple[VolumeLimit, ...]:
    """Builds the limits of ``limits.volume``, which the schema has accepted."""
    return tuple(
        VolumeLimit(
            f"limits.volume[{i}]",
            entry.get("dataset", "*"),
            tuple((m, entry[m.value]) for m in Measure if m.value in entry),
            float(entry.get("alert", 0.8)),
        )
        for i, entry in enumerate(entries)
    )
