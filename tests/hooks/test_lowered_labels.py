"""A level falls only where an owner lowered it in the catalogue, and only as the data was read."""

from __future__ import annotations

import pandas as pd
import pytest
from cloister.core.labels import Level
from cloister.hooks import labels as lb
from cloister.hooks import policyview, value_memory
from cloister.hooks.pandas_labels import frame_labels
from cloister.hooks.pandas_provenance import declare

MAILS = [f"ada{i}@example.org" for i in range(30)]


@pytest.fixture(autouse=True)
def _hooks(hooked, broker):
    """Every test here runs in a guarded process."""
    value_memory.forget()


def _read(lowered_by: str = "") -> pd.DataFrame:
    source = f"catalog:people lowered by {lowered_by}" if lowered_by else "catalog:people"
    frame = pd.DataFrame({"mail": MAILS})
    raw = {"mail": {"level": "internal", "entity_type": "EMAIL_ADDRESS", "source": source}}
    declare(frame, lb.from_broker(raw), "people.csv")
    return frame


def _level(frame: pd.DataFrame, name: str = "mail") -> Level:
    found = frame_labels(frame, policyview.current_policy()).columns
    label = found[list(frame.columns).index(name)]
    assert label is not None
    return label.level


def test_an_owners_lowering_holds_for_the_table_that_was_read():
    assert _level(_read("ada")) is Level.INTERNAL
    assert _level(_read("ada").head(9)) is Level.INTERNAL


def test_a_declared_level_without_a_lowering_never_falls_below_the_detected_one():
    assert _level(_read()) > Level.INTERNAL


def test_a_rule_of_the_policy_does_not_raise_what_the_owner_lowered(broker):
    broker.policy["columns"] = [
        {"id": "columns[0]", "match": "mail", "level": "restricted", "entity": None}
    ]
    broker.policy["digest"] = "d2"
    policyview.forget()
    assert _level(_read("ada")) is Level.INTERNAL
    assert _level(_read()) is Level.RESTRICTED


def test_a_rule_by_name_lowers_nothing_whatever_the_broker_says(broker):
    broker.policy["columns"] = [
        {"id": "c", "match": "mail", "level": "public", "entity": None, "lowers": True}
    ]
    broker.policy["digest"] = "d3"
    policyview.forget()
    assert _level(pd.DataFrame({"mail": MAILS})) > Level.INTERNAL


def test_what_is_computed_with_other_data_is_no_longer_lowered():
    other = pd.DataFrame({"n": [f"4{i:03d}" for i in range(30)]})
    secret = lb.ColumnLabel(Level.RESTRICTED, "MEDICAL", "catalog:q", is_stated=True)
    declare(other, {"n": secret}, "q.csv")
    frame = _read("ada")
    assert _level(frame.assign(mail=frame.mail + other.n)) is Level.RESTRICTED
