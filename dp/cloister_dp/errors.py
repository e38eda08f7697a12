"""What private computations refuse, before any budget is spent.

Every message names parameters, layers or columns and never a value of the data. The budget itself
answers with :class:`cloister.core.errors.BudgetExceeded`.
"""

from __future__ import annotations

from cloister.core.errors import CloisterError


class PrivacyParameterInvalid(CloisterError):
    """A privacy parameter that is out of range, or that would make the promise empty."""

    default_code = "CLO-DP-010"


class PublicInputMissing(CloisterError):
    """A bound, class or category that has to be public knowledge was not given."""

    default_code = "CLO-DP-011"


class ModelUnsuitable(CloisterError):
    """A model whose update for one row cannot be bounded, or an optimiser that cannot be used."""

    default_code = "CLO-DP-012"


class ColumnRefused(CloisterError):
    """A column that must not, or cannot, be used as a number."""

    default_code = "CLO-DP-013"


class AccountingRefused(CloisterError):
    """An accountant that is known to be wrong, or two accountants that disagree."""

    default_code = "CLO-DP-014"


class DataUnsuitable(CloisterError):
    """Data of a kind or shape that this computation does not take."""

    default_code = "CLO-DP-015"


class DatasetMismatch(CloisterError):
    """Data that was read from one dataset and should be charged to another."""

    default_code = "CLO-DP-016"


class UnsafeMechanism(CloisterError):
    """A mechanism that does not keep its promise, as published or as it was called."""

    default_code = "CLO-DP-017"


class LedgerRefused(CloisterError):
    """The ledger refused for another reason than a budget that is used up."""

    default_code = "CLO-DP-002"
