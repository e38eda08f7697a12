"""What a training will do, decided before any data is touched: steps, noise and cost.

Besides the gradients each step releases the sum of the losses, clipped, on the same batch, so that
progress can be shown and logged. Both together are one Gaussian mechanism: divided by their noise,
a row moves the gradients by at most ``1/noise_g`` and the loss by at most ``1/noise_l``, so the
pair costs as much as a multiplier of ``(1/noise_g**2 + 1/noise_l**2) ** -0.5``. That is the
``noise_multiplier`` which is accounted; showing the loss makes the gradients about 2 percent
noisier and costs nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cloister_dp.accounting import (
    NEIGHBORING_RELATION,
    PRIVACY_UNIT,
    Schedule,
    calibrate,
    check_target,
    epsilon_spent,
)
from cloister_dp.errors import PrivacyParameterInvalid
from cloister_dp.training.opacus_accounting import (
    AccountantName,
    accountant_label,
    check_accountant,
    opacus_epsilon,
)

#: How much noisier than the gradients the shown loss is, each relative to its own bound.
LOSS_NOISE_RATIO = 5.0


@dataclass(frozen=True, slots=True)
class Plan:
    """One training, decided.

    Attributes:
        epsilon: Target; the schedule costs at most this.
        delta: Of the target.
        schedule: Sample rate and steps.
        steps_per_epoch: Steps after which progress is noted.
        noise_multiplier: What is accounted, for all that a step releases.
        max_grad_norm: Norm that each row's gradient is clipped to.
        loss_bound: What each row's loss is clipped to before it is shown, or ``None``: not shown.
        accountant: The second opinion.
    """

    epsilon: float
    delta: float
    schedule: Schedule
    steps_per_epoch: int
    noise_multiplier: float
    max_grad_norm: float
    loss_bound: float | None
    accountant: AccountantName

    @property
    def gradient_noise_multiplier(self) -> float:
        """Noise of the summed gradients, as a multiple of ``max_grad_norm``."""
        if self.loss_bound is None:
            return self.noise_multiplier
        return self.noise_multiplier * math.sqrt(1 + LOSS_NOISE_RATIO**-2)

    @property
    def loss_noise_multiplier(self) -> float:
        """Noise of the summed losses, as a multiple of ``loss_bound``."""
        return self.gradient_noise_multiplier * LOSS_NOISE_RATIO

    def epsilon_after(self, steps: int) -> float:
        """Returns the epsilon of the first steps; an upper estimate, for display."""
        done = min(steps, self.schedule.steps)
        return epsilon_spent(self.noise_multiplier, self.schedule.sample_rate, done, self.delta)

    def epsilon_to_charge(self, steps: int) -> float:
        """Returns both accountants' larger epsilon of the first steps, at most the target."""
        done = min(steps, self.schedule.steps)
        second = opacus_epsilon(
            self.noise_multiplier, self.schedule.sample_rate, done, self.delta, self.accountant
        )
        return min(max(self.epsilon_after(done), second), self.epsilon)

    def record(self) -> dict[str, str | int]:
        """Returns the plan as it is recorded: texts and whole numbers, no number of rows."""
        return {
            "mechanism": "dp-sgd",
            "noise_multiplier": repr(self.noise_multiplier),
            "gradient_noise_multiplier": repr(self.gradient_noise_multiplier),
            "sample_rate": repr(self.schedule.sample_rate),
            "steps": self.schedule.steps,
            "max_grad_norm": repr(self.max_grad_norm),
            "loss_bound": repr(self.loss_bound),
            "delta": repr(self.delta),
            "sampling": "poisson",
            "neighboring_relation": NEIGHBORING_RELATION,
            "unit": PRIVACY_UNIT,
            "accountant": accountant_label(self.accountant),
        }


def make_plan(
    rows: int,
    *,
    epsilon: float,
    delta: float,
    epochs: int,
    batch_size: int,
    max_grad_norm: float,
    loss_bound: float | None,
    accountant: str,
) -> Plan:
    """Decides the schedule and the noise.

    Args:
        rows: Number of rows, taken as public.
        epsilon: Target, above 0.
        delta: Target, below ``1 / rows``.
        epochs: Passes over the data, in expectation; one or more.
        batch_size: Expected rows in a batch; one or more.
        max_grad_norm: Above 0.
        loss_bound: Above 0, or ``None``.
        accountant: ``prv`` or ``rdp``.

    Raises:
        PrivacyParameterInvalid: A parameter is out of range, or no noise reaches the target.
        AccountingRefused: The accountants disagree, or the named one may not be used.
    """
    name = check_accountant(accountant)
    if rows < 1:
        raise PrivacyParameterInvalid("There are no rows.", remedy="Pass data with rows.")
    check_target(epsilon, delta, rows)
    for what, value in (("epochs", epochs), ("batch_size", batch_size)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise PrivacyParameterInvalid(
                f"{what} is a whole number, one or more.", remedy=f"Check {what}."
            )
    for what, bound in (("max_grad_norm", max_grad_norm), ("loss_bound", loss_bound)):
        if bound is not None and not (math.isfinite(bound) and bound > 0):
            raise PrivacyParameterInvalid(
                f"{what} is a finite number above 0.", remedy=f"{what}=1.0 is a good start."
            )
    steps_per_epoch = math.ceil(rows / batch_size)
    schedule = Schedule(1 / steps_per_epoch, steps_per_epoch * epochs)

    def second_opinion(noise: float) -> float:
        return opacus_epsilon(noise, schedule.sample_rate, schedule.steps, delta, name)

    noise = calibrate(epsilon, delta, schedule, second_opinion=second_opinion)
    return Plan(epsilon, delta, schedule, steps_per_epoch, noise, max_grad_norm, loss_bound, name)
