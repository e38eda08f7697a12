"""One event of the record: its header in canonical bytes, and its encrypted payload.

A header is ``{"body", "payload_sha256", "prev", "schema", "seq", "time_us", "type"}``, keys sorted.
It commits to the *ciphertext* of the payload, so a payload can later be erased, or its key
destroyed, without breaking the tree, and small payloads cannot be guessed from their digest.
The bytes that are stored are the bytes that are hashed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from cloister.core.records import canonical_bytes

if TYPE_CHECKING:
    from cloister.core.records import Json, Record
    from cloister.store.keys import Keyring

SCHEMA: Final = 1
_TYPE: Final = re.compile(r"[a-z]+(?:\.[a-z_]+)+", re.ASCII)
_NONCE_BYTES: Final = 12


class PayloadState(Enum):
    """Whether the payload of an event can be read."""

    NONE = "none"
    SEALED = "sealed"
    OPEN = "open"
    DAMAGED = "damaged"


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
    """

    seq: int
    time_us: int
    type: str
    body: dict[str, Any]
    header: bytes = field(repr=False)
    leaf_hash: bytes = field(repr=False)
    payload: bytes = field(default=b"", repr=False)
    payload_state: PayloadState = PayloadState.NONE


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


class PayloadBox:
    """Encrypts payloads with AES-256-GCM, bound to the workspace and the event's number.

    A random nonce is safe for 2**32 payloads of one key (NIST SP 800-38D section 8.3).
    """

    def __init__(self, keyring: Keyring) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher = AESGCM(keyring.payload_key)
        self._workspace = keyring.key_name.encode()

    def seal(self, seq: int, payload: bytes) -> bytes:
        """Returns nonce and ciphertext of a payload."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, payload, self._bound_to(seq))

    def open(self, seq: int, sealed: bytes) -> bytes | None:
        """Returns the payload, or ``None`` when it was changed or belongs elsewhere."""
        from cryptography.exceptions import InvalidTag

        try:
            nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            return self._cipher.decrypt(nonce, ciphertext, self._bound_to(seq))
        except (InvalidTag, ValueError):
            return None

    def _bound_to(self, seq: int) -> bytes:
        return b"cloister-payload-v1\0" + self._workspace + b"\0" + seq.to_bytes(8, "big")


def payload_digest(sealed: bytes | None) -> bytes | None:
    """Returns what a header commits to."""
    return None if sealed is None else hashlib.sha256(sealed).digest()
