"""Which walls this machine can put up, and whether they are what the policy asks for."""

from __future__ import annotations

import os
from dataclasses import dataclass

from cloister.core.errors import SandboxUnavailable
from cloister.core.policy import SandboxMode
from cloister.sidecar import reducedwalls, sandbox
from cloister.sidecar.walls import Walls


@dataclass(frozen=True, slots=True)
class BestWalls:
    """The best walls of this machine.

    Attributes:
        walls: Which.
        why: Why there are no better ones, or that there need not be.
        fix: What would make better ones; empty when these are the best.
    """

    walls: Walls
    why: str
    fix: str


def best_walls() -> BestWalls:
    """Tries bubblewrap, then Landlock, each for real."""
    full = sandbox.probe()
    if full.holds:
        return BestWalls(Walls.BUBBLEWRAP, full.reason, "")
    reduced = reducedwalls.probe()
    if reduced.holds:
        return BestWalls(Walls.LANDLOCK, full.reason, full.fix)
    return BestWalls(Walls.NONE, f"{full.reason}; {reduced.reason}", full.fix)


def require_walls(mode: SandboxMode) -> Walls:
    """Returns the walls that a kernel gets.

    Raises:
        SandboxUnavailable: There are none that the policy accepts.
    """
    standing = best_walls()
    if mode is SandboxMode.REDUCED and standing.walls is Walls.LANDLOCK and os.geteuid() == 0:
        raise SandboxUnavailable(
            "This kernel cannot be isolated: without namespaces it would keep root's number, and "
            "own what root owns.",
            code="CLO-SANDBOX-008",
            rule="sandbox",
            remedy="Start the server under an ordinary account, or allow user namespaces.",
        )
    if not standing.walls.suffice(mode):
        raise SandboxUnavailable(
            f"This kernel cannot be isolated: {standing.why}.", rule="sandbox", remedy=standing.fix
        )
    return standing.walls
