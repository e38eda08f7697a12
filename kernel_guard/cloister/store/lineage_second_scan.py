"""A long log is checked by two processes, each of which reads a part of it.

The first process walks over the first part and then goes over what the second one found, in the
order of the events, so that the report is the one that a single walk would have made. The second
process holds no key, decides nothing, and speaks in lines of JSON. Where it cannot be started or
fails, the first one walks over both parts.

``python -m cloister.store.lineage_second_scan`` is that process.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from cloister.store.home import Home
from cloister.store.lineage_scan import End, Full, Step, Stop, scan
from cloister.store.lineage_seen import Seen
from cloister.store.lineage_stores import source_at
from cloister.store.merkle import Frontier

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from cloister.store.lineage_store import Rows

_log = logging.getLogger(__name__)

WORTH_IT: Final = 50_000
"""Events from which a second process saves more than its start costs."""

_FIRST_PART: Final = 0.45  # the first process compares the index and checks signatures, too
_ALIGNED: Final = 1024


@contextmanager
def two_scans(
    place: Home | Path | None,
    rows: Rows,
    newest: int | None,
    stops: Collection[int],
    seen: Seen,
) -> Iterator[Iterator[Iterable[Step]]]:
    """Yields the walks over the parts of a log, in order; ends the second process.

    Args:
        place: Where another process finds the log, ``None`` if none can.
        rows: The log, as this process sees it.
        newest: Number of the last event.
        stops: Sizes of the log to stop at.
        seen: Collects what later checks need of the events.
    """
    middle = 0
    if place is not None and newest is not None and newest >= WORTH_IT and _processors() > 1:
        middle = int(newest * _FIRST_PART) // _ALIGNED * _ALIGNED
    if not middle or newest is None or place is None:
        yield iter([scan(rows, 0, None, stops, seen)])
        return
    end = newest + 1
    with tempfile.TemporaryFile() as answers:
        process = _start(place, middle, end, stops, answers)

        def parts() -> Iterator[Iterable[Step]]:
            yield scan(rows, 0, middle, stops, seen)
            found = None if process is None else _found(process, answers, seen)
            yield scan(rows, middle, end, stops, seen) if found is None else found

        try:
            yield parts()
        finally:
            if process is not None:
                process.kill()
                process.wait()


def _processors() -> int:
    return len(os.sched_getaffinity(0))


def _start(
    place: Home | Path, first: int, last: int, stops: Collection[int], answers: IO[bytes]
) -> subprocess.Popen[bytes] | None:
    asked = {
        "home": str(place.root) if isinstance(place, Home) else None,
        "file": str(place.absolute()) if isinstance(place, Path) else None,
        "first": first,
        "last": last,
        "stops": [size for size in stops if first < size <= last],
    }
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cloister.store.lineage_second_scan"],
            stdin=subprocess.PIPE,
            stdout=answers,
            stderr=subprocess.DEVNULL,
            cwd="/",
        )
    except OSError as error:
        _log.info("No second process verifies (%s).", type(error).__name__)
        return None
    with suppress(OSError):
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        process.stdin.write(json.dumps(asked).encode())
        process.stdin.close()
    return process


def _found(process: subprocess.Popen[bytes], answers: IO[bytes], seen: Seen) -> list[Step] | None:
    """Returns what the second process found, ``None`` if it did not get to its end."""
    if process.wait() != 0:
        _log.info("The process that verified a part failed; this one does it.")
        return None
    answers.seek(0)
    steps: list[Step] = []
    for line in answers:
        said = json.loads(line)
        if "seen" in said:
            seen.add(said["seen"])
        else:
            steps.append(_step(said))
    return steps


def _said(step: Step) -> dict[str, Any]:
    if isinstance(step, Stop):
        return {"stop": step.size, "local": [node.hex() for node in step.local]}
    if isinstance(step, Full):
        return {"full": step.size, "level": step.level, "node": step.node.hex(),
                "above": step.above.hex()}  # fmt: skip
    return {
        "end": step.local.size,
        "local": [node.hex() for node in step.local.hashes],
        "prev": None if step.prev is None else step.prev.hex(),
        "problem": step.problem,
    }


def _step(said: dict[str, Any]) -> Step:
    if "full" in said:
        return Full(
            said["full"],
            said["level"],
            bytes.fromhex(said["node"]),
            bytes.fromhex(said["above"]),
        )
    local = [bytes.fromhex(node) for node in said["local"]]
    if "stop" in said:
        return Stop(said["stop"], tuple(local))
    prev, problem = said["prev"], said["problem"]
    return End(
        Frontier(said["end"], local),
        None if prev is None else bytes.fromhex(prev),
        None if problem is None else (problem[0], problem[1]),
    )


def main(asked: IO[bytes], answers: IO[bytes]) -> int:
    """Walks over the part that is asked for and says what it found."""
    said = json.load(asked)
    place = Path(said["file"]) if said["home"] is None else Home(Path(said["home"]))
    with source_at(place).reading() as rows:
        if rows is None:
            return 1
        seen = Seen(rows.version)
        for step in scan(rows, said["first"], said["last"], set(said["stops"]), seen):
            if isinstance(step, End) and step.failure is not None:
                return 1  # the first process meets it, too, and says what it is
            answers.write(json.dumps(_said(step)).encode() + b"\n")
    for part in seen.parts():
        answers.write(json.dumps({"seen": part}).encode() + b"\n")
    answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.stdin.buffer, sys.stdout.buffer))
