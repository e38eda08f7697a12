"""What may stand around a kernel."""

from __future__ import annotations

from enum import Enum

from cloister.core.policy import SandboxMode


class Walls(Enum):
    """From the strongest to none."""

    BUBBLEWRAP = "bubblewrap"
    LANDLOCK = "landlock"
    NONE = "none"

    @property
    def stand(self) -> bool:
        """Whether there are any."""
        return self is not Walls.NONE

    def suffice(self, mode: SandboxMode) -> bool:
        """Returns whether the policy accepts a kernel behind these walls."""
        match mode:
            case SandboxMode.REQUIRED:
                return self is Walls.BUBBLEWRAP
            case SandboxMode.REDUCED:
                return self.stand
            case SandboxMode.OPTIONAL:
                return True
