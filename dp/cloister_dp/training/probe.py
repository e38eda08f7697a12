"""What a model must satisfy for DP-SGD, tried on made-up input before any data is touched.

DP-SGD bounds the influence of a row by clipping *its* gradient. That means nothing when a row's
output depends on other rows of the batch (batch normalisation, also when written by hand), when a
layer keeps statistics of the data in a buffer, or when some parameter has no gradient for each row.
Opacus refuses the layers that it knows; the rest is found here by trying, because the list of ways
to mix rows has no end.
"""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from cloister.core.errors import CloisterError
from torch import nn

from cloister_dp.errors import DataUnsuitable, ModelUnsuitable

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister_dp.training.losses import RowLoss

_ROWS = 4

_FIXES: dict[str, str] = {
    "BatchNorm": "Use nn.GroupNorm or nn.LayerNorm in its place.",
    "InstanceNorm": "Pass track_running_stats=False.",
    "LSTM": "Use opacus.layers.DPLSTM in its place.",
    "GRU": "Use opacus.layers.DPGRU in its place.",
    "RNN": "Use opacus.layers.DPRNN in its place.",
    "MultiheadAttention": "Use opacus.layers.DPMultiheadAttention in its place.",
}


@dataclass(frozen=True, slots=True)
class Structure:
    """Shapes and types of one example, without its values."""

    input_shape: tuple[int, ...]
    input_dtype: torch.dtype
    target_shape: tuple[int, ...]
    target_dtype: torch.dtype

    def made_up(self, rows: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns random input and target of this structure."""
        return (
            _made_up(self.input_shape, self.input_dtype, rows, device),
            _made_up(self.target_shape, self.target_dtype, rows, device),
        )


def structure_of(example: object) -> Structure:
    """Returns the structure of one example.

    Raises:
        DataUnsuitable: It is no pair of tensors.
    """
    if not isinstance(example, tuple | list) or len(example) != 2:
        raise DataUnsuitable(
            "A dataset for training gives pairs of input and target.",
            remedy="Return (input, target) from __getitem__.",
        )
    parts = [torch.as_tensor(part) for part in example if not isinstance(part, str)]
    if len(parts) != 2:
        raise DataUnsuitable(
            "Input and target are tensors or numbers.", remedy="Encode texts as tensors first."
        )
    inputs, targets = parts
    return Structure(tuple(inputs.shape), inputs.dtype, tuple(targets.shape), targets.dtype)


def check_layers(model: nn.Module) -> None:
    """Refuses layers that Opacus refuses, by name and with a replacement; looks at no data.

    Raises:
        ModelUnsuitable: There is one, or nothing that could be trained.
    """
    from opacus.validators import ModuleValidator

    if not any(p.requires_grad for p in model.parameters()):
        raise ModelUnsuitable(
            "The model has no trainable parameters.", remedy="Set requires_grad on some."
        )
    for name, module in model.named_modules():
        validator = ModuleValidator.VALIDATORS.get(type(module))
        mixes = validator is not None and bool(validator(module))
        if mixes or isinstance(module, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001 - all kinds of it
            kind = type(module).__name__
            raise ModelUnsuitable(
                f"Layer {name or 'model'!r} ({kind}) mixes rows of a batch or gives no gradient for"
                " each row, so what one row does cannot be bounded.",
                remedy=next(
                    (fix for part, fix in _FIXES.items() if part in kind), "Replace the layer."
                ),
            )


def check_model(
    model: nn.Module, structure: Structure, row_loss: RowLoss, device: torch.device
) -> None:
    """Tries a copy of the model on made-up rows.

    Raises:
        ModelUnsuitable: A row's output or loss depends on other rows, a buffer changes, or a
            parameter's gradients for single rows are missing or wrong.
    """
    probe = copy.deepcopy(model).to(device).train()
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), warnings.catch_warnings():
        # Opacus' hooks on non-full backward passes; nothing that a user could act on.
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        inputs, targets = structure.made_up(_ROWS, device)
        others, other_targets = structure.made_up(_ROWS, device)
        others[0], other_targets[0] = inputs[0], targets[0]
        before = {name: value.clone() for name, value in probe.named_buffers()}
        first = _try(lambda: _forward(probe, row_loss, inputs, targets))
        second = _try(lambda: _forward(probe, row_loss, others, other_targets))
        if not all(_same(a[0], b[0]) for a, b in zip(first, second, strict=True)):
            raise ModelUnsuitable(
                "The model's output or loss for one row depends on the other rows of its batch, so"
                " what one row does cannot be bounded.",
                remedy="Compute nothing over the batch (mean, std, softmax over dim 0, ranking).",
            )
        for name, value in probe.named_buffers():
            if not torch.equal(value, before[name]):
                raise ModelUnsuitable(
                    f"Buffer {name!r} changes while training; it would hold facts about rows"
                    " without noise.",
                    remedy="Use a layer that keeps no running statistics.",
                )
        _try(lambda: _check_gradients(probe, inputs, targets, row_loss))


def _check_gradients(
    probe: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, row_loss: RowLoss
) -> None:
    from opacus import GradSampleModule

    wrapped = GradSampleModule(probe, loss_reduction="sum", strict=True)
    row_loss(wrapped(inputs), targets).sum().backward()
    for name, parameter in probe.named_parameters():
        if not parameter.requires_grad:
            continue
        rows = getattr(parameter, "grad_sample", None)
        if not isinstance(rows, torch.Tensor) or rows.shape[:1] != inputs.shape[:1]:
            raise ModelUnsuitable(
                f"Parameter {name!r} gets no gradient for each row.",
                remedy="Use it in forward(), once for each pass, or freeze it.",
            )
        if parameter.grad is not None and not _same(rows.sum(0), parameter.grad):
            raise ModelUnsuitable(
                f"The gradients of {name!r} for single rows do not add up to its gradient.",
                remedy="Use the parameter only inside the layer that owns it.",
            )


def _forward(
    model: nn.Module, row_loss: RowLoss, inputs: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)  # the same dropout both times
    with torch.no_grad():
        output = model(inputs)
        if not isinstance(output, torch.Tensor) or output.shape[:1] != inputs.shape[:1]:
            raise ModelUnsuitable(
                "The model does not return one tensor with a row for each row of its input.",
                remedy="Return the predictions only.",
            )
        return output, row_loss(output, targets)


def _try(step: Callable[[], Any]) -> Any:
    try:
        return step()
    except CloisterError:
        raise
    except Exception as error:
        # The input was made up, so the cause that Python shows below holds no data.
        raise ModelUnsuitable(
            f"The model fails on made-up input of the data's shape ({type(error).__name__}).",
            remedy="See the error above; try the model on torch.randn(4, ...) yourself.",
        ) from error


def _same(left: torch.Tensor, right: torch.Tensor) -> bool:
    is_same: bool = torch.allclose(left, right, rtol=1e-3, atol=1e-5, equal_nan=True)
    return is_same


def _made_up(
    shape: tuple[int, ...], dtype: torch.dtype, rows: int, device: torch.device
) -> torch.Tensor:
    if dtype.is_floating_point:
        return torch.randn(rows, *shape, device=device).to(dtype)
    return torch.randint(0, 2, (rows, *shape), device=device).to(dtype)
