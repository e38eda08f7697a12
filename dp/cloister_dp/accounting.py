"""How much noise a training needs, and what a number of its steps has cost.

One step of DP-SGD is a Gaussian mechanism on a Poisson sample: every row is in the batch with
probability ``sample_rate``, independently, and the sum of what the rows contribute, each clipped to
norm 1, gets normal noise with standard deviation ``noise_multiplier``.

Privacy:
    Neighbouring relation: add or remove one row. Unit: one row. The number of rows is taken as
    public, because the sample rate follows from it. The epsilon here is a pessimistic (upper)
    estimate by privacy loss distributions (Koskela et al. 2020, arXiv:1906.03049; Doroshenko et
    al. 2022, arXiv:2207.04380) as implemented by dp-accounting. Noise drawn in floating point is
    not covered by any of these proofs.

The second opinion, Opacus' accountants, is in :mod:`cloister_dp.training.opacus_accounting`,
because importing Opacus imports torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cloister_dp.errors import AccountingRefused, PrivacyParameterInvalid

if TYPE_CHECKING:
    from collections.abc import Callable

NEIGHBORING_RELATION = "add-or-remove-one"
PRIVACY_UNIT = "row"

#: Width of a cell of the privacy loss grid; the estimate is pessimistic at any width.
LOSS_INTERVAL = 1e-3
_LARGEST_NOISE = 1e5
_SMALLEST_NOISE = 0.05


@dataclass(frozen=True, slots=True)
class Schedule:
    """The steps of one training.

    Attributes:
        sample_rate: Probability that a row is in a batch, in (0, 1].
        steps: How many batches, one or more.
    """

    sample_rate: float
    steps: int

    def __post_init__(self) -> None:
        if not 0 < self.sample_rate <= 1 or self.steps < 1:
            raise PrivacyParameterInvalid(
                "A sample rate is above 0 and at most 1, and there is at least one step.",
                remedy="Check batch_size and epochs.",
            )


def check_target(epsilon: float, delta: float, rows: int | None = None) -> None:
    """Refuses a target that is out of range or would make the promise empty.

    Args:
        epsilon: Finite, above 0.
        delta: Above 0 and below 1.
        rows: The number of rows, taken as public. At ``delta >= 1/rows`` a mechanism may publish a
            random row and still keep its promise.

    Raises:
        PrivacyParameterInvalid: It is.
    """
    check_epsilon(epsilon)
    if not 0 < delta < 1:
        raise PrivacyParameterInvalid(
            "delta is above 0 and below 1.", remedy="1e-5 is usual; well below 1 / rows."
        )
    if rows is not None and delta * rows >= 1:
        raise PrivacyParameterInvalid(
            f"With delta={delta:g} a training may publish a whole row of this data and still keep"
            " its promise, because delta is not below 1 / rows.",
            remedy="Choose a delta well below 1 / rows, or use more data.",
        )


def check_epsilon(epsilon: float) -> None:
    """Refuses an epsilon that is no finite number above zero.

    Raises:
        PrivacyParameterInvalid: It is not.
    """
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise PrivacyParameterInvalid(
            "epsilon is a finite number above 0.",
            remedy="Values below 1 are strong; single digits are usual for training.",
        )


def epsilon_spent(noise_multiplier: float, sample_rate: float, steps: int, delta: float) -> float:
    """Returns the epsilon of so many steps, rounded up by the accounting itself.

    Args:
        noise_multiplier: Noise as a multiple of the clipping norm, above 0.
        sample_rate: In (0, 1].
        steps: Zero or more.
        delta: In (0, 1).
    """
    if steps <= 0:
        return 0.0
    step = _step_losses(noise_multiplier, sample_rate)
    return float(step.self_compose(steps).get_epsilon_for_delta(delta))


def calibrate(
    epsilon: float,
    delta: float,
    schedule: Schedule,
    *,
    second_opinion: Callable[[float], float] | None = None,
) -> float:
    """Returns the least noise multiplier, to half a percent, at which a schedule costs epsilon.

    Args:
        epsilon: The target; what the schedule costs is at most this.
        delta: Of the target.
        schedule: The steps.
        second_opinion: Another accountant: epsilon by noise multiplier. Its answer must stay within
            the target too, and near the first one.

    Raises:
        PrivacyParameterInvalid: No noise that is of any use reaches the target.
        AccountingRefused: The two accountants disagree.
    """
    check_target(epsilon, delta)
    aim = epsilon
    for _ in range(6):
        sigma = _least_noise(aim, delta, schedule)
        if second_opinion is None:
            return sigma
        first = epsilon_spent(sigma, schedule.sample_rate, schedule.steps, delta)
        second = second_opinion(sigma)
        check_agreement(first, second)
        if second <= epsilon:
            return sigma
        aim -= 1.1 * (second - epsilon)
        if aim <= 0:
            break
    raise PrivacyParameterInvalid(
        "The target epsilon is too small for the accountants to tell it from zero.",
        remedy="Choose a larger epsilon.",
    )


def check_agreement(first: float, second: float) -> None:
    """Refuses two estimates of the same epsilon that cannot both be right.

    The accepted difference covers the rounding of privacy loss distributions and the slack of
    Renyi accounting, which overestimates; a second opinion far *below* the first is a bug.

    Raises:
        AccountingRefused: They disagree.
    """
    if not (math.isfinite(second) and 0.93 * first - 0.03 <= second <= 1.6 * first + 0.1):
        raise AccountingRefused(
            f"Two accountants disagree about this training: epsilon {first:.4g} and {second:.4g}.",
            remedy="Change batch_size or epochs a little; if it stays, report the numbers.",
        )


@lru_cache(maxsize=64)
def _least_noise(epsilon: float, delta: float, schedule: Schedule) -> float:
    """Bisects in the logarithm, because epsilon falls when noise grows."""

    def cost(sigma: float) -> float:
        return epsilon_spent(sigma, schedule.sample_rate, schedule.steps, delta)

    low = high = 1.0
    while cost(high) > epsilon:
        low, high = high, high * 2
        if high > _LARGEST_NOISE:
            raise PrivacyParameterInvalid(
                "No amount of noise that leaves anything to learn reaches this epsilon.",
                remedy="Choose a larger epsilon, fewer epochs or a smaller batch_size.",
            )
    if low == high:
        while low > _SMALLEST_NOISE and cost(low / 2) <= epsilon:
            low /= 2
        low, high = low / 2, low
    while high / low > 1.005:
        middle = math.sqrt(low * high)
        if cost(middle) <= epsilon:
            high = middle
        else:
            low = middle
    return high


@lru_cache(maxsize=8)
def _step_losses(noise_multiplier: float, sample_rate: float) -> Any:
    from dp_accounting import pld

    if not (math.isfinite(noise_multiplier) and noise_multiplier > 0):
        # Libraries take 0 and then add no noise without a word.
        raise PrivacyParameterInvalid(
            "A noise multiplier is a finite number above 0; without noise there is no privacy.",
            remedy="Leave the noise to the calibration.",
        )
    return pld.privacy_loss_distribution.from_gaussian_mechanism(
        noise_multiplier,
        sampling_prob=sample_rate,
        value_discretization_interval=LOSS_INTERVAL,
    )
