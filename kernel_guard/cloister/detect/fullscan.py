"""Every value of a table, batch by batch: what a spread sample could not see.

A sample decides what a column is. Behind it, every distinct text of every batch meets the patterns
that little else looks like (addresses, cards, keys), so that a few e-mail addresses among a million
other texts raise the level of their column.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from cloister.core.entities import default_level
from cloister.detect.columns import classify_table
from cloister.detect.values import ENTITY_LOOKS, count_looks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pyarrow as pa

    from cloister.core.labels import Level
    from cloister.core.policy import ColumnRule
    from cloister.detect.finding import ColumnFinding
    from cloister.detect.recognizers import Recognizers

_SAMPLE_ROWS: Final = 131_072
_ROWS_OF_BATCH: Final = 2_048
_LONGEST_CHARS: Final = 400
# One value may be a mistake, two are a kind.
_ENOUGH: Final = 2


def classify_table_fully(
    table: pa.Table,
    *,
    declared: Sequence[ColumnRule] = (),
    level_of: Callable[[str], Level] = default_level,
    recognizers: Recognizers | None = None,
) -> list[ColumnFinding]:
    """Returns one finding for each column, from every value; see ``classify_table``."""
    classifier = TableClassifier(
        table.column_names, declared=declared, level_of=level_of, recognizers=recognizers
    )
    for batch in table.to_batches():
        classifier.update(batch)
    return classifier.findings()


class TableClassifier:
    """Classifies a table of which batches come one by one, in bounded memory.

    A sample of at most :data:`_SAMPLE_ROWS` rows is kept, and counts of what was found in all.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        declared: Sequence[ColumnRule] = (),
        level_of: Callable[[str], Level] = default_level,
        recognizers: Recognizers | None = None,
    ) -> None:
        self._names = list(names)
        self._declared, self._level_of, self._recognizers = declared, level_of, recognizers
        self._kept: list[Any] = []
        self._rows = 0
        self._found: list[Counter[str]] = [Counter() for _ in self._names]

    def update(self, batch: pa.RecordBatch) -> None:
        """Takes one batch."""
        for counts, column in zip(self._found, batch.columns, strict=True):
            counts.update(_strong_values(column))
        self._keep(_spread(batch, _ROWS_OF_BATCH))

    def findings_of(self, batches: Iterable[pa.RecordBatch]) -> tuple[list[ColumnFinding], int]:
        """Takes all batches; returns one finding for each column, and the number of rows."""
        rows = 0
        for batch in batches:
            self.update(batch)
            rows += batch.num_rows
        return self.findings(), rows

    def merge(self, other: TableClassifier) -> None:
        """Takes what another one has seen."""
        for counts, more in zip(self._found, other._found, strict=True):
            counts.update(more)
        for part in other._kept:
            self._keep(part)

    def findings(self) -> list[ColumnFinding]:
        """Returns one finding for each column."""
        import pyarrow as pa

        if self._kept:
            table = pa.Table.from_batches(self._kept)
        else:
            arrays = [pa.array([], pa.string()) for _ in self._names]
            table = pa.Table.from_arrays(arrays, names=self._names)
        findings = classify_table(
            table,
            declared=self._declared,
            level_of=self._level_of,
            recognizers=self._recognizers,
        )
        return [self._raised(f, c) for f, c in zip(findings, self._found, strict=True)]

    def _raised(self, finding: ColumnFinding, counts: Counter[str]) -> ColumnFinding:
        """Returns a finding that is no lower than what some of its values are."""
        if "lowered" in finding.evidence:
            return finding
        levels = [self._level_of(name) for name, hits in counts.items() if hits >= _ENOUGH]
        highest = max(levels, default=finding.level)
        if highest <= finding.level:
            return finding
        return replace(finding, level=highest, evidence=(*finding.evidence, "some values"))

    def _keep(self, part: Any) -> None:
        self._kept.append(part)
        self._rows += part.num_rows
        if self._rows > _SAMPLE_ROWS:  # a long table: keep every second row of what there is
            self._kept = [_spread(kept, (kept.num_rows + 1) // 2) for kept in self._kept]
            self._rows = sum(kept.num_rows for kept in self._kept)


def _strong_values(column: Any) -> dict[str, int]:
    """Returns how many distinct texts of a batch have a look that little else has."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary, kind.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return {}
    texts = pc.unique(column).drop_null()
    hits = texts.filter(pc.match_substring_regex(texts, pattern=_any_strong_look()))
    if not len(hits):
        return {}
    values = [text.strip() for text in pc.utf8_slice_codeunits(hits, 0, _LONGEST_CHARS).to_pylist()]
    strong: Counter[str] = Counter()
    for look, count in count_looks(values).items():
        if look.is_strong and look.alone:
            strong[look.name] += count
    return dict(strong)


@cache
def _any_strong_look() -> str:
    """Returns one pattern that a value matches if it has any of the strong looks."""
    patterns = dict.fromkeys(look.pattern for look in ENTITY_LOOKS if look.is_strong)
    return rf"^\s*(?:{'|'.join(f'(?:{pattern})' for pattern in patterns)})\s*$"


def _spread(batch: Any, rows: int) -> Any:
    import numpy as np
    import pyarrow as pa

    if batch.num_rows <= rows:
        return batch
    return batch.take(pa.array(np.linspace(0, batch.num_rows - 1, rows).astype(np.int64)))
