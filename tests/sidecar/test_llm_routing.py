"""Who gets a request: contract, region, level; and never another provider because one is busy."""

from __future__ import annotations

import datetime as dt
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from cloister.core.labels import Level
from cloister.sidecar.proxy.authority import Authority, HostContexts
from providers import MAIL, PROMPT, SSN, TOKEN, VALUES, Model, Rig, chat, echo, sent, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def house() -> Iterator[Any]:
    with serving() as server:
        yield server


@pytest.fixture
def both(rig: Rig, model: Any, house: Any) -> Rig:
    """A cloud that may get tokens of confidential data, and a server in the house."""
    set_providers(rig, model, house)
    return rig


def set_providers(rig: Rig, model: Any, house: Any, /, *, rules: Any = None, **more: Any) -> None:
    cloud = {"name": "cloud", "hosts": ["127.0.0.1"], "ports": [model.server_port]}
    local = {"name": "house", "hosts": ["127.0.0.1"], "ports": [house.server_port], "local": True}
    local |= {"style": "openai", "url": house.url, "model": "llama3.1"}
    cloud |= {"style": "openai", "region": "eu"}
    providers = [cloud | more.pop("cloud", {}), local | more.pop("house", {})]
    providers = [{k: v for k, v in p.items() if v is not None} for p in providers]
    if rules is not None:
        more["egress"] = {"allow": rules}
    rig.allow(model, house, providers=providers, **more)


def test_public_data_goes_to_the_cloud_and_restricted_data_stays(
    both: Rig, model: Any, house: Any
) -> None:
    model.say = house.say = echo
    url = f"{model.url}/v1/chat/completions"
    for level, text, target in [
        (Level.PUBLIC, "What is a median?", model),
        (Level.PUBLIC, PROMPT, house),  # the level of what it says counts, too
        (Level.CONFIDENTIAL, "What is a median?", model),
        (Level.RESTRICTED, "What is a median?", house),
    ]:
        both.level = level
        before = (len(model.seen), len(house.seen))
        answer = both.post(url, chat(text))
        assert answer.status_code == 200, answer.text
        assert answer.json()["choices"][0]["message"]["content"] == text
        after = (len(model.seen), len(house.seen))
        assert after == (before[0] + (target is model), before[1] + (target is house))
        assert answer.headers.get("X-Cloister-Provider") == ("house" if target is house else None)
    assert not [v for v in VALUES for request in model.seen if v in request[2].decode()]
    assert json.loads(sent(house))["model"] == "llama3.1"
    assert json.loads(sent(model))["model"] == "gpt-4o-mini"


def test_what_is_sent_on_is_on_record_with_where_it_went(both: Rig, model: Any, house: Any) -> None:
    both.level = Level.RESTRICTED
    both.post(model.url, chat(SSN))
    (record,) = both.kinds("llm.sent")
    assert (record["asked"], record["provider"]) == ("cloud", "house")
    assert record["decided_by"] == "providers.cloud.level.redacted"
    opened = [e for e in both.events if e.phase == "opened"]
    assert [e.port for e in opened] == [house.server_port]
    assert [e.rule for e in opened] == ["egress.allow[1]"]


def test_a_long_request_is_sent_on_too(both: Rig, model: Any, house: Any) -> None:
    house.say = echo
    text = f"{SSN} " + "words " * 5_000
    answer = both.post(model.url, chat(text))
    assert answer.json()["choices"][0]["message"]["content"] == text
    assert model.seen == []
    ports = [(e.port, e.phase, e.bytes_out) for e in both.events]
    assert ports[0] == (model.server_port, "opened", 0)
    assert ports[1] == (model.server_port, "closed", 0)
    assert ports[2][:2] == (house.server_port, "opened")


def test_what_is_read_while_a_body_comes_counts(both: Rig, model: Any, house: Any) -> None:
    def body() -> Iterator[bytes]:
        yield b'{"model": "m", "input": "'
        time.sleep(0.3)
        both.level = Level.RESTRICTED
        yield b"what I have just read" + b'"}'

    answer = both.session.post(model.url, data=body(), timeout=20)
    assert answer.headers["X-Cloister-Provider"] == "house"
    assert model.seen == []


def test_credentials_for_the_cloud_stay_here(both: Rig, model: Any, house: Any) -> None:
    both.level = Level.RESTRICTED
    secrets = {
        "Authorization": "Bearer sk-abc123def456ghi789jkl012",
        "x-api-key": "sk-ant-abc123def456ghi789jkl012",
        "OpenAI-Organization": "org-1234",
        "Cookie": "session=abc",
        "X-Goog-Api-Key": "abc",
        "User-Agent": "tests",
    }
    assert both.post(model.url, chat("x"), headers=secrets).status_code == 200
    got = {name.lower(): value for name, value in house.seen[0][1].items()}
    assert got["user-agent"] == "tests"
    assert not set(secrets) - {"User-Agent"} & set(house.seen[0][1])
    assert not [v for v in secrets.values() if v in got.values() and v != "tests"]
    assert got["host"] == f"127.0.0.1:{house.server_port}"


def test_requests_without_a_body_are_decided_about_too(both: Rig, model: Any, house: Any) -> None:
    both.level = Level.RESTRICTED
    assert both.session.get(f"{model.url}/v1/models", timeout=20).status_code == 200
    assert (len(model.seen), len(house.seen)) == (0, 1)


@pytest.mark.parametrize("is_house_secure", [False, True])
def test_a_cloud_behind_tls_is_opened_and_what_it_may_not_get_is_sent_on(
    rig: Rig, tmp_path: Path, *, is_house_secure: bool
) -> None:
    outside = Authority.from_secret(b"o" * 64, dt.datetime.now(dt.UTC))
    (tmp_path / "outside.pem").write_text(outside.certificate_pem)
    context = HostContexts(outside).of("localhost")
    with serving(context) as cloud, serving(context if is_house_secure else None) as house:
        cloud.say = house.say = echo
        home = "localhost" if is_house_secure else "127.0.0.1"
        ports = [cloud.server_port, house.server_port]
        hosts = [{"host": host, "ports": ports} for host in ("localhost", "127.0.0.1")]
        hosts[0]["inspect"] = False  # what goes to a provider is opened all the same
        rig.allow(
            cloud,
            providers=[
                {"name": "cloud", "hosts": ["localhost"], "ports": ports[:1]},
                {"name": "house", "hosts": [home], "ports": ports[1:]}
                | {"local": True, "url": house.url},
            ],
            egress={"allow": hosts, "ca_file": str(tmp_path / "outside.pem")},
        )
        for text, target in [("x", cloud), (MAIL, cloud), (SSN, house), ("y", cloud)]:
            answer = rig.post(f"{cloud.url}/v1/chat/completions", chat(text))
            assert answer.json()["choices"][0]["message"]["content"] == text, answer.text
            assert text in sent(target) if len(text) == 1 else text not in sent(target)
        assert (len(cloud.seen), len(house.seen)) == (3, 1)
        assert house.seen[0][1]["Host"] == house.url.partition("//")[2]


def test_one_connection_serves_both(both: Rig, model: Any, house: Any) -> None:
    model.say = house.say = echo
    for text, target in [("a", model), (SSN, house), ("b", model), (MAIL, model), (SSN, house)]:
        answer = both.post(model.url, chat(text))
        assert answer.json()["choices"][0]["message"]["content"] == text
        assert json.loads(sent(target))["model"]
    assert (len(model.seen), len(house.seen)) == (3, 2)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"url": None}, True),
        ({"style": "anthropic"}, True),
        ({"level": {"redacted": "internal"}}, False),
    ],
)
def test_where_requests_are_not_sent_on_the_remedy_names_the_local_provider(
    rig: Rig, model: Any, house: Any, change: dict, named: bool
) -> None:
    set_providers(rig, model, house, house=change)
    rig.level = Level.RESTRICTED
    answer = rig.post(model.url, chat("x"))
    assert (answer.status_code, answer.headers["X-Cloister-Code"]) == (403, "CLO-LLM-001")
    assert answer.headers["X-Cloister-Rule"] == "providers.cloud.level.redacted"
    assert ("Call house" in answer.headers["X-Cloister-Remedy"]) == named
    assert (model.seen, house.seen) == ([], [])
    assert rig.kinds("llm.refused")[0]["provider"] == "cloud"


def test_the_local_provider_needs_a_rule_as_any_host(rig: Rig, model: Any, house: Any) -> None:
    rules = [{"host": "127.0.0.1", "ports": [model.server_port]}]
    set_providers(rig, model, house, rules=rules)
    rig.level = Level.RESTRICTED
    answer = rig.post(model.url, chat("x"))
    assert (answer.status_code, answer.headers["X-Cloister-Rule"]) == (403, "egress.default")
    assert (model.seen, house.seen) == ([], [])


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"cloud": {"contract_until": "2026-11-22"}}, "providers.cloud.contract_until"),
        ({"cloud": {"region": "us"}, "regions": ["eu"]}, "providers.cloud.region"),
        ({"cloud": {"region": None}, "regions": ["eu"]}, "providers.cloud.region"),
    ],
)
def test_a_lapsed_provider_gets_nothing_and_is_not_replaced(
    rig: Rig, model: Any, house: Any, change: dict, rule: str
) -> None:
    set_providers(rig, model, house, **change)
    for send in (
        lambda: rig.post(model.url, chat("x")),
        lambda: rig.post(model.url, chat(SSN)),
        lambda: rig.session.get(f"{model.url}/v1/models", timeout=20),
        lambda: rig.post(model.url, chat("x " * 20_000)),
    ):
        answer = send()
        assert (answer.status_code, answer.headers["X-Cloister-Rule"]) == (403, rule)
    assert (model.seen, house.seen) == ([], [])


def test_the_last_day_of_a_contract_counts(rig: Rig, model: Any, house: Any) -> None:
    set_providers(rig, model, house, cloud={"contract_until": "2026-11-23"})
    assert rig.post(model.url, chat("x")).status_code == 200


@pytest.mark.parametrize("status", [429, 500, 503, 529])
def test_a_busy_provider_is_not_replaced(both: Rig, model: Any, house: Any, status: int) -> None:
    def busy(handler: Model, _body: bytes) -> None:
        handler.answer({"error": {"message": "overloaded"}}, status=status, Retry_After="3")

    model.say = house.say = busy
    for level, target, other in [(Level.RESTRICTED, house, model), (Level.PUBLIC, model, house)]:
        both.level = level
        before = len(other.seen)
        answer = both.post(model.url, chat("What is a median?"))
        assert (answer.status_code, answer.headers["Retry-After"]) == (status, "3")
        assert answer.json()["error"]["message"] == "overloaded"
        assert (len(target.seen), len(other.seen)) == (1, before)


def test_a_provider_that_is_down_is_not_replaced(both: Rig, model: Any, house: Any) -> None:
    house.shutdown()
    house.server_close()
    both.level = Level.RESTRICTED
    answer = both.post(model.url, chat("x"))
    assert (answer.status_code, answer.headers["X-Cloister-Code"]) == (502, "CLO-EGRESS-003")
    assert model.seen == []


def test_a_provider_that_hangs_up_is_not_replaced(both: Rig, model: Any, house: Any) -> None:
    def hang_up(handler: Model, _body: bytes) -> None:
        handler.close_connection = True

    house.say = hang_up
    both.level = Level.RESTRICTED
    assert both.post(model.url, chat("x")).status_code == 502
    assert model.seen == []


def test_a_provider_without_redaction_gets_values_up_to_its_level(
    rig: Rig, model: Any, house: Any
) -> None:
    plain = {"redact": False, "level": {"plain": "confidential"}}
    set_providers(rig, model, house, cloud=plain)
    assert rig.post(model.url, chat(f"to {MAIL}")).status_code == 200
    assert MAIL in sent(model)
    rig.post(model.url, chat(f"to {SSN}"))
    assert len(model.seen) == 1
    assert TOKEN.search(sent(house))  # and in the house it is as that provider's terms say
    assert SSN not in sent(house)


def test_what_the_policy_shows_is_a_value_where_a_provider_may_not_have_it(
    rig: Rig, model: Any, house: Any
) -> None:
    model.say = echo
    shown = {"display": {"confidential": "show"}}
    set_providers(rig, model, house, **shown)
    answer = rig.post(model.url, chat(f"to {MAIL}"))
    assert MAIL not in sent(model)
    assert MAIL in answer.text
    set_providers(rig, model, house, cloud={"level": {"plain": "confidential"}}, **shown)
    rig.post(model.url, chat(f"to {MAIL}"))
    assert MAIL in sent(model)


def test_observing_sends_it_as_it_is_and_says_what_would_be(
    rig: Rig, model: Any, house: Any
) -> None:
    set_providers(rig, model, house, mode="observe")
    rig.level = Level.RESTRICTED
    assert rig.post(model.url, chat(PROMPT)).status_code == 200
    assert MAIL in sent(model)
    assert house.seen == []
    assert rig.kinds("llm.sent")[0]["would"] == "block"
    rig.level = Level.PUBLIC
    rig.post(model.url, chat(MAIL))
    assert rig.kinds("llm.sent")[1]["would"] == "redact"


def test_an_enclave_sends_nothing(rig: Rig, model: Any, house: Any) -> None:
    set_providers(rig, model, house, mode="enclave")
    assert rig.post(model.url, chat("x")).headers["X-Cloister-Rule"] == "mode.enclave"
    assert (model.seen, house.seen) == ([], [])


def test_a_change_of_policy_counts_for_the_next_request(both: Rig, model: Any, house: Any) -> None:
    assert both.post(model.url, chat("x")).status_code == 200
    set_providers(both, model, house, cloud={"contract_until": "2026-01-01"})
    assert both.post(model.url, chat("x")).status_code == 403
    assert len(model.seen) == 1


# When something fails --------------------------------------------------------------------------


def test_an_analyser_that_fails_lets_nothing_through(rig: Rig, model: Any, monkeypatch) -> None:
    from cloister.detect import valuefinder

    def fail(*_args: object, **_more: object) -> None:
        raise RuntimeError(SSN)

    monkeypatch.setattr(valuefinder, "find_spans", fail)
    answer = rig.post(model.url, chat("words"))
    assert (answer.status_code, answer.headers["X-Cloister-Code"]) == (503, "CLO-EGRESS-014")
    assert SSN not in answer.text
    assert model.seen == []


def test_a_request_that_cannot_be_recorded_is_not_sent(rig: Rig, model: Any) -> None:
    def fail(_kind: str, _body: dict) -> None:
        raise OSError("disk full")

    rig.service.record = fail
    assert rig.post(model.url, chat(PROMPT)).status_code == 503
    assert model.seen == []


def test_without_the_service_nothing_goes_to_a_provider(rig: Rig, model: Any) -> None:
    rig.decider._filters = lambda _exchange, _on_found: None
    answer = rig.post(model.url, chat("x"))
    assert (answer.status_code, answer.headers["X-Cloister-Code"]) == (503, "CLO-EGRESS-014")
    assert model.seen == []
