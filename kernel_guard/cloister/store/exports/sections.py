"""A large JSON document whose parts are found in another order than they stand in it.

Each part is collected in a temporary file without a name, so that a record of any length needs no
memory. What repeats (a dataset, a person) is written once.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from typing import IO, TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

_IN_MEMORY: Final = 1 << 20  # bytes of one part


class Sections:
    """Collects members of several objects or lists.

    Args:
        names: The parts, in the order of the document.
        is_object: Whether parts are objects; otherwise they are lists.
    """

    def __init__(self, names: Iterable[str], *, is_object: bool) -> None:
        self._is_object = is_object
        self._parts = {
            name: tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed in __exit__
            for name in names
        }
        self._once: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for part in self._parts.values():
            part.close()

    def add(self, section: str, key: str, value: Any) -> None:
        """Adds a member whose key nothing else has."""
        part = self._parts[section]
        if part.tell():
            part.write(b",\n")
        if self._is_object:
            part.write(dumps(key) + b":")
        part.write(dumps(value))

    def add_once(self, section: str, key: str, value: Any) -> None:
        """Adds a member unless its key is there already."""
        # Eight bytes of a digest, because there may be as many keys as executions.
        digest = hashlib.sha256(f"{section} {key}".encode()).digest()[:8]
        mark = int.from_bytes(digest, "big")
        if mark not in self._once:
            self._once.add(mark)
            self.add(section, key, value)

    def copy(self, section: str, out: IO[bytes]) -> bool:
        """Writes the members of a part; returns whether there were any."""
        part = self._parts[section]
        is_filled = part.tell() > 0
        part.seek(0)
        shutil.copyfileobj(part, out)
        return is_filled


def dumps(value: Any) -> bytes:
    """Returns JSON in ASCII on one line: no character in it can end a line or reach a terminal."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")
