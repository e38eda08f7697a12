"""One event of the record: its header in canonical bytes, and its encrypted payload.

A header is ``{"body", "payload_sha256", "prev", "schema", "seq", "time_us", "type"}``, keys sorted.
It commits to the *ciphertext* of the payload, so a payload can later be erased, or its key
destroyed, without breaking the tree, and small payloads cannot be guessed from their digest.
The bytes that are stored are the bytes that are hashed.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from cloister.core.errors import CloisterError
from cloister.core.records import canonical_bytes
from cloister.store.executions import iso_time

if TYPE_CHECKING:
    from cloister.core.records import Json, Record

SCHEMA: Final = 1
_TYPE: Final = re.compile(r"[a-z]+(?:\.[a-z_]+)+", re.ASCII)


class PayloadState(Enum):
    """Whether the payload of an event can be read."""

    NONE = "none"
    SEALED = "sealed"
    OPEN = "open"
    ERASED = "erased"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Erasure:
    """Why a payload is gone: what its tombstone says.

    Attributes:
        seq: Number of the tombstone.
        time_us: When, microseconds since 1970 UTC.
        rule: What demanded it, for instance ``retention.classes[0].maximum_days``.
    """

    seq: int
    time_us: int
    rule: str


class PayloadErased(CloisterError):
    """A payload that was there and was erased; its event stays."""

    default_code = "CLO-ERASE-001"


@dataclass(frozen=True, slots=True)
class Entry:
    """An event as the log holds it.

    Attributes:
        seq: Its number and its leaf's index in the tree, from 0.
        time_us: When it was recorded, microseconds since 1970 UTC.
        type: What happened, for instance ``cell.intent``.
        body: The facts.
        header: The exact bytes that are hashed.
        leaf_hash: Hash of the header in the tree.
        payload: The decrypted payload where it was asked for and the key is there.
        payload_state: Why ``payload`` is there or not.
        erasure: When and by which rule it was erased, if it was.
    """

    seq: int
    time_us: int
    type: str
    body: dict[str, Any]
    header: bytes = field(repr=False)
    leaf_hash: bytes = field(repr=False)
    payload: bytes = field(default=b"", repr=False)
    payload_state: PayloadState = PayloadState.NONE
    erasure: Erasure | None = None

    def require_payload(self) -> bytes:
        """Returns the payload.

        Raises:
            PayloadErased: It was erased (``CLO-ERASE-001``); says when and by which rule.
            CloisterError: It is damaged, its key is gone, or it was not opened (``CLO-ERASE-002``).
        """
        if self.erasure is not None:
            raise PayloadErased(
                f"The payload of event {self.seq} was erased on {iso_time(self.erasure.time_us)}.",
                rule=self.erasure.rule,
                remedy=f"Event {self.erasure.seq} is its tombstone; its content is gone for good.",
            )
        if self.payload_state not in {PayloadState.OPEN, PayloadState.NONE}:
            raise CloisterError(
                f"The payload of event {self.seq} is {self.payload_state.value}.",
                code="CLO-ERASE-002",
                remedy="Open the record with the workspace's keys; then run: cloister lineage "
                "verify",
            )
        return self.payload


@dataclass(frozen=True, slots=True)
class Draft:
    """A record that passed its checks and waits for its place in the log."""

    type: str
    body: dict[str, Json]
    body_bytes: bytes = field(repr=False)
    payload: bytes = field(repr=False)

    @property
    def execution_id(self) -> str | None:
        """The execution that the record is about, for the index."""
        value = self.body.get("execution_id")
        return index_key(value) if isinstance(value, str) else None


def index_key(execution_id: str) -> str:
    """Returns an execution's id as the index has it.

    A client chooses the id; what no database takes as text (NUL, half a surrogate pair) is escaped,
    so that nobody can name an execution out of the index.
    """
    if execution_id.isascii() and "\0" not in execution_id:
        return execution_id
    return execution_id.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def draft(record: Record) -> Draft:
    """Checks a record before a transaction is open.

    Raises:
        ValueError: The type is not dotted lower-case words, or the body holds a float.
    """
    if not _TYPE.fullmatch(record.type):
        raise ValueError("a record's type is dotted lower-case words, such as cell.intent")
    return Draft(record.type, record.body, canonical_bytes(record.body), record.payload)


def restore_draft(kind: str, body: bytes, payload: bytes) -> Draft:
    """Reads a draft that another process of this account had checked and sent.

    Raises:
        ValueError: Its body is not a JSON object in canonical bytes, or the type is none.
    """
    content = json.loads(body.decode("utf-8", "surrogatepass"))
    if not isinstance(content, dict) or canonical_bytes(content) != body:
        raise ValueError("not a body in canonical bytes")
    if not _TYPE.fullmatch(kind):
        raise ValueError("not a type")
    return Draft(kind, content, body, payload)


def header_bytes(body: bytes, tail: bytes) -> bytes:
    """Joins the canonical bytes of a body and the :func:`header_tail` to a header."""
    return b'{"body":' + body + tail


def header_tail(
    seq: int, time_us: int, kind: str, prev: bytes | None, payload_digest: bytes | None
) -> bytes:
    """Returns all that follows the body in a header; ``body`` sorts first, so this is a suffix.

    Args:
        seq: Number of the event.
        time_us: Time of the event.
        kind: Type of the event.
        prev: Leaf hash of the event before, ``None`` for the first.
        payload_digest: SHA-256 of the payload's ciphertext, ``None`` without payload.
    """
    digest = "null" if payload_digest is None else f'"{payload_digest.hex()}"'
    before = "null" if prev is None else f'"{prev.hex()}"'
    return (
        f',"payload_sha256":{digest},"prev":{before},"schema":{SCHEMA},'
        f'"seq":{seq},"time_us":{time_us},"type":"{kind}"}}'
    ).encode()


def parse_body(header: bytes) -> dict[str, Any]:
    """Returns the facts of a stored header.

    Raises:
        ValueError: The bytes are not a header.
    """
    try:
        body = json.loads(header.decode("utf-8", "surrogatepass"))["body"]
    except (KeyError, TypeError) as error:
        raise ValueError("not a header") from error
    if not isinstance(body, dict):
        raise ValueError("not a header")
    return body


def committed_digest(header: bytes) -> bytes | None:
    """Returns the digest of the payload that a header commits to, ``None`` if there was none.

    Raises:
        ValueError: The bytes are not a header.
    """
    try:
        digest = json.loads(header.decode("utf-8", "surrogatepass"))["payload_sha256"]
        return None if digest is None else bytes.fromhex(digest)
    except (KeyError, TypeError) as error:
        raise ValueError("not a header") from error


def payload_digest(sealed: bytes | None) -> bytes | None:
    """Returns what a header commits to."""
    return None if sealed is None else hashlib.sha256(sealed).digest()
