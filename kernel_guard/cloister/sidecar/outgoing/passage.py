"""What became of a message that a kernel has said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cloister.sidecar.outgoing.withheld import Reason, stand_in
from cloister.sidecar.textguard import Tally

if TYPE_CHECKING:
    from cloister.sidecar.wire import Message


@dataclass(slots=True)
class Passage:
    """What became of a message.

    Attributes:
        tally: What was masked in it; in observe mode what would have been.
        reason: Why it, or one of its forms, was withheld.
        is_sent: Whether there is something to send.
        is_neutralised: Whether what would have run in a browser was taken out, and the rest left.
        is_observed: Whether it left as it was, although the policy would have it otherwise.
        shown: The end of what a reader will see of it, for what comes next.
        fragments: Texts that will stand in places of their own, long ones by their ends.
        withheld_comm: Of a widget that stayed, ``""`` for none.
    """

    tally: Tally = field(default_factory=Tally)
    reason: Reason | None = None
    is_sent: bool = True
    is_neutralised: bool = False
    is_observed: bool = False
    shown: str = ""
    fragments: list[str] = field(default_factory=list)
    withheld_comm: str = ""


def withhold(message: Message, reason: Reason) -> Passage:
    """Makes a message say why it was withheld."""
    return Passage(reason=reason, is_sent=stand_in(message, reason))
