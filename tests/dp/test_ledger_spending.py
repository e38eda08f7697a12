"""What a computation costs is decided by the ledger outside the kernel, before data is read."""

from __future__ import annotations

import cloister_dp as dp
import pytest
from cloister.core.errors import BrokerUnavailable, BudgetExceeded
from cloister_dp.datasets import UnattributedWarning, dataset_of
from cloister_dp.errors import DatasetMismatch, LedgerRefused
from cloister_dp.ledger import BrokerLedger, Cost
from cloister_dp.spending import Spending


def test_computes_nothing_outside_a_guarded_kernel(monkeypatch, visits):
    monkeypatch.delenv("CLOISTER_BROKER", raising=False)
    with pytest.raises(BrokerUnavailable) as caught:
        dp.count(visits, epsilon=0.1)
    assert "Python 3 (Cloister)" in caught.value.remedy
    with pytest.raises(BrokerUnavailable):
        dp.budget()


def test_shows_limits_and_what_is_spent_as_text_and_gauge(guarded):
    with Spending(BrokerLedger(), Cost("visits", 5.0, 0.0)) as spending:
        spending.begin()
    table = dp.budget("visits")
    assert table["visits"].epsilon_spent == 5.0
    assert table["visits"].epsilon_left == 45.0
    assert "[##......................]" in repr(table)
    assert 'role="img"' in table._repr_html_()
    assert "width:10.0%" in table._repr_html_()


def test_refunds_a_failure_before_data_is_touched(guarded):
    with pytest.raises(KeyError), Spending(BrokerLedger(), Cost("visits", 1.0, 1e-6)):
        raise KeyError
    assert guarded.operations() == ["reserve", "refund"]
    assert guarded.row("visits")["epsilon_spent"] == 0.0


def test_charges_a_failure_after_data_was_touched(guarded):
    spent = iter([0.25])
    cost = Cost("visits", 1.0, 1e-6)

    def compute():
        with Spending(BrokerLedger(), cost, spent_so_far=lambda: next(spent)) as spending:
            spending.begin()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        compute()
    assert guarded.row("visits")["epsilon_spent"] == 0.25
    assert guarded.row("visits")["epsilon_reserved"] == 0.0
    assert any("0.25" in note for note in caught.value.__notes__)


def test_a_budget_that_is_used_up_stops_the_next_computation(guarded):
    dp.count([1, 2, 3], epsilon=0.4, dataset="small")
    with pytest.raises(BudgetExceeded) as caught:
        dp.count([1, 2, 3], epsilon=0.4, dataset="small")
    assert caught.value.code == "CLO-DP-001"
    assert guarded.row("small")["epsilon_spent"] == 0.4
    assert guarded.operations() == ["reserve", "checkpoint", "commit", "reserve"]


def test_one_idempotency_key_never_pays_for_two_releases(guarded):
    dp.count([1], epsilon=0.1, dataset="visits", idempotency_key="rows")
    with pytest.raises(LedgerRefused):
        dp.count([1], epsilon=0.1, dataset="visits", idempotency_key="rows")
    assert guarded.row("visits")["epsilon_spent"] == 0.1


def test_charges_the_dataset_that_the_data_was_read_from(guarded, visits):
    dp.count(visits[visits["age_at_visit"] > 50], epsilon=0.1)
    dp.mean(visits["age_at_visit"], bounds=(0, 110), epsilon=0.2)
    assert guarded.row("visits")["epsilon_spent"] == pytest.approx(0.3)


def test_says_so_when_nobody_knows_the_dataset(guarded):
    with pytest.warns(UnattributedWarning, match="unattributed"):
        dp.count([1, 2], epsilon=0.1)
    assert guarded.row("unattributed")["epsilon_spent"] == 0.1


def test_refuses_to_charge_a_copy_to_another_dataset(visits):
    with pytest.raises(DatasetMismatch) as caught:
        dataset_of(visits.head(), "toys")
    assert 'dataset="visits"' in caught.value.remedy


def test_every_change_of_a_budget_is_recorded(guarded):
    dp.count([1], epsilon=0.1, dataset="visits")
    assert guarded.kinds == ["budget.reserved", "budget.committed"]
