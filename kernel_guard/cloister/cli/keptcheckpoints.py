"""Checkpoints that others kept: in a reviewer's files, and with the witnesses of the policy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cloister.cli.output import note
from cloister.cli.workspace import current_policy
from cloister.core.errors import CloisterError
from cloister.core.recordrules import RecordRules, WitnessKind
from cloister.store.checkpoint import Checkpoint, CheckpointError, Verifier
from cloister.store.evidence.journal import read_kept, read_newest
from cloister.store.evidence.memory import Memories

if TYPE_CHECKING:
    from cloister.store.home import Home


def named_witnesses(home: Home) -> RecordRules:
    """Returns who the policy names as witnesses; nobody where it cannot be read."""
    try:
        return current_policy(home).record
    except CloisterError as error:
        note(f"{error.code}: the policy cannot be read, so its witnesses are left out.")
        return RecordRules()


def kept_in_files(
    paths: tuple[Path, ...], verifier: Verifier
) -> tuple[list[Checkpoint], list[str]]:
    """Returns the checkpoints in files, and what is wrong with files that have none."""
    kept: list[Checkpoint] = []
    problems = []
    for path in paths:
        try:
            kept += read_kept(path, verifier)
        except CheckpointError as error:
            problems.append(f"{path.name}: {error}")
    return kept, problems


def kept_by_witnesses(home: Home, verifier: Verifier) -> list[Checkpoint]:
    """Returns what the policy's witnesses know, as far as it can be read without asking anybody."""
    memories = Memories(home)
    kept: list[Checkpoint] = []
    for rule in named_witnesses(home).witnesses:
        is_file = rule.kind is WitnessKind.FILE
        path = Path(rule.location) if is_file else memories.directory / f"{rule.name}.note"
        try:
            newest = read_newest(path, verifier)  # a whole file, years of it, is for --against
        except (CheckpointError, OSError):
            note(f"The witness {rule.name} cannot be read; see: cloister witness status")
            continue
        kept += [] if newest is None else [newest[1]]
    return kept


def no_checkpoint(path: Path) -> CloisterError:
    """Returns the error for a file that holds none of this workspace's checkpoints."""
    return CloisterError(
        f"{path.name} holds no checkpoint that this workspace signed.",
        code="CLO-INPUT-004",
        remedy="Use a copy of witness/checkpoint, or a file that a witness keeps.",
    )
