"""diffprivlib's models behind a wrapper that closes their traps and charges each fit once."""

from __future__ import annotations

import cloister_dp as dp
import numpy as np
import pytest
from cloister.core.errors import BudgetExceeded
from cloister_dp.errors import (
    ColumnRefused,
    DataUnsuitable,
    PrivacyParameterInvalid,
    PublicInputMissing,
    UnsafeMechanism,
)

FEATURES = ["age_at_visit", "length_of_stay", "is_emergency"]
BOUNDS = {"age_at_visit": (0, 110), "length_of_stay": (0, 40)}


@pytest.mark.parametrize("kind", ["LogisticRegression", "GaussianNB"])
def test_a_classifier_learns_and_is_charged_once(guarded, visits, kind):
    model = getattr(dp.models, kind)(epsilon=20.0, bounds=BOUNDS, classes=[0, 1])
    model.fit(visits[FEATURES], visits["readmitted_30d"])
    right = (model.predict(visits[FEATURES]) == visits["readmitted_30d"]).mean()
    assert right > 0.75
    assert model.predict_proba(visits[FEATURES]).shape == (800, 2)
    assert guarded.operations() == ["reserve", "checkpoint", "commit"]
    assert guarded.row("visits")["epsilon_spent"] == 20.0


def test_a_class_that_nobody_is_in_is_still_a_class(guarded, visits):
    none_yet = visits["readmitted_30d"] * 0
    for kind in ("LogisticRegression", "GaussianNB"):
        model = getattr(dp.models, kind)(epsilon=2.0, bounds=BOUNDS, classes=[0, 1])
        model.fit(visits[FEATURES], none_yet)
        assert model.predict_proba(visits[FEATURES]).shape == (800, 2)


def test_k_means_scaler_and_components_answer_in_known_units(guarded, visits):
    frame = visits[FEATURES]
    scaler = dp.models.StandardScaler(epsilon=10.0, bounds=BOUNDS).fit(frame)
    assert scaler.mean_[0] == pytest.approx(frame["age_at_visit"].mean(), abs=5)
    centers = (
        dp.models.KMeans(epsilon=10.0, bounds=BOUNDS, n_clusters=2).fit(frame).cluster_centers_
    )
    assert centers.shape == (2, 3)
    assert (centers[:, 0] >= 0).all()
    assert (centers[:, 0] <= 110).all()
    pca = dp.models.PCA(epsilon=10.0, bounds=BOUNDS, n_components=2).fit(frame)
    assert pca.transform(frame).shape == (800, 2)
    assert np.linalg.norm(pca.components_, axis=1) == pytest.approx(1.0, abs=1e-6)


def test_k_means_keeps_nothing_of_single_rows_and_never_spends_more_than_epsilon():
    from cloister_dp.models.clusters import published_k_means

    k_means = published_k_means()
    for dims in range(1, 12):
        model = k_means(epsilon=1.0, n_clusters=2, bounds=([-1.0] * dims, [1.0] * dims))
        for_sum, for_count = model._split_epsilon(dims, 4)
        assert 4 * (dims * for_sum + for_count) == pytest.approx(1.0)


def test_an_empty_cluster_gets_noise_too(guarded):
    from cloister_dp.models.clusters import published_k_means

    model = published_k_means()(epsilon=1.0, n_clusters=2, bounds=([-1.0], [1.0]))
    centers = np.array([[-0.5], [0.5]])
    model._update_centers(
        np.full((50, 1), -0.5),
        centers=centers,
        labels=np.zeros(50, int),
        dims=1,
        total_iters=2,
        random_state=np.random.RandomState(1),
    )
    assert centers[1, 0] != 0.5


def test_labels_without_noise_are_not_kept(guarded, visits):
    model = dp.models.KMeans(epsilon=1.0, bounds=BOUNDS, n_clusters=2).fit(visits[FEATURES])
    assert model.estimator.labels_ is None
    assert model.estimator.inertia_ is None


def test_linear_regression_is_refused_with_the_reason():
    with pytest.raises(UnsafeMechanism, match="without noise"):
        dp.models.LinearRegression(epsilon=1.0)


def test_seeds_are_refused():
    with pytest.raises(UnsafeMechanism, match="seed"):
        dp.models.GaussianNB(epsilon=1.0, classes=[0, 1], random_state=0)


def test_unknown_options_are_refused_and_not_ignored():
    with pytest.raises(PrivacyParameterInvalid, match="solver"):
        dp.models.LogisticRegression(epsilon=1.0, classes=[0, 1], solver="sag")


def test_what_has_to_be_public_is_asked_for_before_anything_is_charged(guarded, visits):
    with pytest.raises(PublicInputMissing, match="classes"):
        dp.models.GaussianNB(epsilon=1.0, bounds=BOUNDS)
    model = dp.models.KMeans(epsilon=1.0, bounds={"age_at_visit": (0, 110)})
    with pytest.raises(PublicInputMissing, match="length_of_stay"):
        model.fit(visits[FEATURES])
    with pytest.raises(PrivacyParameterInvalid):
        dp.models.KMeans(epsilon=1.0, bounds=BOUNDS, n_clusters=-1).fit(visits[FEATURES])
    assert guarded.operations() == []


def test_columns_that_identify_people_are_refused_by_name(guarded, visits):
    model = dp.models.KMeans(epsilon=1.0, bounds={**BOUNDS, "account": (0, 1000)})
    with pytest.raises(ColumnRefused, match=r"account.*IBAN_CODE"):
        model.fit(visits[[*FEATURES, "account"]])
    assert guarded.operations() == []


def test_a_used_up_budget_stops_a_fit(guarded, small):
    array = small[FEATURES].to_numpy(dtype=float)
    model = dp.models.StandardScaler(epsilon=1.0, bounds=[(0, 110), (0, 40), (0, 1)])
    with pytest.raises(BudgetExceeded):
        model.fit(array)
    assert model.estimator is None


def test_an_array_is_charged_to_the_table_that_it_came_from(guarded, visits):
    array = visits[FEATURES].to_numpy(dtype=float)
    dp.models.StandardScaler(epsilon=1.0, bounds=[(0, 110), (0, 40), (0, 1)]).fit(array)
    assert guarded.row("visits")["epsilon_spent"] == 1.0


def test_a_failing_fit_is_charged_and_says_nothing_of_the_rows(guarded, visits):
    model = dp.models.GaussianNB(epsilon=1.0, bounds=BOUNDS, classes=[0, 1], priors=[0.2, 0.2])
    with pytest.raises(DataUnsuitable) as caught:
        model.fit(visits[FEATURES], visits["readmitted_30d"])
    assert caught.value.__suppress_context__
    assert guarded.row("visits")["epsilon_spent"] == 1.0
