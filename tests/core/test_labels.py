"""Labels form a join semilattice: law 1."""

from __future__ import annotations

import pytest
from cloister.core.labels import Label, Level
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.frozensets(st.sampled_from(["US_SSN", "PERSON", "IBAN_CODE"]))
LABELS = st.builds(Label, st.sampled_from(Level), NAMES, NAMES)


@given(LABELS, LABELS, LABELS)
def test_join_is_a_semilattice(a, b, c):
    assert a.join(b) == b.join(a)
    assert a.join(b).join(c) == a.join(b.join(c))
    assert a.join(a) == a
    assert a.join(Label()) == a


@given(LABELS, LABELS)
def test_join_never_lowers(a, b):
    joined = a.join(b)
    assert joined.level == max(a.level, b.level)
    assert joined.entity_types >= a.entity_types | b.entity_types


@pytest.mark.parametrize("level", Level)
def test_a_level_reads_back_from_its_name(level):
    assert Level.parse(str(level)) is level
    assert Level.parse(str(level).upper()) is level


def test_an_unknown_level_names_the_known_ones():
    with pytest.raises(ValueError, match="public, internal, confidential or restricted"):
        Level.parse("secret")
