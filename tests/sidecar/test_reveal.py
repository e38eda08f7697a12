"""Reversible tokens are undone for who may, all or none, and every question is in the record."""

from __future__ import annotations

import json

import pytest
from cloister.core.errors import StoreUnavailable
from cloister.core.policy import policy_from_dict
from cloister.core.records import canonical_bytes
from cloister.detect.tokens import Tokenizer
from cloister.sidecar.recorder import KernelFacts, Recorder
from cloister.sidecar.reveals import Reveals

KEYS = Tokenizer(b"t" * 32, b"r" * 32)
POLICY = policy_from_dict(
    {
        "version": 1,
        "masks": {"US_SSN": {"kind": "reversible"}},
        "reveal": [{"users": ["ann"], "entities": ["US_SSN", "MEDICAL_RECORD"]}],
    },
    "0" * 64,
)
SSN = "219-09-9871"


class Broker:
    """The part of a broker that reveals, with what it recorded and what it told the gate."""

    def __init__(self, user="ann", policy=POLICY, log_works=True):
        self.records, self.observed = [], {}

        def append(batch):
            if not log_works:
                raise StoreUnavailable("The log is full.")
            self.records += batch
            for record in batch:
                canonical_bytes(record.body)  # what the log itself would refuse

        recorder = Recorder(append, KernelFacts("k1", user, None, "s"), lambda: "d", lambda t: t)
        self.reveals = Reveals(
            lambda: policy, KEYS, recorder, lambda e, v: self.observed.update({e: v}), user
        )

    def ask(self, tokens):
        return self.reveals.reveal({"tokens": tokens})["values"]

    def code(self, tokens):
        with pytest.raises(Exception, match="CLO-REVEAL") as caught:
            self.ask(tokens)
        assert SSN not in str(caught.value)
        return caught.value.code


def tokens(entity_type="US_SSN", values=(SSN,)):
    return KEYS.reversible_tokens(entity_type, values)


def test_who_may_gets_the_values_and_the_gate_knows_them_first():
    broker = Broker()
    assert broker.ask(tokens(values=["219-09-9871", "457-55-5462"])) == ["219099871", "457555462"]
    assert broker.observed == {"US_SSN": ["219099871", "457555462"]}
    (record,) = broker.records
    assert record.type == "reveal.allowed"
    assert record.body["entities"] == {"US_SSN": 2}
    assert (record.body["user"], record.body["rule"]) == ("ann", "reveal[0]")


@pytest.mark.parametrize(
    ("user", "entity_type"), [("bob", "US_SSN"), ("ann", "CREDIT_CARD"), ("", "US_SSN")]
)
def test_who_may_not_gets_nothing_and_the_question_is_recorded(user, entity_type):
    broker = Broker(user)
    assert broker.code(tokens(entity_type)) == "CLO-REVEAL-001"
    assert broker.observed == {}
    (record,) = broker.records
    assert (record.type, record.body["decision"]) == ("reveal.denied", "block")
    assert record.body["entities"] == {entity_type: 1}


def test_one_type_that_may_not_be_revealed_denies_all():
    broker = Broker()
    assert broker.code(tokens() + tokens("CREDIT_CARD")) == "CLO-REVEAL-001"
    assert broker.observed == {}


def test_a_policy_that_says_nothing_lets_nobody():
    broker = Broker(policy=policy_from_dict({"version": 1}, "0" * 64))
    assert broker.code(tokens()) == "CLO-REVEAL-001"


@pytest.mark.parametrize("place", [0, 20, 51])
def test_a_changed_token_is_refused_and_recorded(place):
    (token,) = tokens()
    head, body = token.split("~~")
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    other = letters[letters.index(body[place]) ^ 1]  # of the last letter, a bit that nobody needs
    broker = Broker()
    changed = f"{head}~~{body[:place]}{other}{body[place + 1 :]}"
    assert broker.code([*tokens(), changed]) == "CLO-REVEAL-002"
    assert broker.records[-1].type == "reveal.denied"
    assert broker.observed == {}


def test_a_token_of_another_type_or_workspace_is_refused():
    (token,) = tokens("CREDIT_CARD")
    assert Broker().code([token.replace("CREDIT_CARD", "US_SSN")]) == "CLO-REVEAL-002"
    foreign = Tokenizer(b"t" * 32, b"x" * 32).reversible_tokens("US_SSN", [SSN])
    assert Broker().code(foreign) == "CLO-REVEAL-002"


@pytest.mark.parametrize(
    "bad",
    [None, "US_SSN~~abc", [1], [None], ["219-09-9871"], [KEYS.token("US_SSN", SSN)], [["x"]],
     tokens() * 10_001],
)  # fmt: skip
def test_what_is_no_list_of_reversible_tokens_is_refused(bad):
    broker = Broker()
    assert broker.code(bad) == "CLO-REVEAL-003"
    assert broker.records == []


def test_without_a_record_nothing_is_revealed():
    broker = Broker(log_works=False)
    with pytest.raises(StoreUnavailable):
        broker.ask(tokens())
    assert broker.observed == {}


def test_the_record_holds_no_value():
    broker = Broker()
    broker.ask(tokens())
    for record in broker.records:
        written = json.dumps(record.body) + record.payload.decode()
        assert "219" not in written.replace(tokens()[0], "")
