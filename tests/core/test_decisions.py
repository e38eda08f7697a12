"""Decisions name their rule, and what no rule allows is denied."""

from __future__ import annotations

import pytest
from cloister.core.decisions import Effect, decide_display, decide_egress, egress_error
from cloister.core.errors import EgressDenied, error_from_dict
from cloister.core.labels import Level
from cloister.core.policy import policy_from_dict
from hypothesis import given
from hypothesis import strategies as st


def make_policy(**data):
    return policy_from_dict({"version": 1, **data}, "0" * 64)


ALLOWING = make_policy(
    egress={
        "allow": [
            {"host": "hub.example.net"},
            {"host": "*.Example.org", "ports": [80, 443], "reason": "partners"},
        ]
    }
)


@pytest.mark.parametrize(
    ("host", "port", "rule"),
    [
        ("hub.example.net", 443, "egress.allow[0]"),
        ("Hub.Example.NET.", 443, "egress.allow[0]"),
        ("api.example.org", 80, "egress.allow[1]"),
    ],
)
def test_allows_what_a_rule_covers(host, port, rule):
    decision = decide_egress(ALLOWING, host, port)
    assert (decision.effect, decision.rule) == (Effect.ALLOW, rule)


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("hub.example.net", 80),
        ("example.org", 443),
        ("hub.example.net.evil.net", 443),
        ("evilhub.example.net", 443),
        ("127.0.0.1", 443),
    ],
)
def test_denies_the_rest(host, port):
    decision = decide_egress(ALLOWING, host, port)
    assert (decision.effect, decision.rule) == (Effect.BLOCK, "egress.default")
    assert decision.remedy


@given(st.text(max_size=30), st.integers(0, 70000))
def test_an_empty_policy_allows_nothing(host, port):
    assert decide_egress(make_policy(), host, port).effect is Effect.BLOCK


def test_by_default_sensitive_levels_are_masked_and_others_shown():
    effects = {level: decide_display(make_policy(), level).effect for level in Level}
    assert effects == {
        Level.PUBLIC: Effect.ALLOW,
        Level.INTERNAL: Effect.ALLOW,
        Level.CONFIDENTIAL: Effect.MASK,
        Level.RESTRICTED: Effect.MASK,
    }


def test_an_unknown_entity_type_is_restricted():
    assert make_policy().level_of("SOMETHING_NEW") is Level.RESTRICTED


def test_a_policy_can_move_an_entity_type():
    policy = make_policy(entities={"CITY": "restricted"})
    assert policy.level_of("CITY") is Level.RESTRICTED


def test_an_error_survives_the_socket():
    error = egress_error(decide_egress(make_policy(), "example.org", 443))
    back = error_from_dict(error.as_dict())
    assert isinstance(back, EgressDenied)
    assert str(back) == str(error)
    assert "egress.default" in str(back)
