"""Charges what leaves a kernel to its user's volume of the day.

What a message shows is not known to be of one dataset, so it counts for each that the kernel has
read: an upper estimate, and nothing for a kernel that has read none. Without a limit in the policy
nothing is counted.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from cloister.core.decisions import Decision, Effect
from cloister.core.volume import Amount, Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cloister.core.policy import Policy
    from cloister.core.records import Json
    from cloister.store.volume import VolumeBook

#: The obligation of a decision that lets something leave and has to be told at the cell.
NOTICE: Final = "notice"
_MOST_UNSAID: Final = 16


class Volume:
    """The volume limits of one kernel.

    Args:
        book: Counts.
        policy: Returns the policy in force.
        record: Makes an event durable: its type and its facts.
    """

    def __init__(
        self,
        book: VolumeBook,
        policy: Callable[[], Policy],
        record: Callable[[str, dict[str, Json]], None],
    ) -> None:
        self._book, self._policy, self._record = book, policy, record
        self._blocked: set[tuple[str, str, str]] = set()
        self._unsaid: deque[str] = deque(maxlen=_MOST_UNSAID)

    def charge(
        self, user: str, datasets: Iterable[str], rows: int, cells: int, size: int
    ) -> Decision:
        """Counts what is about to leave, or says why it may not.

        Args:
            user: Whose kernel it is.
            datasets: What the kernel has read.
            rows: Rows that are shown.
            cells: Cells that are shown.
            size: Bytes that are shown or sent.

        Returns:
            A decision; with the obligation :data:`NOTICE` when a limit is near.

        Raises:
            StoreUnavailable: It cannot be counted or recorded, so it must not leave.
        """
        limits = self._policy().volume
        if not limits:
            return _UNLIMITED
        decision = _UNLIMITED
        for dataset, verdict in self._book.charge(
            user, datasets, limits, Amount(rows, cells, size)
        ):
            is_over = verdict.standing is Standing.OVER
            what = f"{verdict.most} {verdict.measure.value} of {dataset} a day"
            # A kernel that prints on past its limit makes one event, not thousands.
            mark = (user, dataset, verdict.rule)
            if not is_over or mark not in self._blocked:
                self._record(
                    "volume.blocked" if is_over else "volume.alert",
                    {
                        "user": user,
                        "dataset": dataset,
                        "rule": verdict.rule,
                        "most": verdict.most,
                        "attested_by": "sidecar",
                    },
                )
            if is_over:
                self._blocked.add(mark)
                return Decision(
                    Effect.BLOCK,
                    verdict.rule,
                    f"With this output you would have seen more than {what}",
                    "Show less of it, or go on after midnight UTC; an admin can raise the limit.",
                )
            decision = Decision(
                Effect.ALLOW,
                verdict.rule,
                f"You have seen most of {what}",
                "From the limit on outputs are withheld until midnight UTC.",
                (NOTICE,),
            )
        return decision

    def send(self, user: str, datasets: Iterable[str], size: int) -> Decision:
        """Counts bytes that a connection is about to send, as :meth:`charge` does.

        A notice has no cell here; :meth:`unsaid` gives it to whoever has one.
        """
        decision = self.charge(user, datasets, 0, 0, size)
        if NOTICE in decision.obligations:
            self._unsaid.append(f"CLO-VOLUME-001: {decision.reason}. Rule: {decision.rule}.")
        return decision

    def unsaid(self) -> list[str]:
        """Returns the notices that no client has heard yet, once."""
        return [self._unsaid.popleft() for _ in range(len(self._unsaid))]

    def note(self, user: str, datasets: Iterable[str]) -> None:
        """Notes what a user's kernels have read, for what leaves without a kernel: downloads.

        Raises:
            StoreUnavailable: It cannot be noted.
        """
        if self._policy().volume:
            self._book.charge(user, datasets, (), Amount())


_UNLIMITED: Final = Decision(Effect.ALLOW, "limits.volume", "no limit is stated or near")
