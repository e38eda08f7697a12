"""Labels of columns: declared where the data was read, stated by the policy, or detected.

A declared label travels with the data: pandas copies ``attrs["cloister"]`` into most of what it
derives from a frame; for polars, which has no such place, the names declared in this session are
remembered. What is stated and what is detected are joined, so a level can rise and never fall.
All of this is comfort: the gate outside the kernel recognises values again and trusts none of it.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cloister.core.labels import Level
from cloister.hooks.masking import canonical_text, is_null, is_stand_in

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from cloister.core.policy import ColumnRule
    from cloister.hooks.policyview import PolicyView

#: Key in ``DataFrame.attrs``. The value is a tuple of (column, level, entity or "", source):
#: immutable, cheap to copy, and JSON when pandas writes it into a Parquet file.
ATTRS_KEY = "cloister"

#: Rows that detection looks at; spread over the whole column.
DETECTION_ROWS = 400
#: Rows that a second look at the same frame compares with the first.
PROBE_ROWS = 24
_LONGEST_SAMPLE = 2_000
# What the sidecar writes; a source that was joined with another holds a plus sign.
_LOWERED = re.compile(r"catalog:[^\s+]+ lowered by [^+]+")
_TABLES_KEPT = 512


@dataclass(frozen=True, slots=True)
class ColumnLabel:
    """What is known about one column.

    Attributes:
        level: How sensitive it is.
        entity_type: Presidio's name for what it holds, or ``None``.
        source: Where that was learned, for people: ``catalog:patients``, ``detected by name``.
        free_text: Whether the cells are prose.
        is_stated: Whether a person said what it holds.
        is_read: Whether the column came from a file that the sidecar has indexed.
        is_derived: Whether its cells were computed from what the label was given to. They are as
            sensitive; but a comparison's ``True`` is nothing to look for in every output.
    """

    level: Level
    entity_type: str | None = None
    source: str = "detected"
    free_text: bool = False
    is_stated: bool = False
    is_read: bool = False
    is_derived: bool = False

    @property
    def words(self) -> str:
        """``US_SSN restricted``, or only the level when the kind is not known."""
        return f"{self.entity_type} {self.level}" if self.entity_type else str(self.level)

    @property
    def is_final(self) -> bool:
        """Whether the data's owner lowered it, so that neither detection nor a rule raises it.

        Only as it was read: joined with anything else it is a label like any other.
        """
        return self.is_stated and _LOWERED.fullmatch(self.source) is not None

    @property
    def rule(self) -> str:
        """The policy rule that decides how the column is shown."""
        return f"display.{self.level}"

    def join(self, other: ColumnLabel) -> ColumnLabel:
        """Returns the stricter of two labels with both sources; a stated kind goes first."""
        high, low = (other, self) if other.level > self.level else (self, other)
        first, second = (low, high) if low.is_stated and not high.is_stated else (high, low)
        sources = list(dict.fromkeys((*self.source.split(" + "), *other.source.split(" + "))))
        if any(source.startswith("detected by") for source in sources):
            sources = [source for source in sources if source != "detected"]  # says less
        return replace(
            high,
            entity_type=first.entity_type or second.entity_type,
            source=" + ".join(sources),
            free_text=first.free_text,
            is_stated=high.is_stated or low.is_stated,
            is_read=high.is_read or low.is_read,
            is_derived=high.is_derived and low.is_derived,
        )


@dataclass(frozen=True, slots=True)
class FrameLabels:
    """Labels of everything that a table shows.

    Attributes:
        columns: One for each column, by position; ``None`` is nothing known.
        index: One for each level of the row index.
        header: One for each level of the column labels, where those are data themselves.
        rows: For a table on its side: one for each row. Empty otherwise.
    """

    columns: tuple[ColumnLabel | None, ...]
    index: tuple[ColumnLabel | None, ...] = ()
    header: tuple[ColumnLabel | None, ...] = ()
    rows: tuple[ColumnLabel | None, ...] = ()

    def masked(self, policy: PolicyView) -> FrameLabels:
        """Returns only the labels whose level the policy does not show."""

        def keep(labels: Iterable[ColumnLabel | None]) -> tuple[ColumnLabel | None, ...]:
            return tuple(x if x is not None and policy.masks(x.level) else None for x in labels)

        return FrameLabels(keep(self.columns), keep(self.index), keep(self.header), keep(self.rows))

    def __bool__(self) -> bool:
        return any(x is not None for x in (*self.columns, *self.index, *self.header, *self.rows))


def from_broker(labels: Mapping[str, Mapping[str, Any]]) -> dict[str, ColumnLabel]:
    """Builds labels from the answer to ``observe_read``; what cannot be read is restricted."""
    built = {name: _label(**_fields(raw)) for name, raw in labels.items()}
    # A scan that found nothing in a column says nothing about it.
    return {n: x for n, x in built.items() if x.is_stated or x.entity_type or x.level}


def _fields(raw: Mapping[str, Any]) -> dict[str, str]:
    return {k: str(raw.get(k) or "") for k in ("level", "entity_type", "source")}


def _label(level: str, entity_type: str, source: str) -> ColumnLabel:
    try:
        parsed = Level.parse(level)
    except ValueError:
        parsed = Level.RESTRICTED
    return ColumnLabel(
        parsed,
        entity_type or None,
        source or "declared",
        free_text=entity_type == "FREE_TEXT",
        is_stated=source.startswith(("catalog", "declared", "policy")),
        is_read=True,
    )


def to_attrs(labels: Mapping[str, ColumnLabel]) -> tuple[tuple[str, str, str, str], ...]:
    """Returns labels in the shape of ``attrs["cloister"]``."""
    return tuple((n, str(x.level), x.entity_type or "", x.source) for n, x in labels.items())


def from_attrs(attrs: object) -> dict[str, ColumnLabel]:
    """Reads ``attrs["cloister"]``; a value of another shape counts as nothing declared."""
    found: dict[str, ColumnLabel] = {}
    if isinstance(attrs, tuple | list):
        for row in attrs:
            if (
                isinstance(row, tuple | list)
                and len(row) == 4
                and all(isinstance(x, str) for x in row)
            ):
                found[row[0]] = _label(row[1], row[2], row[3])
    return found


_NO_POLICY = ColumnLabel(Level.RESTRICTED, None, "no policy")


class _SessionNames:
    """Labels that were declared for a column name when a file was read in this session."""

    def __init__(self) -> None:
        self._labels: dict[str, ColumnLabel] = {}
        self._lock = threading.Lock()

    def declare(self, labels: Mapping[str, ColumnLabel]) -> None:
        with self._lock:
            for name, label in labels.items():
                known = self._labels.get(name)
                if known is None or label.level > known.level:
                    self._labels[name] = label

    def snapshot(self) -> dict[str, ColumnLabel]:
        with self._lock:
            return dict(self._labels)


session_names = _SessionNames()

_cache: OrderedDict[Hashable, FrameLabels] = OrderedDict()
_cache_lock = threading.Lock()


def cached(key: Hashable) -> FrameLabels | None:
    """Returns the labels found for the same content before."""
    with _cache_lock:
        labels = _cache.get(key)
        if labels is not None:
            _cache.move_to_end(key)
        return labels


def remember(key: Hashable, labels: FrameLabels) -> None:
    """Keeps labels for the next look at the same content."""
    with _cache_lock:
        _cache[key] = labels
        if len(_cache) > _TABLES_KEPT:
            _cache.popitem(last=False)


def spread(length: int, rows: int) -> list[int]:
    """Returns at most ``rows`` positions: the first and last five, and a spread between them.

    What a truncated table shows is always among them.
    """
    if length <= rows:
        return list(range(length))
    inner = rows - 10
    step = (length - 10) / inner
    return [*range(5), *(5 + int(i * step) for i in range(inner)), *range(length - 5, length)]


def content_key(values: Iterable[object]) -> int:
    """Returns a hash of cell values; an unhashable object counts by its type and identity."""
    parts: list[object] = []
    for value in values:
        if isinstance(value, list | dict | set):
            # Made anew at each look by Arrow and polars, so identity would never repeat.
            parts.append(canonical_text(value))
            continue
        try:
            hash(value)
        except Exception:  # noqa: BLE001 - __hash__ of an arbitrary object of the user's
            parts.append((type(value), id(value)))
        else:
            parts.append(value)
    return hash(tuple(parts))


def label_columns(
    names: Sequence[object],
    samples: Sequence[Sequence[object]],
    followed: Sequence[ColumnLabel | None],
    policy: PolicyView,
) -> tuple[ColumnLabel | None, ...]:
    """Decides the label of each column.

    Args:
        names: Column names of any kind; ``None`` for one without a name.
        samples: Some cells of each column.
        followed: The label that followed the data into each column; empty for none at all.
        policy: Its column rules and entity levels.

    Returns:
        A label for each column, ``None`` where nothing is known.
    """
    texts = ["" if name is None else name_text(name) for name in names]
    stated = [
        _stated(text, label, policy)
        for text, label in zip(texts, followed or (None,) * len(texts), strict=True)
    ]
    detected = _detect(texts, samples, policy)
    if not policy.digest:
        # Without a policy nothing says that a column may be shown.
        stated = [x or _NO_POLICY for x in stated]
    joined: list[ColumnLabel | None] = []
    for said, seen in zip(stated, detected, strict=True):
        if said is not None and said.is_final:
            joined.append(said)
            continue
        joined.append(said.join(seen) if said is not None and seen is not None else said or seen)
    return tuple(joined)


def name_text(name: object) -> str:
    """Returns a column's name as text, of several headers the innermost that is not empty."""
    if isinstance(name, tuple):
        # A column below several headers goes by its innermost name that is not empty.
        return next((t for part in reversed(name) if (t := name_text(part))), "")
    return canonical_text(name) or ""


def _stated(name: str, followed: ColumnLabel | None, policy: PolicyView) -> ColumnLabel | None:
    rule = policy.column_rule(name) if name else None
    by_rule = None if rule is None else _by_rule(rule)
    if followed is not None and followed.is_final:
        return followed
    if by_rule is not None and followed is not None:
        return by_rule.join(followed)
    return by_rule or followed


def _by_rule(rule: ColumnRule) -> ColumnLabel:
    return ColumnLabel(
        rule.level,
        rule.entity_type,
        f"policy {rule.id}",
        free_text=rule.entity_type == "FREE_TEXT",
        is_stated=True,
    )


def _detect(
    names: Sequence[str], samples: Sequence[Sequence[object]], policy: PolicyView
) -> list[ColumnLabel | None]:
    if not names:
        return []
    import pyarrow as pa

    from cloister.detect.columns import classify_table
    from cloister.detect.recognizers import Recognizers

    table = pa.Table.from_arrays([_arrow(sample) for sample in samples], names=list(names))
    findings = classify_table(table, level_of=policy.level_of, recognizers=Recognizers.of(policy))
    if len(findings) != len(names):
        raise ValueError("a finding for each column is expected")
    return [
        None
        if f.entity_type is None and f.level is Level.PUBLIC
        else ColumnLabel(
            f.level,
            f.entity_type or ("FREE_TEXT" if f.free_text else None),
            "detected by " + " and ".join(f.evidence) if f.evidence else "detected",
            free_text=bool(f.free_text),
        )
        for f in findings
    ]


def _arrow(sample: Sequence[object]) -> Any:
    """Turns cells into an Arrow array; what Arrow has no type for is taken as text."""
    import pyarrow as pa

    # Tokens say nothing of what a column holds, and would hide the real values beside them.
    cells = [None if is_null(v) or is_stand_in(v) else _cut(v) for v in sample]
    try:
        array = pa.array(cells, from_pandas=True)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        array = None
    if array is None or pa.types.is_nested(array.type) or pa.types.is_binary(array.type):
        array = pa.array([_plain_text(v) for v in cells], pa.string())
    return array


def _plain_text(value: object) -> str | None:
    text = None if value is None else canonical_text(value)
    # Lone surrogates have no UTF-8 form, and Arrow text is UTF-8.
    return None if text is None else text[:_LONGEST_SAMPLE].encode("utf-8", "replace").decode()


def _cut(value: object) -> object:
    return value[:_LONGEST_SAMPLE] if isinstance(value, str | bytes) else value
