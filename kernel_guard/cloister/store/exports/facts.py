"""Reads the facts of events for exporters: what a record has leaves, what it lacks is left out.

Bodies gain fields from version to version, and old events stay as they are, so nothing here expects
a field to be there or to be of the right type. Pure.
"""

from __future__ import annotations

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
    return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def one_line(value: str) -> str:
    """Returns text that no reader takes for more than one line, and no terminal obeys.

    Control characters, line and paragraph separators, and marks that turn the direction of writing
    become U+FFFD.
    """
    return "".join(c if c.isprintable() else MARK for c in clean(value))


def _list(body: dict[str, Any], name: str) -> list[Any]:
    value = body.get(name)
    return value if isinstance(value, list) else []


def fingerprint(read: dict[str, Any]) -> str | None:
    """Returns what tells one content of a file from another."""
    return text(read, "fingerprint") or text(read, "sha256")


def parents(body: dict[str, Any]) -> list[str]:
    """Returns the executions whose values this one used."""
    named = [text(item, "execution_id") for item in objects(body, "parents")]
    return [*texts(body, "parents"), *filter(None, named)]


def mime_types(body: dict[str, Any]) -> list[str]:
    """Returns the types of what was shown, each once."""
    found = [text(item, "mime_type") for item in objects(body, "displays")]
    return list(dict.fromkeys(filter(None, found)))


def output_digests(body: dict[str, Any]) -> list[str]:
    """Returns the digests of the outputs, in order."""
    return texts(body, "output_digests")


def column_flows(body: dict[str, Any]) -> dict[str, list[tuple[dict[str, Any], str]]]:
    """Returns for each output column what it came from: reads and their columns."""
    flows: dict[str, list[tuple[dict[str, Any], str]]] = {}
    for flow in objects(body, "column_lineage"):
        output = text(flow, "output")
        sources = [
            (source, column)
            for source in objects(flow, "inputs")
            if (column := text(source, "column")) and read_name(source)
        ]
        if output and sources:
            flows.setdefault(output, []).extend(sources)
    return flows
