"""The root over a track's frame hashes (RFC 6962 section 2.1), kept while frames are written.

Only the roots of complete subtrees are kept: log2(n) hashes for n frames.
"""

from __future__ import annotations

import hashlib

_NODE = hashlib.sha256(b"\x01")  # copied: half the price of a fresh one


class Tree:
    """Merkle tree that grows at its end. ``size`` is the number of leaves."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        """Add a leaf hash."""
        size = self.size
        while size & 1:
            leaf = _node(self._peaks.pop(), leaf)
            size >>= 1
        self._peaks.append(leaf)
        self.size += 1

    def root(self) -> str:
        """The root in hex; of no leaves it is SHA-256 of nothing."""
        if not self._peaks:
            return hashlib.sha256().hexdigest()
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = _node(peak, root)
        return root.hex()


def _node(left: bytes, right: bytes) -> bytes:
    digest = _NODE.copy()
    digest.update(left + right)
    return digest.digest()
