"""What the gate and its checking process hand each other: one datagram, its bulk in sealed memory.

A datagram arrives whole or not at all, so a process that ends in the middle of a sentence has said
nothing. The bulk lies in a file without a name (memfd_create(2)) that goes along with the datagram:
no socket buffer limits it, and nothing of it is on a disk.
"""

from __future__ import annotations

import json
import mmap
import os
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_HEAD_BYTES: Final = 64 * 1024
_MOST_DESCRIPTORS: Final = 8


@dataclass(slots=True)
class Parcel:
    """One thing said.

    Attributes:
        head: A small JSON object.
        parts: Bulk.
        descriptors: Open files that go along; who receives them closes them.
    """

    head: dict[str, Any]
    parts: list[bytes] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)


def send(link: socket.socket, parcel: Parcel) -> None:
    """Sends a parcel.

    Raises:
        OSError: The other side is gone, or there is no memory for the bulk.
    """
    lengths = [len(part) for part in parcel.parts]
    head = json.dumps({"head": parcel.head, "lengths": lengths}).encode()
    bulk = os.memfd_create("cloister-parcel", os.MFD_CLOEXEC)
    try:
        for part in parcel.parts:
            _write(bulk, part)
        socket.send_fds(link, [head], [bulk, *parcel.descriptors])
    finally:
        os.close(bulk)


def receive(link: socket.socket) -> Parcel | None:
    """Returns the next parcel, ``None`` when the other side is gone.

    Raises:
        OSError, ValueError: What came is no parcel.
    """
    head, descriptors, _flags, _address = socket.recv_fds(link, _MOST_HEAD_BYTES, _MOST_DESCRIPTORS)
    if not head:
        return None
    bulk, *others = descriptors
    try:
        said = json.loads(head)
        parts, at = [], 0
        for length in said["lengths"]:
            parts.append(_read(bulk, length, at))
            at += length
    finally:
        os.close(bulk)
    return Parcel(said["head"], parts, others)


def _write(fd: int, data: Sequence[int] | bytes) -> None:
    rest = memoryview(data)  # type: ignore[arg-type] # frames of ZMQ are bytes or memory
    while rest:
        rest = rest[os.write(fd, rest) :]


def _read(fd: int, length: int, at: int) -> bytes:
    if not length:
        return b""
    start = at - at % mmap.ALLOCATIONGRANULARITY
    with mmap.mmap(fd, length + at - start, offset=start, prot=mmap.PROT_READ) as mapped:
        return mapped[at - start : at - start + length]
