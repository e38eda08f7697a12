"""One computation's spending: reserved before data is touched, settled whatever happens.

The rule: before :meth:`Spending.begin` nothing has been touched, so a failure is refunded. After
it, a failure is charged what may have been released by then, and never refunded. A computation
that cannot be settled, because the broker is gone, stays reserved and so counts in full.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Self

from cloister.core.errors import CloisterError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from cloister_dp.ledger import BudgetRow, Cost, Ledger


class Spending:
    """A reservation that is always settled; use it as a context manager.

    Args:
        ledger: Where it is charged.
        cost: The most that it can cost.
        spent_so_far: Returns the epsilon of what may have been released until now; the whole
            reservation when left out. Asked only after :meth:`begin`.

    Raises:
        BudgetExceeded: The budget does not cover the cost. Nothing was touched.
        BrokerUnavailable: There is no ledger to charge.
    """

    def __init__(
        self, ledger: Ledger, cost: Cost, *, spent_so_far: Callable[[], float] | None = None
    ) -> None:
        self.cost = cost
        self.epsilon_spent: float | None = None
        self.row: BudgetRow | None = None
        self._ledger = ledger
        self._spent_so_far = spent_so_far
        self._has_begun = False
        self.reservation = ledger.reserve(cost)

    @property
    def has_begun(self) -> bool:
        """Whether data may have been touched."""
        return self._has_begun

    def begin(self, steps: int = 1) -> None:
        """Makes durable, before they run, that steps up to this number may be released.

        Raises:
            CloisterError: The ledger did not take it; the steps must not run.
        """
        # Set first: when the answer is lost, the ledger may have noted the checkpoint.
        self._has_begun = True
        self._ledger.checkpoint(self.reservation, steps)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._settle()
        except CloisterError as failure:
            note = (
                f"The ledger could not settle this computation ({failure.code});"
                " its whole reservation stays charged."
            )
            if error is not None:
                error.add_note(note)
            else:
                self.epsilon_spent = self.cost.epsilon
                warnings.warn(note, stacklevel=3)
        else:
            if error is not None and self._has_begun:
                error.add_note(
                    f"Data had been used: epsilon {self.epsilon_spent:.4g} of {self.cost.epsilon:g}"
                    f" is charged to {self.cost.dataset}, the rest given back."
                )

    def _settle(self) -> None:
        if not self._has_begun:
            self.row = self._ledger.refund(self.reservation)
            self.epsilon_spent = 0.0
            return
        spent = self.cost.epsilon
        if self._spent_so_far is not None:
            spent = min(spent, self._spent_so_far())
        self.row = self._ledger.commit(self.reservation, spent, self.cost.delta)
        self.epsilon_spent = spent
