"""What stands in for a value: a token, its last four characters, or a fixed mark.

Tokens come from the broker, which holds the key; equal values have equal tokens, so equality and
grouping can still be seen. Nulls stay as they are. Whatever goes wrong here ends in the mark,
never in the value.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import threading
from typing import TYPE_CHECKING

from cloister.core.errors import CloisterError
from cloister.core.policy import Treatment
from cloister.hooks.client import client

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cloister.hooks.labels import ColumnLabel
    from cloister.hooks.policyview import PolicyView

#: Stands for a value when no token can be had and nothing else is known.
REDACTED = "[redacted]"
# What already stands in for a value is left as it is, so that masking twice is masking once.
# The forms are those of cloister.detect.mask and cloister.detect.tokens.
_STAND_IN = re.compile(
    r"[A-Z][A-Z0-9_]*~[a-z2-7]{10}"  # a token
    r"|\[redacted\]|\[[A-Z][A-Z0-9_]*(?: ….{1,4})?\]",  # a mark, with the last characters or not
    re.DOTALL,
)
#: Entity type of a value whose column is sensitive and whose kind is not known.
UNKNOWN = "UNKNOWN"

_VALUES_IN_CALL = 10_000
_BYTES_IN_CALL = 4_000_000
_TOKENS_KEPT = 200_000
_LONGEST_TEXT = 4_096
_PARTIAL_SHOWN = 4
# With fewer characters than this the last four would be half of the value or more.
_PARTIAL_LEAST = 9

_NULL_TYPES = frozenset({"NAType", "NaTType"})  # pandas' own, told by name: pandas may be absent

_tokens: dict[tuple[str, str], str] = {}
_tokens_lock = threading.Lock()


def is_null(value: object) -> bool:
    """Returns whether a cell is missing: ``None``, NaN, ``pandas.NA`` or ``NaT``."""
    if value is None or type(value).__name__ in _NULL_TYPES:
        return True
    return isinstance(value, float) and value != value  # noqa: PLR0124 - NaN is the one such float


def is_stand_in(value: object) -> bool:
    """Returns whether a cell is a token or a mark already."""
    return isinstance(value, str) and len(value) < 60 and bool(_STAND_IN.fullmatch(value))


def canonical_text(value: object) -> str | None:
    """Returns the one text of a value, the same however its column came to be typed.

    An identifier that a null turned into a float reads as the integer it was, and a date that
    pandas widened to midnight reads as the date.

    Returns:
        The text, or ``None`` for an object that cannot be turned into text.
    """
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    try:
        if isinstance(value, float) and float.is_integer(value):
            return str(int(value))
        if isinstance(value, dt.datetime):
            is_midnight = not (value.hour or value.minute or value.second or value.microsecond)
            return value.date().isoformat() if is_midnight else value.isoformat(sep=" ")
        return str(value)
    except Exception:  # noqa: BLE001 - __str__ of an arbitrary object of the user's
        return None


def mask_values(values: Sequence[object], label: ColumnLabel, policy: PolicyView) -> list[object]:
    """Returns what is shown in place of ``values``.

    Args:
        values: Cells of one column.
        label: The column's label.
        policy: Says how the label's level is shown.

    Returns:
        A list of the same length; nulls are the same objects, all else is ``str``.
    """
    treatment = policy.treatment(label.level)
    if treatment is Treatment.SHOW:
        return list(values)
    if treatment is Treatment.TOKEN:
        return tokens_or_marks(values, label.entity_type or UNKNOWN)
    if treatment is Treatment.PARTIAL:
        entity = label.entity_type
        return [v if _is_kept(v) else _partial(canonical_text(v), entity) for v in values]
    return [v if _is_kept(v) else _mark(label.entity_type) for v in values]


def tokens_or_marks(values: Sequence[object], entity_type: str) -> list[object]:
    """Returns tokens for ``values``, or marks where no token can be had."""
    try:
        return tokens_of(values, entity_type)
    except CloisterError:
        return [v if _is_kept(v) else REDACTED for v in values]


def tokens_of(values: Sequence[object], entity_type: str) -> list[object]:
    """Returns tokens for ``values``; nulls are kept.

    Raises:
        CloisterError: The broker cannot be reached or refused.
    """
    texts = [None if _is_kept(v) else _short(canonical_text(v)) for v in values]
    known = {t: _tokens.get((entity_type, t)) for t in texts if t is not None}
    missing = [t for t, token in known.items() if token is None]
    for batch in batches(missing):
        answer = client().call("tokenise", entity_type=entity_type, values=batch)["tokens"]
        if not isinstance(answer, list) or len(answer) != len(batch):
            raise CloisterError("The broker sent fewer tokens than values.", code="CLO-BROKER-005")
        fresh = {(entity_type, text): str(token) for text, token in zip(batch, answer, strict=True)}
        known.update({text: token for (_, text), token in fresh.items()})
        with _tokens_lock:
            if len(_tokens) + len(fresh) > _TOKENS_KEPT:
                _tokens.clear()
            _tokens.update(fresh)
    return [
        value if _is_kept(value) else (known[text] if text is not None else REDACTED)
        for value, text in zip(values, texts, strict=True)
    ]


def batches(texts: Iterable[str]) -> Iterable[list[str]]:
    """Yields ``texts`` in lists that fit one broker call."""
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and (len(batch) >= _VALUES_IN_CALL or size + len(text) > _BYTES_IN_CALL):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    if batch:
        yield batch


def _is_kept(value: object) -> bool:
    return is_null(value) or is_stand_in(value)


def _short(text: str | None) -> str | None:
    """Stands a digest in for a very long text, so that equal texts still have equal tokens."""
    if text is None or len(text) <= _LONGEST_TEXT:
        return text
    return "blake2b:" + hashlib.blake2b(text.encode("utf-8", "replace")).hexdigest()


def _mark(entity_type: str | None) -> str:
    return f"[{entity_type}]" if entity_type else REDACTED


def _partial(text: str | None, entity_type: str | None) -> str:
    if text is None or len(text) < _PARTIAL_LEAST:
        return _mark(entity_type)
    return f"[{entity_type or UNKNOWN} …{text[-_PARTIAL_SHOWN:]}]"
