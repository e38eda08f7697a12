"""The files that the executions of one kernel read and write, and what they held."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cloister.core.errors import StoreUnavailable
from cloister.sidecar.recording.fingerprints import Fingerprint, Fingerprinter
from cloister.sidecar.recording.writes import WorkspaceWrites

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloister.core.records import Json

logger = logging.getLogger(__name__)

_PATIENCE_S = 1.0


class Files:
    """Files of one kernel.

    Args:
        workspace: Where the kernel can write.
        record: Makes an event durable: its type and its facts.
        joins: Gives a fingerprint to an execution that is still running; ``False`` when it is not.
        shown: Returns a path as it may be recorded.
    """

    def __init__(
        self,
        workspace: Path,
        *,
        record: Callable[[str, dict[str, Json]], None],
        joins: Callable[[str, Path, Fingerprint], bool],
        shown: Callable[[Path], str],
    ) -> None:
        self._record, self._joins, self._shown = record, joins, shown
        self._writes = WorkspaceWrites(workspace)
        self._prints = Fingerprinter(self._found)

    def start(self) -> bool:
        """Begins to watch the workspace; returns whether its writes are seen."""
        return self._writes.start()

    def stop(self) -> None:
        """Waits a moment for the last fingerprints, and ends the watch."""
        self._prints.stop(_PATIENCE_S)
        self._writes.close()

    def was_read(self, execution_id: str, path: Path) -> Fingerprint | None:
        """Takes a read; returns what the file held where that is known, and finds out if not."""
        known = self._prints.known(path)
        if known is None:
            self._prints.ask((execution_id, "read"), path)
        return known

    def written(self) -> list[Path]:
        """Returns the files that were written since the last call."""
        return self._writes.taken()

    def were_written(self, execution_id: str, paths: list[Path]) -> None:
        """Has the files of an execution that has ended fingerprinted."""
        for path in paths:
            self._prints.ask((execution_id, "written"), path)

    def _found(self, what: object, path: Path, found: Fingerprint | None) -> None:
        if not isinstance(what, tuple) or found is None:
            return
        execution_id, how = what
        if how == "read" and self._joins(execution_id, path, found):
            return
        body: dict[str, Json] = {
            "execution_id": execution_id,
            "path": self._shown(path),
            "how": how,
            **found.facts(),
            "attested_by": "sidecar",
        }
        try:
            self._record("file.fingerprinted", body)
        except StoreUnavailable as error:
            logger.error("%s", error)
