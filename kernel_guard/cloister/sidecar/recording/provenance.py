"""What the executions of one kernel read, used and made, in the words that may be recorded.

Names of files, columns and variables are chosen by people and by data: a file without a header
makes values into names. So each passes the same mask as what leaves, before it is recorded.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cloister.core.errors import CloisterError
from cloister.sidecar.recording.dataflow import DataFlow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cloister.core.records import Json
    from cloister.sidecar.recording.dataflow import Flow
    from cloister.sidecar.recording.execution import Execution
    from cloister.sidecar.recording.files import Files

logger = logging.getLogger(__name__)

MOST_COLUMNS: Final = 200
MOST_FRAMES: Final = 50
MOST_READS: Final = 1_000
MOST_NAMES: Final = 4_000
"""Names of tables, columns and steps that are recorded of one execution; a kernel says them."""

_LONGEST_NAME: Final = 128


class Provenance:
    """What one kernel's executions go back to. Safe to use from several threads.

    Args:
        mask: Masks a text, or raises :class:`CloisterError`.

    Attributes:
        files: Looks at the files themselves, where somebody does.
    """

    def __init__(self, mask: Callable[[str], str]) -> None:
        self._mask = mask
        self.files: Files | None = None
        self._flow = DataFlow()
        self._columns: dict[str, dict[str, dict[str, Json]]] = {}
        self._lock = threading.Lock()

    def read(
        self, execution: Execution, fact: dict[str, Json], columns: Sequence[dict[str, Json]]
    ) -> None:
        """Joins a read to an execution; see :meth:`cloister.sidecar.recorder.Recorder.read`.

        Raises:
            CloisterError: A name cannot be checked, so it cannot be recorded.
        """
        real = Path(str(fact["path"]))
        path = self._mask(str(real))
        listed = columns[:MOST_COLUMNS]
        names = self._shown([str(column["column"]) for column in listed])
        known = [{**column, "column": name} for column, name in zip(listed, names, strict=True)]
        found = self.files.was_read(execution.id, real) if self.files else None
        with self._lock:
            if found is not None:
                execution.fingerprints[real] = found
            source = str(fact.get("dataset") or path)
            self._columns[source] = {str(column["column"]): column for column in known}
            if path in execution.real_paths:
                return
            if len(execution.reads) >= MOST_READS:
                execution.more_reads += 1
            else:
                shown: list[Json] = [*known]
                execution.reads.append({**fact, "path": path, "columns": shown})
                execution.real_paths[path] = real

    def frames(self, execution: Execution, frames: Sequence[dict[str, Json]]) -> None:
        """Joins tables to an execution; see :meth:`cloister.sidecar.recorder.Recorder.frames`."""
        for frame in frames[:MOST_FRAMES]:
            columns = frame.get("columns")
            listed = columns[:MOST_COLUMNS] if isinstance(columns, list) else []
            names = [_text(frame, "name"), _text(frame, "kind")]
            parts = [(_texts(column, "from"), _texts(column, "steps")) for column in listed]
            for column, (origins, steps) in zip(listed, parts, strict=True):
                names += [_text(column, "column"), *origins, *steps]
            execution.frame_names += len(names)
            if execution.frame_names > MOST_NAMES:
                return
            shown = iter(self._shown(names))
            name, kind = next(shown), next(shown)
            execution.frames[name] = {
                "name": name,
                "kind": kind,
                "columns": [
                    {
                        "column": next(shown),
                        "from": [next(shown) for _ in origins],
                        "steps": [next(shown) for _ in steps],
                    }
                    for origins, steps in parts
                ],
                "attested_by": "kernel",
            }

    def ended(self, execution: Execution) -> dict[str, Json]:
        """Returns what an execution that has run used, made and goes back to."""
        try:
            return self._ended(execution)
        except Exception as error:  # noqa: BLE001 - the result is recorded all the same
            # What could not be checked is left out of it. The text of an error may hold a name.
            code = error.code if isinstance(error, CloisterError) else type(error).__name__
            logger.error("What an execution used and made is not on record: %s", code)
            return {"names_used": None, "names_defined": None, "parents": [], "sources": []}

    def _ended(self, execution: Execution) -> dict[str, Json]:
        written = self.files.written() if self.files else []
        names = execution.names
        flow = self._flow.ended(
            execution.id, names, self._reads_of(execution), [str(path) for path in written]
        )
        if self.files:
            self.files.were_written(execution.id, written)
        used, defined = (names.used, names.defined) if names else ((), ())
        every = [*used, *defined, *(str(path) for path in written)]
        every += [name for parent in flow.parents for name in (*parent.names, *parent.files)]
        shown = dict(zip(every, self._shown(every), strict=True))
        facts: dict[str, Json] = {
            "names_used": None if names is None else [shown[name] for name in used],
            "names_defined": None if names is None else [shown[name] for name in defined],
            "parents": _parents(flow, shown),
            "sources": [{"source": source} for source in flow.sources],
            "columns_used": self._columns_used(execution, flow.sources),
        }
        if written:
            facts["writes"] = [{"written": shown[str(path)]} for path in written]
        if execution.more_reads:
            facts["reads_more"] = execution.more_reads
        if execution.frames:
            facts["frames"] = [*execution.frames.values()]
        return facts

    def _reads_of(self, execution: Execution) -> list[tuple[str, str]]:
        """Adds to the reads what the files held; returns path and name of each."""
        found = []
        with self._lock:
            for read in execution.reads:
                path = str(read["path"])
                real = execution.real_paths.get(path)
                held = execution.fingerprints.get(real) if real else None
                if held is not None:
                    read.update(held.facts())
                found.append((str(real or path), str(read.get("dataset") or path)))
        return found

    def _columns_used(self, execution: Execution, sources: Sequence[str]) -> list[Json]:
        """Returns labelled columns of what an execution goes back to that its code names."""
        mentioned = execution.names.mentioned if execution.names else frozenset()
        with self._lock:
            found: list[Json] = [
                {**column, "of": source}
                for source in sources
                for name, column in self._columns.get(source, {}).items()
                if name in mentioned
            ]
        return found[:MOST_COLUMNS]

    def _shown(self, names: Iterable[str]) -> list[str]:
        """Returns names without values, each in its place, and none of them long."""
        lines = [name.replace("\n", " ")[:_LONGEST_NAME] for name in names]
        if not lines:
            return []
        masked = self._mask("\n".join(lines)).split("\n")
        if len(masked) == len(lines):
            return masked
        # A value that went over several names took their ends with it; so each by itself.
        return [self._mask(line).replace("\n", " ") for line in lines]


def _parents(flow: Flow, shown: dict[str, str]) -> list[Json]:
    return [
        {
            "parent": parent.execution_id,
            "names": [shown[name] for name in parent.names],
            **({"files": [shown[path] for path in parent.files]} if parent.files else {}),
        }
        for parent in flow.parents
    ]


def _text(facts: object, key: str) -> str:
    return str(facts.get(key, "")) if isinstance(facts, dict) else ""


def _texts(facts: object, key: str) -> list[str]:
    found = facts.get(key) if isinstance(facts, dict) else None
    return [str(item) for item in found[:MOST_COLUMNS]] if isinstance(found, list) else []
