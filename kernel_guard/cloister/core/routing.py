"""Which provider may get a request: a pure function of policy, providers, level and day.

Whether a provider answers is no part of the question. One that is overloaded, slow or down stays
the answer, so that load never moves data to where policy would not send it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloister.core.decisions import Decision, Effect
from cloister.core.modes import Mode

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from cloister.core.labels import Level
    from cloister.core.policy import Policy
    from cloister.core.providers import Provider


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes.

    Attributes:
        provider: Who may get it; ``None`` when nobody may.
        decision: Why, with the rule; ``BLOCK`` exactly when there is no provider.
        would_block: Whether guarding would have refused it or sent it elsewhere (``observe``).
    """

    provider: Provider | None
    decision: Decision
    would_block: bool = False


def route(
    policy: Policy, providers: Sequence[Provider], wanted: str, level: Level, *, today: dt.date
) -> Route:
    """Returns who may get a request that was meant for a provider.

    Args:
        policy: Its mode and its regions count.
        providers: In the order of preference.
        wanted: Name of the provider that was asked for.
        level: Of the request: what the kernel has read and what was found in it.
        today: In UTC.

    Returns:
        The provider that was asked for, where its contract, its region and the level allow it. For
        data above what it may get, the first local provider that may, one of its style before
        others. Else nobody.
    """
    if policy.mode is Mode.ENCLAVE:
        reason = "The policy makes this workspace an enclave, which nothing leaves"
        return _refused("mode.enclave", reason, "Request a release of what has to leave.")
    provider = next((p for p in providers if p.name == wanted), None)
    if provider is None:
        reason = "The policy knows no provider of this name"
        return _refused("providers", reason, "Ask an admin to add it under providers.")
    guarded = _guarded(policy, providers, provider, level, today)
    if policy.mode is Mode.OBSERVE and guarded.provider is not provider:
        said = guarded.decision
        reason = f"the policy observes; guarding, it would say: {said.reason}"
        seen = Decision(Effect.ALLOW, said.rule, reason, said.remedy, ("record:would-block",))
        return Route(provider, seen, would_block=True)
    return guarded


def lapse(policy: Policy, provider: Provider, today: dt.date) -> Decision | None:
    """Returns why nobody may call a provider today, whatever the data; ``None`` when they may."""
    until = provider.contract_until
    if until is not None and today > until:
        return Decision(
            Effect.BLOCK,
            f"{provider.id}.contract_until",
            f"The contract with {provider.name} ended on {until.isoformat()}",
            "Ask an admin to renew it, or use another provider.",
        )
    if provider.local or policy.regions is None or provider.region in policy.regions:
        return None
    where = provider.region or "a region that the policy does not state"
    return Decision(
        Effect.BLOCK,
        f"{provider.id}.region",
        f"{provider.name} keeps data in {where}, and the policy allows "
        f"{', '.join(sorted(policy.regions)) or 'no region'}",
        "Use a provider in an allowed region, or ask an admin about regions in the policy.",
    )


def _guarded(
    policy: Policy,
    providers: Sequence[Provider],
    provider: Provider,
    level: Level,
    today: dt.date,
) -> Route:
    lapsed = lapse(policy, provider, today)
    if lapsed is not None:
        return Route(None, lapsed)
    if level <= provider.takes:
        reason = f"{provider.name} may get {level} data" + (" as tokens" * provider.redact)
        return Route(provider, Decision(Effect.ALLOW, provider.id, reason))
    rule = f"{provider.id}.level.{'redacted' if provider.redact else 'plain'}"
    why = f"{provider.name} may get nothing above {provider.takes}, and this is {level} data"
    # A vendor's records mean nothing to a language model, in the house or not.
    able = [] if provider.enrichment is not None else [p for p in providers if p.local]
    for other in sorted(able, key=lambda p: p.style is not provider.style):
        is_able = other.enrichment is None and level <= other.takes
        if is_able and lapse(policy, other, today) is None:
            reason = f"{why}; it goes to {other.name}, which is local"
            return Route(other, Decision(Effect.ALLOW, rule, reason))
    remedy = (
        "Leave the data out, start a kernel that has not read it, or ask an admin for a local "
        "provider of this level."
    )
    return _refused(rule, why, remedy)


def _refused(rule: str, reason: str, remedy: str) -> Route:
    return Route(None, Decision(Effect.BLOCK, rule, reason, remedy))
