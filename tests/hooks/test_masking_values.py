"""Masks keep nulls, order and equality; they are idempotent, and an outage redacts."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest
from cloister.core.labels import Level
from cloister.core.policy import Treatment
from cloister.hooks.labels import ColumnLabel
from cloister.hooks.masking import REDACTED, canonical_text, is_null, mask_values, tokens_of
from cloister.hooks.policyview import STRICT, PolicyView, current_policy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LABEL = ColumnLabel(Level.RESTRICTED, "US_SSN")


def view(treatment: Treatment) -> PolicyView:
    return PolicyView("p", "d", {Level.RESTRICTED: treatment})


cells = st.lists(
    st.one_of(st.none(), st.text(max_size=30), st.integers(), st.floats(), st.binary(max_size=5))
)


@pytest.mark.parametrize("treatment", [Treatment.TOKEN, Treatment.PARTIAL, Treatment.REDACT])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=cells)
def test_masking_keeps_length_and_nulls_and_is_idempotent(broker, treatment, values):
    once = mask_values(values, LABEL, view(treatment))
    assert len(once) == len(values)
    for before, after in zip(values, once, strict=True):
        assert (after is before) if is_null(before) else isinstance(after, str)
    twice = mask_values(once, LABEL, view(treatment))
    assert [x for x in twice if not is_null(x)] == [x for x in once if not is_null(x)]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.text(min_size=1, max_size=8), min_size=2))
def test_tokens_are_equal_exactly_when_values_are(broker, values):
    masked = tokens_of(values, "US_SSN")
    for i, a in enumerate(values):
        for j, b in enumerate(values):
            same = a.encode("utf-8", "replace") == b.encode("utf-8", "replace")
            assert (masked[i] == masked[j]) == same


def test_an_outage_redacts_and_keeps_nulls(broker):
    broker.stop()
    shown = mask_values(["123-45-6789", None, pd.NA], LABEL, view(Treatment.TOKEN))
    assert shown == [REDACTED, None, pd.NA]


def test_partial_never_shows_half_of_a_short_value():
    shown = mask_values(["123-45-6789", "1234", "12345678"], LABEL, view(Treatment.PARTIAL))
    assert shown == ["[US_SSN …6789]", "[US_SSN]", "[US_SSN]"]


def test_very_long_cells_are_not_sent_and_keep_equality(broker):
    text = "x" * 10_000_000
    first, second, other = tokens_of([text, str(text), text + "y"], "FREE_TEXT")
    assert first == second != other
    assert max(len(v) for r in broker.asked if r["op"] == "tokenise" for v in r["values"]) < 200


def test_ten_thousand_values_a_call(broker):
    tokens_of([str(i) for i in range(25_000)], "US_SSN")
    assert broker.count("tokenise") == 3


def test_an_object_whose_text_raises_is_redacted(broker):
    class Bad:
        def __str__(self) -> str:
            raise RuntimeError("123-45-6789")

    assert tokens_of([Bad()], "US_SSN") == [REDACTED]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1001.0, "1001"),
        (1001, "1001"),
        (dt.datetime(1990, 2, 3, tzinfo=dt.UTC), "1990-02-03"),
        (pd.Timestamp("1990-02-03"), "1990-02-03"),
        (dt.date(1990, 2, 3), "1990-02-03"),
        (b"abc", "abc"),
        (1.5, "1.5"),
    ],
)
def test_one_text_however_a_column_came_to_be_typed(value, text):
    assert canonical_text(value) == text


def test_without_a_broker_nothing_above_public_is_shown(monkeypatch):
    monkeypatch.delenv("CLOISTER_BROKER", raising=False)
    from cloister.hooks import policyview

    policyview.forget()
    assert current_policy() is STRICT
    assert [STRICT.masks(level) for level in Level] == [False, True, True, True]


def test_a_changed_policy_is_followed_within_a_second(broker, monkeypatch):
    from cloister.hooks import policyview

    assert current_policy().treatment(Level.RESTRICTED) is Treatment.TOKEN
    broker.policy["display"]["restricted"] = "redact"
    broker.policy["digest"] = "d2"
    monkeypatch.setattr(policyview, "_REFRESH_S", 0.0)
    assert current_policy().treatment(Level.RESTRICTED) is Treatment.REDACT


def test_at_most_one_hello_a_second(broker):
    for _ in range(50):
        current_policy()
    assert broker.count("hello") == 1
