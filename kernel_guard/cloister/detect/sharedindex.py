"""An index in memory that two processes of one sidecar have in common.

A process that checks outputs needs the same index as the gate. What it holds is in files without
names (memfd_create(2)), which the other process maps: one copy, however many values. Nobody but
these two processes has their descriptors, and nothing of it is on a disk.
"""

from __future__ import annotations

import mmap
import os
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from cloister.detect.entries import Entries

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cloister.detect.entries import Kind
    from cloister.detect.exact import ExactIndex

_ARRAYS: Final = ("old", "new", "present")


@dataclass(frozen=True, slots=True)
class Shared:
    """What the other process needs to map an index, besides open descriptors.

    Attributes:
        kinds: Entity types and forms.
        shift: Of the filter.
        lengths: Bytes of the arrays, in the order of the descriptors.
        moves: How often an array was put into another file; the same descriptor may be of one.
    """

    kinds: tuple[Kind, ...]
    shift: int
    lengths: tuple[int, int, int]
    moves: int


class IndexLender:
    """Lends an index to another process: the gate's side.

    Args:
        index: Its arrays are moved once and then shared; it goes on as before.
    """

    def __init__(self, index: ExactIndex) -> None:
        self._index = index
        self._descriptors: dict[int, int] = {}  # of arrays that live in shared memory
        self._moves = 0

    def lend(self) -> tuple[Shared, list[int]] | None:
        """Returns what the index holds now, ``None`` while it holds nothing.

        The descriptors stay this object's.
        """
        entries = self._index.move(self._placed)
        if entries is None:
            return None
        arrays: list[NDArray[Any]] = [getattr(entries, name) for name in _ARRAYS]
        old, new, present = (array.nbytes for array in arrays)
        shared = Shared(entries.kinds, int(entries.shift), (old, new, present), self._moves)
        return shared, [self._descriptors[id(array)] for array in arrays]

    def _placed(self, array: NDArray[Any]) -> NDArray[Any]:
        if id(array) in self._descriptors:
            return array
        self._moves += 1
        fd = os.memfd_create("cloister-index", os.MFD_CLOEXEC)
        os.ftruncate(fd, max(1, array.nbytes))
        moved = _mapped(fd, array.nbytes, array.dtype, mmap.PROT_READ | mmap.PROT_WRITE)
        moved[:] = array
        self._descriptors[id(moved)] = fd
        weakref.finalize(moved, self._drop, id(moved))
        return moved

    def _drop(self, name: int) -> None:
        os.close(self._descriptors.pop(name))


def borrow(index: ExactIndex, shared: Shared, descriptors: list[int]) -> None:
    """Makes an index hold what another process has lent; takes the descriptors."""
    arrays = [
        _mapped(fd, length, np.dtype(kind), mmap.PROT_READ)
        for fd, length, kind in zip(
            descriptors, shared.lengths, (np.uint64, np.uint64, np.uint8), strict=True
        )
    ]
    for fd in descriptors:
        os.close(fd)
    old, new, present = arrays
    index.take(Entries(old, new, shared.kinds, present, np.uint64(shared.shift)))


def _mapped(fd: int, length: int, dtype: np.dtype[Any], access: int) -> NDArray[Any]:
    if not length:
        return np.zeros(0, dtype)
    return np.frombuffer(mmap.mmap(fd, length, prot=access), dtype)
