"""Tiles and entry bundles: the shape of the log on disk, C2SP tlog-tiles.

A tile holds up to 256 consecutive hashes of every eighth level of the tree, a bundle the 256 entries under one level 0
tile. Full tiles never change; a partial one has its width in its name. ``Edge`` is all of the tree that has to be kept
in memory to extend it: the unfinished last tile of each level.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .tree import node_hash, root

WIDTH = 256
HASH = 32
LENGTH = struct.Struct(">H")


def tile_path(level: int | str, number: int, width: int = WIDTH) -> str:
    """The path below the log of a tile, or of a bundle when ``level`` is ``entries``: ``tile/0/x001/x234/067.p/3``."""
    groups = [f"{number % 1000:03d}"]
    while number := number // 1000:
        groups.append(f"x{number % 1000:03d}")
    partial = f".p/{width}" if width < WIDTH else ""
    return f"tile/{level}/{'/'.join(reversed(groups))}{partial}"


def bundle(entries: Sequence[bytes]) -> bytes:
    """Entries as a bundle: each after its length in two bytes."""
    return b"".join(LENGTH.pack(len(entry)) + entry for entry in entries)


def unbundle(data: bytes) -> list[bytes]:
    """The entries of a bundle. Raises ValueError when it does not end with an entry."""
    entries, at = [], 0
    while at < len(data):
        if at + LENGTH.size > len(data):
            raise ValueError("the bundle ends within a length")
        end = at + LENGTH.size + LENGTH.unpack_from(data, at)[0]
        if end > len(data):
            raise ValueError("the bundle ends within an entry")
        entries.append(data[at + LENGTH.size : end])
        at = end
    return entries


def hashes(data: bytes) -> list[bytes]:
    """The hashes of a tile. Raises ValueError when it is empty or holds part of a hash."""
    if not data or len(data) % HASH:
        raise ValueError("the tile does not hold whole hashes")
    return [data[at : at + HASH] for at in range(0, len(data), HASH)]


def fold(row: Sequence[bytes]) -> bytes:
    """The root over a power of two of neighbouring hashes."""
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


@dataclass(frozen=True, slots=True)
class Tile:
    """Hashes of one tile; full when there are 256 of them."""

    level: int
    number: int
    row: tuple[bytes, ...]

    @property
    def path(self) -> str:
        """Where the tile lies below the log."""
        return tile_path(self.level, self.number, len(self.row))


@dataclass(slots=True)
class Edge:
    """The unfinished last tile of each level of a tree of ``size`` leaves."""

    size: int = 0
    levels: list[list[bytes]] = field(default_factory=list)

    def add(self, leaf: bytes) -> Sequence[Tile]:
        """Extend the tree by a leaf hash; gives the tiles that this fills, lowest first."""
        self.size += 1
        value, filled = leaf, []
        for level in range(len(self.levels) + 1):
            if level == len(self.levels):
                self.levels.append([])
            row = self.levels[level]
            row.append(value)
            if len(row) < WIDTH:
                break
            filled.append(Tile(level, (self.size >> (8 * level + 8)) - 1, tuple(row)))
            value = fold(row)
            row.clear()
        return filled

    def extend(self, leaves: Sequence[bytes]) -> int:
        """Extend the tree by leaf hashes as far as they fill no tile; gives how many were taken."""
        if not self.levels:
            self.levels.append([])
        row = self.levels[0]
        taken = min(len(leaves), WIDTH - 1 - len(row))
        row += leaves[:taken]
        self.size += taken
        return taken

    def partial(self) -> Iterator[Tile]:
        """The unfinished tiles of all levels that hold something."""
        for level, row in enumerate(self.levels):
            if row:
                yield Tile(level, self.size >> (8 * level + 8), tuple(row))

    def node(self, height: int, position: int) -> bytes:
        """The hash of a complete subtree within the unfinished tiles. Raises KeyError for any other."""
        level, depth = divmod(height, 8)
        first = (position << depth) - (self.size >> (8 * level + 8)) * WIDTH
        row = self.levels[level] if level < len(self.levels) else []
        if first < 0 or first + (1 << depth) > len(row):
            raise KeyError((height, position))
        return fold(row[first : first + (1 << depth)])

    def root(self) -> bytes:
        """The root of the tree so far."""
        return root(self.size, self.node)

    def copy(self) -> Edge:
        """The same edge, to be kept while this one grows."""
        return Edge(self.size, [list(row) for row in self.levels])
