"""Checks stored events one after the other: bytes, order, hashes. The walk of every verification.

A walk begins at the first event, or at one in the middle: what follows an event whose number is a
multiple of ``2**k`` is a subtree of its own until it has ``2**k`` leaves. A walk from the middle
therefore tells of each such subtree, and whoever knows what is left of it checks the nodes above
(RFC 9162 section 2.1). So two walks over two parts find what one walk over all finds.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, Final

from cloister.store.entry import committed_digest, header_tail, index_key, parse_body
from cloister.store.merkle import Frontier, leaf_hash

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cloister.store.lineage_seen import Seen
    from cloister.store.lineage_store import Rows

_NO_PAYLOAD: Final = b'"payload_sha256":null'
_EXECUTION_KEY: Final = b'"execution_id":"'


@dataclass(frozen=True, slots=True)
class Stop:
    """The log held this many events when somebody signed it.

    Attributes:
        size: Events before this point.
        local: Roots of the complete subtrees since the last :class:`Full`, largest first.
    """

    size: int
    local: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Full:
    """A subtree is complete.

    Attributes:
        size: Events before this point.
        level: It has ``2**level`` leaves.
        node: Its root.
        above: The nodes that its last event stores beyond it.
    """

    size: int
    level: int
    node: bytes
    above: bytes


@dataclass(frozen=True, slots=True)
class End:
    """The walk is over.

    Attributes:
        local: The part of the tree since the last :class:`Full`.
        prev: Leaf hash of the last event.
        problem: What is wrong with which event, if anything is; nothing after it was looked at.
        failure: Why the database did not give the next event.
    """

    local: Frontier
    prev: bytes | None
    problem: tuple[str, int] | None = None
    failure: Exception | None = None


Step = Stop | Full | End


def scan(
    rows: Rows, first: int, last: int | None, stops: Collection[int], seen: Seen
) -> Iterator[Step]:
    """Walks over events.

    Args:
        rows: The log.
        first: Number of the first event; the one before it is trusted to be checked by another.
        last: Number behind the last one, which must be there; ``None`` for all that there are.
        stops: Sizes of the log to stop at.
        seen: Collects what later checks need of the events.

    Yields:
        Steps in the order of the events; an :class:`End` as the last.
    """
    begin = first
    room = first & -first  # leaves of the subtree that begins here; 0 for the whole tree
    tree = Frontier.empty()
    prev = None
    if first:
        before = rows.execute("SELECT header FROM event WHERE seq = :seq", {"seq": first - 1})
        row = before.fetchone()
        prev = None if row is None else leaf_hash(row[0])
    seq = first
    stored = iter(rows.stream(_question(first, last)))
    while True:
        try:
            row = next(stored, None)
        except Exception as failure:  # noqa: BLE001 - of whichever database; raised by the caller
            del stored  # the exception keeps this frame, and that would keep the database open
            yield End(tree, prev, failure=failure)
            return
        if row is None:
            break
        problem = _problem(row, seq, prev)
        if problem is not None:
            yield End(tree, prev, problem)
            return
        prev = leaf_hash(row[4])
        seen.take(seq, row[2], row[4], row[5])
        nodes = b"".join(tree.append(prev))
        is_full = tree.size == room
        if nodes != row[6] and not (is_full and row[6].startswith(nodes)):
            problem = f"event {seq} does not have the hash that was stored with it", seq
            yield End(tree, prev, problem)
            return
        seq += 1
        if is_full:
            yield Full(seq, room.bit_length() - 1, tree.hashes[0], row[6][len(nodes) :])
            begin, room, tree = seq, seq & -seq, Frontier.empty()
        if seq in stops:
            yield Stop(begin + tree.size, tuple(tree.hashes))
    missing = None
    if last is not None and seq < last:
        missing = f"event {seq} is missing", seq
    yield End(tree, prev, missing)


def _question(first: int, last: int | None) -> str:
    # The first part has no lower end: an event with a number below zero must be seen.
    bounds = [f"seq >= {first:d}"] * bool(first) + [f"seq < {last:d}" for _ in [0] if last]
    where = f" WHERE {' AND '.join(bounds)}" if bounds else ""
    columns = "seq, time_us, type, execution_id, header, payload, nodes"
    return f"SELECT {columns} FROM event{where} ORDER BY seq"  # noqa: S608 - numbers


def _problem(row: tuple[Any, ...], seq: int, prev: bytes | None) -> tuple[str, int] | None:
    """Returns what is wrong with an event by itself and with its place, and whose fault it is."""
    try:
        problem = _event_problem(row, seq, prev)
    except (TypeError, ValueError, AttributeError):
        problem = "is not stored in the way it was written"  # a value of another type
    if problem is None:
        return None
    bad = seq
    if problem is _BROKEN_LINK:
        # The link is wrong here, or right and the event before was written anew.
        is_whole = leaf_hash(row[4]) == row[6][: len(prev or b"")]
        bad, problem = (seq - 1, problem) if is_whole else (seq, _WRONG_LINK)
    return f"event {bad} {problem}", bad


_BROKEN_LINK: Final = "is not the event that the next one follows"
_WRONG_LINK: Final = "does not follow the event before it"


def _event_problem(row: tuple[Any, ...], seq: int, prev: bytes | None) -> str | None:
    """Returns what is wrong with an event by itself and with its place, or ``None``."""
    found, time_us, kind, execution_id, header, payload, _ = row
    if found != seq:
        return "is missing" if found > seq else "has a number that no event has"
    digest: bytes | None
    if payload is not None:
        digest = hashlib.sha256(payload).digest()
    else:  # there was none, or it was erased; whether a tombstone says so is looked at later
        digest = None if _NO_PAYLOAD in header else committed_digest(header)
    if not header.endswith(header_tail(seq, time_us, kind, prev, digest)):
        return _tail_problem(header, time_us, kind, prev, seq)
    if execution_id is None:
        is_indexed_right = (
            _EXECUTION_KEY not in header or parse_body(header).get("execution_id") is None
        )
    else:
        is_indexed_right = b'"execution_id":' + _json_text(execution_id) in header or (
            index_key(str(parse_body(header).get("execution_id"))) == execution_id
        )
    return None if is_indexed_right else "is filed under another execution"


def _tail_problem(
    header: bytes, time_us: int, kind: str, prev: bytes | None, seq: int
) -> str | None:
    try:
        stored = json.loads(header.decode("utf-8", "surrogatepass"))
        if stored["seq"] != seq:
            return "is in the place of another"
        if stored["prev"] != (None if prev is None else prev.hex()):
            return _BROKEN_LINK if seq else "does not begin the log"
        if (stored["time_us"], stored["type"]) != (time_us, kind):
            return "is filed under another type or time"
    except (ValueError, KeyError, TypeError):
        return "does not have a header"
    return "has another payload than its header commits to"


def _json_text(value: str) -> bytes:
    # What json.dumps() does with a string, without building an encoder for each event.
    return encode_basestring(value).encode("utf-8", "surrogatepass")
