"""The catalogue: which datasets there are, where they lie, and what their columns hold.

One JSON file, replaced whole under a lock. A catalogue that cannot be read is an error, never an
empty catalogue: data that is not recognised would be treated as unlabelled.
"""

from __future__ import annotations

import glob
import json
import os
import re
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloister.core.errors import CloisterError
from cloister.core.labels import Level
from cloister.core.policy import ColumnRule
from cloister.store.files import locked, write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister.store.home import Home

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", re.ASCII)
_ENTITY: Final = re.compile(r"[A-Z][A-Z0-9_]*", re.ASCII)
_VERSION: Final = 1


class CatalogError(CloisterError):
    """The catalogue cannot be read, or a change to it makes no sense."""

    default_code = "CLO-CATALOG-001"


@dataclass(frozen=True, slots=True)
class ColumnLabel:
    """What an admin declares about a column."""

    level: str
    entity_type: str | None = None


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
    """

    name: str
    path: str
    purpose: str = ""
    consent: str | None = None
    labels: dict[str, ColumnLabel] = field(default_factory=dict)
    declared_at: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Returns the dataset as JSON."""
        return asdict(self)

    def files(self) -> tuple[Path, ...]:
        """Returns the files that exist now, sorted; symbolic links as they are named."""
        if not _is_glob(self.path):
            root = Path(self.path)
            if not root.is_dir():
                return (root,) if root.exists() else ()
            return tuple(sorted(path for path in root.rglob("*") if path.is_file()))
        found = glob.iglob(self.path, recursive=True, include_hidden=True)  # noqa: PTH207 - absolute globs
        return tuple(sorted(path for name in found if (path := Path(name)).is_file()))

    def column_rules(self) -> tuple[ColumnRule, ...]:
        """Returns the declared labels as rules, to go before the policy's own."""
        return tuple(
            ColumnRule(
                f"catalog.{self.name}.{column}",
                _literal(column),
                Level.parse(label.level),
                label.entity_type,
            )
            for column, label in sorted(self.labels.items())
        )

    def covers(self, path: str) -> bool:
        """Returns whether an absolute path belongs to the dataset."""
        if _is_glob(self.path):
            return _compile_glob(self.path).fullmatch(path) is not None
        return path == self.path or path.startswith(self.path.rstrip("/") + "/")


class Catalog:
    """The catalogue of one workspace; every call reads the file as it is now."""

    def __init__(self, home: Home) -> None:
        self._path = home.catalog_path

    def list(self) -> tuple[Dataset, ...]:
        """Returns all datasets by name.

        Raises:
            CatalogError: The catalogue cannot be read.
        """
        return tuple(dataset for _, dataset in sorted(self._load().items()))

    def show(self, name: str) -> Dataset:
        """Returns one dataset.

        Raises:
            CatalogError: There is no such dataset (``CLO-CATALOG-002``).
        """
        return _named(self._load(), name)

    def add(
        self, name: str, path: str | Path, *, purpose: str = "", consent: str | None = None
    ) -> Dataset:
        """Adds a dataset.

        Args:
            name: Letters, digits, dot, dash and underscore.
            path: File, directory or glob; made absolute from the working directory.
            purpose: What it may be used for.
            consent: Column that says whether a person agreed.

        Raises:
            CatalogError: The name is taken (``CLO-CATALOG-003``) or not a name (``-004``).
        """
        if not _NAME.fullmatch(name):
            raise CatalogError(
                "A dataset's name has letters, digits, dots, dashes and underscores only.",
                code="CLO-CATALOG-004",
                remedy="Choose a short name, for instance patients.",
            )
        absolute = os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - keeps links and globs
        dataset = Dataset(name, absolute, purpose, consent, {}, int(time.time()))

        def change(datasets: dict[str, Dataset]) -> Dataset:
            if name in datasets:
                raise CatalogError(
                    f"The catalogue already has a dataset {name}.",
                    code="CLO-CATALOG-003",
                    remedy=f"Choose another name, or first run: cloister catalog remove {name}",
                )
            datasets[name] = dataset
            return dataset

        return self._change(change)

    def remove(self, name: str) -> Dataset:
        """Removes a dataset from the catalogue; its files stay.

        Raises:
            CatalogError: There is no such dataset.
        """

        def change(datasets: dict[str, Dataset]) -> Dataset:
            return datasets.pop(_named(datasets, name).name)

        return self._change(change)

    def label(
        self, name: str, column: str, level: Level, entity_type: str | None = None
    ) -> Dataset:
        """Declares what a column holds, in place of an earlier declaration.

        Raises:
            CatalogError: There is no such dataset, or the entity type is not a name.
        """
        if entity_type is not None and not _ENTITY.fullmatch(entity_type):
            raise CatalogError(
                "An entity type has capital letters, digits and underscores.",
                code="CLO-CATALOG-004",
                remedy="Use a name such as US_SSN or MEDICAL_RECORD.",
            )

        def change(datasets: dict[str, Dataset]) -> Dataset:
            dataset = _named(datasets, name)
            labels = {**dataset.labels, column: ColumnLabel(str(level), entity_type)}
            datasets[name] = replace(dataset, labels=labels)
            return datasets[name]

        return self._change(change)

    def resolve(self, path: str | Path) -> Dataset | None:
        """Returns the dataset that a path belongs to, by its name or behind symbolic links.

        The most specific one wins: a file over a glob, and more fixed text over less.

        Raises:
            CatalogError: The catalogue cannot be read.
        """
        named, real = os.path.abspath(path), os.path.realpath(path)  # noqa: PTH100 - links stay
        best: tuple[tuple[bool, int, str], Dataset] | None = None
        for dataset in self._load().values():
            linked = replace(dataset, path=_resolve_fixed(dataset.path))
            if any(d.covers(p) for d in (dataset, linked) for p in (named, real)):
                fixed = len(_fixed_part(dataset.path))
                # On a tie the first name wins, so that the answer is always the same.
                rank = (not _is_glob(dataset.path), fixed, _reverse_order(dataset.name))
                if best is None or rank > best[0]:
                    best = (rank, dataset)
        return best[1] if best else None

    def _change(self, change: Callable[[dict[str, Dataset]], Dataset]) -> Dataset:
        try:
            with locked(self._path.with_name(".catalog.lock")):
                datasets = self._load()
                result = change(datasets)
                document = {
                    "version": _VERSION,
                    "datasets": [dataset.as_dict() for _, dataset in sorted(datasets.items())],
                }
                text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
                write_atomic(self._path, text.encode())
        except OSError as error:
            raise CatalogError(
                f"The catalogue cannot be written ({os.strerror(error.errno or 0)}).",
                code="CLO-CATALOG-005",
                remedy="Free space, or make the workspace's home writable for this account.",
            ) from error
        return result

    def _load(self) -> dict[str, Dataset]:
        try:
            document = json.loads(self._path.read_bytes())
            if document["version"] != _VERSION:
                raise _damaged("it was written by another version")
            return {item["name"]: _parse(item) for item in document["datasets"]}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise _damaged(f"it cannot be read, {os.strerror(error.errno or 0)}") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _damaged("it is damaged") from error


def _parse(item: dict[str, Any]) -> Dataset:
    """Builds a dataset from JSON; anything unexpected raises, and the caller refuses."""
    labels = {
        str(column): ColumnLabel(str(Level.parse(label["level"])), label["entity_type"])
        for column, label in item["labels"].items()
    }
    fields = dict(item, labels=labels)
    dataset = Dataset(**fields)
    if not _NAME.fullmatch(dataset.name) or not Path(dataset.path).is_absolute():
        raise ValueError("not a dataset")
    return dataset


def _damaged(reason: str) -> CatalogError:
    return CatalogError(
        f"The catalogue cannot be used: {reason}.",
        remedy="Restore store/catalog.json from a backup; nothing starts without its labels.",
    )


def _named(datasets: dict[str, Dataset], name: str) -> Dataset:
    if name not in datasets:
        raise CatalogError(
            f"The catalogue has no dataset {name}.",
            code="CLO-CATALOG-002",
            remedy="Run: cloister catalog list",
        )
    return datasets[name]


def _is_glob(path: str) -> bool:
    return glob.has_magic(path)


def _fixed_part(path: str) -> str:
    """Returns the directories before the first wildcard, or the whole path."""
    if not _is_glob(path):
        return path
    parts = path.split("/")
    first = next(i for i, part in enumerate(parts) if _is_glob(part))
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
