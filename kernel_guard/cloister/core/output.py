"""What the gate lets leave, as the policy states it under ``output``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class OutputRules:
    """Limits of one output.

    Attributes:
        mime_types: Types that Cloister does not know and that leave all the same.
        allows_scripts: Whether JavaScript leaves; it runs in the browser, outside all walls.
        time_limit_s: An output that takes longer to check stays, in seconds.
        message_bytes: A message that is larger stays, unread.
    """

    mime_types: frozenset[str] = frozenset()
    allows_scripts: bool = False
    time_limit_s: float = 5.0
    message_bytes: int = 100_000_000


def output_from_dict(data: Mapping[str, Any]) -> OutputRules:
    """Builds the rules from the ``output`` section that the schema has accepted."""
    default = OutputRules()
    return OutputRules(
        mime_types=frozenset(data.get("mime_types", ())),
        allows_scripts=data.get("scripts", "withhold") == "allow",
        time_limit_s=float(data.get("time_limit_s", default.time_limit_s)),
        message_bytes=data.get("message_bytes", default.message_bytes),
    )
