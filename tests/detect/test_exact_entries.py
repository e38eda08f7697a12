"""Entries of an index behave like a dictionary, whatever runs they are kept in."""

from __future__ import annotations

import numpy as np
import pytest
from cloister.detect import entries as module
from cloister.detect.entries import entries_of, no_entries
from cloister.detect.plausible import Form
from hypothesis import given
from hypothesis import strategies as st

KINDS = [("PERSON", Form.WEAK), ("PERSON", Form.WHOLE), ("US_SSN", Form.WHOLE)]
PRINTS = [n << 40 for n in range(1, 40)] + [(1 << 64) - (n << 12) for n in range(1, 9)]

batches = st.lists(
    st.tuples(st.sampled_from(KINDS), st.lists(st.sampled_from(PRINTS), max_size=12)), max_size=8
)


def known(entries):
    """Returns what the entries say of every fingerprint."""
    asked = np.array(PRINTS, np.uint64)
    return {
        int(print_): entries.kinds[kind]
        for _, kind, print_ in entries.look_up(asked, entries.may_hold(asked))
    }


def added(entries, some):
    for kind, prints in some:
        if prints:
            entries = entries.with_prints(np.array(prints, np.uint64), kind)
    return entries


@pytest.fixture(autouse=True, params=[2, 1 << 16])
def shortest_run(request, monkeypatch):
    """New entries join the long run at once, or never."""
    monkeypatch.setattr(module, "_SHORTEST_RUN", request.param)


@given(batches, batches)
def test_entries_are_a_dictionary_in_which_what_is_weak_gives_way(first, second):
    expected = {}
    for kind, prints in first + second:
        for value in prints:
            if expected.get(value, KINDS[0]) == KINDS[0]:
                expected[value] = kind
    one, other = added(no_entries(), first), added(no_entries(), second)
    for entries in (added(one, second), one.with_entries(other)):
        assert known(entries) == expected
        assert len(entries) == len(expected)
        assert known(entries_of(entries.sorted(), entries.kinds)) == expected


def test_a_snapshot_does_not_change_when_more_is_added():
    before = added(no_entries(), [(KINDS[0], PRINTS[:10])])
    said = known(before)
    added(before, [(KINDS[1], PRINTS)])
    assert known(before) == said


def test_more_kinds_than_there_are_numbers_for_are_called_restricted():
    entries = no_entries()
    for n in range(2_100):
        entries = entries.with_prints(np.array([n << 20], np.uint64), (f"T{n}", Form.WHOLE))
    asked = np.array([0, 2_099 << 20], np.uint64)
    said = [entries.kinds[kind] for _, kind, _ in entries.look_up(asked, np.arange(2))]
    assert set(said) == {("T0", Form.WHOLE), ("RESTRICTED", Form.WHOLE)}


def test_adding_a_few_leaves_the_long_run_alone(monkeypatch):
    monkeypatch.setattr(module, "_SHORTEST_RUN", 1 << 10)
    rng = np.random.default_rng(4)
    large = no_entries().with_prints(rng.integers(0, 1 << 63, 50_000, np.uint64), KINDS[2])
    more = large.with_prints(rng.integers(0, 1 << 63, 100, np.uint64), KINDS[1])
    assert more.old is large.old
    assert len(more) == len(large) + 100
