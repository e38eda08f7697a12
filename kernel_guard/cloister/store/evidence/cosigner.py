"""A witness of logs: remembers the largest tree that it saw of each, and signs what extends it.

This decides what C2SP tlog-witness says about ``add-checkpoint``. It trusts the public keys of the
logs that its operator named, and nothing in a request. Its promise is never to cosign two histories
of one log that do not continue each other, and never a smaller tree after a larger one; so what it
has seen is durable before it answers, and a witness whose memory is lost does not start again.

State: a directory of its own (mode 0700), with ``witness.key``, ``witness.pub`` and ``state.db``.
Run it under another account, better on another host, than the logs that it watches.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cloister.core.errors import CloisterError
from cloister.store.checkpoint import Checkpoint, CheckpointError, Verifier, verify_checkpoint
from cloister.store.database import connect
from cloister.store.evidence.cosignature import COSIGNED, cosign
from cloister.store.evidence.record_verifier import Key, Note, parse_note
from cloister.store.files import PRIVATE_DIR, NotPrivateError, create_exclusive, read_private
from cloister.store.merkle import verify_consistency

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MOST_REQUEST_BYTES: Final = 65_536
_MOST_PROOF_LINES: Final = 63  # tlog-witness: a client must not send more
_MOST_CONFLICTS: Final = 1000  # kept for each log; one is enough to prove it
_KEY_PREFIX: Final = "PRIVATE+KEY"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")
_OLD: Final = re.compile(r"old (0|[1-9][0-9]{0,18})")

_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS log (
        origin TEXT PRIMARY KEY, public_key BLOB NOT NULL, size INTEGER NOT NULL,
        root BLOB NOT NULL, note TEXT NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS conflict (
        id INTEGER PRIMARY KEY, origin TEXT NOT NULL, time_s INTEGER NOT NULL, note TEXT NOT NULL,
        UNIQUE (origin, note))""",
)


class CosignerError(CloisterError):
    """A witness cannot be made or started."""

    default_code = "CLO-WITNESS-004"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a witness answers: an HTTP status, a body and its type."""

    status: int
    body: str
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Watched:
    """What a witness knows of one log.

    Attributes:
        origin: The log's name.
        size: Events of the largest tree that was cosigned.
        conflicts: Signed checkpoints that do not continue it; proof against the log's operator.
    """

    origin: str
    size: int
    conflicts: int


class Cosigner:
    """One witness. Safe to call from several threads and processes.

    Args:
        directory: Its state, made by :func:`create_cosigner`.
        now_s: Clock, seconds since 1970.

    Raises:
        CosignerError: Its key or its memory is missing or damaged.
    """

    def __init__(self, directory: Path, *, now_s: Callable[[], float] = time.time) -> None:
        self._now_s = now_s
        self._signer, name = _read_key(directory)
        self.key = Key(name, COSIGNED, self._signer.public_key().public_bytes_raw())
        self._path = directory / "state.db"
        if not self._path.exists():
            raise CosignerError(
                "The memory of this witness is gone; a witness that forgot could sign a second "
                "history.",
                remedy="Make a new witness with a new name: cloister witness init",
            )

    @property
    def verifier_line(self) -> str:
        """The public key as a C2SP verifier key of the type for cosignatures."""
        encoded = base64.b64encode(bytes([COSIGNED]) + self.key.public).decode()
        return f"{self.key.name}+{self.key.identifier().hex()}+{encoded}"

    def trust(self, log: Verifier) -> None:
        """Watches one more log, or a watched one under the key that follows its old one.

        Raises:
            CosignerError: A log of this name is watched already, with a key that this one does not
                follow.
        """
        connection = connect(self._path)
        try:
            connection.execute("BEGIN IMMEDIATE")
            row = connection.execute(
                "SELECT public_key FROM log WHERE origin = ?", (log.name,)
            ).fetchone()
            is_new = row is not None and row[0] != log.public_key
            # The watched key itself says, by a succession that it signed, that this one follows.
            if is_new and row[0] in [era.public_key for era in log.eras[:-1]]:
                connection.execute(
                    "UPDATE log SET public_key = ? WHERE origin = ?", (log.public_key, log.name)
                )
            elif is_new:
                raise CosignerError(
                    "A log of this name is watched already, with another key.",
                    remedy="A log whose key changed is a new log and needs a new name.",
                )
            connection.execute(
                "INSERT OR IGNORE INTO log VALUES (?, ?, 0, x'', '')", (log.name, log.public_key)
            )
            connection.execute("COMMIT")
        finally:
            connection.close()

    def watched(self) -> list[Watched]:
        """Returns what the witness knows of each log."""
        connection = connect(self._path)
        try:
            rows = connection.execute(
                "SELECT origin, size, (SELECT count(*) FROM conflict WHERE origin = log.origin)"
                " FROM log ORDER BY origin"
            )
            return [Watched(*row) for row in rows]
        finally:
            connection.close()

    def add_checkpoint(self, request: bytes) -> Answer:
        """Answers one ``add-checkpoint`` request (C2SP tlog-witness).

        Args:
            request: Old size line, consistency proof lines, empty line, checkpoint.
        """
        parsed = _parse_request(request)
        if parsed is None:
            return Answer(400, "this is not a request to add a checkpoint\n")
        old_size, proof, note = parsed
        sent = parse_note(note)
        if sent is None:
            return Answer(400, "this is not a checkpoint\n")
        connection = connect(self._path)
        try:
            connection.execute("BEGIN IMMEDIATE")
            answer = self._decide(connection, old_size, proof, sent)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        finally:
            connection.close()
        return answer

    def _decide(
        self, connection: sqlite3.Connection, old_size: int, proof: list[bytes], sent: Note
    ) -> Answer:
        """Compares a checkpoint with the memory and, if it continues it, makes it the memory."""
        name, note = sent.origin, sent.data.decode()
        row = connection.execute(
            "SELECT public_key, size, root FROM log WHERE origin = ?", (name,)
        ).fetchone()
        if row is None:
            return Answer(404, "this log is not watched here\n")
        public_key, size, root = row
        try:
            checkpoint = verify_checkpoint(note, Verifier(name, public_key))
        except CheckpointError:
            return Answer(403, "the checkpoint is not signed by the log's key\n")
        known = Checkpoint(name, size, root)
        status, is_conflict = _judge(known, checkpoint, old_size, proof)
        if is_conflict:
            self._keep_conflict(connection, name, note)
        if status == 409:
            return Answer(409, f"{size}\n", "text/x.tlog.size")
        if status != 200:
            return Answer(status, "the proof does not show that the log only grew\n")
        connection.execute(
            "UPDATE log SET size = ?, root = ?, note = ? WHERE origin = ?",
            (checkpoint.size, checkpoint.root, note, name),
        )
        return Answer(200, cosign(sent.body, self.key, int(self._now_s()), self._signer.sign))

    def _keep_conflict(self, connection: sqlite3.Connection, origin: str, note: str) -> None:
        """Keeps a signed checkpoint that may prove that a log showed two histories."""
        (count,) = connection.execute(
            "SELECT count(*) FROM conflict WHERE origin = ?", (origin,)
        ).fetchone()
        if count < _MOST_CONFLICTS:
            connection.execute(
                "INSERT OR IGNORE INTO conflict (origin, time_s, note) VALUES (?, ?, ?)",
                (origin, int(self._now_s()), note),
            )


def create_cosigner(directory: Path, name: str) -> Cosigner:
    """Makes a witness: a key, and a memory without logs.

    Args:
        directory: Where; made if it is not there, and private.
        name: Name of the key, better a URL without its scheme, such as ``audit.example.org/w1``.

    Raises:
        CosignerError: The name is not one, or a witness is there already.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not _NAME.fullmatch(name):
        raise CosignerError(
            "The name of a witness is letters, digits, dots, dashes and slashes.",
            remedy="Choose a name such as audit.example.org/w1",
        )
    directory.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
    signer = Ed25519PrivateKey.generate()
    key = Key(name, COSIGNED, signer.public_key().public_bytes_raw())
    encoded = base64.b64encode(bytes([COSIGNED]) + signer.private_bytes_raw()).decode()
    line = f"{_KEY_PREFIX}+{name}+{key.identifier().hex()}+{encoded}\n"
    if (directory / "state.db").exists() or not create_exclusive(
        directory / "witness.key", line.encode()
    ):
        raise CosignerError(
            "There is a witness already.", remedy="Use another directory, or keep this one."
        )
    connection = connect(directory / "state.db")
    try:
        for statement in _SCHEMA:
            connection.execute(statement)
    finally:
        connection.close()
    made = Cosigner(directory)
    create_exclusive(directory / "witness.pub", f"{made.verifier_line}\n".encode())
    return made


def _judge(
    known: Checkpoint, new: Checkpoint, old_size: int, proof: list[bytes]
) -> tuple[int, bool]:
    """Returns the HTTP status for a signed checkpoint, and whether it contradicts what is known."""
    if old_size > new.size:
        return 400, False
    is_other = new.size == known.size > 0 and new.root != known.root
    if old_size != known.size or is_other:
        return 409, is_other
    if known.size in {0, new.size}:
        return (422 if proof else 200), False
    if verify_consistency(known.size, known.root, new.size, new.root, proof):
        return 200, False
    return 422, True


def _parse_request(request: bytes) -> tuple[int, list[bytes], bytes] | None:
    if len(request) > MOST_REQUEST_BYTES:
        return None
    try:
        text, separator, _ = request.decode().partition("\n\n")
    except UnicodeDecodeError:
        return None
    first, *lines = text.split("\n")
    match = _OLD.fullmatch(first)
    if not separator or match is None or len(lines) > _MOST_PROOF_LINES:
        return None
    try:
        proof = [base64.b64decode(line, validate=True) for line in lines]
    except (binascii.Error, ValueError):
        return None
    return int(match[1]), proof, request.split(b"\n\n", 1)[1]


def _read_key(directory: Path) -> tuple[Ed25519PrivateKey, str]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        text = read_private(directory / "witness.key", 1024).decode("ascii").strip()
        prefix, marker, name, _, encoded = text.split("+", 4)
        raw = base64.b64decode(encoded, validate=True)
        if f"{prefix}+{marker}" != _KEY_PREFIX or raw[:1] != bytes([COSIGNED]):
            raise ValueError
        return Ed25519PrivateKey.from_private_bytes(raw[1:]), name
    except (OSError, NotPrivateError, ValueError, binascii.Error):
        raise CosignerError(
            "The key of this witness is missing, damaged or not private.",
            remedy="Make a witness with: cloister witness init DIR --name NAME",
        ) from None
