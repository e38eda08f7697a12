"""What stands in for a value inside the kernel: the policy's masks, with the broker's tokens.

The kinds are those of :mod:`cloister.detect.masking`; what needs the workspace's key comes from the
broker, which has it. Equal values have equal tokens, so equality and grouping can still be seen.
Nulls stay as they are. Whatever goes wrong here ends in a mark, never in the value.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import threading
from typing import TYPE_CHECKING, Any

from cloister.core.errors import CloisterError
from cloister.core.masks import REDACTED_WHOLE, Mask, MaskKind
from cloister.core.policy import Treatment
from cloister.detect.masking.cells import are_typed, mask_cells
from cloister.detect.masking.marks import UNKNOWN, encodable, is_null, is_stand_in, mark
from cloister.hooks.client import client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cloister.hooks.labels import ColumnLabel
    from cloister.hooks.policyview import PolicyView

__all__ = [
    "REDACTED",
    "UNKNOWN",
    "batches",
    "canonical_text",
    "is_null",
    "is_stand_in",
    "mask_for_label",
    "mask_prose",
    "mask_values",
    "revealed",
    "tokens_of",
]

#: Stands for a value when no token can be had and nothing else is known.
REDACTED = "[redacted]"
_VALUES_IN_CALL = 10_000
_BYTES_IN_CALL = 4_000_000
_TOKENS_KEPT = 200_000
_LONGEST_TEXT = 4_096
_TOKEN = Mask(MaskKind.TOKEN)

_tokens: dict[tuple[str, str, str], Any] = {}
_tokens_lock = threading.Lock()


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


def mask_for_label(label: ColumnLabel, policy: PolicyView) -> Mask:
    """Returns the mask of a column.

    What was computed from a sensitive value may have a mask that shows nothing of it only: the last
    four characters of a number written backwards are its first.
    """
    mask = policy.mask_for(label.entity_type, label.level)
    if not label.is_derived or mask.is_opaque or mask.kind is MaskKind.SHOW:
        return mask
    return _TOKEN if policy.treatment(label.level) is Treatment.TOKEN else REDACTED_WHOLE


def mask_values(
    values: Sequence[object],
    label: ColumnLabel,
    policy: PolicyView,
    subjects: Callable[[str], Sequence[object] | None] | None = None,
) -> list[object]:
    """Returns what is shown in place of ``values``.

    Args:
        values: Cells of one column.
        label: The column's label.
        policy: Says how the label's type and level are shown.
        subjects: Returns the cells of the column of a name, beside these; for a mask that moves
            dates by the days of their subject.

    Returns:
        A list of the same length. Nulls are the same objects; all else is ``str``, unless the mask
        keeps numbers or dates and all values are such.
    """
    mask = mask_for_label(label, policy)
    if mask.kind is MaskKind.SHOW:
        return list(values)
    entity = label.entity_type or UNKNOWN
    try:
        if mask.kind is MaskKind.SPANS:
            return [v if _is_kept(v) else encodable(mask_prose(v, entity, policy)) for v in values]
        if mask.kind in (MaskKind.TOKEN, MaskKind.REVERSIBLE):
            return tokens_of(values, entity, reversible=mask.kind is MaskKind.REVERSIBLE)
        owners = None
        if mask.kind is MaskKind.SHIFT and subjects is not None:
            owners = subjects(mask.subject)
        # Without the subjects no date can be shown, and a mark says so where a null would not.
        is_lost = mask.kind is MaskKind.SHIFT and owners is None
        masked = mask_cells(
            values,
            mask,
            entity,
            _Broker(),
            subjects=owners,
            is_typed=not is_lost and are_typed(values, mask),
        )
    except CloisterError:
        return [v if _is_kept(v) else REDACTED for v in values]
    if label.entity_type is None:  # nothing is known that a mark could say
        return [REDACTED if v == mark(UNKNOWN) else v for v in masked]
    return masked


def mask_prose(value: object, entity_type: str, policy: PolicyView) -> str:
    """Returns text without what patterns find in it, a mark for anything but text.

    The gate looks for known values in what is left.
    """
    if not isinstance(value, str):
        return mark(entity_type)
    from cloister.detect.mask import mask_prose as masked_prose
    from cloister.detect.recognizers import Recognizers

    def mask_of(found: str) -> Mask:
        return policy.mask_for(found, policy.level_of(found))

    return masked_prose(str.__str__(value), mask_of, _Broker(), Recognizers.of(policy))


def tokens_of(
    values: Sequence[object], entity_type: str, *, reversible: bool = False
) -> list[object]:
    """Returns tokens for ``values``; nulls are kept.

    Raises:
        CloisterError: The broker cannot be reached or refused.
    """
    texts = [None if _is_kept(v) else _short(canonical_text(v)) for v in values]
    known = _asked("reversible" if reversible else "token", entity_type, texts)
    return [
        value if _is_kept(value) else (known[text] if text is not None else REDACTED)
        for value, text in zip(values, texts, strict=True)
    ]


def revealed(tokens: Sequence[object]) -> list[object]:
    """Returns what reversible tokens stand for; nulls are kept, and nothing is remembered.

    Raises:
        CloisterError: The broker cannot be reached, or it refused.
    """
    texts = [None if is_null(token) else str(canonical_text(token)) for token in tokens]
    known: dict[str, str] = {}
    for batch in batches(dict.fromkeys(text for text in texts if text is not None)):
        values = client().call("reveal", tokens=batch)["values"]
        known.update(zip(batch, values, strict=True))
    return [t if text is None else known[text] for t, text in zip(tokens, texts, strict=True)]


class _Broker:
    """Makes with the broker's help what needs the workspace's key."""

    def tokens(self, entity_type: str, values: Sequence[str], /) -> list[str]:
        known = _asked("token", entity_type, values)
        return [known[text] for text in values]

    def reversible_tokens(self, entity_type: str, values: Sequence[str], /) -> list[str]:
        known = _asked("reversible", entity_type, values)
        return [known[text] for text in values]

    def offsets(self, entity_type: str, values: Sequence[str], /) -> list[float]:
        known = _asked("offset", entity_type, values)
        return [known[text] for text in values]


def _asked(what: str, entity_type: str, texts: Iterable[str | None]) -> dict[str, Any]:
    """Returns the broker's answer for each text; what was asked before is remembered.

    Args:
        what: ``token``, ``reversible`` or ``offset``.
        entity_type: Its type.
        texts: Each is asked for once; ``None`` is left out.

    Raises:
        CloisterError: The broker cannot be reached or refused.
    """
    known = {t: _tokens.get((what, entity_type, t)) for t in texts if t is not None}
    missing = [t for t, answer in known.items() if answer is None]
    for batch in batches(missing):
        if what == "offset":
            answer = client().call("offsets", entity_type=entity_type, values=batch)["offsets"]
        elif what == "reversible":
            answer = client().call(
                "tokenise", entity_type=entity_type, values=batch, reversible=True
            )["tokens"]
        else:
            answer = client().call("tokenise", entity_type=entity_type, values=batch)["tokens"]
        if not isinstance(answer, list) or len(answer) != len(batch):
            raise CloisterError("The broker sent fewer tokens than values.", code="CLO-BROKER-005")
        kind = float if what == "offset" else str
        fresh = {text: kind(one) for text, one in zip(batch, answer, strict=True)}
        known.update(fresh)
        with _tokens_lock:
            if len(_tokens) + len(fresh) > _TOKENS_KEPT:
                _tokens.clear()
            _tokens.update({(what, entity_type, text): one for text, one in fresh.items()})
    return known


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
