"""Whether the values of a column speak against what its name proposes.

Values need not prove a name: a given name has no pattern. They have to look like what the name says
in most cells, and must not be what such values never are: fractions, categories, words of
organisations, or of towns where a person is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cloister.detect.categories import (
    share_of_names,
    share_of_organizations,
    share_of_places,
    share_of_sure_names,
)
from cloister.detect.evidence import DECIDING_SHARE
from cloister.detect.values import count_matches

if TYPE_CHECKING:
    from cloister.detect.namerules import NameRule
    from cloister.detect.sampling import Sample

# Of values under a name such as ``owner``, so many must be names of people, or less than so many
# of organisations.
_SOME_NAMES: Final = 0.3
_SOME_ORGANIZATIONS: Final = 0.2
# So few values, which repeat and of which none is a name, are categories.
_CATEGORIES: Final = 4
# Measured, so that a fraction is no objection; an identifier has none.
_MEASURED: Final = frozenset({"AGE", "DOB", "FINANCIAL", "GEO", "MEDICAL", "SALARY"})
_FRACTION: Final = r"[+-]?\d{0,3}\.\d*[1-9]\d*"
# Their values are words that can be looked up, so a name that is something else shows.
_PLACES: Final = frozenset({"COUNTRY", "REGION"})


def agreed(rule: NameRule, sample: Sample) -> tuple[str, float] | None:
    """Returns what a column is that has such a name and such values, and how sure that is.

    Args:
        rule: What its name proposes.
        sample: Its values, at least one.
    """
    if sample.is_time:
        agree = 1.0 if rule.entity_type == "DOB" else 0.0
    else:
        agree = count_matches(sample.gate, rule.values) / len(sample.gate)
    if agree < rule.share or _are_others(rule, sample):
        return None
    if rule.is_person and sample.is_text and not _are_scriptless(sample):
        known = share_of_names(sample.gate)
        if share_of_organizations(sample.gate) > max(_SOME_ORGANIZATIONS, known / 2):
            return "ORGANIZATION", 0.6
        if _are_no_people(rule, sample, known):
            return None
    return rule.entity_type, 0.5 + 0.4 * agree


def _are_others(rule: NameRule, sample: Sample) -> bool:
    """Returns whether values cannot be of a type, though they match its pattern."""
    if rule.entity_type in _PLACES:
        return not _may_be_places(sample)
    if rule.entity_type in _MEASURED:
        return False
    return count_matches(sample.gate, _FRACTION) >= DECIDING_SHARE * len(sample.gate)


def _are_no_people(rule: NameRule, sample: Sample, known: float) -> bool:
    """Returns whether too few values are names of people, where the column may be called so."""
    if not rule.needs_dictionary:
        return False
    if known < max(_SOME_NAMES, share_of_places(sample.gate)):
        return True
    is_category = len(sample.gate) <= _CATEGORIES < sample.values
    return (
        is_category
        and not any(" " in value for value in sample.gate)
        and not share_of_sure_names(sample.gate)
    )


def _may_be_places(sample: Sample) -> bool:
    """Returns whether values can be countries or regions: known ones, or short codes."""
    codes = count_matches(sample.gate, r"\p{L}{2,3}(?:-\p{L}{1,3})?|\p{Han}+")
    return codes >= DECIDING_SHARE * len(sample.gate) or share_of_places(sample.gate) >= _SOME_NAMES


def _are_scriptless(sample: Sample) -> bool:
    """Returns whether values are in a script that the dictionaries do not hold."""
    return count_matches(sample.gate, r"(?s).*\p{Latin}.*") < DECIDING_SHARE * len(sample.gate)
