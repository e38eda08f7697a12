"""The catalogue: which datasets there are, whose they are, and what their columns hold.

One JSON file, replaced whole under a lock. A catalogue that cannot be read is an error, never an
empty catalogue: data that is not recognised would be treated as unlabelled.

Anyone who may edit the catalogue may add a dataset and raise a label. What takes protection away is
the owner's alone: to lower a label, to hand the dataset on, to remove it. Names of people are
statements of whoever calls (:mod:`cloister.store.identity`).
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cloister.core.errors import CloisterError
from cloister.core.labels import Level
from cloister.store.dataset import NAME, ColumnLabel, Dataset, Override, dataset_from_dict
from cloister.store.files import locked, write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloister.store.home import Home

__all__ = ["Catalog", "CatalogError", "ColumnLabel", "Dataset", "Override"]

_ENTITY: Final = re.compile(r"[A-Z][A-Z0-9_]*", re.ASCII)
_VERSION: Final = 2
_READ_VERSIONS: Final = (1, 2)  # version 1 had no owners and no history
_REASON_CHARS: Final = 500


class CatalogError(CloisterError):
    """The catalogue cannot be read, or a change to it makes no sense."""

    default_code = "CLO-CATALOG-001"


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
        self,
        name: str,
        path: str | Path,
        *,
        purpose: str = "",
        consent: str | None = None,
        owner: str | None = None,
    ) -> Dataset:
        """Adds a dataset.

        Args:
            name: Letters, digits, dot, dash and underscore.
            path: File, directory or glob; made absolute from the working directory.
            purpose: What it may be used for.
            consent: Column that says whether a person agreed.
            owner: Who may lower its labels; without one nobody may.

        Raises:
            CatalogError: The name is taken (``CLO-CATALOG-003``) or not a name (``-004``).
        """
        if not NAME.fullmatch(name):
            raise CatalogError(
                "A dataset's name has letters, digits, dots, dashes and underscores only.",
                code="CLO-CATALOG-004",
                remedy="Choose a short name, for instance patients.",
            )
        absolute = os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - keeps links and globs
        dataset = Dataset(
            name, absolute, purpose, consent, {}, int(time.time()), _checked_owner(owner)
        )

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

    def remove(self, name: str, *, by: str | None = None, is_admin: bool = False) -> Dataset:
        """Removes a dataset from the catalogue; its files stay.

        Args:
            name: Which one.
            by: Who asks; its owner, where it has one.
            is_admin: Whether that person may act for any owner.

        Raises:
            CatalogError: There is no such dataset, or it is somebody else's (``CLO-CATALOG-006``).
        """

        def change(datasets: dict[str, Dataset]) -> Dataset:
            dataset = _named(datasets, name)
            _check_owner(dataset, by, "remove it", is_admin=is_admin)
            return datasets.pop(name)

        return self._change(change)

    def set_owner(
        self, name: str, owner: str, *, by: str | None = None, is_admin: bool = False
    ) -> Dataset:
        """Hands a dataset to another owner; one without an owner can be taken by anyone.

        Raises:
            CatalogError: There is no such dataset, or it is somebody else's (``CLO-CATALOG-006``).
        """
        _checked_owner(owner)

        def change(datasets: dict[str, Dataset]) -> Dataset:
            dataset = _named(datasets, name)
            _check_owner(dataset, by, "hand it on", is_admin=is_admin)
            datasets[name] = replace(dataset, owner=owner)
            return datasets[name]

        return self._change(change)

    def label(
        self,
        name: str,
        column: str,
        level: Level,
        entity_type: str | None = None,
        *,
        by: str | None = None,
        found: Level | None = None,
        reason: str = "",
    ) -> Dataset:
        """Declares what a column holds, in place of an earlier declaration.

        To raise is open to all. To go below what holds now takes the owner and a reason. A label
        below ``found`` is then *lowered*: detection does not raise it again.

        Args:
            name: The dataset.
            column: Its column.
            level: The declared level.
            entity_type: Presidio's name for what it holds.
            by: Who declares it.
            found: What detection and the policy say; ``None`` when there was nothing to look at,
                and then a label can only raise.
            reason: Why, at most 500 characters.

        Returns:
            The dataset; the last entry of its history is this declaration.

        Raises:
            CatalogError: There is no such dataset, the entity type is not a name
                (``CLO-CATALOG-004``), only the owner may do this (``-006``), a reason is missing
                or too long (``-007``), or somebody else owns the same files (``-008``).
        """
        if entity_type is not None and not _ENTITY.fullmatch(entity_type):
            raise CatalogError(
                "An entity type has capital letters, digits and underscores.",
                code="CLO-CATALOG-004",
                remedy="Use a name such as US_SSN or MEDICAL_RECORD.",
            )
        _check_reason(reason)

        def change(datasets: dict[str, Dataset]) -> Dataset:
            dataset = _named(datasets, name)
            current = dataset.labels.get(column)
            before = _in_force(current, found)
            known = _highest(found, current)
            lowered_by: str | None = None
            if before is not None and level < before:
                _check_lowering(dataset, datasets, by, reason)
                is_below = found is not None and level < found
                was_lowered = current is not None and current.lowered_by is not None
                lowered_by = by if is_below or was_lowered else None
            elif current is not None and known is not None and level < known:
                lowered_by = current.lowered_by  # raised, but still below what detection says
            now = int(time.time())
            seen = None if found is None else str(found)
            label = ColumnLabel(str(level), entity_type, seen, by, now, reason, lowered_by)
            entry = Override(
                column=column,
                change=_word(before, level),
                before=None if before is None else str(before),
                after=str(level),
                entity_type=entity_type,
                found=seen,
                by=by,
                at=now,
                reason=reason,
            )
            datasets[name] = replace(
                dataset,
                labels={**dataset.labels, column: label},
                history=(*dataset.history, entry),
            )
            return datasets[name]

        return self._change(change)

    def resolve(self, path: str | Path) -> Dataset | None:
        """Returns the dataset that a path belongs to, by its name or behind symbolic links.

        The most specific one wins: a file over a glob, and more fixed text over less. Where another
        owner has a dataset with the same file, nothing is lowered: otherwise anyone could add the
        file once more, own it, and lower it.

        Raises:
            CatalogError: The catalogue cannot be read.
        """
        covering = _covering(self._load(), path)
        if not covering:
            return None
        best = max(covering, key=lambda dataset: dataset.precision)
        is_shared = any(dataset.owner != best.owner for dataset in covering)
        return best.without_lowering() if is_shared else best

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
                write_atomic(self._path, text.encode("utf-8", "surrogatepass"))
        except OSError as error:
            raise CatalogError(
                f"The catalogue cannot be written ({os.strerror(error.errno or 0)}).",
                code="CLO-CATALOG-005",
                remedy="Free space, or make the workspace's home writable for this account.",
            ) from error
        return result

    def _load(self) -> dict[str, Dataset]:
        try:
            text = self._path.read_bytes().decode("utf-8", "surrogatepass")
            document = json.loads(text)
            if document["version"] not in _READ_VERSIONS:
                raise _damaged("it was written by another version")
            return {item["name"]: dataset_from_dict(item) for item in document["datasets"]}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise _damaged(f"it cannot be read, {os.strerror(error.errno or 0)}") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _damaged("it is damaged") from error


def _in_force(current: ColumnLabel | None, found: Level | None) -> Level | None:
    """Returns the level that holds before a change, or ``None`` where nobody knows one."""
    if current is None:
        return found
    if current.lowered_by is not None:
        return Level.parse(current.level)
    return max(Level.parse(current.level), found or Level.PUBLIC)


def _highest(found: Level | None, current: ColumnLabel | None) -> Level | None:
    """Returns the highest that detection and the policy said, now or at the last declaration."""
    earlier = None if current is None or current.found is None else Level.parse(current.found)
    return max((level for level in (found, earlier) if level is not None), default=None)


def _word(before: Level | None, after: Level) -> str:
    if before is None or after == before:
        return "confirmed"
    return "raised" if after > before else "lowered"


def _covering(datasets: dict[str, Dataset], path: str | Path) -> tuple[Dataset, ...]:
    named, real = os.path.abspath(path), os.path.realpath(path)  # noqa: PTH100 - links stay
    return tuple(d for d in datasets.values() if d.covers(named) or d.covers(real))


def _check_owner(dataset: Dataset, by: str | None, deed: str, *, is_admin: bool) -> None:
    if dataset.owner in {None, by} or is_admin:
        return
    raise CatalogError(
        f"The dataset {dataset.name} belongs to {dataset.owner}, and only its owner may {deed}.",
        code="CLO-CATALOG-006",
        remedy=f"Ask {dataset.owner}, or somebody with the role admin.",
    )


def _check_lowering(
    dataset: Dataset, datasets: dict[str, Dataset], by: str | None, reason: str
) -> None:
    """Refuses unless the owner lowers a label with a reason, on data that is nobody else's."""
    if by is None or dataset.owner != by:
        owner = f"its owner, {dataset.owner}," if dataset.owner else "its owner, which it has not,"
        raise CatalogError(
            f"This is below the level that {dataset.name} has there now, and only {owner} may "
            "lower a label.",
            code="CLO-CATALOG-006",
            remedy=f"Ask {dataset.owner} to do it."
            if dataset.owner
            else f"Run: cloister catalog owner {dataset.name} USER",
        )
    if not reason.strip():
        raise CatalogError(
            "This is below the level that holds now, and a lowered label needs a reason.",
            code="CLO-CATALOG-007",
            remedy='Add --reason "why this may be shown".',
        )
    for file in dataset.files():
        for other in _covering(datasets, file):
            if other.owner != dataset.owner:
                raise CatalogError(
                    f"Some files of {dataset.name} belong to the dataset {other.name} as well, "
                    "which has another owner.",
                    code="CLO-CATALOG-008",
                    remedy=f"Ask {other.owner or 'an admin to give it an owner'}, or remove one "
                    "of the two datasets.",
                )


def _checked_owner(owner: str | None) -> str | None:
    if owner is not None and not (0 < len(owner.strip()) == len(owner) <= 100):
        raise CatalogError(
            "An owner is the name of a user.",
            code="CLO-CATALOG-004",
            remedy="Use the name that the record shows: cloister lineage list",
        )
    return owner


def _check_reason(reason: str) -> None:
    if len(reason) > _REASON_CHARS:
        raise CatalogError(
            f"A reason has at most {_REASON_CHARS} characters.",
            code="CLO-CATALOG-007",
            remedy="Say in one sentence why; the details belong into a document of your own.",
        )


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
