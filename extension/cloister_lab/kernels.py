"""What is known about one kernel: the facts that its sidecar left, if the sidecar still lives.

The sidecar writes ``run/<kernel id>/state.json`` in the home, which no kernel can reach. A kernel
without such a file, with an unreadable one, or whose sidecar has ended is *unguarded*: absence of
proof is never shown as protection.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeGuard

if TYPE_CHECKING:
    from cloister.store.home import Home

MAX_STATE_BYTES: Final = 256_000
# A process that started this long after the sidecar says it did is another process with its id.
# Generous, because the wall clock may have been set in between.
_PID_REUSE_SLACK_S: Final = 120.0


class Posture(Enum):
    """How well a kernel is guarded, in one word."""

    GUARDED = "guarded"
    DEGRADED = "degraded"
    UNGUARDED = "unguarded"


@dataclass(frozen=True, slots=True)
class Guarantee:
    """One promise and whether it holds here; if not, why and what to do."""

    id: str
    holds: bool
    why: str
    fix: str

    def as_dict(self) -> dict[str, object]:
        """Returns the guarantee in the shape of ``cloister doctor --json``."""
        return {"id": self.id, "holds": self.holds, "why": self.why, "fix": self.fix}


@dataclass(frozen=True, slots=True)
class KernelState:
    """One kernel as its sidecar describes it.

    Attributes:
        kernel_id: Jupyter's id.
        posture: Decided by :func:`decide_posture`.
        sandbox: ``bubblewrap``, ``landlock`` or ``none``.
        user: Who runs it; ``None`` when it is not guarded.
        notebook: The notebook's path, when it is known.
        policy_digest: Digest of the policy at the start.
        guarantees: In the sidecar's order.
    """

    kernel_id: str
    posture: Posture
    sandbox: str
    user: str | None
    notebook: str | None
    policy_digest: str | None
    guarantees: tuple[Guarantee, ...]

    def as_dict(self) -> dict[str, object]:
        """Returns the kernel as the API shows it."""
        return {
            "kernel_id": self.kernel_id,
            "guarded": self.posture is not Posture.UNGUARDED,
            "sandbox": self.sandbox,
            "posture": self.posture.value,
            "user": self.user,
            "notebook": self.notebook,
            "policy_digest": self.policy_digest,
            "guarantees": [guarantee.as_dict() for guarantee in self.guarantees],
        }


_WALLS: Final = frozenset({"bubblewrap", "landlock"})
_NOT_GUARDED: Final = Guarantee(
    "guard",
    holds=False,
    why="This kernel was not started by Cloister, or its guard has ended.",
    fix="Choose the kernel Python 3 (Cloister), or restart this one.",
)


def read_kernel(home: Home, kernel_id: str) -> KernelState:
    """Reads what is known about a kernel; whatever cannot be read counts as not guarded.

    Args:
        home: The workspace.
        kernel_id: An id that :func:`cloister_lab.query.parse_kernel_id` has accepted.
    """
    facts = _read_facts(home.run_dir / kernel_id / "state.json")
    if facts is None or facts.get("kernel_id") != kernel_id or not is_alive(facts):
        return KernelState(kernel_id, Posture.UNGUARDED, "none", None, None, None, (_NOT_GUARDED,))
    stated = _text(facts.get("sandbox"))
    sandbox = stated if stated in _WALLS else "none"
    guarantees = _guarantees(facts.get("guarantees"))
    return KernelState(
        kernel_id=kernel_id,
        posture=decide_posture(sandbox, guarantees),
        sandbox=sandbox,
        user=_text(facts.get("user")),
        notebook=_text(facts.get("notebook")),
        policy_digest=_text(facts.get("policy_digest")),
        guarantees=guarantees,
    )


def decide_posture(sandbox: str, guarantees: tuple[Guarantee, ...]) -> Posture:
    """Decides the posture of a kernel whose sidecar lives.

    Guarded needs a sandbox and every stated guarantee; a sidecar that states none proves nothing.
    """
    if sandbox == "bubblewrap" and guarantees and all(g.holds for g in guarantees):
        return Posture.GUARDED
    return Posture.DEGRADED


def is_alive(facts: dict[str, Any]) -> bool:
    """Returns whether the process that wrote these facts still runs.

    Args:
        facts: ``pid``, and ``started_us``, microseconds since 1970.
    """
    pid, started_us = facts.get("pid"), facts.get("started_us")
    if not _is_integer(pid) or not _is_integer(started_us) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return False  # another account's process, so not a sidecar of this home
    stat = _process_stat(pid)
    if stat is None:
        return True  # no /proc here; the signal said that it lives
    state, start_ticks = stat
    if state in {"Z", "X"}:
        return False
    age_s = _uptime_s() - start_ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - age_s <= started_us / 1e6 + _PID_REUSE_SLACK_S


def _process_stat(pid: int) -> tuple[str, int] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        # The name in parentheses may hold anything: count from its end. proc(5), fields 3, 22.
        fields = text[text.rindex(")") + 2 :].split()
        return fields[0], int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def _uptime_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _read_facts(path: Path) -> dict[str, Any] | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            content = stream.read(MAX_STATE_BYTES + 1)
        if len(content) > MAX_STATE_BYTES:
            return None
        facts = json.loads(content)
    except (OSError, ValueError, RecursionError):
        return None
    return facts if isinstance(facts, dict) else None


def _guarantees(given: object) -> tuple[Guarantee, ...]:
    if not isinstance(given, list):
        return ()
    return tuple(
        Guarantee(
            id=_text(entry.get("id")) or "unnamed",
            holds=entry.get("holds") is True,
            why=_text(entry.get("why")) or "",
            fix=_text(entry.get("fix")) or "",
        )
        for entry in given
        if isinstance(entry, dict)
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
