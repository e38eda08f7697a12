"""What a walk over events collects for the checks that need all of them.

Two walks over two parts collect it apart; one is told to the other as JSON and added in the order
of the events.
"""

from __future__ import annotations

import base64
from array import array
from typing import TYPE_CHECKING, Any

from cloister.store.lineage_schema import SCHEMA_VERSION
from cloister.store.mentions import MentionCheck, indexed_by
from cloister.store.tombstones import ErasureCheck

if TYPE_CHECKING:
    from collections.abc import Iterator


class Seen:
    """Collects, and gives to the checks.

    Args:
        version: Of the tables; it says what their index holds.

    Attributes:
        mentions: Compares the index of names with the events.
        erasures: Compares tombstones with the payloads and keys that are there.
    """

    def __init__(self, version: int = SCHEMA_VERSION) -> None:
        self.mentions = MentionCheck(indexed_by(version))
        self.erasures = ErasureCheck()

    def take(self, seq: int, kind: str, header: bytes, payload: bytes | None) -> None:
        """Takes an event that is right by itself."""
        self.mentions.take(seq, kind, header)
        self.erasures.take(seq, kind, header, payload)

    def parts(self) -> Iterator[dict[str, Any]]:
        """Yields what was collected, as JSON objects."""
        for name, numbers in self.mentions.wanted():
            yield {"name": name, "events": base64.b64encode(numbers.tobytes()).decode()}
        yield {"erasures": self.erasures.collected()}

    def add(self, part: dict[str, Any]) -> None:
        """Adds what another walk has collected of later events."""
        if "erasures" in part:
            self.erasures.add(part["erasures"])
        else:
            self.mentions.add(part["name"], array("q", base64.b64decode(part["events"])))
