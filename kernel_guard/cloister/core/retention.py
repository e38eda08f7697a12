"""What the policy says about how long payloads of the record are kept, and about whom it holds.

A *class* names types of events and how old their payloads must and may become. The first class that
matches an event counts. A *hold* keeps the payloads of a subject, whatever their age, until it is
taken out of the policy. Both are about payloads: code, outputs, tokens. Headers stay forever.

A *subject* is ``user:NAME``, ``dataset:NAME``, ``kernel:ID`` or ``execution:ID``: what the headers
of the record name. A person inside the data is not among them; see
``docs/adr/0007-key-hierarchy.md``. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DAY_US: Final = 86_400 * 1_000_000
_SUBJECT: Final = re.compile(r"(user|dataset|kernel|execution):(\S(?:.*\S)?)", re.DOTALL)


class SubjectKind(Enum):
    """What a subject is, and so where the record names it."""

    USER = "user"
    DATASET = "dataset"
    KERNEL = "kernel"
    EXECUTION = "execution"


@dataclass(frozen=True, slots=True)
class Subject:
    """Somebody or something that payloads are about.

    Attributes:
        kind: What it is.
        name: What the headers call it.
    """

    kind: SubjectKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.name}"


@dataclass(frozen=True, slots=True)
class RetentionClass:
    """How long payloads of some types are kept.

    Attributes:
        id: Rule id, ``retention.classes[0]``.
        name: Its name in reports and tombstones.
        types: Types of events; ``*`` stands for any characters.
        minimum_days: No payload is erased that is younger.
        maximum_days: A payload that is older is to be erased; ``None`` for never.
    """

    id: str
    name: str
    types: tuple[str, ...]
    minimum_days: int = 0
    maximum_days: int | None = None

    def covers(self, kind: str) -> bool:
        """Returns whether events of this type belong to the class."""
        return any(fnmatchcase(kind, pattern) for pattern in self.types)

    def is_too_young(self, age_us: int) -> bool:
        """Returns whether a payload of this age may not be erased yet."""
        return self.minimum_days > 0 and age_us < self.minimum_days * _DAY_US

    def is_expired(self, age_us: int) -> bool:
        """Returns whether a payload of this age is to be erased."""
        return self.maximum_days is not None and age_us > self.maximum_days * _DAY_US


@dataclass(frozen=True, slots=True)
class Hold:
    """A subject whose payloads nobody erases.

    Attributes:
        id: Rule id, ``retention.holds[0]``.
        subject: Whose.
        reason: Why, for instance the number of a case.
    """

    id: str
    subject: Subject
    reason: str


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """All classes and holds of a policy."""

    classes: tuple[RetentionClass, ...] = ()
    holds: tuple[Hold, ...] = ()

    def class_of(self, kind: str) -> RetentionClass:
        """Returns the class of a type of events; one without bounds where the policy has none."""
        return next((item for item in self.classes if item.covers(kind)), _UNBOUNDED)


_UNBOUNDED: Final = RetentionClass("retention", "default", ("*",))


def parse_subject(text: str) -> Subject:
    """Reads ``user:ann`` and the like.

    Raises:
        ValueError: It names no kind of subject, or nobody.
    """
    match = _SUBJECT.fullmatch(text)
    if match is None:
        raise ValueError("a subject is user:NAME, dataset:NAME, kernel:ID or execution:ID")
    return Subject(SubjectKind(match[1]), match[2])


def retention_from_dict(data: Mapping[str, Any]) -> RetentionRules:
    """Builds the rules from the policy's ``retention``, which the schema has accepted."""
    return RetentionRules(
        classes=tuple(
            RetentionClass(
                id=f"retention.classes[{i}]",
                name=item["name"],
                types=tuple(item["types"]),
                minimum_days=item.get("minimum_days", 0),
                maximum_days=item.get("maximum_days"),
            )
            for i, item in enumerate(data.get("classes", ()))
        ),
        holds=tuple(
            Hold(f"retention.holds[{i}]", parse_subject(item["subject"]), item["reason"])
            for i, item in enumerate(data.get("holds", ()))
        ),
    )


def retention_problems(
    document: Mapping[str, Any],
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yields what a schema cannot see in a policy: bounds that cross, classes that never count.

    Args:
        document: A policy of the right shape.
    """
    names: set[str] = set()
    seen: set[str] = set()
    for i, item in enumerate(document.get("retention", {}).get("classes", ())):
        place = ("retention", "classes", i)
        if item["name"] in names:
            yield (*place, "name"), f"there is another class {item['name']}"
        names.add(item["name"])
        if item.get("maximum_days", 2**31) < item.get("minimum_days", 0):
            yield (*place, "maximum_days"), "it is smaller than minimum_days"
        if all(kind in seen for kind in item["types"]) or "*" in seen:
            yield (*place, "types"), "classes before it match all of its types"
        seen |= set(item["types"])
