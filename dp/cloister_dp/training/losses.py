"""One loss for each row, whatever loss was asked for.

DP-SGD bounds what one row does to the gradient, so a loss has to be a sum over rows. A loss that
looks at several rows at once (contrastive, ranking) is found by :mod:`~cloister_dp.training.probe`.
Rows whose target is missing or no known class count as zero: leaving them out row by row needs no
look at the others, and an error would publish that there is one.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import nn

from cloister_dp.errors import ModelUnsuitable

if TYPE_CHECKING:
    from collections.abc import Callable

    Loss: TypeAlias = "nn.Module | Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None"

_REGRESSION = (nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss)


def wants_numbers(loss: Loss) -> bool:
    """Returns whether a loss compares numbers, so that whole-number targets are no classes."""
    return isinstance(loss, _REGRESSION)


class RowLoss:
    """Returns the loss of each row.

    Args:
        loss: ``None`` chooses by the target: cross entropy for classes, with logits for two classes
            and one output, squared error for numbers. A ``torch.nn`` loss is copied with
            ``reduction="none"``. Another callable returns one loss for each row.
    """

    def __init__(self, loss: Loss = None) -> None:
        self._loss: Any = loss
        if isinstance(loss, nn.Module) and hasattr(loss, "reduction"):
            self._loss = copy.deepcopy(loss)
            self._loss.reduction = "none"

    def __call__(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Returns a tensor of shape ``[rows]``.

        Args:
            output: What the model returned, ``[rows, ...]``.
            target: ``[rows, ...]``; whole numbers are classes.
        """
        if target.ndim != 1:
            return self._rows(output, target)
        if target.dtype.is_floating_point:
            is_known = torch.isfinite(target)
            target = torch.where(is_known, target, 0.0)
            if output.ndim == 2 and output.shape[1] == 1:
                output = output[:, 0]
        else:
            width = output.shape[1] if output.ndim > 1 else 1
            is_known = (target >= 0) & (target < max(width, 2))
            target = torch.where(is_known, target, 0)
            if width == 1:
                output = output.reshape(len(output))
                target = target.to(output.dtype)
                return self._masked(output, target, is_known, nn.BCEWithLogitsLoss)
            return self._masked(output, target.long(), is_known, nn.CrossEntropyLoss)
        return self._masked(output, target, is_known, nn.MSELoss)

    def _masked(
        self,
        output: torch.Tensor,
        target: torch.Tensor,
        is_known: torch.Tensor,
        default: type[nn.Module],
    ) -> torch.Tensor:
        if self._loss is None:
            self._loss = default(reduction="none")
        losses = self._rows(output, target)
        return torch.where(is_known, losses, 0.0)

    def _rows(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if self._loss is None:
            self._loss = nn.MSELoss(reduction="none")
        losses = self._loss(output, target)
        if not isinstance(losses, torch.Tensor) or losses.shape[:1] != output.shape[:1]:
            raise ModelUnsuitable(
                "The loss does not give one number for each row, so what one row does to it cannot"
                " be bounded.",
                remedy='Return one loss for each row, as with reduction="none".',
            )
        return losses.reshape(len(losses), -1).mean(dim=1) if len(losses) else losses.reshape(0)
