"""The policy model: what an admin states, and nothing about how it is read.

A :class:`Policy` is built from data that the schema has already accepted
(``cloister/core/policy.schema.json``, applied by :mod:`cloister.store.policy`), so this module
trusts shapes and only converts. Every rule has a stable id that decisions quote.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any

from cloister.core.entities import default_level
from cloister.core.labels import Level


class Treatment(Enum):
    """What happens to a value of a level when it is shown."""

    SHOW = "show"
    TOKEN = "token"  # noqa: S105 - a treatment's name, not a secret
    PARTIAL = "partial"
    REDACT = "redact"


class SandboxMode(Enum):
    """Whether a kernel may start where it cannot be isolated."""

    REQUIRED = "required"
    OPTIONAL = "optional"


@dataclass(frozen=True, slots=True)
class EgressRule:
    """One destination that kernels may reach.

    Attributes:
        id: Rule id, ``egress.allow[0]``.
        host: Host name, ``*.example.org`` or IP address, lower case.
        ports: Allowed TCP ports.
        reason: Why it is allowed, for the record.
    """

    id: str
    host: str
    ports: tuple[int, ...]
    reason: str = ""

    def matches(self, host: str, port: int) -> bool:
        """Returns whether this rule covers ``host`` (any case, no trailing dot needed)."""
        return port in self.ports and fnmatchcase(host.lower().rstrip("."), self.host)


@dataclass(frozen=True, slots=True)
class ColumnRule:
    """A declared label for columns whose name matches, wherever they appear."""

    id: str
    match: str
    level: Level
    entity_type: str | None = None

    def matches(self, column: str) -> bool:
        """Returns whether the rule covers a column of this name; case does not count."""
        return fnmatchcase(column.lower(), self.match.lower())


@dataclass(frozen=True, slots=True)
class BudgetLimit:
    """The most privacy loss that a dataset may cost, ever: (epsilon, delta)."""

    epsilon: float
    delta: float


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole workspace policy."""

    name: str
    digest: str
    sandbox: SandboxMode
    display: dict[Level, Treatment]
    entities: dict[str, Level]
    columns: tuple[ColumnRule, ...]
    egress: tuple[EgressRule, ...]
    budgets: dict[str, BudgetLimit]
    default_budget: BudgetLimit
    identity_from_environment: bool = True
    output_limit_bytes: int = 50_000_000
    raw: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def level_of(self, entity_type: str) -> Level:
        """Returns the level of an entity type: the policy's, else the default."""
        override = self.entities.get(entity_type)
        return default_level(entity_type) if override is None else override

    def budget_for(self, dataset: str) -> BudgetLimit:
        """Returns the limit of a dataset, else the default limit."""
        return self.budgets.get(dataset, self.default_budget)


def policy_from_dict(data: dict[str, Any], digest: str) -> Policy:
    """Builds a policy from data that the schema has accepted.

    Args:
        data: The parsed YAML document.
        digest: Lower-case hex SHA-256 of the file's bytes, quoted in every record.
    """
    display = {
        Level.PUBLIC: Treatment.SHOW,
        Level.INTERNAL: Treatment.SHOW,
        Level.CONFIDENTIAL: Treatment.TOKEN,
        Level.RESTRICTED: Treatment.TOKEN,
    }
    for name, treatment in data.get("display", {}).items():
        display[Level.parse(name)] = Treatment(treatment)
    budgets = {
        name: BudgetLimit(float(limit["epsilon"]), float(limit["delta"]))
        for name, limit in data.get("budgets", {}).items()
    }
    return Policy(
        name=data.get("name", "unnamed"),
        digest=digest,
        sandbox=SandboxMode(data.get("sandbox", "required")),
        display=display,
        entities={k: Level.parse(v) for k, v in data.get("entities", {}).items()},
        columns=tuple(
            ColumnRule(f"columns[{i}]", c["match"], Level.parse(c["level"]), c.get("entity"))
            for i, c in enumerate(data.get("columns", []))
        ),
        egress=tuple(
            EgressRule(
                f"egress.allow[{i}]",
                e["host"].lower().rstrip("."),
                tuple(e.get("ports", [443])),
                e.get("reason", ""),
            )
            for i, e in enumerate(data.get("egress", {}).get("allow", []))
        ),
        budgets=budgets,
        default_budget=budgets.get("default", BudgetLimit(3.0, 1e-5)),
        identity_from_environment=data.get("identity", {}).get("from_environment", True),
        output_limit_bytes=data.get("limits", {}).get("output_bytes", 50_000_000),
        raw=data,
    )
