"""Masks of Python values: one that needs no key, and many with one."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Final, assert_never

from cloister.core.masks import MaskKind
from cloister.detect.masking.days import days_of, period, shifted
from cloister.detect.masking.keyed import SUBJECT
from cloister.detect.masking.marks import (
    encodable,
    is_null,
    is_stand_in,
    mark,
    partial_mark,
    text_of,
)
from cloister.detect.masking.numbers import band, bounded, moved, number_key, rounded
from cloister.detect.masking.texts import domain, network, prefix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloister.core.masks import Mask
    from cloister.detect.masking.keyed import Keyed

#: Kinds that give a number for a number.
OF_NUMBERS = frozenset({MaskKind.BOUNDS, MaskKind.ROUNDED, MaskKind.NOISE})
#: Kinds that give a date for a date.
OF_DAYS = frozenset({MaskKind.PERIOD, MaskKind.SHIFT})
# What may be looked up in a dict: the hash of any other object is somebody else's code.
_PLAIN: Final = frozenset({str, int, float, bool, bytes, dt.date})


def mask_cells(
    values: Sequence[object],
    mask: Mask,
    entity_type: str,
    keyed: Keyed,
    *,
    subjects: Sequence[object] | None = None,
    is_typed: bool = False,
) -> list[object]:
    """Returns what stands in for each of some values. Nulls stay, and so does what is masked.

    Args:
        values: Any Python values.
        mask: Any kind; ``spans`` masks a value whole.
        entity_type: It stands in tokens and marks.
        keyed: Makes what only the workspace's key can.
        subjects: For ``shift``: whose each value is. Without it, and where it is null, no date is
            shown.
        is_typed: Whether all values are of one type that the mask keeps, so that a value that it
            cannot read becomes a null, and not a mark.

    Raises:
        CloisterError: ``keyed`` is the broker's, and the broker refused.
    """
    if mask.kind is MaskKind.SHOW:
        return list(values)
    if mask.kind is MaskKind.SUPPRESS:
        return [value if is_null(value) else None for value in values]
    if mask.kind in (MaskKind.TOKEN, MaskKind.REVERSIBLE):
        return _tokens(values, mask, entity_type, keyed)
    offsets = _offsets(values, mask, entity_type, keyed, subjects)
    known: dict[tuple[type, object], object] = {}
    masked: list[object] = []
    for place, value in enumerate(values):
        if is_null(value) or is_stand_in(value):
            masked.append(value)
            continue
        offset = None if offsets is None else offsets[place]
        # Two subjects move one date by two distances, so only what depends on nothing else is kept.
        key = (type(value), value) if offsets is None and type(value) in _PLAIN else None
        if key is not None and key in known:
            masked.append(known[key])
            continue
        is_day = mask.kind is MaskKind.PERIOD and isinstance(value, dt.date) and not is_typed
        shown = masked_cell(text_of(value) if is_day else value, mask, entity_type, offset)
        if not is_typed:
            shown = mark(entity_type) if shown is None else encodable(text_of(shown))
        masked.append(shown)
        if key is not None:
            known[key] = shown
    return masked


def mask_in_text(value: str, mask: Mask, entity_type: str, keyed: Keyed) -> str:
    """Returns what stands in for a value in the middle of a text: always something to see."""
    if mask.kind is MaskKind.SUPPRESS:
        return mark(entity_type)
    (shown,) = mask_cells([value], mask, entity_type, keyed)
    return shown if isinstance(shown, str) else mark(entity_type)


def are_typed(values: Sequence[object], mask: Mask) -> bool:
    """Returns whether all values are of a type that the mask keeps."""
    if mask.kind in OF_NUMBERS:
        return all(
            is_null(v) or (isinstance(v, (int, float, Decimal)) and not isinstance(v, bool))
            for v in values
        )
    return mask.kind in OF_DAYS and all(is_null(v) or isinstance(v, dt.date) for v in values)


def masked_cell(value: object, mask: Mask, entity_type: str, offset: float | None = None) -> object:
    """Returns what stands in for a value, ``None`` when the mask cannot read it.

    Args:
        value: Not a null, and not a stand-in.
        mask: Any kind but a token: those are made many at a time.
        entity_type: Stands in the marks.
        offset: For noise and shift: in [-1, 1), from the workspace's key. ``None`` where it cannot
            be had, and then nothing is shown.
    """
    try:
        return _masked(value, mask, entity_type, offset)
    except Exception:  # noqa: BLE001 - a date in the year 9999, 400 digits, or an object's own code
        return None


def _masked(  # noqa: C901, PLR0911, PLR0912 - one case for each kind
    value: object, mask: Mask, entity_type: str, offset: float | None
) -> object:
    match mask.kind:
        case MaskKind.SHOW:
            return value
        case MaskKind.PARTIAL:
            return partial_mark(entity_type, text_of(value), mask.last)
        case MaskKind.PREFIX:
            return prefix(text_of(value), mask.length)
        case MaskKind.DOMAIN:
            return domain(text_of(value))
        case MaskKind.NETWORK:
            return network(text_of(value), mask.bits)
        case MaskKind.BANDS:
            return band(value, mask.width)
        case MaskKind.BOUNDS:
            return bounded(value, mask.low, mask.high)
        case MaskKind.ROUNDED:
            return rounded(value, mask.digits)
        case MaskKind.NOISE:
            return None if offset is None else moved(value, mask.amount, offset)
        case MaskKind.PERIOD:
            return period(value, mask.unit)
        case MaskKind.SHIFT:
            return None if offset is None else shifted(value, days_of(offset, mask.days))
        case MaskKind.SUPPRESS:
            return None
        case MaskKind.REDACT | MaskKind.TOKEN | MaskKind.REVERSIBLE | MaskKind.SPANS:
            return mark(entity_type)
        case _:
            assert_never(mask.kind)


def _tokens(values: Sequence[object], mask: Mask, entity_type: str, keyed: Keyed) -> list[object]:
    """Returns tokens; each text is asked for once."""
    texts = [None if is_null(v) or is_stand_in(v) else text_of(v) for v in values]
    unique = list(dict.fromkeys(text for text in texts if text is not None))
    make = keyed.reversible_tokens if mask.kind is MaskKind.REVERSIBLE else keyed.tokens
    made = dict(zip(unique, make(entity_type, unique), strict=True))
    return [v if t is None else made[t] for v, t in zip(values, texts, strict=True)]


def _offsets(
    values: Sequence[object],
    mask: Mask,
    entity_type: str,
    keyed: Keyed,
    subjects: Sequence[object] | None,
) -> list[float | None] | None:
    """Returns how far each value is moved; ``None`` when the mask moves nothing."""
    if mask.kind is MaskKind.SHIFT:
        owners = [None] * len(values) if subjects is None else subjects
        domain_of, keys = SUBJECT, [None if is_null(o) else text_of(o) for o in owners]
    elif mask.kind is MaskKind.NOISE:
        domain_of, keys = entity_type, [None if is_null(v) else number_key(v) for v in values]
    else:
        return None
    unique = list(dict.fromkeys(key for key in keys if key is not None))
    found = dict(zip(unique, keyed.offsets(domain_of, unique), strict=True))
    return [None if key is None else found[key] for key in keys]
