"""What the mark of a kernel and its user's volume of the day say about one output.

These two ask about the kernel and its past, where the steps of :mod:`.outgoing` ask about the
message. Without rules about levels and without limits the answer costs a comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cloister.core.decisions import Effect, decide_high_water
from cloister.core.errors import StoreUnavailable
from cloister.core.highwater import Destination
from cloister.core.modes import Mode
from cloister.sidecar.outgoing.withheld import Reason
from cloister.sidecar.volume import NOTICE

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloister.core.decisions import Decision
    from cloister.core.policy import Policy
    from cloister.core.volume import Amount
    from cloister.sidecar.highwater import HighWater
    from cloister.sidecar.outgoing.outline import Outline
    from cloister.sidecar.volume import Volume


@dataclass(frozen=True, slots=True)
class Bound:
    """What is to be said at the cell.

    Attributes:
        reason: Why the output stays, ``None`` when it may leave.
        notice: What is said beside an output that leaves; empty for nothing.
    """

    reason: Reason | None = None
    notice: str = ""


_FREE: Final = Bound()


class Bounds:
    """The bounds of one kernel.

    Args:
        policy: Returns the policy that the gate goes by.
        high_water: What the kernel has read.
        volume: What its user has seen today.
        user: Whose kernel it is.
    """

    def __init__(
        self, policy: Callable[[], Policy], high_water: HighWater, volume: Volume, user: str
    ) -> None:
        self._policy, self._high_water = policy, high_water
        self._volume, self._user = volume, user

    def send(self, size: int) -> Reason | None:
        """Counts bytes that a connection is about to send; returns why they may not leave."""
        policy = self._policy()
        if policy.mode is Mode.OBSERVE or not policy.volume:
            return None
        try:
            decision = self._volume.send(self._user, self._high_water.datasets(), size)
        except StoreUnavailable as error:
            return _uncounted("Something was not sent", error)
        is_over = decision.effect is Effect.BLOCK
        return _reason("CLO-VOLUME-002", decision) if is_over else None

    def unsaid(self) -> list[str]:
        """Returns notices about connections that no cell has shown yet, once."""
        return self._volume.unsaid()

    def check(self, output: Outline) -> Bound:
        """Decides about one output and charges it.

        Args:
            output: As it would leave.
        """
        policy = self._policy()
        if policy.mode is Mode.OBSERVE:
            return _FREE
        if policy.high_water.rules:
            level = self._high_water.level()
            for destination in _destinations(output):
                decision = decide_high_water(policy, level, destination)
                if decision.effect is Effect.BLOCK:
                    return Bound(_reason("CLO-READS-002", decision))
        return self._charge(output.amount) if policy.volume else _FREE

    def _charge(self, amount: Amount) -> Bound:
        try:
            decision = self._volume.charge(
                self._user, self._high_water.datasets(), amount.rows, amount.cells, amount.bytes
            )
        except StoreUnavailable as error:
            return Bound(_uncounted("An output was withheld", error))
        if decision.effect is Effect.BLOCK:
            return Bound(_reason("CLO-VOLUME-002", decision))
        if NOTICE in decision.obligations:
            return Bound(notice=str(_reason("CLO-VOLUME-001", decision)))
        return _FREE


def _destinations(output: Outline) -> tuple[Destination, ...]:
    if output.kind.startswith("comm_"):
        return (Destination.COMM,)
    if output.has_picture:
        return (Destination.DISPLAY, Destination.PICTURES)
    return (Destination.DISPLAY,)


def _uncounted(what: str, error: StoreUnavailable) -> Reason:
    because = f"{what}, since it cannot be counted ({error.code})"
    return Reason("CLO-VOLUME-003", because, "limits.volume", error.remedy)


def _reason(code: str, decision: Decision) -> Reason:
    return Reason(code, decision.reason, decision.rule, decision.remedy)
