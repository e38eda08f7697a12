"""What a rule for text is: a pattern that proposes a place, and a check that decides.

Patterns are RE2's, so they take time linear in the text whatever it holds. RE2 has no look-around
and no back-references; what these would say is said by the rule's check, which sees the text around
the place. Patterns meet text that :mod:`cloister.detect.folding` has made ASCII.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

#: Gets the text and the half-open range that the pattern matched; returns the range of the value,
#: or ``None`` when it is not one.
Check: TypeAlias = "Callable[[str, int, int], tuple[int, int] | None]"


@dataclass(frozen=True, slots=True)
class Rule:
    """How one kind of value is found in text.

    Attributes:
        entity_type: Presidio's name.
        pattern: RE2 syntax without capturing groups; proposes places.
        score: 0 to 1. Where two rules claim one place, the higher score stays, then the longer.
        check: Decides; ``None`` when the pattern alone does.
        hint: A cheaper pattern that matches wherever ``pattern`` does; decides whether the rule
            runs on a text at all. Empty: the pattern itself.
    """

    entity_type: str
    pattern: str
    score: float
    check: Check | None = None
    hint: str = ""


# What may stand between a word and the value it announces: a little punctuation, a few words, but
# no run of spaces, since that is the gap between the columns of a table.
_MARK = r"[\"'\])]{0,2}(?: ?[:=#>-]{1,2})? {0,2}[\"'(\[#]{0,2}"
_FILLER = r"(?:is|was|are|of|for|no|number|nr|num|id|the|value|ist|lautet|est|es)\b\.?"
_GAP = rf"\.?{_MARK}(?:{_FILLER}{_MARK}){{0,3}}"


def before(text: str, start: int, chars: int = 1) -> str:
    """Returns up to ``chars`` characters that stand before ``start``."""
    return text[max(0, start - chars) : start]


def is_joined(text: str, start: int, end: int) -> bool:
    """Returns whether the range is a piece of something longer: a word, a number, a path, a hash.

    A full stop, comma or dash counts only when a letter or digit follows it directly.
    """
    if start and (text[start - 1].isalnum() or text[start - 1] in "_.-+"):
        previous = text[start - 1]
        # A dash or a full stop after a space is punctuation, for instance in a list.
        if (
            previous not in ".-"
            or start == 1
            or text[start - 2].isalnum()
            or text[start - 2] == "."
        ):
            return True
    following = text[end : end + 2]
    if not following:
        return False
    if following[0].isalnum() or following[0] == "_":
        return True
    return following[0] in "-." and len(following) > 1 and following[1].isalnum()


def worded(
    entity_type: str,
    words: str,
    shape: str,
    is_valid: Callable[[str], bool] | None = None,
    *,
    score: float = 0.85,
    gap: str = _GAP,
    case: bool = False,
) -> Rule:
    """Returns a rule for values that count only after a word that says what they are.

    Args:
        entity_type: Presidio's name.
        words: The words, as alternatives of a pattern; case does not count.
        shape: How a value is written, without capturing groups.
        is_valid: Gets the value and decides; ``None`` when words and writing do.
        score: As for any rule.
        gap: What may stand between the words and the value.
        case: Whether case counts in ``shape``.
    """
    shape = shape if case else f"(?i:{shape})"
    # A word may be the end of a name in code: patient_ssn.
    said = rf"(?i:(?:\b|_)(?:{words})\b)(?i:{gap})"
    at_end = re.compile(rf"(?<![A-Za-z0-9])(?:{shape})$")

    def check(text: str, start: int, end: int) -> tuple[int, int] | None:
        found = at_end.search(text, start, end)
        if found is None or is_joined(text, found.start(), end):
            return None
        if is_valid is not None and not is_valid(found.group()):
            return None
        return found.start(), end

    # The words alone make a smaller automaton than words, gap and value.
    hint = rf"(?i)(?:\b|_)(?:{words})\b"
    return Rule(entity_type, rf"{said}(?:{shape})\b", score, check, hint)
