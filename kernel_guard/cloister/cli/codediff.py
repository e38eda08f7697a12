"""How the code of executions differs, read from their payloads; that it was read is on record."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any

from cloister.cli.workspace import current_home, recorded_change
from cloister.store.executions import INTENT
from cloister.store.keys import open_keyring
from cloister.store.lineage_reader import LineageReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloister.store.entry import Entry


def add_code(cells: Sequence[dict[str, Any]]) -> None:
    """Adds ``code_diff`` to the lines of a difference whose code changed.

    Raises:
        StoreUnavailable: The record cannot take that it is read, so it is not read.
    """
    wanted = [cell for cell in cells if "code" in cell["what"]]
    if not wanted:
        return
    home = current_home()
    ids = [name for cell in wanted for name in (cell["before"], cell["after"])]
    with recorded_change(home) as record:
        record("lineage.read", {"of": [*ids], "how": "diff"})
    with LineageReader(home, open_keyring(home)) as reader:
        for cell in wanted:
            one, other = (_code(reader.get(cell[side])) for side in ("before", "after"))
            lines = difflib.unified_diff(one.splitlines(), other.splitlines(), lineterm="", n=2)
            cell["code_diff"] = "\n".join(lines)


def _code(entries: Sequence[Entry]) -> str:
    for entry in entries:
        if entry.type == INTENT and entry.payload:
            return str(json.loads(entry.payload).get("code", ""))
    return ""
