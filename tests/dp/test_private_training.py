"""Training: refused before it costs anything, charged whatever happens, and it learns."""

from __future__ import annotations

import math
import warnings

import pytest

torch = pytest.importorskip("torch")
import cloister_dp as dp  # noqa: E402
from cloister.core.errors import BudgetExceeded  # noqa: E402 - after importorskip
from cloister_dp.accounting import epsilon_spent  # noqa: E402
from cloister_dp.errors import (  # noqa: E402
    AccountingRefused,
    ColumnRefused,
    DataUnsuitable,
    ModelUnsuitable,
    PrivacyParameterInvalid,
    PublicInputMissing,
)
from cloister_dp.training.opacus_accounting import opacus_epsilon  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import TensorDataset  # noqa: E402

FEATURES = ["age_at_visit", "length_of_stay", "is_emergency"]
BOUNDS = {"age_at_visit": (0, 110), "length_of_stay": (0, 40)}


def network(width: int = 3, outputs: int = 1) -> nn.Module:
    return nn.Sequential(nn.Linear(width, 8), nn.Tanh(), nn.Linear(8, outputs))


def train(frame, model=None, **changed):
    options = {
        "features": FEATURES,
        "target": "readmitted_30d",
        "bounds": BOUNDS,
        "epsilon": 4.0,
        "delta": 1e-5,
        "epochs": 2,
        "batch_size": 100,
        "progress": False,
    }
    return dp.train(model or network(), frame, **{**options, **changed})


def pairs(rows: int = 200) -> TensorDataset:
    inputs = torch.randn(rows, 3)
    return TensorDataset(inputs, (inputs.sum(1) > 0).long())


def test_learns_and_commits_what_both_accountants_allow(guarded, no_tracking, visits):
    result = train(visits, epochs=12, epsilon=8.0, lr=0.03)
    inputs = result.inputs(visits)
    right = ((result.model(inputs)[:, 0] > 0).long().numpy() == visits["readmitted_30d"]).mean()
    assert right > 0.75
    assert result.epsilon <= 8.0
    row = guarded.row("visits")
    assert row["epsilon_spent"] == pytest.approx(result.epsilon)
    assert row["epsilon_reserved"] == 0.0
    assert row["delta_spent"] == pytest.approx(1e-5)
    arguments = (result.noise_multiplier, result.sample_rate, result.steps, 1e-5)
    assert max(epsilon_spent(*arguments), opacus_epsilon(*arguments)) == pytest.approx(
        result.epsilon
    )


def test_reserves_first_and_checkpoints_before_each_epoch(guarded, no_tracking, visits):
    result = train(visits, epochs=3)
    assert guarded.operations() == ["reserve", *["checkpoint"] * 3, "commit"]
    requests = [r for r in guarded.requests if r["op"] == "checkpoint"]
    assert [r["steps_done"] for r in requests] == [8, 16, 24]
    reserved = next(r for r in guarded.requests if r["op"] == "reserve")
    assert (reserved["epsilon"], reserved["delta"]) == (4.0, 1e-5)
    assert reserved["event"]["steps"] == result.steps == 24
    assert "800" not in str(reserved["event"])  # no number of rows


def test_returns_a_plain_model_and_leaves_the_given_one_alone(guarded, no_tracking, visits):
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    result = train(visits, model)
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in before)
    assert list(result.model.state_dict()) == list(before)
    assert not torch.equal(result.model.state_dict()["0.weight"], before["0.weight"])
    for module in result.model.modules():
        assert type(module).__module__.startswith("torch.nn")
        assert not module._forward_hooks
        assert not module._backward_hooks
    for parameter in result.model.parameters():
        assert not hasattr(parameter, "grad_sample")
    assert "TrainResult" in repr(result)
    assert "visits" in result._repr_html_()


def test_a_budget_that_does_not_cover_it_stops_before_anything_happens(guarded, small):
    with pytest.raises(BudgetExceeded):
        train(small)
    assert guarded.operations() == ["reserve"]
    assert guarded.row("small")["epsilon_spent"] == 0.0


@pytest.mark.parametrize(
    ("layer", "fix"),
    [(nn.BatchNorm1d(8), "GroupNorm"), (nn.Sequential(nn.SyncBatchNorm(8)), "GroupNorm")],
)
def test_layers_that_mix_rows_are_named_with_their_replacement(guarded, visits, layer, fix):
    model = nn.Sequential(nn.Linear(3, 8), layer, nn.Linear(8, 1))
    with pytest.raises(ModelUnsuitable, match="BatchNorm") as caught:
        train(visits, model)
    assert fix in caught.value.remedy
    assert guarded.operations() == []


def test_batch_statistics_written_by_hand_are_found(guarded, visits):
    class Centred(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Linear(3, 1)

        def forward(self, x):
            return self.last((x - x.mean(0)) / (x.std(0) + 1e-3))

    with pytest.raises(ModelUnsuitable, match="depends on the other rows"):
        train(visits, Centred())
    assert guarded.row("visits")["epsilon_spent"] == 0.0


def test_a_parameter_without_gradients_for_each_row_is_named(guarded, visits):
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = nn.Linear(3, 1), nn.Linear(3, 1)

        def forward(self, x):
            return self.used(x)

    with pytest.raises(ModelUnsuitable, match="spare"):
        train(visits, Unused())
    assert guarded.row("visits")["epsilon_spent"] == 0.0


@pytest.mark.parametrize(
    ("change", "kind", "name"),
    [
        ({"features": [*FEATURES, "patient_name"]}, ColumnRefused, "patient_name.*PERSON"),
        ({"features": [*FEATURES, "account"]}, ColumnRefused, "account.*IBAN_CODE"),
        ({"features": [*FEATURES, "ward"]}, ColumnRefused, "ward"),
        ({"features": None}, ColumnRefused, "patient_name"),
        ({"target": None}, DataUnsuitable, "predicted"),
        ({"target": "nothing"}, ColumnRefused, "nothing"),
        ({"bounds": {"age_at_visit": (1, 0)}}, PrivacyParameterInvalid, "age_at_visit"),
        ({"epsilon": 0.0}, PrivacyParameterInvalid, "epsilon"),
        ({"delta": 0.01}, PrivacyParameterInvalid, "delta"),
        ({"accountant": "gdp"}, AccountingRefused, "gdp"),
        ({"max_grad_norm": 0.0}, PrivacyParameterInvalid, "max_grad_norm"),
        ({"epochs": 0}, PrivacyParameterInvalid, "epochs"),
        ({"optimizer": torch.optim.LBFGS}, ModelUnsuitable, "LBFGS"),
    ],
)
def test_mistakes_are_named_and_cost_nothing(guarded, visits, change, kind, name):
    with pytest.raises(kind, match=name) as caught:
        train(visits, **change)
    assert caught.value.remedy
    assert guarded.row("visits")["epsilon_spent"] == 0.0
    assert guarded.row("visits")["epsilon_reserved"] == 0.0


def test_a_feature_without_public_bounds_is_an_error_that_names_it(guarded, visits):
    with pytest.raises(PublicInputMissing, match="length_of_stay") as caught:
        train(visits, bounds={"age_at_visit": (0, 110)})
    assert "length_of_stay" in caught.value.remedy
    assert guarded.operations() == []


def test_an_interrupt_is_charged_for_the_steps_that_had_begun(guarded, no_tracking):
    calls = []

    class Stops(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x):
            if x.shape[0] != 4:  # the check on made-up rows has four
                calls.append(len(x))
            if len(calls) == 7:
                raise KeyboardInterrupt
            return self.layer(x)

    with pytest.raises(KeyboardInterrupt) as caught:
        dp.train(
            Stops(), pairs(), epsilon=4.0, delta=1e-5, batch_size=50, epochs=10, dataset="visits",
            progress=False,
        )  # fmt: skip
    row = guarded.row("visits")
    assert 0 < row["epsilon_spent"] < 4.0
    assert row["epsilon_reserved"] == 0.0
    assert "charged" in " ".join(caught.value.__notes__)


def test_missing_and_infinite_cells_do_no_harm(guarded, no_tracking, visits):
    visits.loc[3, "length_of_stay"] = math.nan
    visits.loc[4, "length_of_stay"] = math.inf
    result = train(visits)
    assert all(torch.isfinite(p).all() for p in result.model.parameters())


def test_progress_shows_epsilon_and_a_noisy_loss(guarded, no_tracking, visits, capsys):
    result = train(visits, epochs=3, progress=True)
    shown = capsys.readouterr().out
    assert "ε" in shown
    assert "visits" in shown
    assert result.loss is not None


def test_the_shown_loss_is_noisy_within_the_same_epsilon(guarded, no_tracking, visits):
    from cloister_dp.training.plan import make_plan

    options = {"epsilon": 2.0, "delta": 1e-5, "epochs": 2, "batch_size": 100, "max_grad_norm": 1.0}
    plan = make_plan(800, loss_bound=4.0, accountant="prv", **options)
    both = (plan.gradient_noise_multiplier**-2 + plan.loss_noise_multiplier**-2) ** -0.5
    assert both == pytest.approx(plan.noise_multiplier)
    assert plan.gradient_noise_multiplier > plan.noise_multiplier
    model = network()
    losses = {train(visits, model, lr=0.0, epochs=1).loss for _ in range(2)}
    assert len(losses) == 2  # the weights never move; only the noise differs


def test_a_finished_training_is_an_mlflow_run_without_facts_of_the_data(guarded, tracking, visits):
    result = train(visits, epochs=2)
    from mlflow.tracking import MlflowClient

    run = MlflowClient(tracking_uri=tracking).get_run(result.run_id)
    assert float(run.data.params["noise_multiplier"]) == result.noise_multiplier
    assert {"sample_rate", "steps", "max_grad_norm", "delta", "unit", "neighboring_relation",
            "accountant"} <= set(run.data.params)  # fmt: skip
    assert run.data.tags["cloister.reservation"] == result.reservation
    history = MlflowClient(tracking_uri=tracking).get_metric_history(result.run_id, "epsilon")
    assert [point.step for point in history] == [1, 2]
    assert history[-1].value <= 4.0
    assert not run.inputs.dataset_inputs
    assert "800" not in str(run.data.params)


def test_a_tracking_failure_is_a_warning_and_the_model_is_still_returned(
    guarded, visits, monkeypatch, tmp_path
):
    (tmp_path / "file").write_text("no directory")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/file/mlflow.db")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = train(visits)
    assert result.run_id is None
    assert isinstance(result.model, nn.Module)
    assert any("MLflow" in str(w.message) for w in caught)
