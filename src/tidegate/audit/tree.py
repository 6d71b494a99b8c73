"""The Merkle tree of RFC 6962: hashes, roots and proofs, without any storage.

Every function that needs stored hashes takes a ``Node``: the hash of the complete subtree of height h at position j,
which is all that a tile store has to answer. Invariant: a proof made here for (index, size) or (old, new) verifies
against the roots of the same tree and against no other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import TypeAlias

Node: TypeAlias = Callable[[int, int], bytes]
"""(height, position) to the hash of that complete subtree; height 0 is a leaf."""

EMPTY = sha256(b"").digest()
_LEAF, _NODE = sha256(b"\x00"), sha256(b"\x01")  # copied: half the price of a fresh one


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 || entry), RFC 6962 section 2.1."""
    digest = _LEAF.copy()
    digest.update(entry)
    return digest.digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right), RFC 6962 section 2.1."""
    digest = _NODE.copy()
    digest.update(left + right)
    return digest.digest()


def split(width: int) -> int:
    """The largest power of two smaller than ``width``, which is at least 2."""
    return 1 << ((width - 1).bit_length() - 1)


def subtree(start: int, stop: int, node: Node) -> bytes:
    """The tree hash of leaves ``start`` to ``stop``, where ``start`` is one that RFC 6962's recursion reaches."""
    width = stop - start
    if width & (width - 1) == 0:
        return node(width.bit_length() - 1, start // width)
    middle = start + split(width)
    return node_hash(subtree(start, middle, node), subtree(middle, stop, node))


def root(size: int, node: Node) -> bytes:
    """The root of the tree of the first ``size`` leaves."""
    return subtree(0, size, node) if size else EMPTY


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """The audit path of leaf ``index`` in the tree of ``size`` leaves, RFC 6962 section 2.1.1.

    Raises ValueError when the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    proof, start, stop = [], 0, size
    while stop - start > 1:
        middle = start + split(stop - start)
        if index < middle:
            proof.append(subtree(middle, stop, node))
            stop = middle
        else:
            proof.append(subtree(start, middle, node))
            start = middle
    return proof[::-1]


def consistency_proof(old: int, new: int, node: Node) -> list[bytes]:
    """That the tree of ``new`` leaves begins with the tree of ``old``, RFC 6962 section 2.1.2.

    Raises ValueError unless 0 < old <= new.
    """
    if not 0 < old <= new:
        raise ValueError(f"no consistency proof leads from {old} to {new} leaves")
    proof, start, stop = [], 0, new
    while stop != old:
        middle = start + split(stop - start)
        if old <= middle:
            proof.append(subtree(middle, stop, node))
            stop = middle
        else:
            proof.append(subtree(start, middle, node))
            start = middle
    if start:
        proof.append(subtree(start, stop, node))
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> bool:
    """Whether ``proof`` shows the leaf hash at ``index`` under the root ``expected``, RFC 9162 section 2.1.3.2."""
    if not 0 <= index < size:
        return False
    position, last, value = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            value = node_hash(step, value)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            value = node_hash(value, step)
        position, last = position >> 1, last >> 1
    return last == 0 and value == expected


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether ``proof`` shows that the second tree begins with the first, RFC 9162 section 2.1.4.2."""
    if not 0 < old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    first = second = path[0]
    for step in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            first, second = node_hash(step, first), node_hash(step, second)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            second = node_hash(second, step)
        position, last = position >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root
