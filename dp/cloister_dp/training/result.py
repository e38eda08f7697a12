"""What a training returns."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cloister_dp.training.examples import FeatureSpec


@dataclass(frozen=True, slots=True, eq=False)
class TrainResult:
    """A trained model and what it cost.

    Attributes:
        model: A plain module in evaluation mode, without any hook of the training.
        epsilon: Charged to the ledger.
        delta: Charged to the ledger.
        noise_multiplier: What was accounted for all that a step released.
        sample_rate: Probability that a row was in a batch.
        steps: Batches.
        run_id: The MLflow run, or ``None`` when it could not be recorded.
        reservation: The ledger's reservation that paid.
        dataset: The dataset that it was charged to.
        max_grad_norm: Norm that each row's gradient was clipped to.
        accountant: What computed epsilon, with versions.
        loss: Mean loss of the last epoch, clipped and with noise; paid for. ``None``: not shown.
        features: How columns became inputs, for a model of a data frame.
        classes: Public classes by output index, for a classifier that was given them.
    """

    model: nn.Module
    epsilon: float
    delta: float
    noise_multiplier: float
    sample_rate: float
    steps: int
    run_id: str | None
    reservation: str
    dataset: str
    max_grad_norm: float
    accountant: str
    loss: float | None = None
    features: FeatureSpec | None = field(default=None, repr=False)
    classes: tuple[Any, ...] | None = field(default=None, repr=False)

    def inputs(self, frame: Any) -> Tensor:
        """Returns a frame's columns as the model takes them.

        Raises:
            AttributeError: The model was trained on a torch dataset.
        """
        if self.features is None:
            raise AttributeError("this model was trained on a torch dataset, not on columns")
        return self.features.inputs(frame)

    def _facts(self) -> list[tuple[str, str]]:
        mechanism = (
            f"DP-SGD: noise multiplier {self.noise_multiplier:.4g}, sample rate"
            f" {self.sample_rate:.4g}, {self.steps} steps, gradient norm {self.max_grad_norm:g}"
        )
        facts = [
            (
                "privacy",
                f"ε = {self.epsilon:.4g}, δ = {self.delta:g}, for one row added or removed",
            ),
            ("charged to", f"{self.dataset} (reservation {self.reservation})"),
            ("mechanism", mechanism),
            ("accountant", self.accountant),
        ]
        if self.loss is not None:
            facts.append(("loss", f"{self.loss:.4g} (noisy; paid for within ε)"))
        facts.append(("MLflow run", self.run_id or "not recorded"))
        return facts

    def __repr__(self) -> str:
        lines = [f"TrainResult: {type(self.model).__name__}"]
        return "\n".join([*lines, *(f"  {name + ':':<12} {text}" for name, text in self._facts())])

    def _repr_html_(self) -> str:
        left = 'style="text-align:left"'
        rows = "".join(
            f"<tr><th {left}>{html.escape(n)}</th><td {left}>{html.escape(t)}</td></tr>"
            for n, t in (("model", type(self.model).__name__), *self._facts())
        )
        return f"<table><tbody>{rows}</tbody></table>"
