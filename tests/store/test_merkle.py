"""RFC 9162 trees: against the definition, and against every change of a proof."""

import hashlib

import pytest
from cloister.store.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_at,
    verify_consistency,
    verify_inclusion,
)
from hypothesis import given, settings
from hypothesis import strategies as st


def definition(leaves):
    """MTH of RFC 9162 section 2.1.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + definition(leaves[:k]) + definition(leaves[k:])).digest()


def build(count):
    leaves = [b"event %d" % i for i in range(count)]
    frontier, nodes = Frontier.empty(), {}
    for index, leaf in enumerate(leaves):
        for level, value in enumerate(frontier.append(leaf_hash(leaf))):
            nodes[level, index >> level] = value
    return leaves, frontier, lambda level, index: nodes[level, index]


def test_known_answers_of_certificate_transparency():
    leaves = [
        bytes.fromhex(h)
        for h in (
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        )
    ]
    frontier = Frontier.empty()
    roots = []
    for leaf in leaves:
        frontier.append(leaf_hash(leaf))
        roots.append(frontier.root().hex())
    assert roots[0] == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert roots[7] == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


@pytest.mark.parametrize("count", range(34))
def test_roots_follow_the_definition(count):
    leaves, frontier, node = build(count)
    assert frontier.root() == definition(leaves)
    assert Frontier.parse(count, frontier.serialize()).root() == frontier.root()
    for size in range(count + 1):
        assert root_at(size, node) == definition(leaves[:size])


def test_empty_tree_has_the_root_of_nothing():
    assert Frontier.empty().root() == EMPTY_ROOT


@pytest.mark.parametrize(("size", "data"), [(1, b""), (2, b"x" * 64), (-1, b""), (0, b"x" * 32)])
def test_frontier_that_does_not_fit_is_refused(size, data):
    with pytest.raises(ValueError, match="fit"):
        Frontier.parse(size, data)


@settings(max_examples=150)
@given(st.data())
def test_proofs_hold_and_every_change_breaks_them(data):
    count = data.draw(st.integers(1, 140))
    leaves, frontier, node = build(count)
    root = frontier.root()

    index = data.draw(st.integers(0, count - 1))
    proof = inclusion_proof(index, count, node)
    leaf = leaf_hash(leaves[index])
    assert verify_inclusion(leaf, index, count, proof, root)
    assert not verify_inclusion(leaf_hash(b"other"), index, count, proof, root)
    assert not verify_inclusion(leaf, index, count, [*proof, leaf], root)
    assert not verify_inclusion(leaf, count, count, proof, root)
    other = data.draw(st.integers(0, count - 1))
    if other != index:
        assert not verify_inclusion(leaf, other, count, proof, root)
    if proof:
        assert not verify_inclusion(leaf, index, count, proof[:-1], root)
        place = data.draw(st.integers(0, len(proof) - 1))
        flipped = [*proof]
        flipped[place] = bytes([flipped[place][0] ^ 1]) + flipped[place][1:]
        assert not verify_inclusion(leaf, index, count, flipped, root)

    old = data.draw(st.integers(0, count))
    old_root = definition(leaves[:old])
    path = consistency_proof(old, count, node)
    assert verify_consistency(old, old_root, count, root, path)
    assert not verify_consistency(old, node_hash(root, root), count, root, path)
    assert not verify_consistency(old, old_root, count, root, [*path, root])
    if 0 < old < count:
        assert not verify_consistency(old, old_root, count, node_hash(root, root), path)
        assert not verify_consistency(old, old_root, count, root, path[:-1])
        place = data.draw(st.integers(0, len(path) - 1))
        flipped = [*path]
        flipped[place] = bytes([flipped[place][0] ^ 1]) + flipped[place][1:]
        assert not verify_consistency(old, old_root, count, root, flipped)


def test_proofs_of_what_is_not_there_are_refused():
    _, _, node = build(4)
    with pytest.raises(ValueError, match="no leaf 4"):
        inclusion_proof(4, 4, node)
    with pytest.raises(ValueError, match="never had 5"):
        consistency_proof(5, 4, node)
