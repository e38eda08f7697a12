"""Statistics answer near the truth, with bounds that are public, and charge what they say."""

from __future__ import annotations

import math

import cloister_dp as dp
import numpy as np
import pandas as pd
import pytest
from cloister_dp.errors import DataUnsuitable, PrivacyParameterInvalid, PublicInputMissing


def test_answers_lie_near_the_truth(guarded, visits):
    # Laplace noise of scale 1/epsilon leaves +-20/epsilon with a chance below 1e-8 each.
    ages = visits["age_at_visit"]
    assert abs(dp.count(visits, epsilon=1.0) - len(visits)) <= 20
    assert abs(dp.sum(ages, bounds=(0, 110), epsilon=1.0) - ages.sum()) <= 20 * 110
    assert abs(dp.mean(ages, bounds=(0, 110), epsilon=1.0) - ages.mean()) <= 3
    median = dp.quantile(ages, 0.5, bounds=(0, 110), epsilon=2.0)
    assert abs((ages < median).mean() - 0.5) <= 0.1
    wards = ["cardiology", "surgery", "maternity", "oncology"]
    found = dp.histogram(visits["ward"], categories=wards, epsilon=1.0)
    truth = visits["ward"].value_counts()
    assert list(found.index) == wards
    assert all(abs(found[w] - truth.get(w, 0)) <= 25 for w in wards)
    assert guarded.row("visits")["epsilon_spent"] == pytest.approx(6.0)
    assert guarded.operations() == ["reserve", "checkpoint", "commit"] * 5


def test_noise_has_the_spread_that_epsilon_says(guarded):
    # 300 draws; a sample deviation outside [0.7, 1.4] of the true one has a chance below 1e-6.
    values = list(range(1000))
    draws = [dp.count(values, epsilon=0.1, dataset="visits") - 1000 for _ in range(300)]
    assert 0.7 < np.std(draws) / (math.sqrt(2) / 0.1) < 1.4


@pytest.mark.parametrize(
    "call",
    [
        lambda v: dp.sum(v["age_at_visit"], epsilon=1.0),
        lambda v: dp.mean(v["age_at_visit"], epsilon=1.0),
        lambda v: dp.quantile(v["age_at_visit"], 0.5, epsilon=1.0),
        lambda v: dp.histogram(v["ward"], epsilon=1.0),
    ],
)
def test_public_bounds_are_required_and_cost_nothing_when_missing(guarded, visits, call):
    with pytest.raises(PublicInputMissing) as caught:
        call(visits)
    assert caught.value.remedy
    assert guarded.operations() == []


def test_rows_outside_bounds_and_missing_ones_are_clipped_and_left_out(guarded):
    values = pd.Series([0.5] * 500 + [1e12, -1e12, math.nan, math.inf])
    answer = dp.mean(values, bounds=(0, 1), epsilon=20.0, dataset="visits")
    assert answer == pytest.approx(0.5, abs=0.05)


def test_a_failure_inside_a_statistic_is_charged(guarded, visits):
    with pytest.raises(DataUnsuitable):
        dp.mean(visits["patient_name"], bounds=(0, 1), epsilon=1.0)
    assert guarded.row("visits")["epsilon_reserved"] == 0.0
    assert guarded.row("visits")["epsilon_spent"] == 1.0


@pytest.mark.parametrize("epsilon", [0, -1, math.nan, math.inf])
def test_an_epsilon_without_meaning_is_refused(guarded, epsilon):
    with pytest.raises(PrivacyParameterInvalid):
        dp.count([1], epsilon=epsilon, dataset="visits")
    assert guarded.operations() == []
