"""What users call: ``cloister.explain``, ``cloister.mask`` and ``cloister.tokenize``.

The guard works without any of them. They need a guarded kernel, except ``explain``, which outside
one says what local detection finds and that no policy is known.
"""

from __future__ import annotations

import html
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloister.core.errors import CloisterError
from cloister.core.labels import Level
from cloister.core.policy import Treatment
from cloister.hooks.client import client, is_guarded
from cloister.hooks.labels import ColumnLabel, FrameLabels
from cloister.hooks.masking import REDACTED, UNKNOWN, tokens_of
from cloister.hooks.policyview import STRICT, PolicyView, current_policy

if TYPE_CHECKING:
    from collections.abc import Sequence

_WHAT_HAPPENS = {
    Treatment.SHOW: "shown",
    Treatment.TOKEN: "shown as a token",
    Treatment.PARTIAL: "shown as its last four characters",
    Treatment.REDACT: "redacted",
}
_PUBLIC = Level.PUBLIC
_HEADINGS = ("column", "level", "entity", "label from", "display", "rule")


@dataclass(frozen=True, slots=True)
class ExplainedColumn:
    """One line of an explanation; holds no value of the column.

    Attributes:
        name: The column's name, as text.
        level: ``public``, ``internal``, ``confidential`` or ``restricted``.
        entity_type: Presidio's name for what it holds, or ``None``.
        source: Where the label was learned.
        treatment: What the policy does: ``show``, ``token``, ``partial`` or ``redact``.
        rule: The policy rule that decides.
    """

    name: str
    level: str
    entity_type: str | None
    source: str
    treatment: str
    rule: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Labels of a table, where each came from, and what the policy does with them.

    Attributes:
        columns: One for each column, then one for each labelled index level.
        policy: Name of the policy, or ``None`` outside a guarded kernel.
    """

    columns: tuple[ExplainedColumn, ...]
    policy: str | None

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                c.name,
                c.level,
                c.entity_type or "",
                c.source,
                _WHAT_HAPPENS[Treatment(c.treatment)] if self.policy else "not guarded",
                c.rule if self.policy else "",
            )
            for c in self.columns
        ]

    def _caption(self) -> str:
        if self.policy is None:
            return (
                "Detected here, without a policy: this is not a guarded kernel. "
                'Select "Python 3 (Cloister)" to have it enforced.'
            )
        return f"policy {self.policy}"

    def __repr__(self) -> str:
        rows = [_HEADINGS, *self._rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADINGS))]
        lines = [
            "  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows
        ]
        return "\n".join([*lines, self._caption()])

    def _repr_html_(self) -> str:
        cell = 'style="text-align:left"'
        head = "".join(f"<th {cell}>{html.escape(h)}</th>" for h in _HEADINGS)
        body = "".join(
            "<tr>" + "".join(f"<td {cell}>{html.escape(c)}</td>" for c in row) + "</tr>"
            for row in self._rows()
        )
        return (
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            f'<p style="font-size:0.85em;color:var(--jp-ui-font-color2,inherit)">'
            f"{html.escape(self._caption())}</p>"
        )


def explain(obj: Any) -> Explanation:
    """Says how each column is labelled, where that comes from, and what the policy does with it.

    Args:
        obj: A pandas or polars DataFrame, Series, or a pandas Index.

    Raises:
        BrokerUnavailable: The guarded kernel's broker does not answer.
        CloisterError: The object is of another kind.
    """
    policy = _policy() if is_guarded() else STRICT
    names, labels, index_names = _labels(obj, policy)
    lines = [
        _explained(name, label, policy) for name, label in zip(names, labels.columns, strict=True)
    ]
    lines += [
        _explained(f"index {'' if name is None else name}".strip(), label, policy)
        for name, label in zip(index_names, labels.index, strict=False)
        if label is not None
    ]
    lines += [
        _explained("column labels", label, policy) for label in labels.header if label is not None
    ]
    return Explanation(tuple(lines), policy.name if policy is not STRICT else None)


def mask(obj: Any) -> Any:
    """Returns a masked copy: of a table or column by label, of text by what is found in it.

    Args:
        obj: A pandas or polars DataFrame or Series, a pandas Index, or ``str``.

    Raises:
        BrokerUnavailable: This is not a guarded kernel, or its broker does not answer.
        CloisterError: The object is of another kind, or could not be masked.
    """
    policy = _policy()
    try:
        if isinstance(obj, str):
            return _mask_text(obj, policy)
        if _is_of("pandas", obj, ("DataFrame", "Series", "Index")):
            from cloister.hooks.pandas_display import masked_copy
            from cloister.hooks.pandas_masking import keep_name

            return masked_copy(obj, keep_name)
        if _is_of("polars", obj, ("DataFrame", "Series")):
            return _mask_polars(obj, policy)
    except CloisterError:
        raise
    except Exception as error:  # noqa: BLE001 - the text of another error may hold a value
        raise CloisterError(
            f"This {type(obj).__name__} could not be masked ({type(error).__name__}).",
            code="CLO-OUTPUT-002",
            remedy="Mask its columns one by one to find the one that cannot be read.",
        ) from None
    raise _unsupported(obj)


def tokenize(series: Any) -> Any:
    """Returns a Series of tokens; equal values have equal tokens, nulls are kept.

    Args:
        series: A pandas or polars Series.

    Returns:
        A Series of the same kind, index and name.

    Raises:
        BrokerUnavailable: This is not a guarded kernel, or its broker does not answer.
        CloisterError: The object is no Series.
    """
    policy = _policy()
    if not _is_of("pandas", series, ("Series",)) and not _is_of("polars", series, ("Series",)):
        raise _unsupported(series)
    _, labels, _ = _labels(series, policy)
    label = labels.columns[0]
    entity = label.entity_type if label is not None and label.entity_type else UNKNOWN
    if _is_of("polars", series, ("Series",)):
        import polars as pl

        return pl.Series(series.name, tokens_of(series.to_list(), entity), dtype=pl.String)
    import pandas as pd

    tokens = tokens_of(series.tolist(), entity)
    return pd.Series(tokens, index=series.index, name=series.name, dtype="string").astype(
        _text_type()
    )


def _text_type() -> Any:
    import pandas as pd

    # pandas 3 has a text type of its own; before it, text is object.
    return "str" if int(pd.__version__.partition(".")[0]) >= 3 else object


def _policy() -> PolicyView:
    """Returns the live policy; raises outside a guarded kernel or when it cannot be had."""
    client()
    policy = current_policy()
    if not policy.digest:
        client().call("hello")  # says why, by raising
    return policy


def _explained(name: object, label: ColumnLabel | None, policy: PolicyView) -> ExplainedColumn:
    if label is None:
        return ExplainedColumn(
            str(name),
            "public",
            None,
            "nothing found",
            policy.treatment(_PUBLIC).value,
            "display.public",
        )
    return ExplainedColumn(
        str(name),
        str(label.level),
        label.entity_type,
        label.source,
        policy.treatment(label.level).value,
        label.rule,
    )


def _labels(obj: Any, policy: PolicyView) -> tuple[Sequence[object], FrameLabels, Sequence[object]]:
    """Returns column names, labels and index names of a table-like object."""
    if _is_of("polars", obj, ("DataFrame", "Series")):
        from cloister.hooks.polars_labels import polars_labels

        frame = obj.to_frame() if _is_of("polars", obj, ("Series",)) else obj
        return frame.columns, polars_labels(frame, policy), ()
    if _is_of("pandas", obj, ("DataFrame",)):
        from cloister.hooks.pandas_labels import frame_labels

        return list(obj.columns), frame_labels(obj, policy), list(obj.index.names)
    if _is_of("pandas", obj, ("Series",)):
        from cloister.hooks.pandas_labels import series_labels

        return [obj.name or ""], series_labels(obj, policy), list(obj.index.names)
    if _is_of("pandas", obj, ("Index",)):
        from cloister.hooks.pandas_labels import index_labels

        return [], FrameLabels((), index_labels(obj, policy)), list(obj.names)
    raise _unsupported(obj)


def _mask_polars(obj: Any, policy: PolicyView) -> Any:
    from cloister.hooks.polars_display import mask_polars
    from cloister.hooks.polars_labels import polars_labels

    is_series = _is_of("polars", obj, ("Series",))
    frame = obj.to_frame() if is_series else obj
    labels = polars_labels(frame, policy).masked(policy)
    masked = mask_polars(frame, labels, policy) if labels else frame
    return masked.to_series(0) if is_series else masked


def _mask_text(text: str, policy: PolicyView) -> str:
    from cloister.detect.text import find_spans

    parts: list[str] = []
    end = 0
    for span in sorted(find_spans(text), key=lambda s: s.start):
        level = policy.level_of(span.entity_type)
        if span.start < end or not policy.masks(level):
            continue
        label = ColumnLabel(level, span.entity_type)
        parts += [text[end : span.start], _mask_one(text[span.start : span.end], label, policy)]
        end = span.end
    return "".join([*parts, text[end:]])


def _mask_one(value: str, label: ColumnLabel, policy: PolicyView) -> str:
    from cloister.hooks.masking import mask_values

    (shown,) = mask_values([value], label, policy)
    return shown if isinstance(shown, str) else REDACTED


def _is_of(library: str, obj: object, names: Sequence[str]) -> bool:
    module = sys.modules.get(library)
    return module is not None and isinstance(obj, tuple(getattr(module, n) for n in names))


def _unsupported(obj: object) -> CloisterError:
    return CloisterError(
        f"A {type(obj).__name__} has no columns that could be labelled.",
        code="CLO-HOOKS-001",
        remedy="Pass a pandas or polars DataFrame or Series; mask also takes text.",
    )
