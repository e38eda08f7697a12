"""Labels: joined upward, found again cheaply, and found anew when the data changes."""

from __future__ import annotations

import pandas as pd
import polars as pl
import pytest
from cloister.core.labels import Level
from cloister.hooks import labels as lb
from cloister.hooks.labels import ColumnLabel, from_attrs, from_broker, spread, to_attrs
from cloister.hooks.pandas_labels import frame_labels
from cloister.hooks.polars_labels import polars_labels
from cloister.hooks.policyview import current_policy
from hypothesis import given
from hypothesis import strategies as st

SSN = "123-45-6789"

some_label = st.builds(
    ColumnLabel,
    st.sampled_from(Level),
    st.sampled_from([None, "US_SSN", "PERSON"]),
    st.sampled_from(["detected by name", "catalog:p", "policy columns[0]"]),
    is_stated=st.booleans(),
    is_read=st.booleans(),
)


@given(a=some_label, b=some_label, c=some_label)
def test_a_join_never_lowers_a_level(a, b, c):
    assert a.join(b).level == b.join(a).level == max(a.level, b.level)
    assert a.join(b).join(c).level == a.join(b.join(c)).level
    assert a.join(a).level == a.level
    assert (a.join(b).entity_type is None) == (a.entity_type is None and b.entity_type is None)


def test_what_a_person_stated_names_the_kind():
    stated = ColumnLabel(Level.CONFIDENTIAL, "MEDICAL", "catalog:p", is_stated=True)
    seen = ColumnLabel(Level.RESTRICTED, "US_SSN", "detected by values")
    assert seen.join(stated).entity_type == "MEDICAL"
    assert seen.join(stated).level is Level.RESTRICTED


@given(length=st.integers(0, 5000), rows=st.integers(20, 400))
def test_a_spread_holds_both_ends_and_no_row_twice(length, rows):
    picks = spread(length, rows)
    assert picks == sorted(set(picks))
    assert len(picks) == min(length, rows)
    assert all(0 <= i < length for i in picks)
    ends = {*range(min(5, length)), *range(max(0, length - 5), length)}
    assert ends <= set(picks)


def test_attrs_are_read_back_and_anything_else_is_ignored():
    labels = from_broker(
        {"a": {"level": "restricted", "entity_type": "US_SSN", "source": "catalog:p"}}
    )
    assert from_attrs(to_attrs(labels)) == labels
    assert from_attrs([list(row) for row in to_attrs(labels)]) == labels
    for wrong in (None, "x", 1, [1], [("a", "b")], {"a": 1}, [("a", 1, 2, 3)]):
        assert from_attrs(wrong) == {}


def test_a_scan_that_found_nothing_declares_nothing():
    nothing = {"level": "public", "entity_type": None, "source": "detected"}
    said = {"level": "public", "entity_type": None, "source": "catalog:p"}
    assert list(from_broker({"a": nothing, "b": said})) == ["b"]


def test_the_more_telling_source_is_named():
    read = ColumnLabel(Level.RESTRICTED, "US_SSN", "detected")
    seen = ColumnLabel(Level.RESTRICTED, "US_SSN", "detected by values")
    assert read.join(seen).source == seen.join(read).source == "detected by values"


def test_an_unknown_level_from_the_broker_is_restricted():
    assert from_broker({"a": {"level": "odd"}})["a"].level is Level.RESTRICTED


def test_a_second_look_classifies_nothing(broker, monkeypatch):
    frame = pd.DataFrame({"ssn": [SSN] * 5000})
    table = pl.from_pandas(frame)
    first = frame_labels(frame, current_policy()), polars_labels(table, current_policy())
    monkeypatch.setattr(lb, "_detect", lambda *_: pytest.fail("classified again"))
    assert (frame_labels(frame, current_policy()), polars_labels(table, current_policy())) == first


def test_a_frame_that_was_changed_in_place_is_labelled_anew(broker, hooked):
    frame = pd.DataFrame({"x": ["a"] * 100})
    assert "restricted" not in repr(frame)
    frame["x"] = SSN
    assert SSN not in repr(frame)
    frame = pd.DataFrame({"x": ["a"] * 100})
    repr(frame)
    frame.loc[:, "x"] = SSN
    assert SSN not in repr(frame)


def test_a_column_that_is_nearly_all_null_is_still_labelled(broker):
    values = [None] * 20_000
    values[6_001] = values[6_002] = values[6_003] = SSN
    labels = frame_labels(pd.DataFrame({"ssn": values}), current_policy())
    assert labels.columns[0] is not None
    assert labels.columns[0].level is Level.RESTRICTED
    labels = polars_labels(pl.DataFrame({"ssn": values}), current_policy())
    assert labels.columns[0] is not None
    assert labels.columns[0].level is Level.RESTRICTED


def test_tokens_and_short_texts_are_not_told_to_the_broker(broker):
    from cloister.hooks.observe import observe_object

    observe_object(pd.DataFrame({"ssn": [SSN, "US_SSN~abcdefghij", None] * 5, "mrn": [7] * 15}))
    assert broker.observed == {"US_SSN": [SSN]}


def test_columns_of_an_indexed_file_are_not_told_again(broker):
    from cloister.hooks.observe import observe_object

    frame = pd.DataFrame({"ssn": [SSN] * 5})
    labels = from_broker(
        {"ssn": {"level": "restricted", "entity_type": "US_SSN", "source": "detected"}}
    )
    frame.attrs[lb.ATTRS_KEY] = to_attrs(labels)
    observe_object(frame)
    assert broker.observed == {}


def test_at_most_fifty_thousand_values_of_a_column(broker):
    from cloister.hooks.observe import observe_object

    observe_object(pd.DataFrame({"mrn": range(100_000, 160_001)}))
    assert len(broker.observed["MEDICAL_RECORD"]) == 50_000
