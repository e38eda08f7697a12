"""Linear regression, which stays closed until its defect upstream is mended."""

from __future__ import annotations

from typing import Any

from cloister_dp.errors import UnsafeMechanism


class LinearRegression:
    """Refused: diffprivlib 0.6.6 releases some of its sums without noise.

    Raises:
        UnsafeMechanism: Always.
    """

    def __init__(self, **_: Any) -> None:
        raise UnsafeMechanism(
            "LinearRegression of diffprivlib 0.6.6 takes the lower bound twice for the sensitivity"
            " of its squares, so with bounds that begin at 0 it publishes them without noise"
            " (diffprivlib issues 104 and 105).",
            remedy="Use cloister_dp.train(torch.nn.Linear(...), ...) instead.",
        )
