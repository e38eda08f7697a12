"""Decisions: pure functions from a policy and a question to an answer that names its rule."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from cloister.core.egressrules import EgressUse
from cloister.core.errors import EgressDenied
from cloister.core.highwater import Destination, Outcome
from cloister.core.modes import Mode
from cloister.core.policy import Treatment

if TYPE_CHECKING:
    from cloister.core.egressrules import EgressRule
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


def decide_high_water(policy: Policy, level: Level, destination: Destination) -> Decision:
    """Decides what a kernel that has read data of ``level`` may still do at a destination.

    ``enclave`` blocks with the obligation ``enclave``: what an enclave lets pass may pass.
    """
    rule = policy.high_water.strictest(level, destination)
    if rule is None:
        return Decision(Effect.ALLOW, "high_water", "no rule about levels names this")
    where = _PLACES[destination]
    match rule.outcome:
        case Outcome.ALLOW:
            return Decision(Effect.ALLOW, rule.id, f"a kernel of this level may use {where}")
        case Outcome.MASK:
            reason = f"This kernel has read {level} data, so {where} are masked"
            return Decision(Effect.MASK, rule.id, reason)
        case Outcome.WITHHOLD | Outcome.ENCLAVE:
            enclosed = ("enclave",) if rule.outcome is Outcome.ENCLAVE else ()
            return Decision(
                Effect.BLOCK,
                rule.id,
                f"This kernel has read {level} data, and the policy lets it use no {where}",
                f"Restart the kernel and do this before the data is read, or ask an admin about "
                f"{rule.id} in the policy.",
                enclosed,
            )


_PLACES = {
    Destination.DISPLAY: "outputs",
    Destination.PICTURES: "pictures",
    Destination.COMM: "widgets",
    Destination.EGRESS: "connections",
    Destination.FILE: "exports of files",
    Destination.TERMINAL: "terminals",
}


@dataclass(frozen=True, slots=True)
class EgressAnswer:
    """A decision about a connection or a request, with the rule that allows it.

    Attributes:
        decision: The answer in the policy's mode.
        rule: The rule that allows it, or ``None``.
        would_block: Whether it is allowed only because the policy observes.
    """

    decision: Decision
    rule: EgressRule | None
    would_block: bool = False


def decide_egress(policy: Policy, host: str, port: int) -> Decision:
    """Decides whether a kernel that has read nothing may connect to ``host`` on TCP ``port``."""
    return decide_use(policy, EgressUse(host, port)).decision


def decide_use(policy: Policy, use: EgressUse) -> EgressAnswer:
    """Decides about a use of the way out, in the policy's mode.

    There is no rule that denies: what no rule allows is denied (``egress.default``, or the rule
    that came nearest). Observing lets it happen, and says so; an enclave has no way out.
    """
    if policy.mode is Mode.ENCLAVE:
        reason = "The policy makes this workspace an enclave, which nothing leaves"
        remedy = "Request a release of what has to leave: cloister.request_release(obj, reason=...)"
        return EgressAnswer(Decision(Effect.BLOCK, "mode.enclave", reason, remedy), None)
    answer = match_use(policy, use)
    if answer.rule is not None or policy.mode is Mode.GUARD:
        return answer
    denied = answer.decision
    seen = Decision(
        Effect.ALLOW,
        denied.rule,
        f"the policy observes; guarding, it would say: {denied.reason}",
        denied.remedy,
        ("record:would-block",),
    )
    return EgressAnswer(seen, None, would_block=True)


def match_use(policy: Policy, use: EgressUse) -> EgressAnswer:
    """Decides about a use of the way out by the rules alone, whatever the mode."""
    by_level = decide_high_water(policy, use.level, Destination.EGRESS)
    if by_level.effect is Effect.BLOCK:
        return EgressAnswer(by_level, None)
    nearest: Decision | None = None
    for rule in policy.egress:
        if not rule.matches(use.host, use.port):
            continue
        lack = _lacking(rule, use)
        if lack is None:
            reason = rule.reason or "the policy allows this host"
            return EgressAnswer(Decision(Effect.ALLOW, rule.id, reason), rule)
        nearest = nearest or Decision(Effect.BLOCK, rule.id, *lack)
    return EgressAnswer(nearest or _denied_host(use.host, use.port), None)


def _lacking(rule: EgressRule, use: EgressUse) -> tuple[str, str] | None:
    """Returns why a rule for this host and port does not cover a use, with a remedy."""
    if use.level > rule.level:
        return (
            (
                f"This kernel has read {use.level} data, and {use.host} may be reached by kernels "
                f"that have read nothing above {rule.level}"
            ),
            (
                "Restart the kernel and connect before reading the data, or ask an admin to raise "
                f"the level of {rule.id} in the policy."
            ),
        )
    if rule.purposes and not rule.purposes & use.purposes:
        return (
            f"{use.host} may be reached for the purposes {', '.join(sorted(rule.purposes))} only",
            "Work in a notebook that has one of these purposes, or ask an admin to add yours.",
        )
    if use.method is not None and not rule.allows_method(use.method):
        return (
            f"{use.host} may be reached with {', '.join(sorted(rule.methods))} only",
            f"Ask an admin to add the method to {rule.id} in the policy.",
        )
    if use.path is not None and not rule.allows_path(use.path):
        return (
            (
                f"This path of {use.host} is not among those that the policy allows, "
                "or can be read in more than one way"
            ),
            f"Write the path plainly, or ask an admin to add it to {rule.id} in the policy.",
        )
    return None


def _denied_host(host: str, port: int) -> Decision:
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
