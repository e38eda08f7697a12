"""What polars expressions read and what they make: traces of their output columns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from cloister.hooks.provenance import Provenance, Trace, join_all

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

#: The expressions are those of groups: a statistic in them is of each group's rows.
GROUP: Final = "group"

_STATISTIC = re.compile(
    r"(?<!cs)\.(mean|sum|std|var|median|quantile|product|any|all|any_ignore_nulls|all_ignore_nulls|min|max|first|last|mode|arg_min|arg_max)\("
)
_COUNT = re.compile(r"\.(len|count|n_unique|null_count|approx_n_unique|is_null|is_not_null)\(\)$")
_OTHER_NAMES = re.compile(r"\.(name|keep_name|map_alias|prefix|suffix|struct|to_struct|unnest)\b")


def outputs_of(
    args: Iterable[Any],
    named: Mapping[str, Any],
    source: Provenance,
    known_of: Callable[[Any], Provenance | None],
    how: str | None = None,
) -> tuple[dict[Hashable, Trace | None], Trace | None]:
    """Returns the traces of the columns that expressions make.

    Args:
        args: What ``select`` and its like take: names, expressions, Series, or lists of these.
        named: Expressions by the name of their output.
        source: What is known of the table that they read.
        known_of: Tells what is known of a Series.
        how: ``GROUP`` for those of ``agg``.

    Returns:
        Traces by name, and the trace of outputs whose names are not known before the query runs.
    """
    names: dict[Hashable, Trace | None] = {}
    rest: Trace | None = None
    for item in _flat(args):
        rest = join_all((rest, _output(item, None, names, source, known_of, how)))
    for name, item in named.items():
        rest = join_all((rest, _output(item, name, names, source, known_of, how)))
    return names, rest


def _flat(items: Iterable[Any]) -> Iterable[Any]:
    for item in items:
        if isinstance(item, list | tuple):
            yield from _flat(item)
        else:
            yield item


def _output(  # noqa: PLR0917 - all of them decide one trace
    item: Any,
    name: str | None,
    names: dict[Hashable, Trace | None],
    source: Provenance,
    known_of: Callable[[Any], Provenance | None],
    how: str | None,
) -> Trace | None:
    """Adds one output to ``names``; returns the trace of what it may make besides."""
    if isinstance(item, str) and (item == "*" or (item[:1] == "^" and item[-1:] == "$")):
        pattern = re.compile("" if item == "*" else item)
        names.update({n: t for n, t in source.names.items() if pattern.search(str(n))})
        return source.rest
    if isinstance(item, str):
        trace = source.of(item)
        if how == GROUP and trace is not None:
            trace = trace.derived("rows of groups")
        names[name or item] = (
            trace if name in {None, item} or trace is None else trace.moved("renamed")
        )
        return None
    meta = getattr(item, "meta", None)
    if meta is None or not hasattr(meta, "root_names"):
        known = known_of(item)
        if known is not None:
            names[name or item.name] = known.rest
        return None
    output = name or meta.output_name(raise_if_undetermined=False)
    held = known_of(item)
    if held is not None:  # a column as a literal
        names[output or "literal"] = held.rest
        return None
    text = str(item)
    if output is None or meta.has_multiple_outputs():
        made = {n: _made(t, item, text, how) for n, t in source.names.items()}
        names.update(made)
        return join_all((source.rest, *made.values())) if _OTHER_NAMES.search(text) else None
    roots = meta.root_names()
    names[output] = _made(join_all(source.of(root) for root in roots), item, text, how)
    if names[output] is not None and meta.is_column_selection(allow_aliasing=True):
        trace = join_all(source.of(root) for root in roots)
        if how is None and trace is not None:
            names[output] = trace if [output] == roots else trace.moved("renamed")
    return None


def _made(trace: Trace | None, item: Any, text: str, how: str | None) -> Trace | None:
    if trace is None or _COUNT.search(text):
        return None
    statistics = _STATISTIC.findall(text)
    if statistics and ".over(" not in text:
        made = trace
        for statistic in statistics:
            made = made.aggregated(statistic, None)
        return made
    if item.meta.is_column_selection(allow_aliasing=True):
        return trace.derived("rows of groups") if how == GROUP else trace
    return trace.derived("expression")
