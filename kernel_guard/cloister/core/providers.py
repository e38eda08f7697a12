"""The policy sections ``providers`` and ``regions``: services that a kernel may send data to.

A provider is a language model or a vendor that enriches records. The egress rule says that a host
may be reached; the provider says on what terms: until when its contract runs, where it stands, how
sensitive the data may be that it gets, as tokens and as it is.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from cloister.core.labels import Level

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Style(Enum):
    """What a provider's requests and answers look like."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class ProviderLevel:
    """The highest level of data that a provider gets.

    Attributes:
        redacted: Of requests in which every value has become a token.
        plain: Of what leaves as it is.
    """

    redacted: Level
    plain: Level


@dataclass(frozen=True, slots=True)
class Enrichment:
    """Which records of a dataset a vendor gets, and which of their fields.

    Attributes:
        dataset: Name in the catalogue.
        key: Column that says which row a record is.
        purpose: What it is for; the dataset must have been collected for it.
        fields: Columns that leave.
        records: Member of the request that holds the records, ``None`` where it is the list itself.
    """

    dataset: str
    key: str
    purpose: str
    fields: tuple[str, ...]
    records: str | None = None


@dataclass(frozen=True, slots=True)
class Provider:
    """One service.

    Attributes:
        id: Rule id, ``providers.house``.
        name: Its name.
        hosts: Host names, ``*.example.org`` or addresses, lower case.
        style: How its requests and answers are read.
        local: Whether it runs on premises that the workspace's owner controls.
        region: Where it keeps data, in the words of ``regions``.
        contract_until: The last day (UTC) of its contract; ``None`` for no end.
        level: The highest level of data that it gets.
        redact: Whether values become tokens on the way there.
        retention_days: For how long it keeps what it got, by contract; for the record.
        enrichment: What it gets of which dataset, ``None`` for a language model.
    """

    id: str
    name: str
    hosts: tuple[str, ...]
    style: Style
    level: ProviderLevel
    local: bool = False
    region: str | None = None
    contract_until: dt.date | None = None
    redact: bool = True
    retention_days: int | None = None
    enrichment: Enrichment | None = None

    def has_host(self, host: str) -> bool:
        """Returns whether a host, lower-case name or canonical address, is this provider's."""
        return any(fnmatchcase(host, pattern) for pattern in self.hosts)

    @property
    def takes(self) -> Level:
        """The highest level of a kernel whose requests it may get."""
        return self.level.redacted if self.redact else self.level.plain


def provider_of(providers: Sequence[Provider], host: str) -> Provider | None:
    """Returns the first provider that a host belongs to."""
    return next((p for p in providers if p.has_host(host)), None)


def providers_from_list(entries: Sequence[Mapping[str, Any]]) -> tuple[Provider, ...]:
    """Builds the providers, which the schema and :func:`provider_problems` have accepted."""
    return tuple(_provider(entry) for entry in entries)


def _provider(entry: Mapping[str, Any]) -> Provider:
    local, until = entry.get("local", False), entry.get("contract_until")
    stated, enrichment = entry.get("level", {}), entry.get("enrichment")
    # What stays in the house may be restricted; what leaves it may not, not even as tokens.
    redacted, plain = ("restricted", "restricted") if local else ("confidential", "internal")
    return Provider(
        id=f"providers.{entry['name']}",
        name=entry["name"],
        hosts=tuple(host.lower().rstrip(".") for host in entry["hosts"]),
        style=Style(entry.get("style", "plain")),
        level=ProviderLevel(
            Level.parse(stated.get("redacted", redacted)), Level.parse(stated.get("plain", plain))
        ),
        local=local,
        region=entry.get("region"),
        contract_until=None if until is None else dt.date.fromisoformat(until),
        redact=entry.get("redact", True),
        retention_days=entry.get("retention_days"),
        enrichment=None if enrichment is None else _enrichment(enrichment),
    )


def _enrichment(entry: Mapping[str, Any]) -> Enrichment:
    return Enrichment(
        entry["dataset"],
        entry["key"],
        entry["purpose"],
        tuple(dict.fromkeys(entry["fields"])),
        entry.get("records"),
    )


def provider_problems(
    document: Mapping[str, Any],
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yields what a schema cannot see in a policy: the place, and what is wrong there.

    Args:
        document: A policy of the right shape.
    """
    names: set[str] = set()
    for i, entry in enumerate(document.get("providers", ())):
        if entry["name"] in names:
            yield ("providers", i, "name"), f"there is another provider {entry['name']}"
        names.add(entry["name"])
        try:
            dt.date.fromisoformat(entry.get("contract_until", "2000-01-01"))
        except ValueError:
            yield ("providers", i, "contract_until"), "is no date; write it as 2027-03-31"
    for i, rule in enumerate(document.get("egress", {}).get("allow", ())):
        if "provider" in rule and rule["provider"] not in names:
            message = f"there is no provider {rule['provider']} under providers"
            yield ("egress", "allow", i, "provider"), message
