"""Which mask stands in for the values of a type, as the policy states it.

A :class:`Mask` is a kind and its parameters, and nothing about how it is computed: that is
:mod:`cloister.detect.masking`. The schema has checked the shapes of a policy's ``masks``; a mask
that comes another way (from the broker's ``hello``) is checked here, and one that nobody knows is
an error, never a weaker mask.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum
from typing import TYPE_CHECKING, Any

from cloister.core.errors import CloisterError

if TYPE_CHECKING:
    from collections.abc import Mapping


class MaskKind(Enum):
    """What a mask does; ``cloister.detect.masking`` has the table of what each keeps."""

    SHOW = "show"
    REDACT = "redact"
    SUPPRESS = "suppress"
    TOKEN = "token"  # noqa: S105 - a mask's name, not a secret
    REVERSIBLE = "reversible"
    PARTIAL = "partial"
    PREFIX = "prefix"
    DOMAIN = "domain"
    NETWORK = "network"
    BANDS = "bands"
    BOUNDS = "bounds"
    ROUNDED = "rounded"
    NOISE = "noise"
    PERIOD = "period"
    SHIFT = "shift"
    SPANS = "spans"


#: Kinds that show nothing of a value: what was computed from a sensitive value may have these only.
OPAQUE = frozenset({MaskKind.REDACT, MaskKind.SUPPRESS, MaskKind.TOKEN, MaskKind.REVERSIBLE})


@dataclass(frozen=True, slots=True)
class Mask:
    """One kind of mask with its parameters; those that the kind does not take are as they are here.

    Attributes:
        kind: What it does.
        last: ``partial``: how many characters are shown.
        length: ``prefix``: how many characters are shown.
        width: ``bands``: how many numbers share a band.
        low: ``bounds``: smaller numbers become this one; ``None`` for no bound.
        high: ``bounds``: larger numbers become this one; ``None`` for no bound.
        digits: ``rounded``: digits after the decimal point.
        amount: ``noise``: the most that a number is moved, in its own unit.
        bits: ``network``: leading bits of an IPv4 address that are shown; of IPv6, twice as many.
        unit: ``period``: ``month``, ``quarter`` or ``year``.
        days: ``shift``: the most days that a date is moved.
        subject: ``shift``: the column that says whose row it is.
    """

    kind: MaskKind
    last: int = 4
    length: int = 3
    width: int = 10
    low: float | None = None
    high: float | None = None
    digits: int = 1
    amount: float = 1.0
    bits: int = 24
    unit: str = "month"
    days: int = 180
    subject: str = ""

    @property
    def is_opaque(self) -> bool:
        """Returns whether nothing of a value can be seen in what stands in for it."""
        return self.kind in OPAQUE

    @property
    def words(self) -> str:
        """Says how a value is shown, for people."""
        if self.kind is MaskKind.BOUNDS:
            ends = (("at least", self.low), ("at most", self.high))
            return " and ".join(f"{word} {end:g}" for word, end in ends if end is not None)
        return _WORDS[self.kind].format(mask=self)

    def as_dict(self) -> dict[str, Any]:
        """Returns the mask as the policy writes it, every parameter stated."""
        stated: dict[str, Any] = {"kind": self.kind.value}
        for name in PARAMETERS.get(self.kind, ()):
            value = getattr(self, name)
            if value is not None:
                stated[name] = value
        return stated


_WORDS = {
    MaskKind.SHOW: "shown",
    MaskKind.REDACT: "redacted",
    MaskKind.SUPPRESS: "left out",
    MaskKind.TOKEN: "shown as a token",
    MaskKind.REVERSIBLE: "shown as a token that can be undone",
    MaskKind.PARTIAL: "shown as its last characters: {mask.last}",
    MaskKind.PREFIX: "shown as its first characters: {mask.length}",
    MaskKind.DOMAIN: "shown as its domain",
    MaskKind.NETWORK: "shown as its network: {mask.bits} bits",
    MaskKind.BANDS: "shown in bands of {mask.width}",
    MaskKind.ROUNDED: "rounded to digits: {mask.digits}",
    MaskKind.NOISE: "moved by at most {mask.amount:g}",
    MaskKind.PERIOD: "shown as its {mask.unit}",
    MaskKind.SHIFT: "moved by the days of its {mask.subject}",
    MaskKind.SPANS: "shown without the values found in it",
}

#: The parameters that each kind takes; the other kinds take none.
PARAMETERS: dict[MaskKind, tuple[str, ...]] = {
    MaskKind.PARTIAL: ("last",),
    MaskKind.PREFIX: ("length",),
    MaskKind.NETWORK: ("bits",),
    MaskKind.BANDS: ("width",),
    MaskKind.BOUNDS: ("low", "high"),
    MaskKind.ROUNDED: ("digits",),
    MaskKind.NOISE: ("amount",),
    MaskKind.PERIOD: ("unit",),
    MaskKind.SHIFT: ("subject", "days"),
}

REDACTED_WHOLE = Mask(MaskKind.REDACT)


def mask_from_dict(data: Mapping[str, Any]) -> Mask:
    """Builds a mask from what a policy says of it.

    Raises:
        CloisterError: Its kind is not known, or a parameter is not the kind's (``CLO-POLICY-003``).
    """
    try:
        kind = MaskKind(data.get("kind"))
        given = {name: value for name, value in data.items() if name != "kind"}
        if given.keys() - set(PARAMETERS.get(kind, ())) or kind is MaskKind.SHOW:
            raise ValueError
        types = {field.name: type(field.default) for field in fields(Mask)}
        for name, value in given.items():
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not (isinstance(value, str) if types[name] is str else is_number):
                raise ValueError
        return Mask(kind, **given)
    except (ValueError, TypeError):
        raise CloisterError(
            "The policy states a mask that this version does not know.",
            code="CLO-POLICY-003",
            remedy="Run cloister policy check, and use the same version of cloister everywhere.",
        ) from None


def masks_from_dict(data: Mapping[str, Mapping[str, Any]]) -> dict[str, Mask]:
    """Builds the masks of a policy by entity type.

    Raises:
        CloisterError: One of them is not known (``CLO-POLICY-003``).
    """
    return {entity_type: mask_from_dict(mask) for entity_type, mask in data.items()}
