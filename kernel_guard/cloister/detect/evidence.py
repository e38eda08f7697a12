"""Which of several kinds the values of a column are: the share that fits, the name, then rarity.

A check digit lets one number in ten pass by chance, so a handful of hits says nothing: the lower
end of the Wilson interval (Wilson 1927) of the share must reach :data:`DECIDING_SHARE`. Numbers of
several kinds can keep one law (an ISBN keeps that of the NHS). Then the larger share is right;
where shares agree, the kind that the column's name calls for, then the one that fits less by
chance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cloister.core.entities import GENERAL_TYPE
from cloister.detect.values import looks_called

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cloister.detect.looks import Look

DECIDING_SHARE: Final = 0.55
#: Standard deviations below the share that was seen: 95 %, and less where little else looks so.
USUAL_Z: Final = 1.96
STRONG_Z: Final = 0.8
# Shares closer than this are the same: a few mistyped numbers are in every column.
_SAME_SHARE: Final = 0.03


@dataclass(frozen=True, slots=True)
class Choice:
    """The kind that values have.

    Attributes:
        look: The kind.
        bound: Lower end of the interval of the share that has it, 0 to 1.
        is_named: Whether the column's name calls for it.
    """

    look: Look
    bound: float
    is_named: bool


def wilson_lower(hits: int, total: int, z: float = USUAL_Z) -> float:
    """Returns the lower end of the Wilson score interval for ``hits`` of ``total``."""
    if hits == 0:
        return 0.0
    share = hits / total
    centre = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(0.0, (centre - spread) / (1 + z * z / total))


def choose(
    counts: Mapping[Look, int], total: int, words: str = "", proposed: Collection[str] = ()
) -> Choice | None:
    """Returns the kind that values have, if one is certain enough.

    Args:
        counts: How many values have each look.
        total: How many values were looked at.
        words: The column's name as :func:`cloister.detect.names.words_of` reads it.
        proposed: Entity types that the name proposes in some other way.

    Returns:
        The choice; ``None`` when no kind reaches the bound, or when the values are goods.
    """
    called = frozenset(looks_called(words)) if words else frozenset()
    choices = []
    for look, hits in counts.items():
        is_named = look in called or _is_proposed(look.name, proposed)
        if not (look.alone or is_named):
            continue
        bound = wilson_lower(hits, total, STRONG_Z if look.is_strong or is_named else USUAL_Z)
        if bound >= DECIDING_SHARE:
            choices.append((hits / total, Choice(look, bound, is_named)))
    if not choices:
        return None
    best = max(share for share, _ in choices)
    equal = [choice for share, choice in choices if share >= best - _SAME_SHARE]
    chosen = min(equal, key=lambda choice: (not choice.is_named, choice.look.chance))
    return None if chosen.look.name.islower() else chosen


def promising(counts: Mapping[Look, int], total: int) -> list[Look]:
    """Returns the looks that could still decide or matter when more values are counted.

    After a gate of a few hundred values, most laws that some numbers keep by chance are out.

    Args:
        counts: How many values of the gate have each look.
        total: How many values the gate has.
    """
    return [
        look
        for look, hits in counts.items()
        if look.is_strong or 1 - wilson_lower(total - hits, total) >= DECIDING_SHARE
    ]


def _is_proposed(entity_type: str, proposed: Collection[str]) -> bool:
    return entity_type in proposed or GENERAL_TYPE.get(entity_type) in proposed
