"""The tree over frame hashes."""

from __future__ import annotations

import hashlib

from tidegate.recording.tree import Tree


def naive(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256().digest()
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + naive(leaves[:half]) + naive(leaves[half:])).digest()


def test_root_is_that_of_rfc_6962() -> None:
    """The root kept on the way equals the recursive definition for every size up to 130."""
    tree, leaves = Tree(), list[bytes]()
    for number in range(130):
        assert (tree.size, tree.root()) == (number, naive(leaves).hex())
        leaves.append(hashlib.sha256(bytes([number])).digest())
        tree.append(leaves[-1])
