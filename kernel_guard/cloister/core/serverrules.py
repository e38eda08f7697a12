"""What a Jupyter server may offer beside guarded kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ServerRules:
    """Ways to the data that no gate sees; closed unless a policy opens them.

    Attributes:
        terminals: Whether the server has terminals. They run outside all walls.
        unguarded_kernels: Whether it starts kernels that are not Cloister's.
        language_servers: Whether it starts language servers. They run outside all walls.
    """

    terminals: bool = False
    unguarded_kernels: bool = False
    language_servers: bool = False


CLOSED = ServerRules()


def server_rules_from_dict(data: Mapping[str, Any]) -> ServerRules:
    """Builds the rules from data that the schema has accepted."""
    return ServerRules(**data)
