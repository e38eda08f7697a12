"""What says in the record that payloads were erased, and whether all of it fits. Pure.

A tombstone is an event ``payload.erased`` whose body counts the erased events as ``events``, a list
of ``[first, last]``. The table ``erased`` is an index of that, so that a reader finds the tombstone
of an event; the tombstones themselves are leaves of the tree.
"""

from __future__ import annotations

import base64
from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final

from cloister.store.entry import committed_digest, parse_body
from cloister.store.lineage_schema import SINCE_DATA_KEYS
from cloister.store.payloads import has_data_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cloister.store.lineage_store import Rows

ERASED: Final = "payload.erased"

MOST_OPENED: Final = 100_000
"""Data keys that a verification opens, one after the other; of more only the numbers are looked at,
since a million of them would take as long as all hashes together."""


def ranges_of(numbers: Iterable[int]) -> list[list[int]]:
    """Returns ascending numbers as ranges, both ends included."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ranges


def numbers_in(body: dict[str, Any], before: int) -> Iterator[int]:
    """Yields the events that a tombstone erases; they all come before it.

    Args:
        body: The tombstone's facts.
        before: The tombstone's own number.

    Raises:
        ValueError: It counts none, or some that come after it.
    """
    ranges = body.get("events")
    if not isinstance(ranges, list):
        raise ValueError("a tombstone counts no events")
    for pair in ranges:
        first, last = pair
        if not (type(first) is type(last) is int and 0 <= first <= last < before):
            raise ValueError("a tombstone counts events that it cannot erase")
        yield from range(first, last + 1)


class ErasureCheck:
    """Compares what tombstones say with the payloads and data keys that are there."""

    def __init__(self) -> None:
        self._keyed = array("q")
        self._bare = array("q")
        self._odd = array("q")
        self._tombstones: dict[int, int] = {}

    def take(self, seq: int, kind: str, header: bytes, payload: bytes | None) -> None:
        """Takes an event."""
        if kind == ERASED:
            self._take_tombstone(seq, header)
        if payload is None:
            if b'"payload_sha256":null' not in header and committed_digest(header) is not None:
                self._bare.append(seq)
        elif has_data_key(payload):
            self._keyed.append(seq)

    def _take_tombstone(self, seq: int, header: bytes) -> None:
        try:
            for number in numbers_in(parse_body(header), seq):
                self._tombstones.setdefault(number, seq)
        except (ValueError, TypeError):
            self._odd.append(seq)

    def collected(self) -> dict[str, Any]:
        """Returns what was taken, as JSON, for another process."""
        lists = {name: base64.b64encode(numbers.tobytes()).decode()
                 for name, numbers in self._lists().items()}  # fmt: skip
        return {**lists, "tombstones": list(self._tombstones.items())}

    def add(self, collected: dict[str, Any]) -> None:
        """Adds what another process took of later events."""
        for name, numbers in self._lists().items():
            numbers.extend(array("q", base64.b64decode(collected[name])))
        for number, seq in collected["tombstones"]:
            self._tombstones.setdefault(number, seq)

    def _lists(self) -> dict[str, array[int]]:
        return {"keyed": self._keyed, "bare": self._bare, "odd": self._odd}

    def problems(
        self, rows: Rows, opens: Callable[[int, int, bytes], bool] | None
    ) -> Iterator[tuple[str, int | None]]:
        """Yields what does not fit, with the number of the event, after all events were seen.

        Args:
            rows: The log.
            opens: Returns whether a data key opens at its place (event, generation, wrapped key).
                Then each payload that was not erased must have its key; a copy may lack them.
        """
        for seq in self._odd:
            yield f"event {seq} is a tombstone of what it cannot erase", seq
        lost = next((seq for seq in self._bare if seq not in self._tombstones), None)
        if lost is not None:
            yield f"the payload of event {lost} is gone, and no tombstone says so", lost
        if rows.version < SINCE_DATA_KEYS:
            return
        index = rows.stream("SELECT seq, tombstone FROM erased ORDER BY seq")
        if [tuple(row) for row in index] != sorted(self._tombstones.items()):
            yield "the index of erased payloads does not fit the tombstones", None
        yield from self._key_problems(rows, opens)

    def _key_problems(
        self, rows: Rows, opens: Callable[[int, int, bytes], bool] | None
    ) -> Iterator[tuple[str, int | None]]:
        try:
            keys = array("q", (row[0] for row in rows.stream(_KEYS)))
        except (TypeError, OverflowError):
            yield "a data key is filed under what is no number", None
            return
        back = next((seq for seq in self._tombstones if _holds(keys, seq)), None)
        if back is not None:
            yield f"event {back} was erased, and its key is there again", back
        if opens is None:
            return
        gone = self._tombstones
        wanted = array("q", (n for n in self._keyed if n not in gone)) if gone else self._keyed
        if wanted != keys:
            missing = next((seq for seq in wanted if not _holds(keys, seq)), None)
            if missing is None:
                yield "there are keys of payloads that are not there", None
            else:
                yield f"the key of event {missing} is gone, and no tombstone says so", missing
        elif len(keys) <= MOST_OPENED:
            for seq, *key in rows.stream("SELECT seq, generation, wrapped FROM data_key"):
                if not opens(seq, *key):
                    yield f"the key of event {seq} does not open", seq
                    return


_KEYS: Final = "SELECT seq FROM data_key ORDER BY seq"


def _holds(numbers: array[int], number: int) -> bool:
    """Returns whether ascending numbers hold one."""
    place = bisect_left(numbers, number)
    return place < len(numbers) and numbers[place] == number
