"""Where a label came from: the columns that a value was made of, and what was done with them.

A :class:`Trace` belongs to one column and a :class:`Provenance` to one table. Neither holds a cell:
only names, labels, the words for what was done, and how many rows stand behind an aggregate. Both
are immutable, so tables that hold the same columns share one object, and following a label costs
less than a microsecond. The libraries' own modules say when a table is made of another; here is
what that means for its labels. Levels only rise: the label of a result is the join of its sources.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from cloister.hooks.labels import ColumnLabel

#: In the names of an array's provenance: its columns are known by position.
COLUMNS: Final = "cloister: columns by position"
#: A longer history is cut here; what follows is not told, and its label is the same.
MOST_STEPS = 8
_ORIGINS_SHOWN = 4
_MOST_MEMOS = 64
_MOST_COLUMNS = 2_000

#: Aggregates that are the value of one row: nobody else stands behind them.
ONE_ROW = frozenset(
    {"min", "max", "first", "last", "nth", "mode", "describe", "unique", "idxmin", "idxmax", "ohlc"}
)


@dataclass(frozen=True, slots=True)
class Trace:
    """What is known of one column, and how it came to be.

    Attributes:
        label: The join of its sources' labels.
        origins: The columns it was made of, as people call them: ``ssn of patients.csv``.
        steps: What was done with them, the first first: ``renamed``, ``merged``.
        aggregate: The statistic that its cells are, or ``None`` when cells are of single rows.
        least_count: Rows behind the cell that has the fewest; ``None`` when that is not known,
            which a disclosure rule has to take as one.
    """

    label: ColumnLabel
    origins: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    aggregate: str | None = None
    least_count: int | None = None

    def moved(self, step: str) -> Trace:
        """Returns the trace of the same values in another place."""
        steps = self._with(step)
        if steps is self.steps:
            return self
        return Trace(self.label, self.origins, steps, self.aggregate, self.least_count)

    def derived(self, step: str) -> Trace:
        """Returns the trace of values computed from these."""
        if self.label.is_derived:
            return self.moved(step)
        label = replace(self.label, is_derived=True, is_read=False, free_text=False)
        return Trace(label, self.origins, self._with(step), self.aggregate, self.least_count)

    def _with(self, step: str) -> tuple[str, ...]:
        is_told = self.steps[-1:] == (step,) or len(self.steps) >= MOST_STEPS
        return self.steps if is_told else (*self.steps, step)

    def aggregated(self, statistic: str, least_count: int | None) -> Trace:
        """Returns the trace of a statistic over these values.

        Args:
            statistic: Its name: ``mean``.
            least_count: Rows in the smallest group. Of a statistic over statistics, the smaller
                count stays, which can only make a disclosure rule stricter.
        """
        if statistic in ONE_ROW:
            least_count = 1
        if self.aggregate is not None:
            least_count = _least(self.least_count, least_count)
        made = self.derived(statistic)
        return Trace(made.label, made.origins, made.steps, statistic, least_count)

    def join(self, other: Trace) -> Trace:
        """Returns the trace of what was made of both; an aggregate only if both are."""
        if other is self:
            return self
        longer, shorter = (other, self) if len(other.steps) > len(self.steps) else (self, other)
        steps = (*longer.steps, *(s for s in shorter.steps if s not in longer.steps))[:MOST_STEPS]
        is_aggregate = self.aggregate is not None and other.aggregate is not None
        return Trace(
            self.label.join(other.label),
            tuple(dict.fromkeys((*self.origins, *other.origins))),
            steps,
            self.aggregate if is_aggregate else None,
            _least(self.least_count, other.least_count) if is_aggregate else None,
        )

    def __str__(self) -> str:
        """The chain in words: ``ssn of patients.csv → renamed → merged``."""
        shown = ", ".join(self.origins[:_ORIGINS_SHOWN])
        more = len(self.origins) - _ORIGINS_SHOWN
        parts = [f"{shown} and {more} more" if more > 0 else shown, *self.steps]
        if len(self.steps) >= MOST_STEPS:
            parts.append("…")
        if self.aggregate is not None:
            parts.append("count ≥ " + str(self.least_count or "1, not known"))
        return " → ".join(part for part in parts if part)


def _least(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else min(one, other)


def join_all(traces: Iterable[Trace | None]) -> Trace | None:
    """Returns the join of all that are known, ``None`` when none is."""
    known = {id(trace): trace for trace in traces if trace is not None}
    return reduce(Trace.join, known.values()) if known else None


@dataclass(frozen=True, slots=True)
class FrameTraces:
    """Traces of everything that a table shows, in the order of its labels; see ``FrameLabels``.

    Attributes:
        columns: One for each column, by position.
        index: One for each level of the row index.
        header: One for each level of the column labels.
        rows: For a table on its side: one for each row. Empty otherwise.
        row_names: The names of these rows.
    """

    columns: tuple[Trace | None, ...]
    index: tuple[Trace | None, ...] = ()
    header: tuple[Trace | None, ...] = ()
    rows: tuple[Trace | None, ...] = ()
    row_names: tuple[object, ...] = ()


class Provenance:
    """Traces of everything that one table, or one Series, holds. Never changed once made.

    Attributes:
        names: Traces by name of column or axis level. Names that the table does not have do no
            harm; ``None`` says that a name is known to have no label.
        rest: The trace of every column that ``names`` does not name. The cells of a Series.
        header: The trace of column labels that are data and have no name of their own; of a
            Series, that of its name.
        is_on_side: Whether ``names`` are those of rows.
    """

    __slots__ = ("_columns", "_memos", "header", "is_on_side", "names", "rest")

    def __init__(
        self,
        names: Mapping[Hashable, Trace | None],
        rest: Trace | None = None,
        *,
        header: Trace | None = None,
        is_on_side: bool = False,
    ) -> None:
        self.names = names
        self.rest = rest
        self.header = header
        self.is_on_side = is_on_side
        self._memos: dict[Hashable, Provenance] = {}
        self._columns: dict[Hashable, Provenance] = {}

    def __bool__(self) -> bool:
        return self.rest is not None or self.header is not None or any(self.names.values())

    def of(self, name: Hashable) -> Trace | None:
        """Returns the trace of one column; below several headers, the join over its parts."""
        try:
            if name in self.names:
                return self.names[name]
        except TypeError:  # an unhashable name has a table of its own to blame
            return self.rest
        if isinstance(name, tuple | float):
            found = self._by_parts(name)
            if found:
                return join_all(found)
        return self.rest

    def _by_parts(self, name: object) -> list[Trace | None]:
        if isinstance(name, tuple):
            return [self.names[part] for part in name if part in self.names]
        # No NaN is another one, but a column's name is.
        is_nan = name != name  # noqa: PLR0124 - how a NaN is told
        return [t for n, t in self.names.items() if is_nan and isinstance(n, float) and n != n]  # noqa: PLR0124 - as above

    def level(self, name: Hashable) -> Trace | None:
        """Returns the trace of an axis level, which only its own name or its parts tell."""
        trace = self.names.get(name)
        if trace is None and isinstance(name, tuple | float):
            trace = join_all(self._by_parts(name))
        return trace

    def of_all(self, names: Iterable[Hashable]) -> Trace | None:
        """Returns the join over columns: what a value made of a whole row is made of."""
        return join_all(self.of(name) for name in names)

    def column(self, name: Hashable) -> Provenance:
        """Returns the provenance of one column as a Series."""
        known = self._columns.get(name)
        if known is None:
            known = self
            if not self.is_on_side:
                known = Provenance(self.names, self.of(name))
            if len(self._columns) >= _MOST_COLUMNS:
                self._columns.clear()
            self._columns[name] = known
        return known

    def known_column(self, name: Hashable) -> Provenance | None:
        """Returns the provenance of a column that was asked for before."""
        return self._columns.get(name)

    def derived(self, step: str) -> Provenance:
        """Returns the provenance of a table whose cells were all computed of these."""
        known = self._memos.get(("derived", step))
        if known is None:
            made = Provenance(
                {n: None if t is None else t.derived(step) for n, t in self.names.items()},
                None if self.rest is None else self.rest.derived(step),
                header=self.header,
                is_on_side=self.is_on_side,
            )
            known = self._keep(("derived", step), self if _are_same(made, self) else made)
        return known

    def cells_derived(self, step: str) -> Provenance:
        """Returns the same for a Series, whose index stays as it is unless it names the cells."""
        known = self._memos.get(step)
        if known is None:
            if self.is_on_side:
                known = self.derived(step)
            else:
                rest = None if self.rest is None else self.rest.derived(step)
                known = self if rest is self.rest else self.with_rest(rest)
            self._keep(step, known)
        return known

    def moved(self, step: str) -> Provenance:
        """Returns the provenance of the same cells after a step that is worth telling."""
        known = self._memos.get(("moved", step))
        if known is None:
            made = Provenance(
                {n: None if t is None else t.moved(step) for n, t in self.names.items()},
                None if self.rest is None else self.rest.moved(step),
                header=self.header,
                is_on_side=self.is_on_side,
            )
            known = self._keep(("moved", step), self if _are_same(made, self) else made)
        return known

    def aggregated(self, statistic: str, least_count: int | None) -> Provenance:
        """Returns the provenance of a statistic of every column."""
        return Provenance(
            {
                n: None if t is None else t.aggregated(statistic, least_count)
                for n, t in self.names.items()
            },
            None if self.rest is None else self.rest.aggregated(statistic, least_count),
            header=self.header,
            is_on_side=self.is_on_side,
        )

    def with_names(self, names: Mapping[Hashable, Trace | None]) -> Provenance:
        """Returns the provenance with some names known anew."""
        return Provenance(
            {**self.names, **names}, self.rest, header=self.header, is_on_side=self.is_on_side
        )

    def with_rest(self, rest: Trace | None) -> Provenance:
        """Returns the provenance with other cells where no name says what they are."""
        return Provenance(self.names, rest, header=self.header, is_on_side=self.is_on_side)

    def turned(self) -> Provenance:
        """Returns the provenance of the transposed table."""
        known = self._memos.get("turned")
        if known is None:
            made = Provenance(
                self.names, self.rest, header=self.header, is_on_side=not self.is_on_side
            )
            known = self._keep("turned", made)
        return known

    def join(self, other: Provenance) -> Provenance:
        """Returns the provenance of cells that were made of both, column by column."""
        if other is self:
            return self
        known = self._memos.get(("join", other))
        if known is None:
            names = self.names
            if other.names is not names:
                names = dict(names)
                for name, trace in other.names.items():
                    names[name] = join_all((names.get(name), trace))
            made = Provenance(
                names,
                join_all((self.rest, other.rest)),
                header=join_all((self.header, other.header)),
                is_on_side=self.is_on_side or other.is_on_side,
            )
            known = self._keep(("join", other), made)
        return known

    def by_position(self, names: Sequence[Hashable]) -> Provenance:
        """Returns the provenance of the array that these columns make."""
        shown = names[:_MOST_COLUMNS]
        cells = self.of_all(shown)
        if self.is_on_side:
            return Provenance({}, join_all((cells, *self.names.values())))
        places: dict[Hashable, Trace | None] = {
            (COLUMNS, i): self.of(name) for i, name in enumerate(shown)
        }
        return Provenance({**places, COLUMNS: cells}, cells)

    def at_positions(self, names: Iterable[Hashable]) -> Provenance:
        """Returns the provenance of a table of such an array, whose columns have names again."""
        if COLUMNS not in self.names:
            return self
        return Provenance(
            {name: self.names.get((COLUMNS, i)) for i, name in enumerate(names)}, self.rest
        )

    def restepped(self, old: str, new: str) -> Provenance:
        """Returns the provenance with ``new`` told in place of a last step ``old``."""
        known = self._memos.get((old, new))
        if known is not None:
            return known

        def told(trace: Trace | None) -> Trace | None:
            if trace is None:
                return None
            steps = trace.steps[:-1] if trace.steps[-1:] == (old,) else trace.steps
            return replace(trace, steps=steps).moved(new)

        made = Provenance(
            {name: told(trace) for name, trace in self.names.items()},
            told(self.rest),
            header=self.header,
            is_on_side=self.is_on_side,
        )
        return self._keep((old, new), made)

    def remembered(self, key: Hashable, make: Callable[[], Provenance]) -> Provenance:
        """Returns what was made of this provenance before by the same rule and arguments."""
        return self._memos.get(key) or self._keep(key, make())

    def _keep(self, key: Hashable, made: Provenance) -> Provenance:
        if len(self._memos) >= _MOST_MEMOS:
            self._memos.clear()
        self._memos[key] = made
        return made


def _are_same(one: Provenance, other: Provenance) -> bool:
    return one.rest is other.rest and all(
        one.names[name] is trace for name, trace in other.names.items()
    )


def declared(labels: Mapping[str, ColumnLabel], place: str = "") -> Provenance:
    """Returns the provenance of a table that was read.

    Args:
        labels: Labels by column name.
        place: What was read, as people call it; a file's name without its folders.
    """
    return Provenance(
        {
            name: Trace(label, (f"{name} of {place}" if place else name,))
            for name, label in labels.items()
        }
    )
