"""The Merkle tree of RFC 9162, section 2.1: hashes, growth, and the two proofs. Pure.

A tree is known by its size and the hashes of its *complete* subtrees. Node ``(level, index)`` is
the root of the leaves ``index * 2**level`` up to ``(index + 1) * 2**level - 1``. Whoever stores
those nodes answers every proof with a number of lookups that grows with the tree's logarithm.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import Final, TypeAlias

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()

Node: TypeAlias = tuple[int, int]
NodeReader: TypeAlias = Callable[[int, int], bytes]
"""Returns the hash of a complete subtree, by level and index."""


def leaf_hash(content: bytes) -> bytes:
    """Returns the hash of a leaf; the prefix keeps leaves and nodes apart (section 2.1.1)."""
    return sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Returns the hash of an inner node (section 2.1.1)."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(slots=True)
class Frontier:
    """The right edge of a growing tree: all that the next leaf needs.

    Attributes:
        size: Number of leaves.
        hashes: Roots of the complete subtrees that make up the tree, largest (leftmost) first;
            as many as ``size`` has one bits.
    """

    size: int
    hashes: list[bytes]

    @classmethod
    def empty(cls) -> Frontier:
        """Returns the edge of a tree without leaves."""
        return cls(0, [])

    @classmethod
    def parse(cls, size: int, data: bytes) -> Frontier:
        """Reads what :meth:`serialize` wrote.

        Raises:
            ValueError: The number of hashes does not fit the size.
        """
        if size < 0 or len(data) != size.bit_count() * HASH_BYTES:
            raise ValueError("the frontier does not fit the size of its tree")
        return cls(size, [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)])

    def serialize(self) -> bytes:
        """Returns the hashes, one after the other."""
        return b"".join(self.hashes)

    def append(self, leaf: bytes) -> list[bytes]:
        """Adds a leaf.

        Args:
            leaf: Its hash.

        Returns:
            The nodes that this leaf completes, from level 0 (the leaf itself) upwards.
        """
        completed = [leaf]
        size = self.size
        while size & 1:
            leaf = sha256(b"\x01" + self.hashes.pop() + leaf).digest()
            completed.append(leaf)
            size >>= 1
        self.hashes.append(leaf)
        self.size += 1
        return completed

    def append_subtree(self, level: int, node: bytes) -> list[bytes]:
        """Adds a complete subtree of ``2**level`` leaves; the size must be a multiple of that.

        Returns:
            The nodes above it that it completes, upwards.
        """
        completed: list[bytes] = []
        size = self.size >> level
        while size & 1:
            node = node_hash(self.hashes.pop(), node)
            completed.append(node)
            size >>= 1
        self.hashes.append(node)
        self.size += 1 << level
        return completed

    def root(self) -> bytes:
        """Returns the root hash of the tree (section 2.1.1)."""
        return _fold(self.hashes)


def root_at(size: int, node: NodeReader) -> bytes:
    """Returns the root that a tree had when it held ``size`` leaves."""
    return _subtree(0, size, node) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, node: NodeReader) -> list[bytes]:
    """Returns the proof that leaf ``index`` is in the tree of ``size`` leaves (section 2.1.3.1).

    Raises:
        ValueError: There is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_subtree(middle, end, node))
            end = middle
        else:
            path.append(_subtree(start, middle, node))
            start = middle
    return path[::-1]


def consistency_proof(old_size: int, size: int, node: NodeReader) -> list[bytes]:
    """Returns the proof that a tree only grew from ``old_size`` to ``size`` (section 2.1.4.1).

    Raises:
        ValueError: ``old_size`` is larger than ``size``.
    """
    if not 0 <= old_size <= size:
        raise ValueError(f"a tree of {size} leaves never had {old_size}")
    if old_size in {0, size}:
        return []
    path: list[bytes] = []
    start, end, whole = 0, size, True
    while old_size != end:
        middle = start + _split(end - start)
        if old_size <= middle:
            path.append(_subtree(middle, end, node))
            end = middle
        else:
            path.append(_subtree(start, middle, node))
            start, whole = middle, False
    if not whole:
        path.append(_subtree(start, end, node))
    return path[::-1]


def sparse_siblings(ranges: Sequence[tuple[int, int]], size: int, node: NodeReader) -> list[bytes]:
    """Returns the hashes that, with some leaves, make the root of a tree.

    For one leaf these are the nodes of its inclusion proof (section 2.1.3.1), from left to right;
    for several they are what their proofs do not share, each once.

    Args:
        ranges: First and last index of the leaves that a verifier has, ascending, apart.
        size: Number of leaves of the tree.
        node: Reads complete subtrees.
    """
    firsts = [first for first, _ in ranges]
    found: list[bytes] = []

    def descend(start: int, end: int) -> None:
        i = bisect_right(firsts, start) - 1
        if i >= 0 and ranges[i][1] >= end - 1:
            return
        follows = i + 1 < len(ranges) and firsts[i + 1] < end
        if not follows and (i < 0 or ranges[i][1] < start):
            found.append(_subtree(start, end, node))
            return
        middle = start + _split(end - start)
        descend(start, middle)
        descend(middle, end)

    if size:
        descend(0, size)
    return found


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Returns whether a proof shows that ``leaf`` is at ``index`` (section 2.1.3.2).

    Args:
        leaf: The leaf's hash.
        index: Its place, from 0.
        size: Number of leaves of the tree with this ``root``.
        proof: What :func:`inclusion_proof` returned, from anyone.
        root: A root that the caller trusts.
    """
    if not 0 <= index < size:
        return False
    sides = _sides(index, size - 1, len(proof))
    if sides is None:
        return False
    computed = leaf
    for sibling, side in zip(proof, sides, strict=True):
        computed = _join(sibling, computed, side)
    return computed == root


def verify_consistency(
    old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]
) -> bool:
    """Returns whether a proof shows that the old tree is the start of the new (section 2.1.4.2)."""
    if not 0 <= old_size <= size:
        return False
    if old_size in {0, size}:
        # An empty old tree and an empty new one meet here too.
        return not proof and old_root == (root if old_size == size else EMPTY_ROOT)
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    return bool(path) and _folds_to(old_size, old_root, size, root, path)


def _folds_to(old_size: int, old_root: bytes, size: int, root: bytes, path: list[bytes]) -> bool:
    """Does steps 3 to 7 of section 2.1.4.2."""
    place, last = old_size - 1, size - 1
    while place & 1:
        place >>= 1
        last >>= 1
    sides = _sides(place, last, len(path) - 1)
    if sides is None:
        return False
    old_computed = computed = path[0]
    for sibling, side in zip(path[1:], sides, strict=True):
        if side is _Side.LEFT:
            old_computed = node_hash(sibling, old_computed)
        computed = _join(sibling, computed, side)
    return old_computed == old_root and computed == root


class _Side(Enum):
    """Where the sibling of a step lies."""

    LEFT = "left"
    RIGHT = "right"


def _sides(place: int, last: int, count: int) -> list[_Side] | None:
    """Returns where each sibling lies on the way from a node up to the root.

    Args:
        place: The node's place on its level.
        last: The last place on that level.
        count: Siblings that the proof has.

    Returns:
        One side for each, or ``None`` when a proof of this node has another number of them.
    """
    sides: list[_Side] = []
    for _ in range(count):
        if last == 0:
            return None
        if place & 1 or place == last:
            sides.append(_Side.LEFT)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            sides.append(_Side.RIGHT)
        place >>= 1
        last >>= 1
    return sides if last == 0 else None


def _join(sibling: bytes, computed: bytes, side: _Side) -> bytes:
    return node_hash(sibling, computed) if side is _Side.LEFT else node_hash(computed, sibling)


def _split(count: int) -> int:
    """Returns the largest power of two below ``count``."""
    return 1 << ((count - 1).bit_length() - 1)


def _subtree(start: int, end: int, node: NodeReader) -> bytes:
    """Returns the root of leaves ``start`` to ``end``; ``start`` is aligned as RFC 9162 splits."""
    parts: list[bytes] = []
    while start < end:
        level = (end - start).bit_length() - 1
        parts.append(node(level, start >> level))
        start += 1 << level
    return _fold(parts)


def _fold(parts: Iterable[bytes]) -> bytes:
    """Joins complete subtrees of falling size, from the right."""
    rest = list(parts)
    if not rest:
        return EMPTY_ROOT
    computed = rest.pop()
    while rest:
        computed = node_hash(rest.pop(), computed)
    return computed
