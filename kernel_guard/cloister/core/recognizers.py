"""Types of values that an admin adds: recognisers in Presidio's format, and an allow list.

These are data that the policy's schema has accepted; :mod:`cloister.detect.recognizers` runs them.
The format is that of Presidio's YAML for custom recognisers, so that a file written for it can be
copied: https://data-privacy-stack.github.io/presidio/tutorial/08_no_code/
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cloister.core.labels import Level

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class RecognizerPattern:
    """A way in which values of a type are written.

    Attributes:
        regex: RE2 syntax; case does not count.
        score: Confidence of a match, 0 to 1.
        name: For people.
    """

    regex: str
    score: float
    name: str = ""


@dataclass(frozen=True, slots=True)
class RecognizerRule:
    """One recogniser of the policy.

    Attributes:
        id: Rule id, ``recognizers[0]``.
        name: For people.
        entity_type: What its matches are.
        patterns: Any of them makes a match.
        deny_list: Whole words and phrases that are values of the type.
        deny_list_score: Confidence of a match with the deny list, 0 to 1.
        context: Words that make a weak match count when one stands near.
        level: How sensitive the type is, or ``None`` for what the policy or the default says.
    """

    id: str
    name: str
    entity_type: str
    patterns: tuple[RecognizerPattern, ...] = ()
    deny_list: tuple[str, ...] = ()
    deny_list_score: float = 1.0
    context: tuple[str, ...] = ()
    level: Level | None = None

    def as_dict(self, *, deny_list: bool = True) -> dict[str, Any]:
        """Returns the rule as it stands in a policy.

        Args:
            deny_list: Whether to hand out the deny list, which may itself be confidential.
        """
        data: dict[str, Any] = {"name": self.name, "supported_entity": self.entity_type}
        if self.patterns:
            data["patterns"] = [
                {"name": p.name, "regex": p.regex, "score": p.score} for p in self.patterns
            ]
        if self.deny_list and deny_list:
            data["deny_list"] = list(self.deny_list)
            data["deny_list_score"] = self.deny_list_score
        if self.context:
            data["context"] = list(self.context)
        if self.level is not None:
            data["level"] = str(self.level)
        return data


@dataclass(frozen=True, slots=True)
class AllowList:
    """Values that are never sensitive, whatever finds them.

    Attributes:
        values: Exact values, or patterns.
        is_regex: Whether they are patterns; one has to match a whole value.
    """

    values: tuple[str, ...] = ()
    is_regex: bool = False


#: No value is exempt.
ALLOW_NOTHING: Final = AllowList()


def recognizers_from_list(items: Sequence[Mapping[str, Any]]) -> tuple[RecognizerRule, ...]:
    """Returns the rules of a policy's ``recognizers`` that are enabled."""
    return tuple(
        RecognizerRule(
            id=f"recognizers[{number}]",
            name=item["name"],
            entity_type=item["supported_entity"],
            patterns=tuple(
                RecognizerPattern(p["regex"], float(p["score"]), p.get("name", ""))
                for p in item.get("patterns", ())
            ),
            deny_list=tuple(item.get("deny_list", ())),
            deny_list_score=float(item.get("deny_list_score", 1.0)),
            context=_context(item),
            level=Level.parse(item["level"]) if "level" in item else None,
        )
        for number, item in enumerate(items)
        if item.get("enabled", True)
    )


def allow_list_from_dict(data: Mapping[str, Any]) -> AllowList:
    """Returns the allow list of a policy, from ``allow_list`` and ``allow_list_match``."""
    return AllowList(tuple(data.get("allow_list", ())), data.get("allow_list_match") == "regex")


def _context(item: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the context words; Presidio also lets each language have its own."""
    words = list(item.get("context", ()))
    for language in item.get("supported_languages", ()):
        if isinstance(language, dict):
            words += language.get("context", ())
    return tuple(dict.fromkeys(words))
