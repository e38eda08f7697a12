"""The steps of DP-SGD: Poisson batches, clipped gradients, noise, by Opacus.

Privacy:
    Each step releases the noisy sum of clipped gradients and, if shown, of clipped losses of one
    Poisson batch. Noise and sampling come from generators that are seeded from the operating
    system, not from torch's global one, which notebooks seed. Before an epoch starts, its last step
    is made durable in the ledger, so what is charged after a crash is never less than what ran.
"""

from __future__ import annotations

import copy
import secrets
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from cloister_dp.errors import ModelUnsuitable
from cloister_dp.tracking import Point
from cloister_dp.training.examples import TensorRows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch.optim import Optimizer

    from cloister_dp.spending import Spending
    from cloister_dp.training.losses import RowLoss
    from cloister_dp.training.plan import Plan
    from cloister_dp.training.progress import Progress

_MOST_MARKS = 50

#: Gradient numbers in a batch below which one thread is faster than several: starting and joining
#: them costs more than the work, and on a busy machine ten times as much.
_SMALL_BATCH = 2_000_000


class Trainer:
    """Runs a plan on a copy of a model.

    Args:
        model: Left as it is.
        dataset: Pairs of input and target.
        plan: What to do.
        make_optimizer: Returns an optimiser of some parameters.
        row_loss: Loss of each row.
        device: Where to compute.
    """

    def __init__(  # noqa: PLR0917 - the parts of a training, put together in one place
        self,
        model: nn.Module,
        dataset: Dataset[Any],
        plan: Plan,
        make_optimizer: Callable[[list[nn.Parameter]], Optimizer],
        row_loss: RowLoss,
        device: torch.device,
    ) -> None:
        from opacus import PrivacyEngine

        self._original = model
        self._plan = plan
        self._row_loss = row_loss
        self._device = device
        self._expected_batch = len(dataset) * plan.schedule.sample_rate
        self._noise = _fresh_generator(device)
        trained = copy.deepcopy(model).to(device).train()
        is_tensors = isinstance(dataset, TensorRows)
        loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_size=-(-len(dataset) // plan.steps_per_epoch),
            generator=_fresh_generator(torch.device("cpu")),
            collate_fn=_as_it_is if is_tensors else None,
        )
        self._loader: Any
        with warnings.catch_warnings():
            # Says that secure_mode is off; torchcsprng, which it needs, is not maintained.
            warnings.simplefilter("ignore")
            self._engine: Any = PrivacyEngine(accountant=plan.accountant)
            self._private, self._optimizer, self._loader = self._engine.make_private(
                module=trained,
                optimizer=make_optimizer([p for p in trained.parameters() if p.requires_grad]),
                data_loader=loader,
                noise_multiplier=plan.gradient_noise_multiplier,
                max_grad_norm=plan.max_grad_norm,
                poisson_sampling=True,
                noise_generator=self._noise,
            )
        if abs(self._loader.sample_rate - plan.schedule.sample_rate) > 1e-12:
            raise ModelUnsuitable("The batches would not be sampled at the rate that is accounted.")
        _contain_broken_rows(self._optimizer)
        self.steps_begun = 0
        self.points: list[Point] = []
        self.last_loss: float | None = None

    def run(self, spending: Spending, progress: Progress) -> None:
        """Runs every step; :attr:`steps_begun` says how many may have been released."""
        plan = self._plan
        epochs = plan.schedule.steps // plan.steps_per_epoch
        stride = -(-epochs // _MOST_MARKS)
        batches = self._batches()
        with self._suitable_threads(), warnings.catch_warnings():
            # Torch, about inputs that need no gradient; nobody could act on it.
            warnings.filterwarnings("ignore", "Full backward hook is firing")
            self._run_epochs(epochs, stride, batches, spending, progress)
        done = sum(steps for _, _, steps in self._engine.accountant.history)
        if done != plan.schedule.steps:
            raise ModelUnsuitable("Opacus counted another number of steps than were planned.")

    @contextmanager
    def _suitable_threads(self) -> Iterator[None]:
        weights = sum(p.numel() for p in self._optimizer.params)
        threads: int = torch.get_num_threads()
        is_small = self._device.type == "cpu" and weights * self._expected_batch < _SMALL_BATCH
        torch.set_num_threads(1 if is_small else threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads)

    def _run_epochs(
        self,
        epochs: int,
        stride: int,
        batches: Iterator[Any],
        spending: Spending,
        progress: Progress,
    ) -> None:
        plan = self._plan
        for epoch in range(1, epochs + 1):
            spending.begin(epoch * plan.steps_per_epoch)
            losses = torch.zeros((), device=self._device)
            for step in range(1, plan.steps_per_epoch + 1):
                # Counted before the batch is drawn: a failing step may have shown something.
                self.steps_begun += 1
                losses += self._step(next(batches))
                if progress.is_due():
                    self._show(progress, self._mean(losses, step))
            self.last_loss = self._mean(losses, plan.steps_per_epoch)
            if epoch % stride == 0 or epoch == epochs:
                self._mark(epoch)

    def trained_model(self) -> nn.Module:
        """Returns a plain copy of the model with the trained weights, in evaluation mode."""
        # A copy of the original, because Opacus leaves attributes on parameters and layers.
        plain = copy.deepcopy(self._original)
        plain.load_state_dict(self._private.to_standard_module().state_dict())
        return plain.eval()

    def _batches(self) -> Iterator[Any]:
        while True:  # a pass may be a step short of 1 / sample_rate, which is no whole number
            yield from self._loader

    def _step(self, batch: Any) -> torch.Tensor:
        inputs, targets = (part.to(self._device) for part in batch)
        self._optimizer.zero_grad(set_to_none=True)
        losses = torch.zeros(0, device=self._device)
        if len(inputs):
            losses = self._row_loss(self._private(inputs), targets)
            losses.mean().backward()
            self._check_gradients(len(inputs))
        else:
            # Not every layer takes an empty batch; no row means a sum of nothing, plus noise.
            for parameter in self._optimizer.params:
                parameter.grad_sample = parameter.new_zeros((0, *parameter.shape))
        self._optimizer.step()
        return self._noisy_sum(losses.detach())

    def _check_gradients(self, rows: int) -> None:
        if self.points or self.steps_begun > self._plan.steps_per_epoch:
            return  # seen in every step of the first epoch
        for parameter in self._optimizer.params:
            found = getattr(parameter, "grad_sample", None)
            if not isinstance(found, torch.Tensor) or len(found) != rows:
                raise ModelUnsuitable(
                    "A parameter got no gradient for each row of a batch.",
                    remedy="Use every trainable parameter in forward(), or freeze it.",
                )

    def _noisy_sum(self, losses: torch.Tensor) -> torch.Tensor:
        bound = self._plan.loss_bound
        if bound is None:
            return torch.zeros((), device=self._device)
        clipped = losses.float().nan_to_num(nan=bound, posinf=bound).clamp(0.0, bound).sum()
        noise = torch.randn((), device=self._device, generator=self._noise)
        return clipped + noise * (self._plan.loss_noise_multiplier * bound)

    def _mean(self, losses: torch.Tensor, steps: int) -> float | None:
        if self._plan.loss_bound is None:
            return None
        return float(losses) / (self._expected_batch * steps)

    def _mark(self, epoch: int) -> None:
        epsilon = self._plan.epsilon_after(self.steps_begun)
        self.points.append(Point("epsilon", epsilon, epoch))
        if self.last_loss is not None:
            self.points.append(Point("noisy_loss", self.last_loss, epoch))

    def _show(self, progress: Progress, loss: float | None) -> None:
        steps = self._plan.schedule.steps
        epsilon = self._plan.epsilon_after(self.steps_begun)
        shown = "" if loss is None else f", noisy loss {loss:.4f}"
        progress.update(
            self.steps_begun / steps,
            f"step {self.steps_begun} of {steps}, ε {epsilon:.3f} of {self._plan.epsilon:g}{shown}",
        )


def _contain_broken_rows(optimizer: Any) -> None:
    """Makes a row without a finite gradient count as zero.

    Clipping cannot bound it: a factor of zero times infinity is not a number, and one such row
    would make the whole sum one, which everybody sees.
    """
    clip = optimizer.clip_and_accumulate

    def clip_finite_rows() -> None:
        clip()
        if all(bool(torch.isfinite(p.summed_grad).all()) for p in optimizer.params):
            return
        rows = [p.grad_sample.flatten(1) for p in optimizer.params]
        is_finite = torch.stack([torch.isfinite(r).all(1) for r in rows]).all(0)
        for parameter in optimizer.params:
            kept = parameter.grad_sample.clone()
            kept[~is_finite] = 0
            parameter.grad_sample = kept
            parameter.summed_grad = None
        clip()

    optimizer.clip_and_accumulate = clip_finite_rows


def _fresh_generator(device: torch.device) -> torch.Generator:
    generator = torch.Generator(device=device)
    generator.manual_seed(secrets.randbits(63))
    return generator


def _as_it_is(batch: Any) -> Any:
    return batch
