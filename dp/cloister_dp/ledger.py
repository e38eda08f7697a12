"""The seam to the privacy ledger, which lives outside the kernel.

There is one way to spend: through the broker of a guarded kernel (:class:`BrokerLedger`). Without
one, every private computation raises :class:`~cloister.core.errors.BrokerUnavailable` before it
looks at data. What is trusted here is the broker's answer and nothing else.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from cloister.core.errors import BudgetExceeded, CloisterError

from cloister_dp.errors import LedgerRefused, PrivacyParameterInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloister_dp.gauge import BudgetTable

_LONGEST_TEXT = 200
_EXCEEDED = "CLO-DP-001"


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """What one dataset's budget holds; epsilon and delta are sums over all computations.

    Attributes:
        dataset: Name in the ledger.
        epsilon_limit: Most that may ever be spent.
        epsilon_spent: Committed.
        epsilon_reserved: Set aside by computations that are not settled.
        delta_limit: Most that may ever be spent.
        delta_spent: Committed.
    """

    dataset: str
    epsilon_limit: float
    epsilon_spent: float
    epsilon_reserved: float
    delta_limit: float
    delta_spent: float

    @property
    def epsilon_left(self) -> float:
        """What a further computation may cost at most."""
        return max(self.epsilon_limit - self.epsilon_spent - self.epsilon_reserved, 0.0)


@dataclass(frozen=True, slots=True)
class Cost:
    """The most that a computation can cost, and what it is.

    Attributes:
        dataset: Whose budget.
        epsilon: Most epsilon.
        delta: Most delta.
        event: The mechanism, in a few texts and whole numbers.
        idempotency_key: Names this computation; a key stands for one computation only.
    """

    dataset: str
    epsilon: float
    delta: float
    event: Mapping[str, str | int] = field(default_factory=dict)
    idempotency_key: str = field(default_factory=lambda: uuid.uuid4().hex)


class Ledger(Protocol):
    """What spends budget: reserve, checkpoint, then commit; or refund before a checkpoint."""

    def rows(self, dataset: str | None = None) -> list[BudgetRow]:
        """Returns the row of one dataset, or of every dataset that the ledger knows."""

    def reserve(self, cost: Cost) -> str:
        """Sets the whole cost aside and returns the reservation's id."""

    def checkpoint(self, reservation: str, steps_done: int) -> None:
        """Makes durable that so many steps may have been released; no refund from now on."""

    def commit(self, reservation: str, epsilon: float, delta: float) -> BudgetRow:
        """Settles a reservation at what was spent."""

    def refund(self, reservation: str) -> BudgetRow:
        """Gives a reservation back, if no data was touched."""


class BrokerLedger:
    """The ledger of this guarded kernel's workspace.

    Every method raises ``BrokerUnavailable`` outside a guarded kernel or when the broker does not
    answer, ``BudgetExceeded`` when the budget does not cover the request, and ``LedgerRefused``
    when the ledger refuses for another reason.
    """

    def rows(self, dataset: str | None = None) -> list[BudgetRow]:
        """Returns the row of one dataset, or of every dataset that the ledger knows."""
        answer = _call("budget", dataset=dataset)
        return [_row(row) for row in answer.get("rows", [])]

    def reserve(self, cost: Cost) -> str:
        """Sets the whole cost aside and returns the reservation's id."""
        answer = _call(
            "reserve",
            dataset=cost.dataset,
            epsilon=cost.epsilon,
            delta=cost.delta,
            event={
                k: v if isinstance(v, int) else v[:_LONGEST_TEXT] for k, v in cost.event.items()
            },
            idempotency_key=cost.idempotency_key,
        )
        return str(answer["reservation"])

    def checkpoint(self, reservation: str, steps_done: int) -> None:
        """Makes durable that so many steps may have been released; no refund from now on."""
        _call("checkpoint", reservation=reservation, steps_done=steps_done)

    def commit(self, reservation: str, epsilon: float, delta: float) -> BudgetRow:
        """Settles a reservation at what was spent."""
        return _row(_call("commit", reservation=reservation, epsilon=epsilon, delta=delta)["row"])

    def refund(self, reservation: str) -> BudgetRow:
        """Gives a reservation back, if no data was touched."""
        return _row(_call("refund", reservation=reservation)["row"])


def budget(dataset: str | None = None) -> BudgetTable:
    """Returns what the budget of a dataset, or of all datasets, still holds.

    Args:
        dataset: Name in the catalogue; every dataset when left out.

    Raises:
        BrokerUnavailable: This is not a guarded kernel, or its broker does not answer.
    """
    from cloister_dp.gauge import BudgetTable

    return BudgetTable(tuple(BrokerLedger().rows(dataset)))


def computation_key(idempotency_key: str | None) -> str:
    """Returns the ledger key of one computation.

    A key that a caller chose is bound to this process. The ledger would answer the same key from
    another process with the same reservation, whose computation may have ended in a crash after it
    had released something; running it again for the same charge would be free.

    Raises:
        PrivacyParameterInvalid: The key is empty, too long or not printable.
    """
    if idempotency_key is None:
        return uuid.uuid4().hex
    if not idempotency_key.isprintable() or not 0 < len(idempotency_key) <= 120:
        raise PrivacyParameterInvalid(
            "An idempotency key is a printable text of at most 120 characters.",
            remedy="Leave it out, or choose a short name for this one computation.",
        )
    # Hashed so that a fork, which copies the nonce, still gets keys of its own.
    process = hashlib.blake2b(f"{_NONCE}:{os.getpid()}".encode(), digest_size=8).hexdigest()
    return f"{idempotency_key}.{process}"


_NONCE = uuid.uuid4().hex


def _call(op: str, **fields: Any) -> dict[str, Any]:
    from cloister.hooks.client import client

    try:
        return client().call(op, **fields)
    except BudgetExceeded as error:
        if error.code == _EXCEEDED:
            raise
        # Every code of the ledger arrives as BudgetExceeded; this one has another reason.
        raise LedgerRefused(
            error.message, code=error.code, rule=error.rule, remedy=error.remedy
        ) from None


def _row(data: Mapping[str, Any]) -> BudgetRow:
    try:
        return BudgetRow(
            str(data["dataset"]),
            *(
                float(data[name])
                for name in (
                    "epsilon_limit",
                    "epsilon_spent",
                    "epsilon_reserved",
                    "delta_limit",
                    "delta_spent",
                )
            ),
        )
    except (KeyError, TypeError, ValueError):
        raise CloisterError(
            "The ledger's answer cannot be read: kernel and guard differ in version.",
            remedy="Update cloister in the kernel's environment and restart the kernel.",
        ) from None
