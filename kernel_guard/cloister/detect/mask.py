"""Masking: of spans in text, of values in a column, of whole tables.

Nulls stay nulls, order stays, and under tokens equal values stay equal. What stands in for a
value already is left as it is, so masking twice is masking once. The kinds of masks and what each
keeps are in :mod:`cloister.detect.masking`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from cloister.core.entities import default_level
from cloister.core.masks import MaskKind
from cloister.core.policy import Treatment, chosen_mask
from cloister.detect.masking.arrays import change_unique, mask_array
from cloister.detect.masking.cells import mask_in_text
from cloister.detect.masking.marks import (
    entity_shown,
    is_null,
    is_stand_in,
    mark,
    partial_mark,
    text_of,
)
from cloister.detect.text import find_spans

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from cloister.core.labels import Level
    from cloister.core.masks import Mask
    from cloister.detect.finding import ColumnFinding
    from cloister.detect.masking.keyed import Keyed
    from cloister.detect.recognizers import Recognizers
    from cloister.detect.text import Span

__all__ = [
    "is_null",
    "is_stand_in",
    "mask_prose",
    "mask_table",
    "mask_text",
    "mask_values",
    "partial_mark",
    "text_of",
]


def mask_text(text: str, spans: Sequence[Span], replace: Callable[[Span, str], str]) -> str:
    """Returns ``text`` with each span replaced.

    Args:
        text: Any text.
        spans: In order, not overlapping, offsets in ``text``.
        replace: Gets the span and its value, returns the stand-in.
    """
    pieces: list[str] = []
    position = 0
    for span in spans:
        pieces += [text[position : span.start], replace(span, text[span.start : span.end])]
        position = span.end
    pieces.append(text[position:])
    return "".join(pieces)


def mask_values(
    values: Sequence[object],
    treatment: Treatment,
    entity_type: str,
    tokens: Callable[[str, list[str]], list[str]],
) -> list[object]:
    """Returns the values of one column as ``treatment`` shows them.

    Args:
        values: Python values; ``None``, NaN, NaT and ``pandas.NA`` are nulls and stay.
        treatment: What the policy does with the column's level.
        entity_type: Presidio's name; it stands in the stand-ins.
        tokens: Makes tokens for many values at once; it gets each text once.
    """
    if treatment is Treatment.SHOW:
        return list(values)
    texts = [None if is_null(v) or is_stand_in(v) else text_of(v) for v in values]
    unique = list(dict.fromkeys(text for text in texts if text is not None))
    if treatment is Treatment.TOKEN:
        shown = dict(zip(unique, tokens(entity_type, unique), strict=True))
    elif treatment is Treatment.PARTIAL:
        shown = {text: partial_mark(entity_type, text) for text in unique}
    else:
        shown = dict.fromkeys(unique, mark(entity_type))
    return [v if t is None else shown[t] for v, t in zip(values, texts, strict=True)]


def mask_prose(
    text: str,
    mask_of: Callable[[str], Mask],
    keyed: Keyed,
    recognizers: Recognizers | None = None,
) -> str:
    """Returns text without the values that patterns find in it; the rest of it stays.

    Args:
        text: Any text.
        mask_of: The mask of an entity type.
        keyed: Has the workspace's key.
        recognizers: The policy's own types and allow list.
    """

    def replace(span: Span, value: str) -> str:
        return mask_in_text(value, mask_of(span.entity_type), span.entity_type, keyed)

    return mask_text(text, find_spans(text, recognizers), replace)


def mask_table(
    table: pa.Table,
    findings: Sequence[ColumnFinding],
    treatment_of: Callable[[Level], Treatment],
    tokenizer: Keyed,
    *,
    level_of: Callable[[str], Level] = default_level,
    mask_of: Callable[[str | None, Level], Mask] | None = None,
    recognizers: Recognizers | None = None,
) -> pa.Table:
    """Returns a table whose columns are masked by their findings.

    Free text is masked whole, like any other value, unless its mask is ``spans``: patterns find no
    names in prose, so prose without its numbers would still name people. Text columns that are
    shown lose the values that patterns find in them, since a finding rests on a sample. A column
    that its owner lowered is shown as it is.

    Args:
        table: Any Arrow table.
        findings: One for each column, in order.
        treatment_of: The policy's treatment of a level.
        tokenizer: Makes the tokens.
        level_of: The policy's level of an entity type.
        mask_of: The policy's mask of an entity type with a level; without it, the treatment's.
        recognizers: The policy's own types and allow list.
    """
    import pyarrow as pa

    def by_treatment(entity_type: str | None, level: Level) -> Mask:
        return chosen_mask({}, entity_type, treatment_of(level))

    choose = mask_of or by_treatment

    def without_spans(texts: Sequence[object]) -> list[object]:
        return [None if t is None else prose(text_of(t)) for t in texts]

    prose = partial(
        mask_prose,
        mask_of=lambda entity_type: choose(entity_type, level_of(entity_type)),
        keyed=tokenizer,
        recognizers=recognizers,
    )
    columns: list[Any] = []
    for column, finding in zip(table.columns, findings, strict=True):
        entity_type = entity_shown(finding.entity_type, finding.free_text)
        mask = choose(entity_type, finding.level)
        is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        is_shown = mask.kind is MaskKind.SHOW
        is_scanned = "lowered" not in finding.evidence if is_shown else mask.kind is MaskKind.SPANS
        if is_text and is_scanned:
            unread = mark(entity_type)
            columns.append(change_unique(column, without_spans, column.type, unread))
        else:
            subjects = _subjects(table, mask) if mask.kind is MaskKind.SHIFT else None
            columns.append(mask_array(column, mask, entity_type, tokenizer, subjects))
    return pa.table(columns, names=table.column_names)


def _subjects(table: pa.Table, mask: Mask) -> Any:
    """Returns the column that says whose row it is, ``None`` if there is not exactly one."""
    places = table.schema.get_all_field_indices(mask.subject)
    return table.column(places[0]) if len(places) == 1 else None
