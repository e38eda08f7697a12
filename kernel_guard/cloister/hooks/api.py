"""What users call: ``cloister.explain``, ``mask``, ``tokenize`` and ``reveal``.

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
from cloister.hooks.client import client, is_guarded
from cloister.hooks.labels import ColumnLabel, FrameLabels, name_text, session_names
from cloister.hooks.masking import UNKNOWN, mask_for_label, mask_prose, revealed, tokens_of
from cloister.hooks.policyview import STRICT, PolicyView, current_policy
from cloister.hooks.provenance import FrameTraces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloister.hooks.provenance import Trace

_PUBLIC = Level.PUBLIC
_HEADINGS = ("column", "level", "entity", "label from", "display", "rule", "made of")


@dataclass(frozen=True, slots=True)
class ExplainedColumn:
    """One line of an explanation; holds no value of the column.

    Attributes:
        name: The column's name, as text.
        level: ``public``, ``internal``, ``confidential`` or ``restricted``.
        entity_type: Presidio's name for what it holds, or ``None``.
        source: Where the label was learned.
        treatment: What the policy does: ``show``, or the kind of mask, for instance ``token``.
        rule: The policy rule that decides.
        made_of: The columns that it was made of, and how: ``ssn of p.csv → renamed → merged``.
        aggregate: The statistic that its cells are, or ``None``.
        least_count: Rows behind the cell that has the fewest; ``None`` when that is not known.
        display: The treatment, in words.
    """

    name: str
    level: str
    entity_type: str | None
    source: str
    treatment: str
    rule: str
    made_of: str = ""
    aggregate: str | None = None
    least_count: int | None = None
    display: str = "shown"


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
                c.display if self.policy else "not guarded",
                c.rule if self.policy else "",
                c.made_of,
            )
            for c in self.columns
        ]

    def _headings(self) -> tuple[str, ...]:
        return _HEADINGS if any(c.made_of for c in self.columns) else _HEADINGS[:-1]

    def _caption(self) -> str:
        if self.policy is None:
            return (
                "Detected here, without a policy: this is not a guarded kernel. "
                'Select "Python 3 (Cloister)" to have it enforced.'
            )
        return f"policy {self.policy}"

    def __repr__(self) -> str:
        headings = self._headings()
        rows = [headings, *self._rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(len(headings))]
        lines = [
            "  ".join(c.ljust(w) for c, w in zip(r, widths, strict=False)).rstrip() for r in rows
        ]
        return "\n".join([*lines, self._caption()])

    def _repr_html_(self) -> str:
        cell = 'style="text-align:left"'
        headings = self._headings()
        head = "".join(f"<th {cell}>{html.escape(h)}</th>" for h in headings)
        body = "".join(
            "<tr>"
            + "".join(f"<td {cell}>{html.escape(c)}</td>" for c in row[: len(headings)])
            + "</tr>"
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
    traces = _traces(obj)
    lines = [
        _explained(name, label, policy, trace)
        for name, label, trace in zip(names, labels.columns, traces.columns, strict=True)
    ]
    lines += [
        _explained(f"index {'' if name is None else name}".strip(), label, policy, trace)
        for name, label, trace in zip(index_names, labels.index, traces.index, strict=False)
        if label is not None
    ]
    lines += [
        _explained("column labels", label, policy, trace)
        for label, trace in zip(labels.header, traces.header, strict=False)
        if label is not None
    ]
    lines += [
        _explained(f"row {name}", label, policy, trace)
        for name, label, trace in zip(traces.row_names, labels.rows, traces.rows, strict=False)
        if label is not None
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
            return mask_prose(obj, UNKNOWN, policy)
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


def preview(obj: Any, rows: int = 20, seed: int = 0) -> Any:
    """Returns invented rows that look like a table: for code and reports, without the data.

    Types are true, and so are, in steps of 5 %, shares of nulls and of frequent categories, and the
    rough range of what the policy shows, as far as ten rows stand behind it. No row and no
    sensitive value is one of the table's.

    Args:
        obj: A pandas or polars DataFrame. Its index is left out.
        rows: How many rows to invent.
        seed: Chooses them: the same table and seed give the same rows.

    Raises:
        BrokerUnavailable: This is not a guarded kernel, or its broker does not answer.
        CloisterError: The object is of another kind, or cannot be read.
    """
    policy = _policy()
    if not _is_of("pandas", obj, ("DataFrame",)) and not _is_of("polars", obj, ("DataFrame",)):
        raise _unsupported(obj)
    from cloister.hooks.previews import preview_frame

    try:
        return preview_frame(obj, _labels(obj, policy)[1], policy, rows, seed)
    except Exception as error:  # noqa: BLE001 - the text of another error may hold a value
        raise CloisterError(
            f"This {type(obj).__name__} could not be previewed ({type(error).__name__}).",
            code="CLO-OUTPUT-002",
            remedy="Preview its columns one by one to find the one that cannot be read.",
        ) from None


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


def reveal(tokens: Any) -> Any:
    """Undoes reversible tokens, where the policy lets this kernel's user; each call is recorded.

    What comes back are canonical texts (``219099871``), sensitive like the values that they stood
    for: displays and the gate mask them.

    Args:
        tokens: A token, a list of tokens, or a pandas or polars Series of them; nulls are kept.

    Returns:
        Texts in the same shape.

    Raises:
        BrokerUnavailable: This is not a guarded kernel, or its broker does not answer.
        RevealDenied: The policy does not allow it, or something is no token of this workspace.
        CloisterError: ``tokens`` is of another kind.
    """
    policy = _policy()
    if isinstance(tokens, str):
        return revealed([tokens])[0]
    if isinstance(tokens, (list, tuple)):
        return revealed(tokens)
    if not _is_of("pandas", tokens, ("Series",)) and not _is_of("polars", tokens, ("Series",)):
        raise _unsupported(tokens)
    from cloister.detect.masking.sealed import entity_of

    is_polars = _is_of("polars", tokens, ("Series",))
    cells = tokens.to_list() if is_polars else tokens.tolist()
    values = revealed(cells)
    entities = {entity_of(cell) for cell in cells if isinstance(cell, str)} - {None}
    entity = entities.pop() if len(entities) == 1 else None
    level = Level.RESTRICTED if entity is None else policy.level_of(entity)
    name = name_text(tokens.name)
    labels = {name: ColumnLabel(level, entity, "revealed", is_stated=True)}
    if is_polars:
        import polars as pl

        session_names.declare(labels)  # a series of polars' carries no label of its own
        return pl.Series(tokens.name, values, dtype=pl.String)
    import pandas as pd

    from cloister.hooks.pandas_provenance import set_provenance
    from cloister.hooks.provenance import declared

    series = pd.Series(values, index=tokens.index, name=tokens.name, dtype="string").astype(
        _text_type()
    )
    set_provenance(series, declared(labels, "tokens").column(name))
    return series


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


def _explained(
    name: object, label: ColumnLabel | None, policy: PolicyView, trace: Trace | None = None
) -> ExplainedColumn:
    shown = name_text(name)
    if label is None:
        return ExplainedColumn(
            shown,
            "public",
            None,
            "nothing found",
            policy.treatment(_PUBLIC).value,
            "display.public",
            display=policy.mask_for(None, _PUBLIC).words,
        )
    mask = mask_for_label(label, policy)
    is_own = policy.masks(label.level) and label.entity_type in policy.masks_by_type
    return ExplainedColumn(
        shown,
        str(label.level),
        label.entity_type,
        label.source,
        mask.kind.value,
        f"masks.{label.entity_type}" if is_own else label.rule,
        "" if trace is None else str(trace),
        None if trace is None else trace.aggregate,
        None if trace is None else trace.least_count,
        mask.words,
    )


def _traces(obj: Any) -> FrameTraces:
    """Returns how each part of a table was made, as far as that is known."""
    if _is_of("pandas", obj, ("DataFrame", "Series")):
        from cloister.hooks.pandas_labels import frame_traces

        return frame_traces(obj)
    if _is_of("polars", obj, ("DataFrame", "Series")):
        from cloister.hooks import polars_labels

        frame = obj if hasattr(obj, "width") else obj.to_frame()
        return polars_labels.frame_traces(frame)
    return FrameTraces(())


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


def _is_of(library: str, obj: object, names: Sequence[str]) -> bool:
    module = sys.modules.get(library)
    return module is not None and isinstance(obj, tuple(getattr(module, n) for n in names))


def _unsupported(obj: object) -> CloisterError:
    return CloisterError(
        f"A {type(obj).__name__} has no columns that could be labelled.",
        code="CLO-HOOKS-001",
        remedy="Pass a pandas or polars DataFrame or Series; mask also takes text.",
    )
