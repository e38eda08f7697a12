"""The privacy ledger as one kernel may use it: bounded fields, limits from the policy."""

from __future__ import annotations

import math
from contextlib import closing
from typing import TYPE_CHECKING, Any

from cloister.core.errors import CloisterError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister.core.policy import Policy
    from cloister.core.records import Json
    from cloister.sidecar.recorder import Recorder
    from cloister.store.budget import BudgetLedger

LONGEST_NAME = 200
MOST_EVENT_FIELDS = 50


class BadSpend(CloisterError):
    """A ledger request whose fields are not what the operation takes."""

    default_code = "CLO-DP-002"


class Budgets:
    """Reserves, commits and refunds for one kernel.

    Args:
        open_ledger: Opens the ledger in the calling thread.
        policy: Returns the policy in force; it states the limits.
        recorder: Every change is also a lineage record.
        user: Whose kernel it is.
    """

    def __init__(
        self,
        open_ledger: Callable[[], BudgetLedger],
        policy: Callable[[], Policy],
        recorder: Recorder,
        user: str,
    ) -> None:
        self._open_ledger = open_ledger
        self._policy = policy
        self._recorder = recorder
        self._user = user

    def rows(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answers ``budget``: one row, or all."""
        name = request.get("dataset")
        with closing(self._open_ledger()) as ledger:
            if name is None:
                return {"rows": ledger.rows(self._policy().budget_for)}
            dataset = _name(name)
            return {"rows": [ledger.row(dataset, self._policy().budget_for(dataset))]}

    def reserve(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answers ``reserve``: the whole cost, before any data is touched."""
        dataset = _name(request.get("dataset"))
        epsilon = _number(request.get("epsilon"), "epsilon")
        delta = _number(request.get("delta"), "delta")
        event = _event(request.get("event"))
        key = _name(request.get("idempotency_key"))
        policy = self._policy()
        with closing(self._open_ledger()) as ledger:
            reservation = ledger.reserve(
                dataset,
                epsilon,
                delta,
                event,
                idempotency_key=key,
                limit=policy.budget_for(dataset),
                user=self._user,
            )
        self._record("budget.reserved", dataset, reservation.id, epsilon, delta)
        return {"reservation": reservation.id}

    def checkpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answers ``checkpoint``: from now on the reservation cannot be refunded."""
        steps = request.get("steps_done")
        if not isinstance(steps, int) or isinstance(steps, bool) or steps < 0:
            raise BadSpend("steps_done is a whole number, zero or more.")
        with closing(self._open_ledger()) as ledger:
            ledger.checkpoint(_name(request.get("reservation")), steps)
        return {}

    def commit(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answers ``commit``: what was really spent, at most what was reserved."""
        reservation = _name(request.get("reservation"))
        epsilon = _number(request.get("epsilon"), "epsilon", least=0.0)
        delta = _number(request.get("delta"), "delta", least=0.0)
        with closing(self._open_ledger()) as ledger:
            row = ledger.commit(reservation, epsilon, delta)
        self._record("budget.committed", str(row["dataset"]), reservation, epsilon, delta)
        return {"row": row}

    def refund(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answers ``refund``: only before the first checkpoint."""
        reservation = _name(request.get("reservation"))
        with closing(self._open_ledger()) as ledger:
            row = ledger.refund(reservation)
        self._record("budget.refunded", str(row["dataset"]), reservation, 0.0, 0.0)
        return {"row": row}

    def _record(
        self, kind: str, dataset: str, reservation: str, epsilon: float, delta: float
    ) -> None:
        # Headers hold no floats: the exact shortest decimal text stands for the number.
        spend: dict[str, Json] = {
            "dataset": dataset,
            "reservation": reservation,
            "epsilon": repr(float(epsilon)),
            "delta": repr(float(delta)),
        }
        self._recorder.append(
            kind,
            {
                "execution_id": self._recorder.active_id(),
                **spend,
                "user": self._user,
                "attested_by": "sidecar",
            },
        )
        self._recorder.spent({"what": kind.removeprefix("budget."), **spend})


def _name(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME or not value.isprintable():
        raise BadSpend("A ledger request names its dataset, reservation and key as short texts.")
    return value


def _number(value: object, what: str, *, least: float | None = None) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BadSpend(f"{what} is a finite number.")
    if value < 0 or (least is None and value == 0 and what == "epsilon"):
        raise BadSpend(f"{what} is larger than zero.")
    return float(value)


def _event(value: object) -> dict[str, str | int]:
    if not isinstance(value, dict) or len(value) > MOST_EVENT_FIELDS:
        raise BadSpend("event describes the mechanism with a few texts and whole numbers.")
    event: dict[str, str | int] = {}
    for key, item in value.items():
        if (
            isinstance(item, bool)
            or not isinstance(item, (str, int))
            or len(str(item)) > LONGEST_NAME
        ):
            raise BadSpend("event describes the mechanism with a few texts and whole numbers.")
        event[str(key)] = item
    return event
