"""What the section ``egress`` of a policy allows: methods, paths, levels, purposes, modes."""

from __future__ import annotations

import pytest
from cloister.core.decisions import Effect, decide_use
from cloister.core.egressrules import EgressUse, Found, Quota, Window, plain_path
from cloister.core.labels import Level
from cloister.core.policy import policy_from_dict


def make_policy(*allow: dict, **more: object):
    return policy_from_dict({"version": 1, "egress": {"allow": list(allow)}, **more}, "0" * 64)


def effect(policy, **use: object):
    return decide_use(policy, EgressUse(**{"host": "api.test", "port": 443, **use})).decision.effect


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("/", "/"),
        ("/v1/models", "/v1/models"),
        ("/v1/", "/v1/"),
        ("/%76%31/models", "/v1/models"),
        ("/a%20b", "/a b"),
        ("/caf%C3%A9", "/café"),
        ("/v1/../admin", None),
        ("/v1/%2e%2e/admin", None),
        ("/v1/.%2E/admin", None),
        ("/v1/./models", None),
        ("/v1%2Fmodels", None),
        ("/v1%5cmodels", None),
        ("/v1\\models", None),
        ("/v1//models", None),
        ("//v1/models", None),
        ("/v1/;/models", None),
        ("/v1/..;/models", None),
        ("/v1/%252e%252e/admin", None),
        ("/v1/%00", None),
        ("/v1/%zz", None),
        ("/v1/%", None),
        ("/v1/%ff", None),
        ("/v1/%c0%ae", None),
        ("v1/models", None),
        ("*", None),
    ],
)
def test_a_path_has_one_spelling_or_none(path: str, plain: str | None) -> None:
    assert plain_path(path) == plain


@pytest.mark.parametrize(
    ("glob", "path", "fits"),
    [
        ("/v1/*", "/v1/models", True),
        ("/v1/*", "/v1/models/x", False),
        ("/v1/**", "/v1/models/x", True),
        ("/v1/**", "/v1", False),
        ("/v1/**", "/v10/models", False),
        ("/v1/**", "/v1/../admin", False),
        ("/**/upload", "/a/b/upload", True),
        ("/a.b", "/axb", False),
        ("/v1", "/V1", False),
        ("/v[1]", "/v1", False),
    ],
)
def test_paths_are_globs(glob: str, path: str, fits: bool) -> None:
    policy = make_policy({"host": "api.test", "paths": [glob]})
    assert (effect(policy, path=path, method="GET") is Effect.ALLOW) is fits


def test_a_rule_without_paths_takes_any_path() -> None:
    assert effect(make_policy({"host": "api.test"}), path="/a//../b", method="GET") is Effect.ALLOW


def test_methods_are_matched_exactly() -> None:
    policy = make_policy({"host": "api.test", "methods": ["get", "HEAD"]})
    assert effect(policy, method="GET") is Effect.ALLOW
    assert effect(policy, method="POST") is Effect.BLOCK
    assert effect(policy, method="get") is Effect.BLOCK


def test_a_refusal_names_the_rule_that_came_nearest() -> None:
    policy = make_policy({"host": "other.test"}, {"host": "api.test", "methods": ["GET"]})
    answer = decide_use(policy, EgressUse("api.test", 443, "POST", "/"))
    assert (answer.decision.rule, answer.rule) == ("egress.allow[1]", None)
    assert "GET" in answer.decision.reason


def test_a_later_rule_may_allow_what_an_earlier_one_does_not() -> None:
    policy = make_policy(
        {"host": "api.test", "methods": ["GET"]},
        {"host": "api.test", "methods": ["POST"], "paths": ["/v1/chat"]},
    )
    assert effect(policy, method="POST", path="/v1/chat") is Effect.ALLOW
    assert effect(policy, method="POST", path="/v1/files") is Effect.BLOCK


@pytest.mark.parametrize(
    ("rule", "highest"),
    [
        ({}, Level.RESTRICTED),
        ({"inspect": False}, Level.INTERNAL),
        ({"inspect": False, "level": "confidential"}, Level.CONFIDENTIAL),
        ({"level": "public"}, Level.PUBLIC),
    ],
)
def test_a_kernel_may_carry_so_much_and_no_more(rule: dict, highest: Level) -> None:
    policy = make_policy({"host": "api.test", **rule})
    allowed = [level for level in Level if effect(policy, level=level) is Effect.ALLOW]
    assert allowed == [level for level in Level if level <= highest]


@pytest.mark.parametrize("said", [{"methods": ["GET"]}, {"paths": ["/x"]}])
def test_what_needs_a_look_inside_opens_the_connection(said: dict) -> None:
    rule = make_policy({"host": "api.test", "inspect": False, **said}).egress[0]
    assert rule.inspect


def test_purposes_must_meet() -> None:
    policy = make_policy({"host": "api.test", "purposes": ["trial-7"]})
    assert effect(policy) is Effect.BLOCK
    assert effect(policy, purposes=frozenset({"billing"})) is Effect.BLOCK
    assert effect(policy, purposes=frozenset({"billing", "trial-7"})) is Effect.ALLOW


def test_an_enclave_has_no_way_out() -> None:
    answer = decide_use(make_policy({"host": "api.test"}, mode="enclave"), EgressUse("api.test", 1))
    assert (answer.decision.effect, answer.decision.rule) == (Effect.BLOCK, "mode.enclave")


def test_observing_lets_through_and_says_what_guarding_would_say() -> None:
    answer = decide_use(make_policy(mode="observe"), EgressUse("api.test", 443))
    assert (answer.decision.effect, answer.rule, answer.would_block) == (Effect.ALLOW, None, True)
    assert answer.decision.obligations == ("record:would-block",)
    allowed = decide_use(
        make_policy({"host": "api.test"}, mode="observe"), EgressUse("api.test", 443)
    )
    assert not allowed.would_block


def test_a_quota_and_what_happens_to_findings_are_read() -> None:
    rule = make_policy(
        {"host": "api.test", "quota": {"requests": 5, "per": "hour"}, "found": "mask"}
    ).egress[0]
    assert rule.quota == Quota(5, None, Window.HOUR)
    assert rule.found is Found.MASK
