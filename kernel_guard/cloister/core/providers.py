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
from urllib.parse import urlsplit

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
class Origin:
    """Where a local provider listens.

    Attributes:
        host: Lower-case name or address.
        port: TCP port.
        tls: Whether it speaks TLS.
    """

    host: str
    port: int
    tls: bool


@dataclass(frozen=True, slots=True)
class Provider:
    """One service.

    Attributes:
        id: Rule id, ``providers.house``.
        name: Its name.
        hosts: Host names, ``*.example.org`` or addresses, lower case.
        ports: Its TCP ports; empty for all.
        style: How its requests and answers are read.
        local: Whether it runs on premises that the workspace's owner controls.
        region: Where it keeps data, in the words of ``regions``.
        contract_until: The last day (UTC) of its contract; ``None`` for no end.
        level: The highest level of data that it gets.
        redact: Whether values become tokens on the way there.
        retention_days: For how long it keeps what it got, by contract; for the record.
        enrichment: What it gets of which dataset, ``None`` for a language model.
        origin: Where the proxy sends on to it what another provider may not get; ``None`` for not.
        model: The model that requests which are sent on are for; ``None`` leaves what they say.
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
    ports: tuple[int, ...] = ()
    origin: Origin | None = None
    model: str | None = None

    def has_host(self, host: str, port: int | None = None) -> bool:
        """Returns whether a host, lower-case name or canonical address, is this provider's."""
        if port is not None and self.ports and port not in self.ports:
            return False
        return any(fnmatchcase(host, pattern) for pattern in self.hosts)

    @property
    def takes(self) -> Level:
        """The highest level of a kernel whose requests it may get."""
        return self.level.redacted if self.redact else self.level.plain


def provider_of(providers: Sequence[Provider], host: str, port: int) -> Provider | None:
    """Returns the first provider that a host and its port belong to."""
    return next((p for p in providers if p.has_host(host, port)), None)


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
        ports=tuple(entry.get("ports", ())),
        origin=_origin(entry["url"]) if "url" in entry else None,
        model=entry.get("model"),
    )


def _origin(url: str) -> Origin:
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    host = (parts.hostname or "").rstrip(".")
    return Origin(host, parts.port or (443 if tls else 80), tls)


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
        for before in document["providers"][:i]:
            if _share_a_host(before, entry):
                yield ("providers", i, "hosts"), f"{before['name']} has one of these hosts already"
        try:
            dt.date.fromisoformat(entry.get("contract_until", "2000-01-01"))
        except ValueError:
            yield ("providers", i, "contract_until"), "is no date; write it as 2027-03-31"
        if "url" in entry:
            yield from ((("providers", i, "url"), problem) for problem in _problems_of_url(entry))


def _share_a_host(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the same host is stated for both, so that only the first would ever be asked."""
    hosts, ports = (
        [{str(value).lower().rstrip(".") for value in entry.get(key, ())} for entry in (one, other)]
        for key in ("hosts", "ports")
    )
    return bool(hosts[0] & hosts[1]) and (not all(ports) or bool(ports[0] & ports[1]))


def _problems_of_url(entry: Mapping[str, Any]) -> Iterator[str]:
    if not entry.get("local", False):
        yield "is for local providers: only to these are requests sent on"
        return
    try:
        origin = _origin(entry["url"])
    except ValueError:
        yield "has no port that exists"
        return
    if not any(fnmatchcase(origin.host, host.lower().rstrip(".")) for host in entry["hosts"]):
        yield "is at no host of this provider; write it as one of hosts"
    elif entry.get("ports") and origin.port not in entry["ports"]:
        yield "is at no port of this provider"
