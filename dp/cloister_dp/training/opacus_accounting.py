"""Opacus' accountants as a second opinion on epsilon.

Trusted: ``prv`` (Gopi et al. 2021, arXiv:2106.02848) and ``rdp`` (Mironov et al. 2019,
arXiv:1908.10530), which bounds epsilon from above. Refused: ``gdp``, a central limit approximation
that was measured to report up to 46 percent too little.
"""

from __future__ import annotations

import math
import warnings
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Literal, TypeAlias

from cloister_dp.errors import AccountingRefused

AccountantName: TypeAlias = Literal["prv", "rdp"]


def check_accountant(name: str) -> AccountantName:
    """Returns the name of an accountant that may be used.

    Raises:
        AccountingRefused: It is another one.
    """
    if name == "prv":
        return "prv"
    if name == "rdp":
        return "rdp"
    why = (
        "it approximates and can report far too little epsilon"
        if name == "gdp"
        else "it is not known"
    )
    raise AccountingRefused(
        f"The accountant {name!r} is not used: {why}.", remedy='Use "prv" (or "rdp").'
    )


def accountant_label(name: AccountantName) -> str:
    """Returns both accountants with their versions, for records."""
    return f"pld (dp-accounting {version('dp-accounting')}), {name} (opacus {version('opacus')})"


@lru_cache(maxsize=256)
def opacus_epsilon(
    noise_multiplier: float,
    sample_rate: float,
    steps: int,
    delta: float,
    accountant: AccountantName = "prv",
) -> float:
    """Returns the epsilon of so many steps by one of Opacus' accountants.

    Where the numerics of ``prv`` fail, which they do for extreme schedules, ``rdp`` answers.

    Args:
        noise_multiplier: Noise as a multiple of the clipping norm, above 0.
        sample_rate: In (0, 1].
        steps: Zero or more.
        delta: In (0, 1).
        accountant: ``prv`` or ``rdp``.

    Returns:
        The epsilon; infinite when no accountant has an answer.

    Raises:
        AccountingRefused: Another accountant was asked for.
    """
    name = check_accountant(accountant)
    if steps <= 0:
        return 0.0
    found = _ask(name, noise_multiplier, sample_rate, steps, delta)
    if name == "prv" and not math.isfinite(found):
        return _ask("rdp", noise_multiplier, sample_rate, steps, delta)
    return found


def _ask(
    name: AccountantName, noise_multiplier: float, sample_rate: float, steps: int, delta: float
) -> float:
    from opacus.accountants import create_accountant

    accountant: Any = create_accountant(mechanism=name)
    accountant.history = [(noise_multiplier, sample_rate, steps)]
    try:
        with warnings.catch_warnings():
            # Opacus warns that the best order is at the edge of its list: the bound is loose there.
            warnings.simplefilter("ignore")
            return float(accountant.get_epsilon(delta=delta))
    except (ArithmeticError, RuntimeError, ValueError, MemoryError):
        return math.inf  # the numerics failed; there is no answer
