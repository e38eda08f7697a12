"""How values of one kind look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

#: Returns how many of some values pass a check.
Check: TypeAlias = Callable[[list[str]], int]


@dataclass(frozen=True, slots=True)
class Look:
    """How values of one kind look.

    Attributes:
        name: Presidio's entity type, or a word in lower case for a look that is no entity.
        pattern: RE2, for the whole value.
        is_strong: Whether little else looks like that, so that a few values suffice.
        check: Returns how many of the matching values pass; ``None`` when the pattern suffices.
        hint: Python regular expression, searched in the words of a column's name: words that call
            for this kind and no other.
        alone: Whether values suffice; if not, the name of the column must call for the kind.
        chance: Which share of random values with the same characters and length would pass; of
            two kinds that fit equally well, the one that fits less by chance is right.
    """

    name: str
    pattern: str
    is_strong: bool = False
    check: Check | None = None
    hint: str = ""
    alone: bool = True
    chance: float = 1.0
