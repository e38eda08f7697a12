"""Reads the facts of events for exporters: what a record has leaves, what it lacks is left out.

Bodies gain fields from version to version, and old events stay as they are, so nothing here expects
a field to be there or to be of the right type. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

MARK: Final = "\N{REPLACEMENT CHARACTER}"

ALLOW: Final = "allow"


def text(body: dict[str, Any], name: str) -> str | None:
    """Returns a text without half surrogate pairs, which no UTF-8 document may hold."""
    value = body.get(name)
    return clean(value) if isinstance(value, str) and value else None


def number(body: dict[str, Any], name: str) -> int | None:
    """Returns a whole number."""
    value = body.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def texts(body: dict[str, Any], name: str) -> list[str]:
    """Returns the texts of a list."""
    return [clean(item) for item in _list(body, name) if isinstance(item, str)]


def objects(body: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Returns the objects of a list."""
    return [item for item in _list(body, name) if isinstance(item, dict)]


def counts(body: dict[str, Any]) -> dict[str, int]:
    """Returns how many outputs were shown, masked and blocked."""
    found = body.get("outputs")
    found = found if isinstance(found, dict) else {}
    return {name: number(found, name) or 0 for name in ("shown", "masked", "blocked")}


def read_name(read: dict[str, Any]) -> str | None:
    """Returns what a read is known by: the dataset of the catalogue, else the file."""
    return text(read, "dataset") or text(read, "path")


def is_allowed(fact: dict[str, Any]) -> bool:
    """Returns whether a connection was allowed."""
    return fact.get("decision") == ALLOW


def clean(value: str) -> str:
    """Replaces half surrogate pairs."""
    if value.isascii():
        return value
    return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def one_line(value: str) -> str:
    """Returns text that no reader takes for more than one line, and no terminal obeys.

    Control characters, line and paragraph separators, and marks that turn the direction of writing
    become U+FFFD.
    """
    whole = clean(value)
    if whole.isprintable():
        return whole
    return "".join(c if c.isprintable() else MARK for c in whole)


def _list(body: dict[str, Any], name: str) -> list[Any]:
    value = body.get(name)
    return value if isinstance(value, list) else []


def columns(read: dict[str, Any]) -> list[str]:
    """Returns the names of the columns that the record knows of a read."""
    named = [text(item, "column") for item in objects(read, "columns")]
    return [*texts(read, "columns"), *filter(None, named)]


def fingerprint(read: dict[str, Any]) -> str | None:
    """Returns what tells one content of a file from another."""
    return text(read, "sha256")


def parents(body: dict[str, Any]) -> list[str]:
    """Returns the executions whose values this one used."""
    return list(filter(None, (text(item, "parent") for item in objects(body, "parents"))))


def displayed(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns mime type and digest of each form of each output that stands below the cell."""
    forms = [form for item in objects(body, "displayed") for form in objects(item, "forms")]
    return [(text(form, "type") or "", text(form, "sha256") or "") for form in forms]


def output_digests(body: dict[str, Any]) -> list[str]:
    """Returns the digests of the outputs, in order."""
    found = [digest for _, digest in displayed(body) if digest]
    return found or texts(body, "output_digests")


@dataclass(frozen=True, slots=True)
class Table:
    """A table that a cell made.

    Attributes:
        name: Its variable.
        columns: For each column where it came from: reads and their columns.
    """

    name: str
    columns: dict[str, list[tuple[dict[str, Any], str]]]


def tables(body: dict[str, Any]) -> list[Table]:
    """Returns the tables of a cell with the lineage of their columns.

    An origin is recorded as ``COLUMN of SOURCE``; its source is a dataset, or the name of a file
    that this execution has read, or one before it (then it is among its ``sources``).
    """
    reads: dict[str, dict[str, Any]] = {}
    for source in filter(None, (text(item, "source") for item in objects(body, "sources"))):
        known = {"path" if "/" in source else "dataset": source}
        reads[source.rpartition("/")[2]] = reads[source] = known
    for read in objects(body, "reads"):
        for name in filter(None, (text(read, "path"), text(read, "dataset"))):
            reads[name.rpartition("/")[2]] = reads[name] = read
    found = []
    for frame in objects(body, "frames"):
        flows: dict[str, list[tuple[dict[str, Any], str]]] = {}
        for column in objects(frame, "columns"):
            label = text(column, "column")
            if label is not None:
                flows[label] = [_origin(origin, reads) for origin in texts(column, "from")]
        found.append(Table(text(frame, "name") or "unnamed", flows))
    return found


def _origin(origin: str, reads: dict[str, dict[str, Any]]) -> tuple[dict[str, Any], str]:
    column, separator, source = origin.rpartition(" of ")
    if not separator:
        column, source = origin, "unknown"
    return reads.get(source) or {"dataset": source}, column
