"""One root for every error that Cloister shows.

A message has three parts: what happened, why, and what to do next. It never holds a data value,
a path of the guard or a stack; detail goes to the lineage log under the same code.
"""

from __future__ import annotations


class CloisterError(Exception):
    """Something that Cloister refused or could not do.

    Args:
        message: What happened and why, in one or two sentences, without any data value.
        code: Stable code, ``CLO-<ROOM>-<NUMBER>``. Listed in ``docs/reference/errors.md``.
        rule: The policy rule that decided, for instance ``egress.default``, or ``None``.
        remedy: The smallest change that would pass.
    """

    default_code = "CLO-GENERAL-001"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        rule: str | None = None,
        remedy: str = "",
    ) -> None:
        self.message = message
        self.code = code or self.default_code
        self.rule = rule
        self.remedy = remedy
        super().__init__(message)

    def __str__(self) -> str:
        parts = [f"{self.code}: {self.message}"]
        if self.rule:
            parts.append(f"Rule: {self.rule}.")
        if self.remedy:
            parts.append(self.remedy)
        return " ".join(parts)

    def as_dict(self) -> dict[str, str | None]:
        """Returns the error as it crosses a socket or an HTTP response."""
        return {
            "code": self.code,
            "message": self.message,
            "rule": self.rule,
            "remedy": self.remedy,
        }


class EgressDenied(CloisterError):
    """A connection out of the kernel that the policy does not allow."""

    default_code = "CLO-EGRESS-001"


class PolicyInvalid(CloisterError):
    """The policy cannot be read; everything it would allow is refused."""

    default_code = "CLO-POLICY-001"


class StoreUnavailable(CloisterError):
    """The lineage log cannot take a record; nothing runs unrecorded."""

    default_code = "CLO-STORE-001"


class SandboxUnavailable(CloisterError):
    """The kernel cannot be isolated on this machine and the policy requires it."""

    default_code = "CLO-SANDBOX-001"


class GuardStopped(CloisterError):
    """The sidecar ended, and the kernel with it."""

    default_code = "CLO-SIDECAR-001"


class ResourceExceeded(GuardStopped):
    """The kernel used more of the machine than the policy gives it, and was stopped."""

    default_code = "CLO-RESOURCE-001"


class BrokerUnavailable(CloisterError):
    """The in-kernel client cannot reach the broker of its sidecar."""

    default_code = "CLO-BROKER-001"


class BudgetExceeded(CloisterError):
    """The privacy budget of a dataset does not cover this request."""

    default_code = "CLO-DP-001"


class OutputBlocked(CloisterError):
    """An output that the policy does not let out of the kernel."""

    default_code = "CLO-OUTPUT-001"


class RevealDenied(CloisterError):
    """Tokens that this user may not undo, or that nobody can."""

    default_code = "CLO-REVEAL-001"


_BY_CODE_PREFIX: dict[str, type[CloisterError]] = {
    "CLO-EGRESS": EgressDenied,
    "CLO-LLM": EgressDenied,
    "CLO-POLICY": PolicyInvalid,
    "CLO-STORE": StoreUnavailable,
    "CLO-SANDBOX": SandboxUnavailable,
    "CLO-SIDECAR": GuardStopped,
    "CLO-BROKER": BrokerUnavailable,
    "CLO-DP": BudgetExceeded,
    "CLO-OUTPUT": OutputBlocked,
    "CLO-RESOURCE": ResourceExceeded,
    "CLO-REVEAL": RevealDenied,
}


def error_from_dict(data: dict[str, str | None]) -> CloisterError:
    """Rebuilds an error that crossed a socket.

    Args:
        data: What :meth:`CloisterError.as_dict` returned on the other side.

    Returns:
        An error of the class that the code's prefix names, or the root class.
    """
    code = data.get("code") or CloisterError.default_code
    kind = _BY_CODE_PREFIX.get(code.rpartition("-")[0], CloisterError)
    return kind(
        data.get("message") or "The request was refused.",
        code=code,
        rule=data.get("rule"),
        remedy=data.get("remedy") or "",
    )
