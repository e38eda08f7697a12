"""What a client reads when a request fails: ``application/problem+json``, never a stack.

A problem has a stable code, what happened and why, what to do, and an id that is also in the
server's log. The text of an arbitrary exception is shown to nobody: it may hold a path or a value.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloister.core.errors import CloisterError

CONTENT_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """One refusal or failure.

    Attributes:
        status: HTTP status.
        code: Stable code, ``CLO-...``.
        message: What happened and why.
        remedy: What to do; may be empty.
        id: Also in the server's log.
    """

    status: int
    code: str
    message: str
    remedy: str = ""
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def as_dict(self) -> dict[str, str]:
        """Returns the problem as it crosses the wire."""
        return {
            "code": self.code,
            "message": self.message,
            "remedy": self.remedy,
            "id": self.id,
        }


_BY_STATUS = {
    400: ("CLO-LAB-001", "The request is not valid.", "Check the parameters."),
    403: (
        "CLO-LAB-002",
        "You may not do this on this server.",
        "Sign in, or ask an admin for access to the resource cloister.",
    ),
    404: ("CLO-LAB-003", "There is nothing at this address.", "Check the address."),
    405: ("CLO-LAB-004", "This address does not take this method.", "Use GET, or POST to verify."),
}
_BY_CODE = {
    "CLO-LINEAGE-001": 400,  # what was sent is no notebook
    "CLO-LINEAGE-002": 404,  # the record knows nothing of it
}
_INTERNAL = (
    "CLO-LAB-005",
    "The server could not answer.",
    "Try again; if it stays, give the id to whoever runs this server.",
)


def problem_from_status(status: int) -> Problem:
    """Returns the problem for a bare HTTP status, as raised by Jupyter or Tornado."""
    code, message, remedy = _BY_STATUS.get(status, _INTERNAL)
    return Problem(status, code, message, remedy)


def problem_from_error(error: CloisterError) -> Problem:
    """Returns the problem for one of our errors, whose text is safe to show.

    The status is 503 where what the request needs (home, policy, record) is not usable now; what
    the asker can mend has one of its own.
    """
    return Problem(_BY_CODE.get(error.code, 503), error.code, error.message, error.remedy)
