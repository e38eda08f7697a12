"""What the policy says about telemetry: where spans go. Off unless it names a collector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class TelemetryRules:
    """Where a server sends spans of executions.

    Attributes:
        otlp: Address of an OpenTelemetry collector that takes traces over OTLP/HTTP, whole, usually
            ending in ``/v1/traces``; ``None`` for nowhere.
        ca_file: Certificates (PEM) that are trusted for it in place of the system's.
    """

    otlp: str | None = None
    ca_file: str | None = None


def telemetry_from_dict(data: Mapping[str, Any]) -> TelemetryRules:
    """Builds the rules from the policy's ``telemetry``, which the schema has accepted."""
    return TelemetryRules(data.get("otlp"), data.get("ca_file"))
