"""Checks that a lineage log is whole: nothing changed, removed, moved, forged or cut off.

One pass over the events recomputes every hash from the stored bytes and trusts only the public key
(and the witness, which the same key signed). What it cannot see, by nature: an administrator who
holds the signing key and replaces the witness too, and a whole home that is put back to an older
state. Copy the witness to another host to see those.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloister.core.errors import StoreUnavailable
from cloister.store.checkpoint import Checkpoint, CheckpointError, Verifier, verify_checkpoint
from cloister.store.database import DAMAGED
from cloister.store.keys import key_id, open_keyring
from cloister.store.lineage_scan import Full, Stop
from cloister.store.lineage_schema import SINCE_DATA_KEYS
from cloister.store.lineage_second_scan import two_scans
from cloister.store.lineage_seen import Seen
from cloister.store.lineage_stores import source_at
from cloister.store.mentions import indexed_by
from cloister.store.merkle import Frontier, leaf_hash, verify_inclusion
from cloister.store.payloads import PayloadBox
from cloister.store.signing import announced_lines
from cloister.store.succession import ANNOUNCED, SuccessionError, verifier_of
from cloister.store.witness import read_witness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from cloister.store.home import Home
    from cloister.store.keys import Keyring
    from cloister.store.lineage_scan import Step
    from cloister.store.lineage_store import LineageSource, Rows


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
    box = PayloadBox(keyring, lambda: open_keyring(home))

    def opens(seq: int, generation: int, wrapped: bytes) -> bool:
        try:
            return box.unwrap(seq, (generation, bytes(wrapped))) is not None
        except (TypeError, OverflowError):
            return False  # a value of another type

    return verify_source(
        source_at(home),
        keyring.verifier,
        home.witness_path,
        place=home,
        needs_witness=True,
        opens=opens,
    )


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
    source = source_at(place)
    return verify_source(source, verifier, witness_path, place=place, needs_witness=needs_witness)


def verify_source(
    source: LineageSource,
    verifier: Verifier,
    witness_path: Path | None = None,
    *,
    place: Home | Path | None = None,
    needs_witness: bool = False,
    opens: Callable[[int, int, bytes], bool] | None = None,
) -> VerifyReport:
    """Checks the log in a database, and closes it; see :func:`verify_log`.

    Args:
        source: The database.
        verifier: Whose signature counts.
        witness_path: A checkpoint that was kept elsewhere, if there is one.
        place: Where another process can open the database, too; then a long log is read by two.
        needs_witness: Whether a log with events but without a witness is a problem.
        opens: Whether a data key opens; see :class:`cloister.store.tombstones.ErasureCheck`.
    """
    scan = _Scan(verifier, place, opens)
    witness = None
    try:
        scan.learn_keys(source)
        # The witness first: the log may only be longer than what was witnessed before it was read.
        witness = scan.read_witness(witness_path, source)
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

    def __init__(
        self,
        verifier: Verifier,
        place: Home | Path | None,
        opens: Callable[[int, int, bytes], bool] | None,
    ) -> None:
        self.frontier = Frontier.empty()
        self.problems: list[str] = []
        self._verifier = verifier
        self._place = place
        self._first_bad: int | None = None
        self._checkpoints = 0
        self._prev: bytes | None = None
        self._seen = Seen()
        self._opens = opens

    def learn_keys(self, source: LineageSource) -> None:
        """Learns from the log which signing key followed which, each signed by the one before."""
        with source.reading() as rows:
            if rows is None:
                return
            headers = rows.execute(
                "SELECT header FROM event WHERE type = :type ORDER BY seq", {"type": ANNOUNCED}
            ).fetchall()
        given = self._verifier
        try:
            self._verifier = verifier_of(
                given.name, given.public_key, announced_lines([row[0] for row in headers])
            )
        except SuccessionError as error:
            self.fail(f"the log announces a signing key that cannot be: {error}", None)

    def read_witness(self, path: Path | None, source: LineageSource) -> Checkpoint | None:
        """Returns what the witness knows; the key may be replaced while this looks."""
        if path is None:
            return None
        try:
            return read_witness(path, self._verifier)
        except (CheckpointError, OSError):
            self.learn_keys(source)
        try:
            return read_witness(path, self._verifier)
        except (CheckpointError, OSError):
            self.fail("the witness is not a checkpoint that the log's key signed", None)
            return None

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
        self._seen = Seen(rows.version)
        notes: dict[int, str] = {}
        notes.update(tuple(row) for row in rows.execute("SELECT size, note FROM checkpoint"))
        head = rows.execute("SELECT size, frontier, last_leaf, note FROM head").fetchone()
        if self._scan_events(rows, notes, witness):
            self._check_end(notes, head, witness)
            self._check_signer(rows)
            self._check_index(rows)
            for problem, seq in self._seen.erasures.problems(rows, self._opens):
                self.fail(problem, seq)

    def _check_index(self, rows: Rows) -> None:
        if indexed_by(rows.version) is None:
            # Made before there was an index; the next writer makes it. One that is there all the
            # same answers questions and was checked by nobody.
            question = "SELECT 1 FROM sqlite_schema WHERE name = 'mention'"
            if rows.execute(question).fetchone():
                self.fail("there is an index that its version of the tables had not", None)
            return
        index = rows.stream("SELECT name, seq FROM mention ORDER BY name, seq")
        if not self._seen.mentions.is_equal(index):
            self.fail("the index of kernels, users and datasets does not fit the events", None)

    def _scan_events(self, rows: Rows, notes: dict[int, str], witness: Checkpoint | None) -> bool:
        """Reads all events; returns whether they fit each other and the checkpoints on the way."""
        stops = set(notes) | ({witness.size} if witness else set())
        newest = rows.execute("SELECT max(seq) FROM event").fetchone()[0]
        with two_scans(self._place, rows, newest, stops, self._seen) as parts:
            return all(self._follow(steps, notes, witness) for steps in parts)

    def _follow(
        self, steps: Iterable[Step], notes: dict[int, str], witness: Checkpoint | None
    ) -> bool:
        """Puts the subtrees of a walk where they belong; returns whether all is well so far."""
        before = self.frontier
        for step in steps:
            if isinstance(step, Stop):
                self.frontier = Frontier(step.size, [*before.hashes, *step.local])
                if not self._check_stop(notes, witness):
                    return False
            elif isinstance(step, Full):
                above = before.append_subtree(step.level, step.node)
                if b"".join(above) != step.above:
                    seq = step.size - 1
                    self.fail(f"event {seq} does not have the hash that was stored with it", seq)
                    break
            else:
                size = before.size + step.local.size
                self.frontier = Frontier(size, [*before.hashes, *step.local.hashes])
                self._prev = step.prev
                if step.failure is not None:
                    raise step.failure
                if step.problem is not None:
                    self.fail(*step.problem)
                return step.problem is None
        self.frontier = before
        return False

    def _check_signer(self, rows: Rows) -> None:
        """Compares who signs next, by the head, with what the log announces."""
        if rows.version < SINCE_DATA_KEYS:
            return
        row = rows.execute("SELECT signer FROM head").fetchone()
        eras, name = self._verifier.eras, self._verifier.name
        expected = key_id(name, eras[-1].public_key).hex() if eras else None
        if row is not None and row[0] != expected:
            self.fail("the head names another signing key than the log announced", None)

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
