"""Who may get a request: contract, region, level, mode, and never the load."""

from __future__ import annotations

import datetime as dt

import pytest
from cloister.core.decisions import Effect
from cloister.core.labels import Level
from cloister.core.policy import Policy, policy_from_dict
from cloister.core.routing import Route, route

TODAY = dt.date(2026, 11, 23)
CLOUD = {"name": "cloud", "hosts": ["api.example.com"], "region": "eu", "style": "openai"}
HOUSE = {"name": "house", "hosts": ["127.0.0.1"], "local": True, "style": "openai"}


def policy(*providers: dict, **more: object) -> Policy:
    return policy_from_dict({"version": 1, "providers": list(providers), **more}, "0" * 64)


def routed(policy: Policy, wanted: str = "cloud", level: Level = Level.PUBLIC) -> Route:
    return route(policy, policy.providers, wanted, level, today=TODAY)


def name(found: Route) -> str | None:
    assert (found.provider is None) == (found.decision.effect is Effect.BLOCK)
    return found.provider and found.provider.name


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (Level.PUBLIC, "cloud"),
        (Level.INTERNAL, "cloud"),
        (Level.CONFIDENTIAL, "cloud"),
        (Level.RESTRICTED, "house"),
    ],
)
def test_restricted_data_goes_to_the_local_provider(level: Level, expected: str) -> None:
    assert name(routed(policy(CLOUD, HOUSE), level=level)) == expected


def test_without_a_local_provider_restricted_data_goes_nowhere() -> None:
    found = routed(policy(CLOUD), level=Level.RESTRICTED)
    assert name(found) is None
    assert found.decision.rule == "providers.cloud.level.redacted"
    assert found.decision.remedy


def test_values_as_they_are_need_the_plain_level() -> None:
    plain = {**CLOUD, "redact": False}
    assert name(routed(policy(plain, HOUSE), level=Level.INTERNAL)) == "cloud"
    found = routed(policy(plain, HOUSE), level=Level.CONFIDENTIAL)
    assert name(found) == "house"
    assert found.decision.rule == "providers.cloud.level.plain"


def test_the_last_day_of_a_contract_counts() -> None:
    assert name(routed(policy({**CLOUD, "contract_until": "2026-11-23"}))) == "cloud"
    found = routed(policy({**CLOUD, "contract_until": "2026-11-22"}))
    assert name(found) is None
    assert found.decision.rule == "providers.cloud.contract_until"
    assert "2026-11-22" in found.decision.reason


@pytest.mark.parametrize("region", ["us", None])
def test_a_region_that_is_not_allowed_or_not_stated_is_refused(region: str | None) -> None:
    found = routed(
        policy(
            {**CLOUD, "region": region} if region else HOUSE | {"local": False} | {"name": "cloud"},
            regions=["eu"],
        )
    )
    assert name(found) is None
    assert found.decision.rule == "providers.cloud.region"


def test_a_lapsed_provider_is_not_replaced_by_another() -> None:
    lapsed = {**CLOUD, "contract_until": "2020-01-01"}
    assert name(routed(policy(lapsed, HOUSE))) is None


def test_a_lapsed_local_provider_gets_nothing() -> None:
    lapsed = {**HOUSE, "contract_until": "2020-01-01"}
    assert name(routed(policy(CLOUD, lapsed), level=Level.RESTRICTED)) is None
    assert name(routed(policy(CLOUD, lapsed), "house", Level.RESTRICTED)) is None


def test_a_local_provider_is_in_no_region() -> None:
    assert name(routed(policy(HOUSE, regions=["eu"]), "house", Level.RESTRICTED)) == "house"


def test_a_local_one_that_may_not_get_the_level_is_passed_over() -> None:
    weak = {**HOUSE, "name": "weak", "level": {"redacted": "internal"}}
    assert name(routed(policy(CLOUD, weak), level=Level.RESTRICTED)) is None
    assert name(routed(policy(CLOUD, weak, HOUSE), level=Level.RESTRICTED)) == "house"


def test_a_vendor_is_no_place_for_prompts() -> None:
    vendor = {
        **HOUSE,
        "enrichment": {"dataset": "d", "key": "id", "purpose": "p", "fields": ["id"]},
    }
    assert name(routed(policy(CLOUD, vendor), level=Level.RESTRICTED)) is None


def test_an_unknown_provider_is_refused() -> None:
    assert name(routed(policy(HOUSE), "cloud")) is None


def test_observing_sends_it_where_it_was_meant_and_says_so() -> None:
    observing = policy(CLOUD, HOUSE, mode="observe")
    found = routed(observing, level=Level.RESTRICTED)
    assert (name(found), found.would_block) == ("cloud", True)
    assert found.decision.rule == "providers.cloud.level.redacted"
    assert routed(observing).would_block is False


def test_an_enclave_sends_nothing_anywhere() -> None:
    found = routed(policy(CLOUD, HOUSE, mode="enclave"), "house")
    assert (name(found), found.decision.rule) == (None, "mode.enclave")
