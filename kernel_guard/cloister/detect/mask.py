"""Masking: of spans in text, of values in a column, of whole tables.

Nulls stay nulls, equal values stay equal under tokens, order of rows stays. There is no
format-preserving encryption: a stand-in that looks real is taken for real.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
        tokens: Makes tokens for many values at once.
    """
    if treatment is Treatment.SHOW:
        return list(values)
    present = [i for i, value in enumerate(values) if not is_null(value)]
    texts = [_text(values[i]) for i in present]
    if treatment is Treatment.TOKEN:
        masked = tokens(entity_type, texts)
    elif treatment is Treatment.PARTIAL:
        masked = [_partial(entity_type, text) for text in texts]
    else:
        masked = [f"[{entity_type}]"] * len(texts)
    out: list[object] = list(values)
    for i, stand_in in zip(present, masked, strict=True):
        out[i] = stand_in
    return out


def mask_table(
    table: pa.Table,
    findings: Sequence[ColumnFinding],
    treatment_of: Callable[[Level], Treatment],
    tokenizer: Tokenizer,
) -> pa.Table:
    """Returns a table whose columns are masked by their findings.

    A masked column becomes strings. Free text keeps its words and loses the values that patterns
    find in it; under ``redact`` the whole text goes.

    Args:
        table: Any Arrow table.
        findings: One for each column, in order.
        treatment_of: The policy's treatment of a level.
        tokenizer: Makes the tokens.
    """
    import pyarrow as pa

    columns: list[Any] = []
    for column, finding in zip(table.columns, findings, strict=True):
        treatment = treatment_of(finding.level)
        if treatment is Treatment.SHOW:
            columns.append(column)
            continue
        values = column.to_pylist()
        if finding.free_text and treatment is not Treatment.REDACT:
            masked: list[object] = [
                None if v is None else _mask_prose(_text(v), tokenizer) for v in values
            ]
        else:
            entity_type = finding.entity_type or "UNKNOWN"
            masked = mask_values(values, treatment, entity_type, tokenizer.tokens)
        columns.append(pa.array(masked, pa.string()))
    return pa.table(columns, names=table.column_names)


def is_null(value: object) -> bool:
    """Returns whether a value stands for nothing: ``None``, NaN, NaT, ``pandas.NA``."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    return isinstance(value, float) and value != value  # noqa: PLR0124 - only NaN differs


def _mask_prose(text: str, tokenizer: Tokenizer) -> str:
    return mask_text(text, find_spans(text), lambda s, value: tokenizer.token(s.entity_type, value))


def _partial(entity_type: str, text: str) -> str:
    if text.startswith(f"[{entity_type}") or TOKEN_PATTERN.fullmatch(text):
        return text
    return f"[{entity_type} …{text[-PARTIAL_CHARS:]}]" if len(text) > 8 else f"[{entity_type}]"


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a value may be any object; what it raises may hold data
        return type(value).__name__
