"""What is promised about a machine or a kernel, and whether it holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Guarantee:
    """One promise.

    Attributes:
        id: Short and stable.
        holds: Whether it holds here, now.
        why: How that is known.
        fix: What would make it hold; empty when it does.
    """

    id: str
    holds: bool
    why: str
    fix: str = ""
