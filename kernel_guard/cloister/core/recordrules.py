"""What the policy says about the record: who witnesses it, and what happens when they fall behind.

A witness keeps, outside this machine, what the newest checkpoint was. It matters against those who
can change the record *and* sign it, or put an old copy back; see
``docs/explanation/what-the-record-proves.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_EVERY_S: Final = 60
_STAMP_EVERY_S: Final = 3600


class WitnessKind(Enum):
    """How a witness is reached, and so what it can promise."""

    FILE = "file"
    COSIGNER = "cosigner"
    TIMESTAMP = "timestamp"


class OnLag(Enum):
    """What happens when a witness is late or contradicts the record."""

    REPORT = "report"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class WitnessRule:
    """One witness.

    Attributes:
        id: Rule id, ``record.witnesses[0]``.
        name: Its name in doctor, in bundles and in the store's file names.
        kind: How it is reached.
        location: Path of a file, or URL.
        key: A cosigner's public key, a C2SP verifier key.
        ca_file: Certificates (PEM) that are trusted: for a time stamp authority those of its
            signatures, for a cosigner those of its TLS.
        every_s: It hears of new events after this many seconds.
        every_events: Or as soon as there are this many.
    """

    id: str
    name: str
    kind: WitnessKind
    location: str
    key: str | None = None
    ca_file: str | None = None
    every_s: int = _EVERY_S
    every_events: int = 1000


@dataclass(frozen=True, slots=True)
class RecordRules:
    """All witnesses, and the patience with them.

    Attributes:
        witnesses: In the order of the policy.
        lag_s: A witness is late when an event waits for it longer than its interval and this.
        on_lag: Whether executions stop then.
    """

    witnesses: tuple[WitnessRule, ...] = ()
    lag_s: int = 900
    on_lag: OnLag = OnLag.REPORT


def record_from_dict(data: Mapping[str, Any]) -> RecordRules:
    """Builds the rules from the policy's ``record``, which the schema has accepted."""
    return RecordRules(
        witnesses=tuple(
            _witness(f"record.witnesses[{i}]", rule)
            for i, rule in enumerate(data.get("witnesses", ()))
        ),
        lag_s=data.get("lag_s", 900),
        on_lag=OnLag(data.get("on_lag", "report")),
    )


def record_problems(document: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yields what a schema cannot see in a policy: two witnesses of one name.

    Args:
        document: A policy of the right shape.
    """
    names: set[str] = set()
    for i, rule in enumerate(document.get("record", {}).get("witnesses", ())):
        if rule["name"] in names:
            yield ("record", "witnesses", i, "name"), f"there is another witness {rule['name']}"
        names.add(rule["name"])


def _witness(identifier: str, rule: Mapping[str, Any]) -> WitnessRule:
    kind = next(kind for kind in WitnessKind if kind.value in rule)
    return WitnessRule(
        id=identifier,
        name=rule["name"],
        kind=kind,
        location=rule[kind.value],
        key=rule.get("key"),
        ca_file=rule.get("ca_file"),
        every_s=rule.get("every_s", _STAMP_EVERY_S if kind is WitnessKind.TIMESTAMP else _EVERY_S),
        every_events=rule.get("every_events", 1000),
    )
