"""What can come of asking a witness: a receipt, a contradiction, or nothing for now."""

from __future__ import annotations

from typing import NamedTuple


class Receipt(NamedTuple):
    """What a witness gave for a checkpoint.

    Attributes:
        size: Events that it covers.
        note: The checkpoint, with the witness's signature line if it signs.
        time_s: When, by the witness's clock where it has one.
        token: An RFC 3161 answer.
    """

    size: int
    note: str
    time_s: int
    token: bytes | None = None


class WitnessConflict(Exception):
    """A witness knows another history than the log has; the text says in which way."""


class WitnessUnavailable(Exception):
    """A witness did not do its part; the text says why and holds nothing that it sent."""
