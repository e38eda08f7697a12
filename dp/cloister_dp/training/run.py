"""``train``: the one call that validates, reserves, trains and settles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from cloister.core.errors import CloisterError
from torch import nn

from cloister_dp.datasets import dataset_of
from cloister_dp.errors import ModelUnsuitable, PrivacyParameterInvalid
from cloister_dp.ledger import BrokerLedger, Cost, computation_key
from cloister_dp.spending import Spending
from cloister_dp.tracking import autologging_disabled, log_run
from cloister_dp.training.examples import check_source
from cloister_dp.training.loop import Trainer
from cloister_dp.training.losses import RowLoss, wants_numbers
from cloister_dp.training.opacus_accounting import accountant_label
from cloister_dp.training.plan import make_plan
from cloister_dp.training.probe import check_layers, check_model, structure_of
from cloister_dp.training.progress import make_progress
from cloister_dp.training.result import TrainResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch.optim import Optimizer

    from cloister_dp.training.losses import Loss
    from cloister_dp.training.plan import Plan
    from cloister_dp.training.progress import Progress


def train(
    model: nn.Module,
    data: Any,
    *,
    target: str | None = None,
    features: Sequence[str] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    classes: Sequence[Any] | None = None,
    epsilon: float,
    delta: float,
    epochs: int = 5,
    batch_size: int = 256,
    max_grad_norm: float = 1.0,
    lr: float = 0.01,
    optimizer: str | type[Optimizer] | Callable[..., Optimizer] | None = None,
    loss: Loss = None,
    loss_bound: float | None = 4.0,
    dataset: str | None = None,
    seed: int | None = None,
    device: str | torch.device = "auto",
    accountant: str = "prv",
    experiment: str | None = None,
    idempotency_key: str | None = None,
    progress: bool = True,
) -> TrainResult:
    """Trains a model with DP-SGD and charges the dataset's budget.

    The whole (epsilon, delta) is reserved before data is touched. A failure before that is
    refunded; an interrupt or a failure after it is charged for the steps that had begun.

    Privacy:
        (epsilon, delta)-differential privacy; neighbouring relation: add or remove one row; unit:
        one row; the number of rows is taken as public. Covers the weights, the noisy loss and
        every step between. Does not cover weights that you trained on the same data before, nor
        parameters that you chose by looking at it. Noise is drawn by torch in floating point. An
        interrupt is charged as if it had been planned, which is exact when you did not decide it by
        the shown loss.

    Args:
        model: Left as it is; the result holds a trained copy.
        data: A pandas frame, or a torch dataset of ``(input, target)`` pairs with a length.
        target: Column to predict, for a frame. Whole numbers and booleans are classes.
        features: Columns to learn from; all others when left out.
        bounds: Public ``{column: (low, high)}`` of every feature that is a number; features are
            clipped and scaled to [-1, 1]. A numeric target with bounds is clipped.
        classes: Public classes of the target, in the order of the model's outputs.
        epsilon: Above 0.
        delta: Below ``1 / rows``.
        epochs: Expected passes over the data.
        batch_size: Expected rows in a batch; larger batches have relatively less noise.
        max_grad_norm: Norm that each row's gradient is clipped to.
        lr: Learning rate.
        optimizer: ``"adam"`` (also when left out), ``"sgd"``, an optimiser class, or a function
            from parameters to an optimiser.
        loss: A ``torch.nn`` loss or a function that returns one loss for each row; chosen by the
            target when left out.
        loss_bound: What each row's loss is clipped to before the noisy mean is shown and logged;
            ``None`` shows none, and the gradients get 2 percent less noise.
        dataset: Whose budget; what the guard noted on the frame when left out.
        seed: Sets the first weights anew. Noise and batches are never seeded.
        device: ``"auto"`` takes CUDA, else MPS, else the CPU.
        accountant: Second opinion beside privacy loss distributions: ``"prv"`` or ``"rdp"``.
        experiment: MLflow experiment.
        idempotency_key: A name for this one training, so that it cannot run twice.
        progress: Whether to show it.

    Raises:
        BudgetExceeded: The budget does not cover it; nothing was touched.
        BrokerUnavailable: This is not a guarded kernel.
        CloisterError: Something else that is refused, with a remedy; the budget is as it was.
    """
    source = check_source(
        data,
        target=target,
        features=features,
        bounds=bounds,
        classes=classes,
        wants_numbers=wants_numbers(loss),
    )
    check_layers(model)
    make_optimizer = _optimizer_maker(optimizer, lr)
    place = _device(device)
    key = computation_key(idempotency_key)
    ledger = BrokerLedger()
    name = dataset_of(data, dataset)
    before = ledger.rows(name)
    plan = make_plan(
        source.rows,
        epsilon=epsilon,
        delta=delta,
        epochs=epochs,
        batch_size=batch_size,
        max_grad_norm=max_grad_norm,
        loss_bound=loss_bound,
        accountant=accountant,
    )
    if seed is not None:
        model = _reset(model, seed)
    row_loss = RowLoss(loss)
    trainer: Trainer | None = None

    def spent_so_far() -> float:
        return 0.0 if trainer is None else plan.epsilon_to_charge(trainer.steps_begun)

    shown = make_progress(is_wanted=progress)
    left = before[0].epsilon_left if before else 0.0
    shown.say(
        f"{name}: this training reserves ε {epsilon:g} of the {left:.4g} left (δ {delta:g});"
        f" noise multiplier {plan.noise_multiplier:.3g}, {plan.schedule.steps} steps on {place}."
    )
    cost = Cost(name, epsilon, delta, plan.record(), key)
    with autologging_disabled(), Spending(ledger, cost, spent_so_far=spent_so_far) as spending:
        rows = source.load()
        check_model(model, structure_of(rows[0]), row_loss, place)
        trainer = Trainer(model, rows, plan, make_optimizer, row_loss, place)
        try:
            trainer.run(spending, shown)
        except BaseException:
            _say_stopped(shown, trainer, plan)
            raise
    charged = plan.epsilon if spending.epsilon_spent is None else spending.epsilon_spent
    shown.close(f"{name}: ε {charged:.4g} charged, {plan.schedule.steps} steps.")
    run_id = log_run(
        experiment,
        {**plan.record(), "epochs": epochs, "model": type(model).__name__},
        trainer.points,
        {"cloister.reservation": spending.reservation, "cloister.dataset": name},
    )
    return TrainResult(
        model=trainer.trained_model(),
        epsilon=charged,
        delta=delta,
        noise_multiplier=plan.noise_multiplier,
        sample_rate=plan.schedule.sample_rate,
        steps=plan.schedule.steps,
        run_id=run_id,
        reservation=spending.reservation,
        dataset=name,
        max_grad_norm=max_grad_norm,
        accountant=accountant_label(plan.accountant),
        loss=trainer.last_loss,
        features=source.features,
        classes=source.classes,
    )


def _say_stopped(shown: Progress, trainer: Trainer, plan: Plan) -> None:
    try:
        charged = plan.epsilon_to_charge(trainer.steps_begun)
    except CloisterError:
        charged = plan.epsilon
    shown.close(
        f"Stopped in step {trainer.steps_begun} of {plan.schedule.steps}; ε {charged:.4g} charged."
    )


def _optimizer_maker(
    optimizer: str | type[Optimizer] | Callable[..., Optimizer] | None, lr: float
) -> Callable[[list[nn.Parameter]], Optimizer]:
    if isinstance(optimizer, torch.optim.Optimizer):
        raise ModelUnsuitable(
            "This optimiser holds the parameters of your model, but a copy is trained.",
            remedy="Pass its class, or a function: optimizer=lambda p: torch.optim.SGD(p, lr=0.1).",
        )
    if optimizer is None or isinstance(optimizer, str):
        named = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
        kind = named.get(optimizer or "adam")
        if kind is None:
            raise ModelUnsuitable("There is no such optimiser.", remedy='Use "adam" or "sgd".')
        return lambda parameters: kind(parameters, lr=lr)
    if optimizer is torch.optim.LBFGS:
        raise ModelUnsuitable(
            "LBFGS looks at the data several times in a step, which the accounting does not count.",
            remedy='Use "adam" or "sgd".',
        )
    if isinstance(optimizer, type):
        return lambda parameters: optimizer(parameters, lr=lr)
    return optimizer


def _device(device: str | torch.device) -> torch.device:
    if device != "auto":
        try:
            return torch.device(device)
        except (RuntimeError, TypeError):
            raise PrivacyParameterInvalid(
                "There is no such device.", remedy='Use "auto", "cpu", "cuda" or "mps".'
            ) from None
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def _reset(model: nn.Module, seed: int) -> nn.Module:
    import copy

    fresh = copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in fresh.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
    return fresh
