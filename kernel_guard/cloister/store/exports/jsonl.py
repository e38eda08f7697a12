"""JSON lines with proofs: each line stands for itself against one signed checkpoint.

The first line has the checkpoint and the public key, the last one the number of events, so that a
file that was cut off shows it. Between them each line has the exact header of an event, its hash
and its inclusion proof. Everything is ASCII; a reviewer hashes ``header`` after undoing the JSON
escapes (UTF-8, half surrogate pairs as WTF-8 writes them). ``cloister lineage verify`` reads it.
"""

from __future__ import annotations

import json
from operator import index
from typing import IO, TYPE_CHECKING, Any, Final

from cloister.store.checkpoint import verify_checkpoint
from cloister.store.executions import iso_time
from cloister.store.exports.sections import dumps
from cloister.store.lineage_verify import VerifyReport
from cloister.store.merkle import leaf_hash, verify_inclusion

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloister.store.checkpoint import Checkpoint, Verifier
    from cloister.store.exports.view import RecordView

FORMAT: Final = "cloister-jsonl-v1"
_LONGEST_LINE: Final = 64 * 1024 * 1024


class JsonLines:
    """See the module."""

    suffix = ".jsonl"
    is_stream = True

    def write(self, view: RecordView, out: IO[bytes]) -> int:
        """Writes one line for each event."""
        first = {
            "format": FORMAT,
            "origin": view.origin,
            "size": view.head.size,
            "checkpoint": view.head.note,
            "public_key": view.public_key,
        }
        out.write(dumps(first) + b"\n")
        count = 0
        for event, path in view.proven():
            line = {
                "seq": event.seq,
                "time": event.time,
                "type": event.type,
                "header": event.header.decode("utf-8", "surrogatepass"),
                "leaf": event.leaf.hex(),
                "path": [node.hex() for node in path],
            }
            out.write(dumps(line) + b"\n")
            count += 1
        out.write(dumps({"events": count}) + b"\n")
        return count


def is_jsonl(stream: IO[bytes]) -> bool:
    """Returns whether a file begins as these do; leaves the stream at its beginning."""
    first = stream.readline(_LONGEST_LINE)
    stream.seek(0)
    try:
        said = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and said.get("format") == FORMAT


def verify_jsonl(stream: IO[bytes], verifier: Verifier) -> tuple[VerifyReport, Checkpoint | None]:
    """Checks each line against the checkpoint, and the checkpoint against a key.

    Args:
        stream: The file; the key in it is never trusted.
        verifier: Whose signature counts.

    Returns:
        What was found, and the checkpoint if it is signed.
    """
    first = stream.readline(_LONGEST_LINE)
    try:
        checkpoint = verify_checkpoint(json.loads(first)["checkpoint"], verifier)
    except (ValueError, KeyError, TypeError, RecursionError):
        unsigned = ("its checkpoint is not signed by the log's key",)
        return VerifyReport(False, 0, "", 0, None, unsigned), None  # noqa: FBT003 - "not whole"
    events, first_bad, problem = _verify_lines(
        iter(lambda: stream.readline(_LONGEST_LINE), b""), checkpoint
    )
    problems = [] if problem is None else [problem]
    root = checkpoint.root.hex()
    return VerifyReport(not problems, events, root, 1, first_bad, tuple(problems)), checkpoint


_NOT_OURS: Final = (
    ValueError, LookupError, TypeError, AttributeError, OverflowError, OSError, RecursionError,
)  # fmt: skip
"""What JSON, numbers, times and hex digits that nobody has checked raise when they are none."""


def _verify_lines(
    lines: Iterable[bytes], checkpoint: Checkpoint
) -> tuple[int, int | None, str | None]:
    """Returns how many events hold, the first that does not, and what is wrong."""
    events, last = 0, -1
    stated: object = None
    for number, line in enumerate(lines, 2):
        if stated is not None:
            return events, None, "something follows its last line"
        try:
            said = json.loads(line)
            if "events" in said:
                stated = said["events"]
                continue
            seq = index(said["seq"])  # of a number that is none, too, nothing is proved
            if seq <= last:
                return events, seq, f"event {seq} stands behind a later one"
            if not _is_in(said, checkpoint):
                return events, seq, f"event {seq} is not in the log that the checkpoint signs"
        except _NOT_OURS:
            return events, None, f"line {number} is none of this format"
        events, last = events + 1, seq
    if stated != events:
        return events, None, "it was cut off, or lines are missing"
    return events, None, None


def _is_in(said: dict[str, Any], checkpoint: Checkpoint) -> bool:
    """Returns whether a line's event is in the log, and the line says of it what it is."""
    header = said["header"].encode("utf-8", "surrogatepass")
    leaf = leaf_hash(header)
    path = [bytes.fromhex(node) for node in said["path"]]
    if not verify_inclusion(leaf, said["seq"], checkpoint.size, path, checkpoint.root):
        return False
    inside = json.loads(header.decode("utf-8", "surrogatepass"))
    return (inside["seq"], inside["type"], iso_time(inside["time_us"]), leaf.hex()) == (
        said["seq"],
        said["type"],
        said["time"],
        said["leaf"],
    )
