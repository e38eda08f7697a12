"""``cloister.explain``, ``mask`` and ``tokenize``: what users call."""

from __future__ import annotations

import cloister
import pandas as pd
import polars as pl
import pytest
from cloister.core.errors import BrokerUnavailable

SSNS = ["123-45-6789", None, "457-55-5462", "123-45-6789"]


@pytest.fixture
def df():
    return pd.DataFrame({"ssn": SSNS, "mrn": [1001, 1002, 1003, 1004], "age": [1, 2, 3, 4]})


def test_explain_names_level_entity_source_rule_and_treatment(broker, df):
    explained = cloister.explain(df)
    by_name = {c.name: c for c in explained.columns}
    assert (by_name["ssn"].level, by_name["ssn"].entity_type) == ("restricted", "US_SSN")
    assert by_name["ssn"].rule == "display.restricted"
    assert by_name["mrn"].source.startswith("policy columns[0]")
    assert by_name["age"].treatment == "show"
    for shown in (repr(explained), explained._repr_html_()):
        assert "US_SSN" in shown
        assert "123-45-6789" not in shown
        assert "1001" not in shown


def test_explain_takes_every_kind(broker, df):
    assert cloister.explain(df.ssn).columns[0].entity_type == "US_SSN"
    assert cloister.explain(pl.from_pandas(df)).columns[0].entity_type == "US_SSN"
    assert cloister.explain(pl.Series("ssn", SSNS)).columns[0].entity_type == "US_SSN"
    indexed = cloister.explain(df.set_index("ssn"))
    assert indexed.columns[-1].name == "index ssn"


def test_explain_outside_a_guarded_kernel_detects_and_says_so(df, monkeypatch):
    monkeypatch.delenv("CLOISTER_BROKER", raising=False)
    explained = cloister.explain(df)
    assert explained.columns[0].entity_type == "US_SSN"
    assert explained.policy is None
    assert "not a guarded kernel" in repr(explained)


def test_mask_returns_a_masked_copy_with_the_same_names_and_index(broker, df, stand_in):
    masked = cloister.mask(df)
    assert list(masked.columns) == list(df.columns)
    assert masked.index.equals(df.index)
    assert masked.ssn[0] == masked.ssn[3] == stand_in("US_SSN", SSNS[0])
    assert masked.ssn.isna().tolist() == [False, True, False, False]
    assert masked.age.equals(df.age)
    assert df.ssn[0] == SSNS[0]
    pd.testing.assert_frame_equal(cloister.mask(masked), masked)


def test_mask_takes_every_kind(broker, df, stand_in):
    token = stand_in("US_SSN", SSNS[0])
    assert cloister.mask(df.ssn)[0] == token
    assert cloister.mask(df.ssn).name == "ssn"
    assert cloister.mask(pd.Index(df.ssn))[0] == token
    assert cloister.mask(pl.from_pandas(df))["ssn"][0] == token
    assert cloister.mask(pl.Series("ssn", SSNS))[0] == token
    assert cloister.mask(f"SSN is {SSNS[0]}, thanks") == f"SSN is {token}, thanks"
    assert cloister.mask("nothing here") == "nothing here"


def test_tokenize_keeps_nulls_index_and_name(broker, stand_in):
    series = pd.Series(SSNS, index=list("abcd"), name="ssn")
    tokens = cloister.tokenize(series)
    assert tokens.index.tolist() == list("abcd")
    assert tokens.name == "ssn"
    assert tokens["a"] == tokens["d"] == stand_in("US_SSN", SSNS[0])
    assert tokens.isna().tolist() == [False, True, False, False]
    assert cloister.tokenize(pl.Series("ssn", SSNS)).null_count() == 1


@pytest.mark.parametrize("call", [cloister.mask, cloister.tokenize])
def test_outside_a_guarded_kernel_says_which_kernel_to_select(df, call, monkeypatch):
    monkeypatch.delenv("CLOISTER_BROKER", raising=False)
    with pytest.raises(BrokerUnavailable, match=r"Python 3 \(Cloister\)"):
        call(df.ssn)


def test_mask_and_tokenize_raise_when_the_broker_stops(broker, df):
    broker.stop()
    for call in (cloister.mask, cloister.tokenize):
        with pytest.raises(BrokerUnavailable):
            call(df.ssn)


def test_other_objects_are_refused_with_a_code(broker):
    with pytest.raises(cloister.CloisterError, match="CLO-HOOKS-001"):
        cloister.explain(object())
    with pytest.raises(cloister.CloisterError, match="CLO-HOOKS-001"):
        cloister.tokenize("text")


def test_public_names_are_there_and_no_others():
    assert cloister.__version__
    assert issubclass(cloister.EgressDenied, cloister.CloisterError)
    assert issubclass(cloister.BudgetExceeded, cloister.CloisterError)
    assert all(hasattr(cloister, name) for name in cloister.__all__)
    assert not hasattr(cloister, "request_release")
