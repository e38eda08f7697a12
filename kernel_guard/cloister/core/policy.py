"""The policy model: what an admin states, and nothing about how it is read.

A :class:`Policy` is built from data that the schema has already accepted
(``cloister/core/policy.schema.json``, applied by :mod:`cloister.store.policy`), so this module
trusts shapes and only converts. Every rule has a stable id that decisions quote.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from cloister.core.egressrules import (
    EgressLimits,
    EgressRule,
    egress_limits_from_dict,
    egress_rules_from_dict,
)
from cloister.core.entities import default_level
from cloister.core.filerules import FileRules, file_rules_from_dict
from cloister.core.highwater import HighWaterRules, high_water_from_dict
from cloister.core.labels import Level
from cloister.core.masks import REDACTED_WHOLE, Mask, MaskKind, masks_from_dict
from cloister.core.modes import Mode
from cloister.core.output import OutputRules, output_from_dict
from cloister.core.providers import Provider, providers_from_list
from cloister.core.recognizers import (
    ALLOW_NOTHING,
    AllowList,
    RecognizerRule,
    allow_list_from_dict,
    recognizers_from_list,
)
from cloister.core.recordrules import RecordRules, record_from_dict
from cloister.core.resources import ResourceLimits, resources_from_dict
from cloister.core.retention import RetentionRules, retention_from_dict
from cloister.core.serverrules import CLOSED, ServerRules, server_rules_from_dict
from cloister.core.telemetry import TelemetryRules, telemetry_from_dict
from cloister.core.volume import VolumeLimit, volume_limits_from_list

if TYPE_CHECKING:
    from collections.abc import Mapping


class Treatment(Enum):
    """What happens to a value of a level when it is shown."""

    SHOW = "show"
    TOKEN = "token"  # noqa: S105 - a treatment's name, not a secret
    PARTIAL = "partial"
    REDACT = "redact"


class SandboxMode(Enum):
    """Which walls a kernel needs, to start.

    Attributes:
        REQUIRED: Namespaces of its own.
        REDUCED: Those, or less where there are none: files and system calls are still limited.
        OPTIONAL: The best there are, also none.
    """

    REQUIRED = "required"
    REDUCED = "reduced"
    OPTIONAL = "optional"


@dataclass(frozen=True, slots=True)
class ColumnRule:
    """A declared label for columns whose name matches.

    Attributes:
        id: Rule id, ``columns[0]`` or ``catalog.patients.mrn``.
        match: Column name; ``*``, ``?`` and ``[]`` are wildcards.
        level: How sensitive; it raises what is detected, and never lowers it unless it ``lowers``.
        entity_type: Presidio's name for what the column holds, or ``None`` to leave it open.
        lowers: Whether detection may not raise the level: only from the catalogue, by an owner of
            the dataset. Such a rule matches one exact name, so that it clears nothing else.
    """

    id: str
    match: str
    level: Level
    entity_type: str | None = None
    lowers: bool = False

    def matches(self, column: str) -> bool:
        """Returns whether the rule covers a column of this name; case does not count upward."""
        if self.lowers:
            return fnmatchcase(column, self.match)
        return fnmatchcase(column.lower(), self.match.lower())


@dataclass(frozen=True, slots=True)
class RevealRule:
    """Who may undo which reversible tokens.

    Attributes:
        id: Rule id, ``reveal[0]``.
        users: Names of users, exactly.
        entities: Entity types, exactly.
    """

    id: str
    users: frozenset[str]
    entities: frozenset[str]

    def covers(self, user: str, entity_type: str) -> bool:
        """Returns whether the rule lets ``user`` undo tokens of this type."""
        return user in self.users and entity_type in self.entities


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
    mode: Mode = Mode.GUARD
    output: OutputRules = field(default_factory=OutputRules)
    egress_limits: EgressLimits = field(default_factory=EgressLimits)
    files: FileRules = field(default_factory=FileRules)
    recognizers: tuple[RecognizerRule, ...] = ()
    allow_list: AllowList = ALLOW_NOTHING
    masks: dict[str, Mask] = field(default_factory=dict)
    reveal: tuple[RevealRule, ...] = ()
    identity_from_environment: bool = True
    output_limit_bytes: int = 50_000_000
    high_water: HighWaterRules = field(default_factory=HighWaterRules)
    volume: tuple[VolumeLimit, ...] = ()
    providers: tuple[Provider, ...] = ()
    regions: frozenset[str] | None = None
    record: RecordRules = field(default_factory=RecordRules)
    retention: RetentionRules = field(default_factory=RetentionRules)
    server: ServerRules = CLOSED
    resources: ResourceLimits = field(default_factory=ResourceLimits)
    telemetry: TelemetryRules = field(default_factory=TelemetryRules)
    raw: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def level_of(self, entity_type: str) -> Level:
        """Returns the level of an entity type: the policy's, else the default."""
        override = self.entities.get(entity_type)
        return default_level(entity_type) if override is None else override

    def mask_for(self, entity_type: str | None, level: Level) -> Mask:
        """Returns the mask of a type whose level is not shown: its own, else the level's."""
        return chosen_mask(self.masks, entity_type, self.display[level])

    def may_reveal(self, user: str, entity_type: str) -> RevealRule | None:
        """Returns the rule that lets a user undo the tokens of a type, ``None`` when none does."""
        return next((rule for rule in self.reveal if rule.covers(user, entity_type)), None)

    def budget_for(self, dataset: str) -> BudgetLimit:
        """Returns the limit of a dataset, else the default limit."""
        return self.budgets.get(dataset, self.default_budget)


def chosen_mask(masks: Mapping[str, Mask], entity_type: str | None, treatment: Treatment) -> Mask:
    """Returns the mask for values of a type whose level has this treatment."""
    if treatment is Treatment.SHOW:
        return _SHOWN
    stated = masks.get(entity_type) if entity_type else None
    return _BY_TREATMENT[treatment] if stated is None else stated


_SHOWN = Mask(MaskKind.SHOW)
_BY_TREATMENT = {
    Treatment.SHOW: _SHOWN,
    Treatment.TOKEN: Mask(MaskKind.TOKEN),
    Treatment.PARTIAL: Mask(MaskKind.PARTIAL),
    Treatment.REDACT: REDACTED_WHOLE,
}


def _with_masked(
    entities: dict[str, Level], masks: Mapping[str, Mask], display: Mapping[Level, Treatment]
) -> dict[str, Level]:
    """Raises each type that has a mask to a level that is not shown: a mask is there to be used."""
    hidden = [level for level in Level if display[level] is not Treatment.SHOW]
    if not hidden:
        return entities
    raised = dict(entities)
    for entity_type in masks:
        level = entities.get(entity_type, default_level(entity_type))
        if display[level] is Treatment.SHOW:
            # Where the policy shows the highest levels too, there is none to raise to.
            raised[entity_type] = min((x for x in hidden if x > level), default=level)
    return raised


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
    recognizers = recognizers_from_list(data.get("recognizers", ()))
    # What a recogniser says of its type yields to what the policy says of it under entities.
    entities = {r.entity_type: r.level for r in recognizers if r.level is not None}
    entities |= {k: Level.parse(v) for k, v in data.get("entities", {}).items()}
    masks = masks_from_dict(data.get("masks", {}))
    entities = _with_masked(entities, masks, display)
    budgets = {
        name: BudgetLimit(float(limit["epsilon"]), float(limit["delta"]))
        for name, limit in data.get("budgets", {}).items()
    }
    return Policy(
        name=data.get("name", "unnamed"),
        digest=digest,
        sandbox=SandboxMode(data.get("sandbox", "required")),
        mode=Mode(data.get("mode", "guard")),
        output=output_from_dict(data.get("output", {})),
        display=display,
        entities=entities,
        columns=tuple(
            ColumnRule(f"columns[{i}]", c["match"], Level.parse(c["level"]), c.get("entity"))
            for i, c in enumerate(data.get("columns", []))
        ),
        egress=egress_rules_from_dict(data.get("egress", {})),
        egress_limits=egress_limits_from_dict(data.get("egress", {})),
        files=file_rules_from_dict(data.get("files", {})),
        budgets=budgets,
        default_budget=budgets.get("default", BudgetLimit(3.0, 1e-5)),
        recognizers=recognizers,
        allow_list=allow_list_from_dict(data),
        masks=masks,
        reveal=tuple(
            RevealRule(f"reveal[{i}]", frozenset(r["users"]), frozenset(r["entities"]))
            for i, r in enumerate(data.get("reveal", []))
        ),
        identity_from_environment=data.get("identity", {}).get("from_environment", True),
        output_limit_bytes=data.get("limits", {}).get("output_bytes", 50_000_000),
        high_water=high_water_from_dict(data.get("high_water", {})),
        volume=volume_limits_from_list(data.get("limits", {}).get("volume", ())),
        providers=providers_from_list(data.get("providers", ())),
        regions=frozenset(data["regions"]) if "regions" in data else None,
        record=record_from_dict(data.get("record", {})),
        retention=retention_from_dict(data.get("retention", {})),
        server=server_rules_from_dict(data.get("server", {})),
        resources=resources_from_dict(data.get("resources", {})),
        telemetry=telemetry_from_dict(data.get("telemetry", {})),
        raw=data,
    )
