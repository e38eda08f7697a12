"""Epsilon is what two independent accountants say, and never less than either."""

from __future__ import annotations

import math

import pytest
from cloister_dp.accounting import Schedule, calibrate, check_agreement, check_target, epsilon_spent
from cloister_dp.errors import AccountingRefused, PrivacyParameterInvalid
from cloister_dp.training.opacus_accounting import check_accountant, opacus_epsilon
from hypothesis import given, settings
from hypothesis import strategies as st

# sample rate, noise multiplier, steps, delta; epsilon by Opacus' PRV and by dp-accounting's PLD.
MEASURED = [
    (0.01, 1.0, 1000, 1e-5, 1.838, 1.829),
    (0.01, 1.0, 10000, 1e-5, 6.198, 6.191),
    (256 / 60000, 1.1, 14062, 1e-5, 2.392, 2.391),
    (0.001, 0.6, 10000, 1e-6, 3.162, 3.155),
    (0.1, 4.0, 500, 1e-5, 2.351, 2.341),
    (0.327, 10.0, 2500, 1e-5, 7.867, 7.857),
    (0.02, 0.5, 500, 1e-5, 17.58, 17.57),
]


@pytest.mark.parametrize("measured", MEASURED)
def test_both_accountants_give_the_known_epsilon(measured):
    rate, noise, steps, delta, prv, pld = measured
    ours = epsilon_spent(noise, rate, steps, delta)
    second = opacus_epsilon(noise, rate, steps, delta)
    assert ours == pytest.approx(pld, abs=0.011, rel=2e-3)
    assert second == pytest.approx(prv, abs=0.011, rel=2e-3)
    check_agreement(ours, second)


def test_gdp_is_refused_because_it_reports_too_little():
    with pytest.raises(AccountingRefused, match="too little"):
        check_accountant("gdp")
    from opacus.accountants import create_accountant

    refused = create_accountant("gdp")
    refused.history = [(0.6, 0.001, 10000)]
    with pytest.raises(AccountingRefused, match="disagree"):
        check_agreement(epsilon_spent(0.6, 0.001, 10000, 1e-6), refused.get_epsilon(delta=1e-6))


def test_accountants_that_disagree_stop_the_training():
    with pytest.raises(AccountingRefused, match="disagree"):
        check_agreement(3.155, 1.710)
    with pytest.raises(AccountingRefused):
        check_agreement(1.0, math.inf)


@pytest.mark.parametrize("epsilon", [0.3, 1.0, 8.0])
def test_calibrated_noise_meets_the_target_by_both_and_wastes_little(epsilon):
    schedule = Schedule(1 / 40, 120)

    def opinion(noise):
        return opacus_epsilon(noise, schedule.sample_rate, schedule.steps, 1e-5)

    noise = calibrate(epsilon, 1e-5, schedule, second_opinion=opinion)
    ours = epsilon_spent(noise, schedule.sample_rate, schedule.steps, 1e-5)
    assert max(ours, opinion(noise)) <= epsilon
    assert ours > 0.93 * epsilon


@settings(max_examples=15)
@given(st.floats(0.6, 4), st.floats(0.005, 0.5), st.integers(1, 60))
def test_epsilon_grows_with_steps_and_falls_with_noise(noise, rate, steps):
    here = epsilon_spent(noise, rate, steps, 1e-5)
    assert epsilon_spent(noise, rate, 2 * steps, 1e-5) >= here
    assert epsilon_spent(2 * noise, rate, steps, 1e-5) <= here


def test_no_steps_cost_nothing_and_no_noise_is_refused():
    assert epsilon_spent(1.0, 0.1, 0, 1e-5) == 0
    with pytest.raises(PrivacyParameterInvalid):
        epsilon_spent(0.0, 0.1, 1, 1e-5)


@pytest.mark.parametrize(
    ("epsilon", "delta"), [(0, 1e-5), (-1, 1e-5), (math.inf, 1e-5), (1, 0), (1, 1), (1, 0.01)]
)
def test_empty_promises_are_refused(epsilon, delta):
    with pytest.raises(PrivacyParameterInvalid):
        check_target(epsilon, delta, rows=100)
