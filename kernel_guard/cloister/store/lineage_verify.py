"""Checks that a lineage log is whole: nothing changed, removed, moved, forged or cut off.

One pass over the events recomputes every hash from the stored bytes and trusts only the public key
(and the witness, which the same key signed). What it cannot see, by nature: an administrator who
holds the signing key and replaces the witness too, and a whole home that is put back to an older
state. Copy the witness to another host to see those.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from json.encoder import encode_basestring
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloister.core.errors import StoreUnavailable
from cloister.store.checkpoint import Checkpoint, CheckpointError, Verifier, verify_checkpoint
from cloister.store.database import DAMAGED
from cloister.store.entry import header_tail, index_key, parse_body
from cloister.store.lineage_sqlite import SqliteSource
from cloister.store.lineage_stores import readable_source
from cloister.store.mentions import MentionCheck, names_in
from cloister.store.merkle import Frontier, leaf_hash, verify_inclusion
from cloister.store.witness import read_witness

if TYPE_CHECKING:
    from cloister.store.home import Home
    from cloister.store.keys import Keyring
    from cloister.store.lineage_store import LineageSource, Rows

_EXECUTION_KEY: Final = b'"execution_id":"'


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What verification found.

    Attributes:
        ok: Whether the log is whole.
        events: Events that were read and fit.
        root: Root hash over them, hex.
        checkpoints: Signed checkpoints that fit, the newest one included.
        first_bad: Number of the first event that is wrong or missing, where that is known.
        problems: What is wrong, in words, without any recorded value.
    """

    ok: bool
    events: int
    root: str
    checkpoints: int
    first_bad: int | None
    problems: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Returns the report in the shape of ``cloister lineage verify --json``."""
        return {
            "ok": self.ok,
            "events": self.events,
            "root": self.root,
            "checkpoints": self.checkpoints,
            "first_bad": self.first_bad,
            "problems": list(self.problems),
        }


def verify_home(home: Home, keyring: Keyring) -> VerifyReport:
    """Checks the log of a workspace against its own key and witness.

    Raises:
        StoreUnavailable: The log cannot be read for a reason that is not damage, such as a lock.
    """
    verifier = Verifier(keyring.key_name, keyring.public_key_bytes)
    return verify_log(home, verifier, home.witness_path, needs_witness=True)


def verify_log(
    place: Home | Path,
    verifier: Verifier,
    witness_path: Path | None = None,
    *,
    needs_witness: bool = False,
) -> VerifyReport:
    """Checks a log.

    Args:
        place: The workspace, or a copy of its database in SQLite.
        verifier: Whose signature counts.
        witness_path: A checkpoint that was kept elsewhere, if there is one.
        needs_witness: Whether a log with events but without a witness is a problem.

    Raises:
        StoreUnavailable: The log cannot be read for a reason that is not damage, such as a lock.
    """
    source = SqliteSource(place) if isinstance(place, Path) else readable_source(place)
    return verify_source(source, verifier, witness_path, needs_witness=needs_witness)


def verify_source(
    source: LineageSource,
    verifier: Verifier,
    witness_path: Path | None = None,
    *,
    needs_witness: bool = False,
) -> VerifyReport:
    """Checks the log in a database, and closes it; see :func:`verify_log`."""
    scan = _Scan(verifier)
    # The witness first: the log may only be longer than what was witnessed before it was read.
    witness = _witness_of(witness_path, verifier, scan)
    try:
        with source.reading() as rows:
            if rows is not None:
                scan.run(rows, witness)
            elif witness is not None and witness.size:
                scan.fail(f"the database is gone, while the witness knows {witness.size} events", 0)
    except StoreUnavailable as refusal:
        if refusal.code != DAMAGED:
            raise
        scan.fail("the database is damaged", scan.frontier.size)
    finally:
        source.close()
    if needs_witness and witness is None and scan.frontier.size and not scan.problems:
        scan.fail("the witness is missing", None)
    return scan.report()


def verify_proof(proof: dict[str, Any], verifier: Verifier) -> Checkpoint:
    """Checks what :meth:`LineageReader.prove` returned, offline.

    Returns:
        The signed checkpoint that covers the event.

    Raises:
        ValueError: It is not a proof, or it does not hold.
    """
    try:
        header = proof["header"].encode("utf-8", "surrogatepass")
        path = [bytes.fromhex(node) for node in proof["path"]]
        checkpoint = verify_checkpoint(proof["checkpoint"], verifier)
        seq = json.loads(header.decode("utf-8", "surrogatepass"))["seq"]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("this is not a proof") from error
    if seq != proof.get("seq"):
        raise ValueError("the proof is for another event")
    if not verify_inclusion(leaf_hash(header), seq, checkpoint.size, path, checkpoint.root):
        raise ValueError("the event is not in the log that the checkpoint signs")
    return checkpoint


class _Scan:
    """One pass; stops at the first event that is wrong, because nothing after it can be judged."""

    def __init__(self, verifier: Verifier) -> None:
        self.frontier = Frontier.empty()
        self.problems: list[str] = []
        self._verifier = verifier
        self._first_bad: int | None = None
        self._checkpoints = 0
        self._prev: bytes | None = None
        self._mentions = MentionCheck()

    def fail(self, problem: str, seq: int | None) -> None:
        if self._first_bad is None:
            self._first_bad = seq
        self.problems.append(problem)

    def report(self) -> VerifyReport:
        return VerifyReport(
            not self.problems,
            self.frontier.size,
            self.frontier.root().hex(),
            self._checkpoints,
            self._first_bad,
            tuple(self.problems),
        )

    def run(self, rows: Rows, witness: Checkpoint | None) -> None:
        notes: dict[int, str] = {}
        notes.update(tuple(row) for row in rows.execute("SELECT size, note FROM checkpoint"))
        head = rows.execute("SELECT size, frontier, last_leaf, note FROM head").fetchone()
        if self._scan_events(rows, notes, witness):
            self._check_end(notes, head, witness)
            index = rows.stream("SELECT name, seq FROM mention ORDER BY name, seq")
            if not self._mentions.is_equal(index):
                self.fail("the index of kernels, users and datasets does not fit the events", None)

    def _scan_events(self, source: Rows, notes: dict[int, str], witness: Checkpoint | None) -> bool:
        """Reads all events; returns whether they fit each other and the checkpoints on the way."""
        stops = set(notes) | ({witness.size} if witness else set())
        frontier, prev = self.frontier, None
        rows = source.stream(
            "SELECT seq, time_us, type, execution_id, header, payload, nodes"
            " FROM event ORDER BY seq"
        )
        for row in rows:
            seq = frontier.size
            try:
                problem = _event_problem(row, seq, prev)
            except (TypeError, ValueError, AttributeError):
                problem = "is not stored in the way it was written"  # a value of another type
            if problem is not None:
                bad = seq
                if problem is _BROKEN_LINK:
                    # The link is wrong here, or right and the event before was written anew.
                    is_whole = leaf_hash(row[4]) == row[6][: len(prev or b"")]
                    bad, problem = (seq - 1, problem) if is_whole else (seq, _WRONG_LINK)
                self.fail(f"event {bad} {problem}", bad)
                return False
            prev = leaf_hash(row[4])
            self._mentions.want(seq, names_in(row[2], row[4]))
            if b"".join(frontier.append(prev)) != row[6]:
                self.fail(f"event {seq} does not have the hash that was stored with it", seq)
                return False
            if frontier.size in stops and not self._check_stop(notes, witness):
                return False
        self._prev = prev
        return True

    def _check_stop(self, notes: dict[int, str], witness: Checkpoint | None) -> bool:
        size = self.frontier.size
        if size in notes and not self._check_note(notes[size], size):
            return False
        if witness and witness.size == size and witness.root != self.frontier.root():
            self.fail(f"the first {size} events differ from what the witness knows", None)
            return False
        return True

    def _check_note(self, note: str, size: int) -> bool:
        try:
            signed = verify_checkpoint(note, self._verifier)
        except (CheckpointError, TypeError, AttributeError):
            self.fail(f"the checkpoint over {size} events is not signed by the log's key", None)
            return False
        if (signed.size, signed.root) != (size, self.frontier.root()):
            self.fail(f"the events up to {size} differ from what its checkpoint signs", None)
            return False
        self._checkpoints += 1
        return True

    def _check_end(
        self, notes: dict[int, str], head: tuple[Any, ...] | None, witness: Checkpoint | None
    ) -> None:
        size = self.frontier.size
        if witness and witness.size > size:
            self.fail(f"{size} events are left of {witness.size} that the witness knows", size)
        if min(notes, default=1) < 1:
            self.fail("a checkpoint is filed under a size at which there is none", None)
        longest = max(notes, default=0)
        if longest > size:
            self.fail(f"{size} events are left of {longest} that a checkpoint covers", size)
        if head is None:
            self.fail("the head is missing", size)
            return
        if head[0] != size:
            self.fail(f"the head counts {head[0]} events, and {size} are there", size)
        elif (head[1], head[2]) != (self.frontier.serialize(), self._prev):
            self.fail("the head does not fit the events", None)
        self._check_note(head[3], size)


_BROKEN_LINK: Final = "is not the event that the next one follows"
_WRONG_LINK: Final = "does not follow the event before it"


def _event_problem(row: tuple[Any, ...], seq: int, prev: bytes | None) -> str | None:
    """Returns what is wrong with an event by itself and with its place, or ``None``."""
    found, time_us, kind, execution_id, header, payload, _ = row
    if found != seq:
        return "is missing" if found > seq else "has a number that no event has"
    digest = None if payload is None else hashlib.sha256(payload).digest()
    if not header.endswith(header_tail(seq, time_us, kind, prev, digest)):
        return _tail_problem(header, time_us, kind, prev, seq)
    if execution_id is None:
        is_indexed_right = (
            _EXECUTION_KEY not in header or parse_body(header).get("execution_id") is None
        )
    else:
        is_indexed_right = b'"execution_id":' + _json_text(execution_id) in header or (
            index_key(str(parse_body(header).get("execution_id"))) == execution_id
        )
    return None if is_indexed_right else "is filed under another execution"


def _tail_problem(
    header: bytes, time_us: int, kind: str, prev: bytes | None, seq: int
) -> str | None:
    try:
        stored = json.loads(header.decode("utf-8", "surrogatepass"))
        if stored["seq"] != seq:
            return "is in the place of another"
        if stored["prev"] != (None if prev is None else prev.hex()):
            return _BROKEN_LINK if seq else "does not begin the log"
        if (stored["time_us"], stored["type"]) != (time_us, kind):
            return "is filed under another type or time"
    except (ValueError, KeyError, TypeError):
        return "does not have a header"
    return "has another payload than its header commits to"


def _json_text(value: str) -> bytes:
    # What json.dumps() does with a string, without building an encoder for each event.
    return encode_basestring(value).encode("utf-8", "surrogatepass")


def _witness_of(path: Path | None, verifier: Verifier, scan: _Scan) -> Checkpoint | None:
    if path is None:
        return None
    try:
        return read_witness(path, verifier)
    except (CheckpointError, OSError):
        scan.fail("the witness is not a checkpoint that the log's key signed", None)
        return None
