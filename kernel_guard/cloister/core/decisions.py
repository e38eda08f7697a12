"""Decisions: pure functions from a policy and a question to an answer that names its rule."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from cloister.core.errors import EgressDenied
from cloister.core.policy import Treatment

if TYPE_CHECKING:
    from cloister.core.labels import Level
    from cloister.core.policy import Policy


class Effect(Enum):
    """What a decision lets happen."""

    ALLOW = "allow"
    MASK = "mask"
    BLOCK = "block"
    REVIEW = "review"


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer with its rule, reason and remedy; none of them holds a data value."""

    effect: Effect
    rule: str
    reason: str
    remedy: str = ""
    obligations: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Returns the decision in the shape of ``cloister policy explain --json``."""
        return {
            "decision": self.effect.value,
            "rule": self.rule,
            "reason": self.reason,
            "remedy": self.remedy,
            "obligations": list(self.obligations),
        }


def decide_display(policy: Policy, level: Level) -> Decision:
    """Decides how a value of ``level`` may be shown."""
    treatment = policy.display[level]
    rule = f"display.{level}"
    if treatment is Treatment.SHOW:
        return Decision(Effect.ALLOW, rule, f"{level} values are shown as they are")
    return Decision(
        Effect.MASK,
        rule,
        f"{level} values are shown as {treatment.value}",
        "Work on the data as usual; only its display is masked.",
        (f"mask:{treatment.value}",),
    )


def decide_egress(policy: Policy, host: str, port: int) -> Decision:
    """Decides whether a kernel may connect to ``host`` (name or address) on TCP ``port``.

    There is no rule that denies: what no rule allows is denied (``egress.default``).
    """
    for rule in policy.egress:
        if rule.matches(host, port):
            return Decision(Effect.ALLOW, rule.id, rule.reason or "the policy allows this host")
    if not any(c.isalpha() for c in host) or ":" in host:
        # The gate masks addresses in outputs, ours too, so the text does not depend on reading it.
        where, entry = "that address", "that address and port"
    else:
        where, entry = host, f"{{host: {host}, ports: [{port}]}}"
    return Decision(
        Effect.BLOCK,
        "egress.default",
        f"The policy allows no connection to {where} on port {port}",
        f"Ask an admin to add {entry} to egress.allow in the policy.",
    )


def egress_error(decision: Decision) -> EgressDenied:
    """Turns a blocking egress decision into the error that the user sees."""
    return EgressDenied(f"{decision.reason}.", rule=decision.rule, remedy=decision.remedy)
