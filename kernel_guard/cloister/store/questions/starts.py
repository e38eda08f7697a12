"""Finds the executions that a question begins with: by id, notebook, figure, file or digest."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Final

from cloister.core.errors import CloisterError
from cloister.store.executions import INTENT
from cloister.store.questions.graph import makers

if TYPE_CHECKING:
    from pathlib import Path

    from cloister.store.questions.record import Record

MOST_OF_NOTEBOOK: Final = 500
"""Executions of a notebook that a graph begins with, the newest."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_CHUNK_BYTES: Final = 1 << 20
_MOST_PICTURE_BYTES: Final = 64 * 1024 * 1024


class NothingFound(CloisterError):
    """The record knows nothing of what was asked about."""

    default_code = "CLO-LINEAGE-002"


def executions_named(record: Record, what: str) -> list[str]:
    """Returns the executions that an id, a notebook or a digest names.

    Args:
        record: The record.
        what: Id of an execution (its first characters do), path of a notebook, SHA-256 of a file or
            picture, or path of a file that was written; paths as the record has them.

    Raises:
        NothingFound: There is none.
    """
    run = record.run(what)
    if run is not None:
        return [run.id]
    ran = record.about("notebook", what, kinds=[INTENT], limit=MOST_OF_NOTEBOOK)
    if ran:
        return [str(event.body.get("execution_id")) for event in ran]
    digest = what if _DIGEST.fullmatch(what) else None
    found = makers(record, digest=digest, path=None if digest else what)
    if not found:
        raise NothingFound(
            "No execution in the record has this id, or made this file or output.",
            remedy="Run: cloister lineage list",
        )
    return found[:1]


def executions_that_made(record: Record, file: Path) -> list[str]:
    """Returns the newest execution that showed a figure, or wrote a file, by its content.

    Where no execution made this content, the newest that wrote a file of this path.

    Raises:
        NothingFound: There is none.
    """
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while chunk := content.read(_CHUNK_BYTES):
            digest.update(chunk)
    found = makers(record, digest=digest.hexdigest())
    if not found and file.stat().st_size <= _MOST_PICTURE_BYTES:
        # A picture that a cell showed is known by its base64, as messages carry it.
        shown = hashlib.sha256(base64.b64encode(file.read_bytes())).hexdigest()
        found = makers(record, digest=shown)
    return found[:1] or executions_named(record, str(file.resolve()))
