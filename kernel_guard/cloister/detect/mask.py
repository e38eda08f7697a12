"""Masking: of spans in text, of values in a column, of whole tables.

Nulls stay nulls, order stays, and under tokens equal values stay equal. What stands in for a
value already is left as it is, so masking twice is masking once. There is no format-preserving
encryption: a stand-in that looks real is taken for real.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any

from cloister.core.entities import default_level
from cloister.core.policy import Treatment
from cloister.detect.text import find_spans
from cloister.detect.tokens import TOKEN_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from cloister.core.labels import Level
    from cloister.detect.columns import ColumnFinding
    from cloister.detect.text import Span
    from cloister.detect.tokens import Tokenizer

PARTIAL_CHARS = 4
# With fewer characters the last four would be half of the value or more.
_PARTIAL_LEAST = 9
_STAND_IN = re.compile(
    rf"{TOKEN_PATTERN.pattern}|\[redacted\]|\[[A-Z][A-Z0-9_]*(?: ….{{1,4}})?\]", re.DOTALL
)
_UNKNOWN = "UNKNOWN"
_PROSE = "FREE_TEXT"


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
        shown = dict.fromkeys(unique, f"[{entity_type}]")
    return [v if t is None else shown[t] for v, t in zip(values, texts, strict=True)]


def mask_table(
    table: pa.Table,
    findings: Sequence[ColumnFinding],
    treatment_of: Callable[[Level], Treatment],
    tokenizer: Tokenizer,
    *,
    level_of: Callable[[str], Level] = default_level,
) -> pa.Table:
    """Returns a table whose columns are masked by their findings.

    A masked column becomes text. Free text is masked whole, like any other value: patterns find no
    names in prose, so prose without its numbers would still name people. Text columns that are
    shown lose the values that patterns find in them, since a finding rests on a sample.

    Args:
        table: Any Arrow table.
        findings: One for each column, in order.
        treatment_of: The policy's treatment of a level.
        tokenizer: Makes the tokens.
        level_of: The policy's level of an entity type.
    """
    import pyarrow as pa

    def replace(span: Span, value: str) -> str:
        treatment = treatment_of(level_of(span.entity_type))
        return str(mask_values([value], treatment, span.entity_type, tokenizer.tokens)[0])

    def scan(text: str) -> str:
        return mask_text(text, find_spans(text), replace)

    columns: list[Any] = []
    for column, finding in zip(table.columns, findings, strict=True):
        treatment = treatment_of(finding.level)
        if treatment is not Treatment.SHOW:
            entity_type = finding.entity_type or (_PROSE if finding.free_text else _UNKNOWN)
            masked = mask_values(column.to_pylist(), treatment, entity_type, tokenizer.tokens)
            columns.append(pa.array(masked, pa.string()))
        elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            columns.append(_each_unique(column, scan))
        else:
            columns.append(column)
    return pa.table(columns, names=table.column_names)


def is_null(value: object) -> bool:
    """Returns whether a value stands for nothing: ``None``, NaN, NaT, ``pandas.NA``."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    return isinstance(value, float) and value != value  # noqa: PLR0124 - only NaN differs


def is_stand_in(value: object) -> bool:
    """Returns whether a value is a token or a mark already."""
    return isinstance(value, str) and len(value) < 80 and bool(_STAND_IN.fullmatch(value))


def partial_mark(entity_type: str, text: str) -> str:
    """Returns a mark with the last four characters, or without when the value is too short."""
    if len(text) < _PARTIAL_LEAST:
        return f"[{entity_type}]"
    return f"[{entity_type} …{text[-PARTIAL_CHARS:]}]"


def text_of(value: object) -> str:
    """Returns the one text of a value, the same however its column came to be typed.

    An identifier that a null turned into a float reads as the integer it was, and a date that was
    widened to midnight reads as the date.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    try:
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        if isinstance(value, dt.datetime):
            is_midnight = not (value.hour or value.minute or value.second or value.microsecond)
            return value.date().isoformat() if is_midnight else value.isoformat(sep=" ")
        return str(value)
    except Exception:  # noqa: BLE001 - a value may be any object; what it raises may hold data
        return type(value).__name__


def _each_unique(column: Any, change: Callable[[str], str]) -> Any:
    """Returns a text column with each distinct text changed once."""
    import pyarrow as pa

    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    before = encoded.dictionary.to_pylist()
    after = [None if text is None else change(text) for text in before]
    if after == before:
        return column
    return pa.array(after, column.type).take(encoded.indices)
