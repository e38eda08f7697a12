"""Writes the bundle that a reviewer verifies without Cloister.

A zip file of plain members; ``docs/explanation/evidence-bundle.md`` has the format, and
:mod:`.record_verifier`, a copy of which lies inside, reads it. The same log, witnesses and question
make the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloister.core.errors import CloisterError
from cloister.core.recordrules import WitnessKind
from cloister.store.checkpoint import CheckpointError, Verifier, verify_checkpoint
from cloister.store.evidence.journal import read_newest
from cloister.store.evidence.record_verifier import FORMAT
from cloister.store.files import PRIVATE_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import IO

    from cloister.core.recordrules import RecordRules
    from cloister.store.checkpoint import Checkpoint
    from cloister.store.evidence.memory import Memories
    from cloister.store.evidence.reader import EvidenceReader, Head
    from cloister.store.keys import Keyring

_MOST_STAMPS: Final = 100  # each costs a reviewer a signature
README: Final = """\
A bundle of the record of a Cloister workspace.

Verify it with Python 3.9 or later and the workspace's public key, which you have from the
workspace's owner by another way than this file:

    python verify_record.py --key lineage.pub THIS_BUNDLE

Do not take the program from here when you do not trust who gave you the bundle:
"cloister lineage export --verifier" of any installation writes the same file.

events.jsonl has one event a line, byte for byte as it is hashed into the log's Merkle tree
(RFC 9162). checkpoint is the signed root (C2SP tlog-checkpoint). Texts of cells and outputs are not
here, or, in payloads.jsonl, encrypted.
"""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a bundle shows.

    Attributes:
        events: Numbers of the events, ascending; ``None`` for all.
        with_payloads: Whether the encrypted payloads go with them.
        older: Checkpoints that the reviewer kept; the bundle gets a proof from each.
    """

    events: tuple[int, ...] | None = None
    with_payloads: bool = False
    older: tuple[Checkpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: events, and events of the whole log."""

    events: int
    size: int


def verifier_source() -> bytes:
    """Returns the program that verifies bundles on its own."""
    return files("cloister.store.evidence").joinpath("record_verifier.py").read_bytes()


def write_bundle(
    target: Path,
    reader: EvidenceReader,
    keyring: Keyring,
    selection: Selection,
    *,
    rules: RecordRules,
    memories: Memories,
) -> Written:
    """Writes a bundle.

    Args:
        target: The file; it must not exist.
        reader: The log.
        keyring: The public key, and the name that checkpoints must have.
        selection: What to show.
        rules: The policy's witnesses.
        memories: What they have said.

    Raises:
        CloisterError: There is nothing to show, or the log does not continue a checkpoint that
            the reviewer kept.
        StoreUnavailable: The log cannot be read.
        OSError: The file cannot be written.
    """
    head = reader.head()
    if head is None or selection.events == ():
        raise CloisterError(
            "There are no events to export.", code="CLO-EXPORT-001", remedy="Ask for others."
        )
    verifier = keyring.verifier
    events = None if selection.events is None else [n for n in selection.events if n < head.size]
    ranges = [(0, head.size - 1)] if events is None else _ranges(events)
    members = _Witnessed(reader, verifier, head).collect(rules, memories)
    proofs = {size: reader.consistency(size, head.size) for size in _older(members, verifier)}
    proofs |= {c.size: _proof_from(c, reader, head) for c in selection.older}
    with (
        _new_file(target) as stream,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        writer = _Writer(archive)
        for name, data in members.items():
            writer.add(name, data)
        writer.add("checkpoint", head.note.encode())
        writer.add("log.pub", keyring.public_text.encode())
        writer.add("README.txt", README.encode())
        writer.add("verify_record.py", verifier_source())
        siblings = reader.siblings(ranges, head.size)
        if siblings:
            writer.add("nodes", b"".join(base64.b64encode(node) + b"\n" for node in siblings))
        if proofs:
            lines = (
                _line({"size": size, "path": [base64.b64encode(node).decode() for node in path]})
                for size, path in sorted(proofs.items())
            )
            writer.add("consistency.jsonl", b"".join(lines))
        count, payloads = writer.add_events(reader, ranges, with_payloads=selection.with_payloads)
        manifest = {
            "format": FORMAT,
            "origin": keyring.key_name,
            "size": head.size,
            "root": head.root.hex(),
            "ranges": [list(pair) for pair in ranges],
            "events": count,
            "payloads": payloads,
            "files": writer.digests,
        }
        writer.add("manifest.json", _line(manifest))
    return Written(count, head.size)


class _Witnessed:
    """What witnesses have signed of this log, as members of a bundle."""

    def __init__(self, reader: EvidenceReader, verifier: Verifier, head: Head) -> None:
        self._reader = reader
        self._verifier = verifier
        self._head = head

    def collect(self, rules: RecordRules, memories: Memories) -> dict[str, bytes]:
        """Returns the newest word of each witness that is about the history up to the head."""
        members: dict[str, bytes] = {}
        for rule in rules.witnesses:
            if rule.kind is WitnessKind.TIMESTAMP:
                members |= self._stamps(rule.name, memories)
                continue
            note = memories.note_of(rule.name)
            if rule.kind is WitnessKind.FILE:
                note = self._from_file(rule.location) or note
            if note is not None and self._size(note) is not None:
                members[f"witnesses/{rule.name}.note"] = note
                if rule.key is not None:
                    members[f"witnesses/{rule.name}.pub"] = f"{rule.key}\n".encode()
        return members

    def _from_file(self, location: str) -> bytes | None:
        try:
            newest = read_newest(Path(location), self._verifier)
        except (CheckpointError, OSError):
            return None
        return None if newest is None else newest[0].encode()

    def _stamps(self, name: str, memories: Memories) -> dict[str, bytes]:
        members = {}
        for size, note, token in _spread(list(memories.stamps(name))):
            data = note.read_bytes()
            if self._size(data) == size:
                members[f"timestamps/{size}.note"] = data
                members[f"timestamps/{size}.tsr"] = token.read_bytes()
        return members

    def _size(self, note: bytes) -> int | None:
        """Returns the size of a checkpoint of this log that is not newer than the head."""
        try:
            size = verify_checkpoint(note.decode(), self._verifier).size
        except (CheckpointError, UnicodeDecodeError):
            return None
        return size if 0 < size <= self._head.size else None


class _Writer:
    """Adds members to a zip file and keeps their digests."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.digests: dict[str, str] = {}

    def add(self, name: str, data: bytes) -> None:
        """Adds a member."""
        with self._archive.open(name, "w") as stream:
            stream.write(data)
        self.digests[name] = hashlib.sha256(data).hexdigest()

    def add_events(
        self, reader: EvidenceReader, ranges: Sequence[tuple[int, int]], *, with_payloads: bool
    ) -> tuple[int, int]:
        """Adds the events, and their payloads where they are wanted; returns how many of each."""
        count = payloads = 0
        with self._archive.open("events.jsonl", "w", force_zip64=True) as stream:
            for first, last in ranges:
                for event in reader.stored(first, last):
                    stream.write(event.header + b"\n")
                    count += 1
        if with_payloads:
            with self._archive.open("payloads.jsonl", "w", force_zip64=True) as stream:
                payloads, self.digests["payloads.jsonl"] = _write_payloads(stream, reader, ranges)
        return count, payloads


def _write_payloads(
    stream: IO[bytes], reader: EvidenceReader, ranges: Iterable[tuple[int, int]]
) -> tuple[int, str]:
    count, digest = 0, hashlib.sha256()
    for first, last in ranges:
        for event in reader.stored(first, last):
            if event.sealed is not None:
                sealed = base64.b64encode(event.sealed).decode()
                line = _line({"seq": event.seq, "sealed": sealed})
                stream.write(line)
                digest.update(line)
                count += 1
    return count, digest.hexdigest()


@contextmanager
def _new_file(target: Path) -> Iterator[IO[bytes]]:
    """Makes a private file, and takes it away again when it was not finished."""
    with target.open("xb") as stream:
        os.fchmod(stream.fileno(), PRIVATE_FILE)
        try:
            yield stream
        except BaseException:
            target.unlink(missing_ok=True)
            raise


def _spread(stamps: list[tuple[int, Path, Path]]) -> list[tuple[int, Path, Path]]:
    """Returns some of many time stamps, evenly over the history, with the first and the last."""
    if len(stamps) <= _MOST_STAMPS:
        return stamps
    step = (len(stamps) - 1) / (_MOST_STAMPS - 1)
    return [stamps[round(i * step)] for i in range(_MOST_STAMPS)]


def _ranges(events: Iterable[int]) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    for seq in sorted(set(events)):
        if ranges and ranges[-1][1] == seq - 1:
            ranges[-1] = (ranges[-1][0], seq)
        else:
            ranges.append((seq, seq))
    return ranges


def _older(members: dict[str, bytes], verifier: Verifier) -> set[int]:
    notes = [data for name, data in members.items() if name.endswith(".note")]
    return {verify_checkpoint(note.decode(), verifier).size for note in notes}


def _proof_from(checkpoint: Checkpoint, reader: EvidenceReader, head: Head) -> list[bytes]:
    if checkpoint.size > head.size or reader.root(checkpoint.size) != checkpoint.root:
        raise CloisterError(
            "This record does not continue the checkpoint that was kept.",
            code="CLO-WITNESS-002",
            remedy="Keep all files as evidence; see: cloister lineage verify --against FILE",
        )
    return reader.consistency(checkpoint.size, head.size)


def _line(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"
