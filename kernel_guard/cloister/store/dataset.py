"""One dataset of the catalogue: where it lies, whose it is, and what is declared about it.

A declaration can always say that a column is *more* sensitive than what detection finds. That it is
less, only the dataset's owner may say, with a reason; such a label is *lowered* and detection does
not raise it again. Every declaration stays in the dataset's history.
"""

from __future__ import annotations

import glob
import math
import os
import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloister.core.labels import Level
from cloister.core.policy import ColumnRule

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ColumnLabel:
    """What is declared about a column now.

    Attributes:
        level: Its level.
        entity_type: Presidio's name for what it holds, or ``None`` to leave that to detection.
        found: The level that detection and the policy gave when it was declared, if a file was
            there to look at.
        by: Who declared it.
        at: When, seconds since 1970 UTC.
        reason: Why, in that person's words.
        lowered_by: The owner who put it below what is detected; ``None`` for a label that only
            raises.
    """

    level: str
    entity_type: str | None = None
    found: str | None = None
    by: str | None = None
    at: int = 0
    reason: str = ""
    lowered_by: str | None = None


@dataclass(frozen=True, slots=True)
class Override:
    """One declaration, as the history keeps it; never a value of the data.

    Attributes:
        column: Which column.
        change: ``raised``, ``lowered`` or ``confirmed``, against what held before.
        before: The level that held before, or ``None`` where nobody knew one.
        after: The declared level.
        entity_type: The declared type.
        found: The level that detection and the policy gave at that time.
        by: Who declared it.
        at: When, seconds since 1970 UTC.
        reason: Why.
    """

    column: str
    change: str
    before: str | None
    after: str
    entity_type: str | None
    found: str | None
    by: str | None
    at: int
    reason: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """One dataset.

    Attributes:
        name: Its name in policy, budgets and records.
        path: Absolute file, directory or glob; ``*`` stays within one directory, ``**`` does not.
        purpose: What it may be used for.
        consent: Column that says whether a person agreed, if there is one.
        labels: Declared labels by column.
        declared_at: Seconds since 1970 UTC.
        owner: Who may lower labels, hand it on and remove it; ``None`` in old catalogues.
        history: Every declaration, oldest first.
    """

    name: str
    path: str
    purpose: str = ""
    consent: str | None = None
    labels: dict[str, ColumnLabel] = field(default_factory=dict)
    declared_at: int = 0
    owner: str | None = None
    history: tuple[Override, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Returns the dataset as JSON."""
        return asdict(self)

    def files(self) -> tuple[Path, ...]:
        """Returns the files that exist now, sorted; symbolic links as they are named."""
        if not is_glob(self.path):
            root = Path(self.path)
            if not root.is_dir():
                return (root,) if root.exists() else ()
            return tuple(sorted(path for path in root.rglob("*") if path.is_file()))
        found = glob.iglob(self.path, recursive=True, include_hidden=True)  # noqa: PTH207 - absolute globs
        return tuple(sorted(path for name in found if (path := Path(name)).is_file()))

    def column_rules(self, policy: Sequence[ColumnRule] = ()) -> tuple[ColumnRule, ...]:
        """Returns the declared labels as rules, to go before the policy's own.

        The first rule that matches a column counts, so each is joined with the rule that the policy
        has for the same column: both raise, and only an owner's lowering stands against either.

        Args:
            policy: The policy's column rules, in order.
        """
        rules = []
        for column, label in sorted(self.labels.items()):
            level, entity_type = Level.parse(label.level), label.entity_type
            stated = next((rule for rule in policy if rule.matches(column)), None)
            if stated is not None and label.lowered_by is None:
                level = max(level, stated.level)
                entity_type = entity_type or stated.entity_type
            name = f"catalog.{self.name}.{column}"
            lowers = label.lowered_by is not None
            rules.append(ColumnRule(name, _literal(column), level, entity_type, lowers))
        # A lowering matches one exact name and goes first: a rule for "SSN" must not hide "ssn".
        return tuple(sorted(rules, key=lambda rule: not rule.lowers))

    def without_lowering(self, changed_at: float = math.inf) -> Dataset:
        """Returns the dataset with labels that only raise.

        Args:
            changed_at: Seconds since 1970 UTC; what was lowered after that, with this content in
                view, stays lowered.
        """
        labels = {
            column: label if changed_at <= label.at + 1 else replace(label, lowered_by=None)
            for column, label in self.labels.items()
        }
        return replace(self, labels=labels)

    def covers(self, path: str) -> bool:
        """Returns whether an absolute path belongs to the dataset, by its name or behind links."""
        linked = _resolve_fixed(self.path)
        return _covers(self.path, path) or (linked != self.path and _covers(linked, path))

    @property
    def precision(self) -> tuple[bool, int, str]:
        """Ranks datasets that cover one path: a file over a glob, more fixed text over less."""
        # On a tie the first name wins, so that the answer is always the same.
        return not is_glob(self.path), len(_fixed_part(self.path)), _reverse_order(self.name)


def dataset_from_dict(item: dict[str, Any]) -> Dataset:
    """Builds a dataset from JSON, also of the first version, which knew no owner or history.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: It is not one; the caller refuses.
    """
    labels = {str(column): _label(label) for column, label in item["labels"].items()}
    history = tuple(Override(**entry) for entry in item.get("history", ()))
    dataset = Dataset(**{**item, "labels": labels, "history": history})
    if not NAME.fullmatch(dataset.name) or not Path(dataset.path).is_absolute():
        raise ValueError("not a dataset")
    if not isinstance(dataset.owner, str | None):
        raise TypeError("not an owner")
    return dataset


def _label(item: dict[str, Any]) -> ColumnLabel:
    label = ColumnLabel(**{**item, "entity_type": item["entity_type"]})
    if not isinstance(label.lowered_by, str | None):
        raise TypeError("not a label")
    levels = [label.level] if label.found is None else [label.level, label.found]
    for level in levels:
        Level.parse(level)
    return label


def is_glob(path: str) -> bool:
    """Returns whether a path has wildcards."""
    return glob.has_magic(path)


def _covers(pattern: str, path: str) -> bool:
    if is_glob(pattern):
        return _compile_glob(pattern).fullmatch(path) is not None
    return path == pattern or path.startswith(pattern.rstrip("/") + "/")


def _fixed_part(path: str) -> str:
    """Returns the directories before the first wildcard, or the whole path."""
    if not is_glob(path):
        return path
    parts = path.split("/")
    first = next(i for i, part in enumerate(parts) if is_glob(part))
    return "/".join(parts[:first]) or "/"


def _resolve_fixed(path: str) -> str:
    fixed = _fixed_part(path)
    return os.path.realpath(fixed).rstrip("/") + path[len(fixed.rstrip("/")) :]


def _literal(column: str) -> str:
    """Returns a pattern of fnmatch that matches exactly this name."""
    return re.sub(r"([*?\[])", r"[\1]", column)


def _reverse_order(name: str) -> str:
    return "".join(chr(0x10FFFF - ord(character)) for character in name)


def _compile_glob(pattern: str) -> re.Pattern[str]:
    """Translates a glob: ``**`` crosses directories, ``*`` and ``?`` do not."""
    parts = []
    for part in re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern):
        match part:
            case "**/":
                parts.append("(?:[^/]+/)*")
            case "**":
                parts.append(".*")
            case "*":
                parts.append("[^/]*")
            case "?":
                parts.append("[^/]")
            case _ if part.startswith("[") and part.endswith("]"):
                inner = part[1:-1].replace("\\", r"\\")
                negated = inner.startswith("!")
                parts.append(f"[^/{inner[1:]}]" if negated else f"[{inner}]")
            case _:
                parts.append(re.escape(part))
    return re.compile("".join(parts), re.DOTALL)
