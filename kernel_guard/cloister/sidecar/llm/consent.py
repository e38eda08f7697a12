"""Who agreed, read from the catalogued data at every call.

The data is read here, outside the kernel, each time anew: a consent that was withdrawn a moment
ago counts. What the kernel says about consent counts for nothing, and so do files that it could
have written: what lies in its workspace is trusted only where it was mounted read-only when the
kernel started and no directory on the way to it has been exchanged since.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from cloister.core.errors import CloisterError
from cloister.detect.tablefile import open_table
from cloister.sidecar.llm.refusals import no_enrichment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from cloister.core.providers import Enrichment
    from cloister.store.catalog import Catalog, Dataset

YES: Final = frozenset({"true", "t", "yes", "y", "1", "agreed", "given", "granted"})
"""What a consent column says for a yes to everything that the data is for."""

_MIDNIGHT: Final = re.compile(r"(\d{4}-\d\d-\d\d)[T ]00:00(?::00(?:\.0+)?)?(?:Z|\+00:00)?")


@dataclass(slots=True)
class Person:
    """What the catalogued data says about one key.

    Attributes:
        agreed: Whether every row of it says yes.
        values: The canonical texts that its rows have, by field.
    """

    agreed: bool = True
    values: dict[str, set[str]] = field(default_factory=dict)


class ConsentBook:
    """Looks people up in the catalogued data.

    Args:
        catalog: Names the data, its purpose and its consent column.
        workspace: Where the kernel can write.
        mounted: Catalogued files that were mounted read-only when the kernel started.
    """

    def __init__(self, catalog: Catalog, workspace: Path, mounted: Iterable[Path]) -> None:
        self._catalog = catalog
        self._workspace = workspace.resolve()
        self._mounted = {path: self._way_to(path) for path in mounted}

    def people(self, provider: str, terms: Enrichment, keys: set[str]) -> dict[str, Person]:
        """Returns what the data says about the people with these canonical keys.

        Raises:
            Refusal: The data is not for this purpose, or its consent cannot be read.
        """
        dataset = self._dataset(provider, terms)
        consent = str(dataset.consent)
        wanted = (terms.key, consent, *terms.fields)
        people: dict[str, Person] = {}
        try:
            for path in dataset.files():
                self._require_untouched(provider, path)
                for row in _rows(path, wanted, keys, terms.key):
                    person = people.setdefault(canonical(row[terms.key]), Person())
                    person.agreed &= agrees(row[consent], terms.purpose)
                    for name in terms.fields:
                        person.values.setdefault(name, set()).add(canonical(row[name]))
        except KeyError as error:
            raise no_enrichment(
                provider,
                f"the data has no column {error.args[0]}",
                "Ask an admin to correct providers[].enrichment, or the consent column.",
            ) from None
        except CloisterError as error:
            if error.code.startswith("CLO-LLM"):
                raise
            raise no_enrichment(
                provider, f"the data cannot be read ({error.code})", error.remedy
            ) from None
        return people

    def _dataset(self, provider: str, terms: Enrichment) -> Dataset:
        try:
            dataset = self._catalog.show(terms.dataset)
        except CloisterError as error:
            raise no_enrichment(
                provider,
                f"the dataset {terms.dataset} is not in the catalogue ({error.code})",
                "Ask an admin to register it: cloister catalog add.",
            ) from None
        purposes = {p.strip().casefold() for p in re.split(r"[,;]", dataset.purpose)}
        if terms.purpose.strip().casefold() not in purposes:
            raise no_enrichment(
                provider,
                f"{terms.dataset} may not be used for {terms.purpose}",
                "Ask the owner of the data whether its purposes cover this one.",
                rule="enrichment.purpose",
            )
        if dataset.consent is None:
            raise no_enrichment(
                provider,
                f"the catalogue names no consent column of {terms.dataset}",
                "Register the dataset with --consent COLUMN.",
                rule="enrichment.consent",
            )
        return dataset

    def _require_untouched(self, provider: str, path: Path) -> None:
        if not path.resolve().is_relative_to(self._workspace):
            return
        if path.is_symlink() or self._mounted.get(path) != self._way_to(path):
            raise no_enrichment(
                provider,
                "the consent lies where this kernel can write",
                "Keep the data outside the workspace, or restart the kernel after registering it.",
                rule="enrichment.consent",
            )

    def _way_to(self, path: Path) -> tuple[tuple[int, int], ...]:
        """Returns the identities of the directories between the workspace and a file in it.

        A mounted file cannot be exchanged in the sandbox; a directory above it can be renamed.
        """
        way = [p for p in path.parents if p.is_relative_to(self._workspace)]
        try:
            return tuple((found.st_dev, found.st_ino) for found in map(_stat, way))
        except OSError:
            return ()


def _stat(path: Path) -> Any:
    return path.lstat()


def _rows(
    path: Path, columns: tuple[str, ...], keys: set[str], key: str
) -> Iterator[dict[str, Any]]:
    """Yields the rows with one of the keys, these columns only.

    Raises:
        KeyError: A column is missing.
    """
    with open_table(path) as table:
        missing = [name for name in columns if name not in table.schema.names]
        if missing:
            raise KeyError(missing[0])
        for batch in table.batches:
            chosen = batch.select(list(dict.fromkeys(columns)))
            values = chosen.column(key).to_pylist()
            at = [i for i, value in enumerate(values) if canonical(value) in keys]
            if at:
                yield from chosen.take(_indices(at)).to_pylist()


def _indices(at: list[int]) -> Any:
    import pyarrow as pa

    return pa.array(at, pa.int64())


def agrees(said: object, purpose: str) -> bool:
    """Returns whether a cell of a consent column covers a purpose.

    It does when it says yes, or names the purpose, alone or in a list (``geo; marketing``).
    Anything else, and nothing at all, is a no.
    """
    if isinstance(said, list):
        return any(agrees(item, purpose) for item in said)
    text = canonical(said).casefold()
    named = {part.strip() for part in re.split(r"[,;|]", text)}
    return text in YES or purpose.strip().casefold() in named


def canonical(value: object) -> str:
    """Returns one text for what files, frames and JSON write in several ways.

    Numbers by their value (``17``, ``17.0``, ``"017"``), dates without midnight, none as nothing.
    """
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value).strip()
    midnight = _MIDNIGHT.fullmatch(text)
    if midnight is not None:
        return midnight[1]
    if text[:1] in "+-.0123456789" and len(text) <= 40:
        try:
            number = Decimal(text)
        except InvalidOperation:
            return text
        if number.is_finite() and abs(number.adjusted()) <= 40:
            return format(number.normalize(), "f")
    return text
