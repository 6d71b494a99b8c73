"""RFC 6962 trees, exhaustively for small sizes."""

from __future__ import annotations

from hashlib import sha256

import pytest

from tidegate.audit.tree import (
    EMPTY,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [leaf_hash(bytes([n])) for n in range(130)]


def naive(leaves: list[bytes]) -> bytes:
    """The definition in RFC 6962 section 2.1, word for word."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return node_hash(naive(leaves[:k]), naive(leaves[k:]))


def node(height: int, position: int) -> bytes:
    return naive(LEAVES[position << height : (position + 1) << height])


ROOTS = [EMPTY, *(naive(LEAVES[:n]) for n in range(1, 131))]


def mutants(proof: list[bytes]) -> list[list[bytes]]:
    flipped = [[*proof[:n], bytes([step[0] ^ 1]) + step[1:], *proof[n + 1 :]] for n, step in enumerate(proof)]
    return [*flipped, [*proof, bytes(32)], *([proof[:-1], proof[1:]] if proof else [])]


def test_hashes_are_domain_separated() -> None:
    """Leaf and node hashes carry their prefix."""
    assert leaf_hash(b"x") == sha256(b"\0x").digest()
    assert node_hash(b"l", b"r") == sha256(b"\1lr").digest()


def test_roots_follow_the_definition() -> None:
    """Roots of all sizes up to 130 are RFC 6962's."""
    assert [root(n, node) for n in range(131)] == ROOTS


def test_every_inclusion_proof_verifies_and_no_mutant_does() -> None:
    """For all sizes and indices, the proof holds and a changed, longer or shorter one does not."""
    for size in range(1, 131):
        for index in range(0, size, 1 if size < 40 else 7):
            proof = inclusion_proof(index, size, node)
            assert verify_inclusion(LEAVES[index], index, size, proof, ROOTS[size])
            assert not any(verify_inclusion(LEAVES[index], index, size, bad, ROOTS[size]) for bad in mutants(proof))


def test_an_inclusion_proof_is_for_one_leaf_index_and_root() -> None:
    """A proof shows nothing about another leaf, index or root."""
    proof = inclusion_proof(5, 100, node)
    assert not verify_inclusion(LEAVES[6], 5, 100, proof, ROOTS[100])
    assert not any(verify_inclusion(LEAVES[5], n, 100, proof, ROOTS[100]) for n in range(101) if n != 5)
    assert not verify_inclusion(LEAVES[5], 5, 100, proof, ROOTS[99])


def test_every_consistency_proof_verifies_and_no_mutant_does() -> None:
    """For all pairs of sizes, the proof holds and a changed, longer or shorter one does not."""
    for new in range(1, 131):
        for old in range(1, new + 1, 1 if new < 40 else 7):
            proof = consistency_proof(old, new, node)
            assert verify_consistency(old, new, proof, ROOTS[old], ROOTS[new])
            assert not any(verify_consistency(old, new, bad, ROOTS[old], ROOTS[new]) for bad in mutants(proof))


def test_a_rewritten_past_is_not_consistent() -> None:
    """No proof leads from another old root."""
    assert not verify_consistency(3, 9, consistency_proof(3, 9, node), ROOTS[4], ROOTS[9])
    assert not verify_consistency(8, 8, [], ROOTS[7], ROOTS[8])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 3)])
def test_there_is_no_proof_of_what_is_not_there(index: int, size: int) -> None:
    """A leaf outside the tree has no proof, and none is accepted."""
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_proof(index, size, node)
    assert not verify_inclusion(LEAVES[0], index, size, [], ROOTS[3])


def test_the_empty_tree_is_consistent_with_nothing() -> None:
    """Size 0 has no consistency proof, and an empty proof shows nothing."""
    with pytest.raises(ValueError, match="no consistency"):
        consistency_proof(0, 3, node)
    assert not verify_consistency(0, 3, [], EMPTY, ROOTS[3])
    assert not verify_consistency(3, 5, [], ROOTS[3], ROOTS[5])
