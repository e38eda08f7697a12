"""Differentially private training and statistics, charged to one ledger.

``train`` fits a PyTorch model with DP-SGD; ``count``, ``sum``, ``mean``, ``quantile`` and
``histogram`` answer with noise; ``models`` holds private scikit-learn models; ``budget`` shows what
a dataset may still cost. Everything is charged before it touches data, to a ledger outside the
kernel, so it needs a guarded kernel. What epsilon means: ``docs/explanation/what-epsilon-buys.md``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloister_dp import models
    from cloister_dp.ledger import budget
    from cloister_dp.statistics import count, histogram, mean, quantile, sum  # noqa: A004
    from cloister_dp.training.result import TrainResult
    from cloister_dp.training.run import train

__all__ = [
    "TrainResult",
    "budget",
    "count",
    "histogram",
    "mean",
    "models",
    "quantile",
    "sum",
    "train",
]

_HOMES = {
    "TrainResult": "cloister_dp.training.result",
    "budget": "cloister_dp.ledger",
    "count": "cloister_dp.statistics",
    "histogram": "cloister_dp.statistics",
    "mean": "cloister_dp.statistics",
    "quantile": "cloister_dp.statistics",
    "sum": "cloister_dp.statistics",
    "train": "cloister_dp.training.run",
}


def __getattr__(name: str) -> object:
    # Lazy: importing this package costs nothing until something is computed.
    if name == "models":
        return import_module("cloister_dp.models")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
