"""What the witnesses have said so far: a small file for people, and what they signed.

It lies in ``witness/outside/`` of the home: ``state.json`` with one entry for each witness;
``<name>.note``, the newest checkpoint that it has, with its signature line; ``<name>/<size>.note``
and ``.tsr``, all time stamps. It can be deleted at any time but for the stamps: the witnesses
themselves remember, and are asked again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from cloister.core.recordrules import WitnessKind
from cloister.store.files import PRIVATE_DIR, write_atomic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloister.core.recordrules import WitnessRule
    from cloister.store.evidence.answers import Receipt
    from cloister.store.home import Home


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of one witness.

    Attributes:
        size: Events that it has taken note of; 0 before the first time.
        time_s: When that was, by its clock.
        problem: Why the last attempt failed, in words; empty after a success.
        conflict: In which way it contradicts the record; empty while it does not.
        failures: Attempts that failed since the last success.
        tried_s: When the last attempt was, by this machine's clock.
        location: Where it was asked; another place is another witness.
    """

    size: int = 0
    time_s: int = 0
    problem: str = ""
    conflict: str = ""
    failures: int = 0
    tried_s: int = 0
    location: str = ""


class Memories:
    """Reads and writes what is remembered. One process writes at a time; see :mod:`.witnessing`."""

    def __init__(self, home: Home) -> None:
        self.directory = home.witness_path.parent / "outside"

    def load(self) -> dict[str, Memory]:
        """Returns what is remembered, by name; nothing where the file is gone or damaged."""
        try:
            stored = json.loads((self.directory / "state.json").read_bytes())
            return {str(name): Memory(**entry) for name, entry in stored.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def of(self, rule: WitnessRule) -> Memory:
        """Returns what is remembered of a witness at the place where the policy has it."""
        found = self.load().get(rule.name, Memory())
        return found if found.location == rule.location else Memory(location=rule.location)

    def save(self, name: str, memory: Memory) -> None:
        """Remembers one witness anew.

        Raises:
            OSError: It cannot be written.
        """
        self.directory.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
        memories = {**self.load(), name: memory}
        text = json.dumps({name: asdict(entry) for name, entry in memories.items()}, indent=1)
        write_atomic(self.directory / "state.json", text.encode(), durable=False)

    def accept(self, rule: WitnessRule, before: Memory, receipt: Receipt, now_s: int) -> None:
        """Remembers what a witness gave.

        Raises:
            OSError: It cannot be written.
        """
        self.directory.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
        if rule.kind is WitnessKind.TIMESTAMP:
            folder = self.directory / rule.name
            folder.mkdir(mode=PRIVATE_DIR, exist_ok=True)
            write_atomic(folder / f"{receipt.size}.note", receipt.note.encode())
            write_atomic(folder / f"{receipt.size}.tsr", receipt.token or b"")
        else:
            write_atomic(self.directory / f"{rule.name}.note", receipt.note.encode())
        given = replace(
            before, size=receipt.size, time_s=receipt.time_s, problem="", conflict="", failures=0
        )
        self.save(rule.name, replace(given, tried_s=now_s))

    def note_of(self, name: str) -> bytes | None:
        """Returns the newest checkpoint that a file or a cosigner has, with its signature line."""
        try:
            return (self.directory / f"{name}.note").read_bytes()
        except OSError:
            return None

    def stamps(self, name: str) -> Iterator[tuple[int, Path, Path]]:
        """Yields size, checkpoint and token of each time stamp, smallest first."""
        for note in sorted(
            (self.directory / name).glob("[0-9]*.note"), key=lambda path: int(path.stem)
        ):
            token = note.with_suffix(".tsr")
            if token.exists():
                yield int(note.stem), note, token
