"""How strictly a workspace is guarded."""

from __future__ import annotations

from enum import Enum


class Mode(Enum):
    """What happens to what leaves a kernel.

    Attributes:
        OBSERVE: It leaves; what would have been masked or stopped is recorded.
        GUARD: It is masked by policy; what cannot be checked does not leave.
        ENCLAVE: Only what a gate has passed leaves.
    """

    OBSERVE = "observe"
    GUARD = "guard"
    ENCLAVE = "enclave"
