"""What the guarantee of DP-SGD rests on, checked on the steps themselves.

Statistical tests draw fresh noise, because noise is never seeded; each states how often it fails
by chance.
"""

from __future__ import annotations

import math
from functools import cache

import cloister_dp as dp
import pytest
import torch
from cloister_dp.errors import CloisterError, ModelUnsuitable
from cloister_dp.ledger import BrokerLedger, Cost
from cloister_dp.spending import Spending
from cloister_dp.training.examples import TensorRows
from cloister_dp.training.loop import Trainer
from cloister_dp.training.losses import RowLoss
from cloister_dp.training.opacus_accounting import opacus_epsilon
from cloister_dp.training.plan import make_plan
from cloister_dp.training.progress import NoProgress
from torch import nn
from torch.utils.data import TensorDataset

CPU = torch.device("cpu")

pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook is firing")


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=1.0)


@cache
def plan_for(rows, *, batch_size=40, epochs=4, **changed):
    values = {
        "epsilon": 2.0,
        "delta": 1e-5,
        "epochs": epochs,
        "batch_size": batch_size,
        "max_grad_norm": 0.5,
        "loss_bound": 4.0,
        "accountant": "prv",
    }
    return make_plan(rows, **{**values, **changed})


def make_trainer(model, inputs, targets, plan, loss=None):
    return Trainer(model, TensorRows(inputs, targets), plan, sgd, RowLoss(loss), CPU)


def batches(trainer):
    while True:
        yield from trainer._loader


def weights(trainer):
    return torch.cat([p.detach().flatten().clone() for p in trainer._optimizer.params])


def test_rows_without_gradient_move_the_weights_by_noise_of_the_planned_size():
    plan = plan_for(400)
    model = nn.Linear(200, 1, bias=False)
    trainer = make_trainer(model, torch.zeros(400, 200), torch.zeros(400), plan)
    source = batches(trainer)
    moves = []
    for _ in range(plan.schedule.steps):
        before = weights(trainer)
        trainer._step(next(source))
        moves.append(weights(trainer) - before)
    drawn = torch.stack(moves) * 40  # SGD with rate 1 moves by the sum over the expected batch
    expected = plan.gradient_noise_multiplier * plan.max_grad_norm
    # 8,000 draws: the deviation of 7 percent is nine standard errors, the correlation eight.
    assert float(drawn.std()) == pytest.approx(expected, rel=0.07)
    following = torch.corrcoef(torch.stack([drawn[:-1].flatten(), drawn[1:].flatten()]))[0, 1]
    assert abs(float(following)) < 0.09


def test_the_seed_of_torch_decides_neither_noise_nor_batches():
    plan = plan_for(400)
    results = []
    for _ in range(2):
        torch.manual_seed(0)  # as notebooks do
        trainer = make_trainer(nn.Linear(3, 1), torch.zeros(400, 3), torch.zeros(400), plan)
        source = batches(trainer)
        sizes = tuple(len(next(source)[0]) for _ in range(20))
        trainer._step(next(source))
        results.append((sizes, tuple(weights(trainer).tolist())))
    assert results[0][0] != results[1][0]  # equal by chance about once in 1e20
    assert results[0][1] != results[1][1]


def test_each_row_is_in_a_batch_by_itself_with_the_accounted_probability():
    plan = plan_for(400)
    trainer = make_trainer(nn.Linear(1, 1), torch.zeros(400, 1), torch.zeros(400), plan)
    source = batches(trainer)
    sizes = torch.tensor([float(len(next(source)[0])) for _ in range(1000)])
    rate = plan.schedule.sample_rate
    # Standard errors: 0.19 of the mean, 1.6 of the variance; six of each. Batches of fixed size
    # have variance 0.
    assert float(sizes.mean()) == pytest.approx(400 * rate, abs=1.2)
    assert float(sizes.var()) == pytest.approx(400 * rate * (1 - rate), abs=10)


@pytest.mark.parametrize("scale", [1.0, 1e6, 1e30])
def test_one_more_row_moves_the_clipped_sum_by_at_most_the_norm(scale):
    plan = plan_for(400)
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    inputs, targets = torch.randn(30, 4), torch.randn(30)
    inputs[-1] *= scale
    targets[-1] *= scale

    def clipped_sum(rows):
        trainer = make_trainer(model, inputs, targets, plan)
        losses = trainer._row_loss(trainer._private(inputs[:rows]), targets[:rows])
        losses.mean().backward()
        trainer._optimizer.clip_and_accumulate()
        return torch.cat([p.summed_grad.flatten() for p in trainer._optimizer.params])

    moved = float((clipped_sum(30) - clipped_sum(29)).norm())
    assert 0 <= moved <= plan.max_grad_norm * 1.001
    if scale == 1e6:
        assert moved > plan.max_grad_norm * 0.9  # the bound is used: a larger one would be seen


@pytest.mark.parametrize("value", [math.nan, math.inf, 3e38])
def test_a_row_that_is_no_number_counts_as_none(value):
    plan = plan_for(400, batch_size=400)  # every row is in every batch
    inputs = torch.randn(400, 3)
    inputs[7] = value
    trainer = make_trainer(nn.Linear(3, 1), inputs, torch.zeros(400), plan)
    shown = trainer._step(next(batches(trainer)))
    assert torch.isfinite(weights(trainer)).all()
    assert torch.isfinite(shown)


def test_the_shown_loss_is_clipped_and_has_the_planned_noise():
    plan = plan_for(400, batch_size=400)
    model = nn.Linear(1, 1, bias=False)
    trainer = make_trainer(model, torch.zeros(400, 1), torch.full((400,), 100.0), plan)
    drawn = torch.stack([trainer._noisy_sum(torch.full((400,), 1e4)) for _ in range(2000)])
    expected = plan.loss_noise_multiplier * 4.0
    # 2,000 draws: the deviation has a standard error of 1.6 percent, the mean of 2.2 percent.
    assert float(drawn.std()) == pytest.approx(expected, rel=0.1)
    assert float(drawn.mean()) == pytest.approx(400 * 4.0, abs=0.15 * expected)


def test_gradients_and_loss_together_cost_what_is_accounted():
    plan = plan_for(400)
    together = (plan.gradient_noise_multiplier**-2 + plan.loss_noise_multiplier**-2) ** -0.5
    assert together == pytest.approx(plan.noise_multiplier)
    quiet = plan_for(400, loss_bound=None)
    assert quiet.gradient_noise_multiplier == quiet.noise_multiplier
    schedule = plan.schedule
    second = opacus_epsilon(plan.noise_multiplier, schedule.sample_rate, schedule.steps, 1e-5)
    assert 1.9 < second <= 2.0
    assert 1.9 < plan.epsilon_to_charge(schedule.steps) <= 2.0


def test_empty_batches_are_steps_of_noise(guarded):
    images = torch.randn(4, 1, 6, 6)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.GroupNorm(1, 2), nn.Flatten(), nn.Linear(32, 2))
    plan = plan_for(4, batch_size=1, epochs=8, epsilon=50.0, delta=1e-3)
    trainer = make_trainer(model, images, torch.tensor([0, 1, 0, 1]), plan)
    # A batch of four rows at rate 1/4 is empty with probability 0.32: no empty one in 32 steps
    # happens about four times in a million.
    with Spending(BrokerLedger(), Cost("toys", 50.0, 1e-3)) as spending:
        trainer.run(spending, NoProgress())
    assert trainer.steps_begun == 32
    assert torch.isfinite(weights(trainer)).all()


def test_the_steps_are_durable_before_they_run(guarded):
    plan = plan_for(400, epochs=2)
    trainer = make_trainer(nn.Linear(1, 1), torch.zeros(400, 1), torch.zeros(400), plan)
    with Spending(BrokerLedger(), Cost("toys", 2.0, 1e-5)) as spending:
        trainer.run(spending, NoProgress())
    noted = [r["steps_done"] for r in guarded.requests if r["op"] == "checkpoint"]
    assert noted == [10, 20]


# Models ------------------------------------------------------------------------------------------


class BatchStatistics(nn.Module):
    """Batch normalisation by hand, which no list of layers knows."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, x):
        x = (x - x.mean(0)) / (x.std(0) + 1e-3) if len(x) > 1 else x
        return self.layer(x)


class RunningMean(nn.Module):
    """Keeps a statistic of what it sees, beside the trained layer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(3))
        self.layer = nn.Linear(3, 1)

    def forward(self, x):
        self.seen = self.seen * 0.9 + 0.1 * x.detach().mean(0)
        return self.layer(x)


class Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)
        self.spare = nn.Linear(3, 1)

    def forward(self, x):
        return self.layer(x)


class Borrowed(nn.Module):
    """Uses a layer's weight outside of that layer, where no hook sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.head = nn.Linear(3, 1)

    def forward(self, x):
        return self.head(torch.relu(self.layer(x)) + x @ self.layer.weight)


class Wrong(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def forward(self, x):
        return self.layer(x)


def head(*layers):
    return nn.Sequential(*layers, nn.Linear(3, 1))


REFUSED = {
    "batch norm": (lambda: head(nn.BatchNorm1d(3)), "BatchNorm1d", "GroupNorm"),
    "batch norm without weights": (
        lambda: head(nn.BatchNorm1d(3, affine=False)),
        "BatchNorm1d",
        "GroupNorm",
    ),
    "batch statistics by hand": (BatchStatistics, "other rows", "over the batch"),
    "running mean": (RunningMean, "seen", "statistics"),
    "unused parameter": (Unused, "spare", "freeze"),
    "weight used elsewhere": (Borrowed, "layer.weight", "layer that owns it"),
    "recurrent layer": (lambda: nn.LSTM(3, 1), "LSTM", "DPLSTM"),
    "wrong width": (Wrong, "made-up input", "torch.randn"),
    "nothing to train": (lambda: nn.Linear(3, 1).requires_grad_(False), "trainable", "requires"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_a_model_whose_rows_cannot_be_told_apart(name, guarded, no_tracking):
    build, reason, fix = REFUSED[name]
    data = TensorDataset(torch.randn(60, 3), torch.randn(60))
    with pytest.raises(ModelUnsuitable) as caught:
        dp.train(build(), data, dataset="toys", epsilon=1, delta=1e-4, epochs=1, batch_size=20)
    assert reason in caught.value.message
    assert fix in caught.value.remedy
    assert guarded.row("toys")["epsilon_spent"] == 0.0
    assert guarded.row("toys")["epsilon_reserved"] == 0.0


def test_refuses_a_loss_that_compares_rows(guarded, no_tracking):
    data = TensorDataset(torch.randn(60, 3), torch.randn(60))

    def ranking(output, target):
        return (output - output.mean() - target) ** 2

    with pytest.raises(ModelUnsuitable) as caught:
        dp.train(
            nn.Linear(3, 1), data, loss=ranking, dataset="toys", epsilon=1, delta=1e-4, epochs=1
        )
    assert "loss" in caught.value.message


@pytest.mark.parametrize(
    "optimizer",
    [torch.optim.LBFGS, torch.optim.SGD(nn.Linear(3, 1).parameters(), lr=0.1), "lion"],
    ids=["several looks", "of another model", "unknown"],
)
def test_refuses_an_optimiser_that_cannot_be_used(optimizer, guarded):
    data = TensorDataset(torch.randn(60, 3), torch.randn(60))
    with pytest.raises(CloisterError) as caught:
        dp.train(nn.Linear(3, 1), data, optimizer=optimizer, dataset="toys", epsilon=1, delta=1e-4)
    assert caught.value.remedy
    assert guarded.operations() == []
