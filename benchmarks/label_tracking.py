"""What following labels through pandas costs: twenty common operations, with it and without.

    .venv/bin/python benchmarks/label_tracking.py            # a table
    .venv/bin/python benchmarks/label_tracking.py --json     # one JSON document

Both ways run in one process and take turns, so that a machine that slows down slows both: the
wrappers are taken off and put back between two runs of the same operation. See
``benchmarks/README.md`` for how to read the numbers.

Exit status: 0 the aim is held, 1 it is not.
"""

from __future__ import annotations

import argparse
import functools
import gc
import importlib
import json
import math
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Geometric mean of the ratios, with to without, that is held to be small enough.
AIM: Final = 1.05
COLUMNS: Final = 20
SHAPES: Final = (10_000, 1_000_000)
#: Seconds that one operation may take in all, on one table.
BUDGET_S: Final = {10_000: 1.2, 1_000_000: 4.0}
LEAST_TURNS: Final = 7
# A turn repeats the operation until it takes about this long, or the clock would be measured.
TURN_S: Final = 0.004

OPERATIONS: Final[dict[str, Any]] = {
    "column": lambda d: d["salary"],
    "columns": lambda d: d[["salary", "age", "city"]],
    "filter": lambda d: d[d["age"] > 40],
    "loc": lambda d: d.loc[10:5_000, ["salary", "age"]],
    "head": lambda d: d.head(),
    "sort_values": lambda d: d.sort_values("age"),
    "assign": lambda d: d.assign(total=1),
    "rename": lambda d: d.rename(columns={"salary": "pay"}),
    "drop": lambda d: d.drop(columns=["city"]),
    "fillna": lambda d: d.fillna({"salary": 0}),
    "arithmetic": lambda d: d["salary"] + d["age"],
    "compare": lambda d: d["salary"] > 50_000,
    "numpy": lambda d: np.log(d["salary"]),
    "string": lambda d: d["ssn"].str[-4:],
    "map": lambda d: d["city"].map({"north": 1, "south": 2}),
    "merge": lambda d: d[["id", "salary"]].merge(d[["id", "age"]], on="id"),
    "concat": lambda d: pd.concat([d[["id", "ssn"]], d[["id", "ssn"]]]),
    "groupby mean": lambda d: d.groupby("city")["salary"].mean(),
    "value_counts": lambda d: d["city"].value_counts(),
    "pivot_table": lambda d: d.pivot_table(index="city", columns="sex", values="salary"),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One operation on one table: medians of its turns in microseconds, and of their ratios.

    A ratio is of two turns that followed each other, so a machine that is slow for a while is slow
    for both.
    """

    operation: str
    rows: int
    without_us: float
    with_us: float
    ratio: float
    turns: int


def table(rows: int) -> pd.DataFrame:
    """Returns a table of twenty columns, eight of them labelled when it is read."""
    rng = np.random.default_rng(7)
    numbers = rng.integers(1_000_000, 9_999_999, rows).astype(str)
    columns: dict[str, Any] = {
        "id": np.arange(rows),
        "ssn": numbers,
        "name": rng.choice(["Ada", "Grace", "Edsger", "Barbara"], rows),
        "email": np.char.add(numbers, "@example.org"),
        "salary": rng.normal(50_000, 9_000, rows),
        "age": rng.integers(18, 90, rows),
        "city": rng.choice(["north", "south", "east", "west"], rows),
        "sex": rng.choice(["f", "m"], rows),
    }
    while len(columns) < COLUMNS:
        columns[f"measure_{len(columns)}"] = rng.normal(size=rows)
    return pd.DataFrame(columns)


def label(frame: pd.DataFrame) -> None:
    """Labels a table as a reader does."""
    from cloister.core.labels import Level
    from cloister.hooks.labels import ColumnLabel
    from cloister.hooks.pandas_provenance import declare

    kinds = {
        "ssn": "US_SSN", "name": "PERSON", "email": "EMAIL_ADDRESS", "salary": "SALARY",
        "age": "AGE", "city": "CITY", "sex": "GENDER", "measure_8": "MEDICAL",
    }  # fmt: skip
    stated = functools.partial(ColumnLabel, is_stated=True, is_read=True)
    labels = {n: stated(Level.RESTRICTED, kind, "catalog:people") for n, kind in kinds.items()}
    declare(frame, labels, "people.csv")


class Wrappers:
    """The tracking wrappers that an installation put into pandas, to take off and put back."""

    def __init__(self) -> None:
        before = dict(self._all())
        from cloister.hooks import pandas_tracking, pandas_values
        from cloister.hooks.display import patch

        # The constructors' wrapper belongs to other hooks too; here it only follows labels.
        def constructor(original: Callable[..., None]) -> Callable[..., None]:
            @functools.wraps(original)
            def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - pandas' name
                original(self, *args, **kwargs)
                pandas_values.follow_construction(self, args, kwargs)

            return __init__

        pandas_tracking.install(pd)
        patch(pd.DataFrame, "__init__", constructor)
        patch(pd.Series, "__init__", constructor)
        after = dict(self._all())
        self._changed = [
            (owner, name, before.get((owner, name)), value)
            for (owner, name), value in after.items()
            if before.get((owner, name)) is not value
        ]
        if not self._changed:
            raise RuntimeError("nothing was wrapped")
        self._are_on = True

    @staticmethod
    def _all() -> Iterator[tuple[tuple[Any, str], Any]]:
        from pandas.core.arrays.categorical import CategoricalAccessor
        from pandas.core.base import IndexOpsMixin
        from pandas.core.generic import NDFrame
        from pandas.core.groupby import DataFrameGroupBy, SeriesGroupBy, ops
        from pandas.core.indexes.accessors import DatetimeProperties, TimedeltaProperties
        from pandas.core.indexing import _iLocIndexer
        from pandas.core.strings.accessor import StringMethods
        from pandas.core.window import rolling

        owners: list[Any] = [pd, pd.DataFrame, pd.Series, NDFrame, IndexOpsMixin, _iLocIndexer]
        owners += [DataFrameGroupBy, SeriesGroupBy, ops.FrameSplitter, ops.SeriesSplitter]
        owners += [pd.Index, pd.MultiIndex, StringMethods, CategoricalAccessor]
        owners += [DatetimeProperties, TimedeltaProperties]
        owners += [
            importlib.import_module(f"pandas.core.reshape.{name}")
            for name in ("encoding", "melt", "pivot", "reshape")
        ]
        owners += [x for x in vars(rolling).values() if isinstance(x, type)]
        for owner in owners:
            for name, value in list(vars(owner).items()):
                yield (owner, name), value

    def off(self) -> None:
        if not self._are_on:
            return
        self._are_on = False
        for owner, name, before, _ in self._changed:
            if before is None:
                delattr(owner, name)
            else:
                setattr(owner, name, before)

    def on(self) -> None:
        self._are_on = True
        for owner, name, _, after in self._changed:
            setattr(owner, name, after)


def measure(name: str, frame: pd.DataFrame, wrappers: Wrappers) -> Measured:
    """Times one operation on one labelled table in turns, without the wrappers and with them.

    Two tables of the same cells would differ by where they lie in memory, and a sort feels that.
    """
    operation = OPERATIONS[name]
    wrappers.off()
    once = _time(operation, frame, 1)
    once = min(once, _time(operation, frame, 1))
    repeats = max(1, math.ceil(TURN_S / once))
    ends = time.perf_counter() + BUDGET_S[len(frame)]
    without: list[float] = []
    with_: list[float] = []
    while len(without) < LEAST_TURNS or time.perf_counter() < ends:
        first_is_with = len(without) % 2 == 0
        for is_with in (first_is_with, not first_is_with):
            if is_with:
                wrappers.on()
                with_.append(_time(operation, frame, repeats))
            else:
                wrappers.off()
                without.append(_time(operation, frame, repeats))
    return Measured(
        name,
        len(frame),
        1e6 * statistics.median(without),
        1e6 * statistics.median(with_),
        statistics.median(b / a for a, b in zip(without, with_, strict=True)),
        len(without),
    )


def _time(operation: Any, frame: pd.DataFrame, repeats: int) -> float:
    gc.disable()
    try:
        begin = time.perf_counter()
        for _ in range(repeats):
            operation(frame)
        return (time.perf_counter() - begin) / repeats
    finally:
        gc.enable()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--rows", type=int, choices=SHAPES, help="one table only")
    arguments = parser.parse_args()
    wrappers = Wrappers()
    results: list[Measured] = []
    for rows in (arguments.rows,) if arguments.rows else SHAPES:
        frame = table(rows)
        wrappers.on()
        label(frame)
        results += [measure(name, frame, wrappers) for name in OPERATIONS]
    means = {
        rows: statistics.geometric_mean([r.ratio for r in results if r.rows == rows])
        for rows in {r.rows for r in results}
    }
    overall = statistics.geometric_mean([r.ratio for r in results])
    if arguments.json:
        lines = [asdict(r) for r in results]
        print(json.dumps({"operations": lines, "means": means, "overall": overall, "aim": AIM}))
    else:
        widths = {"rows": 10, "without us": 13, "with us": 13, "ratio": 8, "turns": 7}
        print("operation".ljust(16) + "".join(h.rjust(w) for h, w in widths.items()))
        for r in results:
            print(
                f"{r.operation:<16}{r.rows:>10,}{r.without_us:>13,.1f}{r.with_us:>13,.1f}"
                f"{r.ratio:>7.3f}x{r.turns:>7}"
            )
        for rows, mean in sorted(means.items()):
            print(f"geometric mean, {rows:,} x {COLUMNS}: {mean:.3f}x")
        held = "held" if overall <= AIM else "NOT HELD"
        print(f"geometric mean of all: {overall:.3f}x  aim <= {AIM}x  {held}")
    return 0 if overall <= AIM else 1


if __name__ == "__main__":
    sys.exit(main())
