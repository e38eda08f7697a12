"""Why a call to a provider is not made, in the words that the kernel gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloister.sidecar.proxy.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloister.core.decisions import Decision


def not_allowed(decision: Decision, remedy: str = "") -> Refusal:
    """Contract, region or level forbid it."""
    return Refusal(
        403,
        f"{decision.reason}. The request was not sent.",
        code="CLO-LLM-001",
        rule=decision.rule,
        remedy=remedy or decision.remedy,
    )


def values_remain(provider: str, found: Mapping[str, int]) -> Refusal:
    """Values that no token can stand in for without changing what the request says."""
    kinds = ", ".join(sorted(found)) or "values"
    return Refusal(
        451,
        f"The request to {provider} holds {kinds} in a form that cannot be replaced by tokens, for "
        "instance spread over several fields. It was not sent.",
        code="CLO-LLM-002",
        rule=f"providers.{provider}",
        remedy="Put each value into one text, or leave it out.",
    )


def unreadable(provider: str, what: str) -> Refusal:
    """A request that cannot be read, or in more than one way."""
    return Refusal(
        451,
        f"The request to {provider} {what}. It was not sent.",
        code="CLO-LLM-003",
        rule=f"providers.{provider}",
        remedy="Send plain JSON with text in it; pictures, sound and other data that nobody can "
        "look into need a provider that may get data of this level as it is (level.plain).",
    )


def document_holds(provider: str, found: Mapping[str, int]) -> Refusal:
    """A file in a request in which values were found."""
    kinds = ", ".join(f"{kind} ({found[kind]})" for kind in sorted(found))
    return Refusal(
        451,
        f"A file in the request to {provider} holds {kinds}, and files are not rewritten. The "
        "request was not sent.",
        code="CLO-LLM-004",
        rule=f"providers.{provider}",
        remedy="Send what it says as text, or a file with the values masked: cloister mask IN OUT.",
    )


def no_enrichment(provider: str, what: str, remedy: str, *, rule: str = "enrichment") -> Refusal:
    """A vendor may not get these records."""
    return Refusal(
        403,
        f"{provider} gets no records: {what}. The request was not sent.",
        code="CLO-LLM-005",
        rule=f"providers.{provider}.{rule}",
        remedy=remedy,
    )


def nothing_left(provider: str, withheld: Mapping[str, int]) -> Refusal:
    """Every record was withheld."""
    why = ", ".join(f"{n} {_WITHHELD[kind]}" for kind, n in sorted(withheld.items()) if n)
    return Refusal(
        403,
        f"No record of the request may go to {provider} ({why}). The request was not sent.",
        code="CLO-LLM-006",
        rule=f"providers.{provider}.enrichment.consent",
        remedy="Send rows of people who agreed, with the values that the catalogued data has.",
    )


_WITHHELD = {
    "consent": "without consent",
    "unknown": "not in the catalogued data",
    "differs": "with other values than the catalogued data has",
}
