"""Tiles against a tree computed without them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.audit.tiles import Edge, bundle, fold, hashes, tile_path, unbundle
from tidegate.audit.tree import EMPTY, leaf_hash, node_hash


def naive(row: list[bytes]) -> bytes:
    if len(row) == 1:
        return row[0]
    k = 1 << ((len(row) - 1).bit_length() - 1)
    return node_hash(naive(row[:k]), naive(row[k:]))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ((0, 0), "tile/0/000"),
        ((0, 1234067), "tile/0/x001/x234/067"),
        ((1, 999, 17), "tile/1/999.p/17"),
        (("entries", 1000), "tile/entries/x001/000"),
    ],
)
def test_paths_are_those_of_tlog_tiles(path: tuple[int, int], expected: str) -> None:
    """Numbers are written in groups of three, widths of partial tiles after ``.p``."""
    assert tile_path(*path) == expected


def test_the_edge_has_the_root_of_the_whole_tree() -> None:
    """At sizes around the borders of tiles, the edge alone gives the naive root."""
    edge, leaves = Edge(), []
    assert edge.root() == EMPTY
    for n in range(1200):
        leaves.append(leaf_hash(n.to_bytes(2, "big")))
        list(edge.add(leaves[-1]))
        if n < 20 or n % 256 in (0, 1, 254, 255) or n == 1199:
            assert edge.root() == naive(leaves)


def test_full_tiles_hold_the_roots_of_the_tiles_below() -> None:
    """256 full tiles of level 0 make one of level 1, whose hashes are theirs."""
    edge = Edge()
    tiles = [tile for n in range(65536) for tile in edge.add(leaf_hash(n.to_bytes(2, "big")))]
    low = [tile for tile in tiles if tile.level == 0]
    (high,) = [tile for tile in tiles if tile.level == 1]
    assert [tile.number for tile in low] == list(range(256))
    assert high.number == 0 and high.row == tuple(fold(tile.row) for tile in low)
    assert [tile.path for tile in edge.partial()] == ["tile/2/000.p/1"]


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_a_bundle_reads_back(entries: list[bytes]) -> None:
    """Any entries come back as they were."""
    assert unbundle(bundle(entries)) == entries


@given(st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=9), st.data())
def test_a_cut_bundle_is_noticed_or_ends_with_an_entry(entries: list[bytes], data: st.DataObject) -> None:
    """A cut bundle is an error unless the cut lies between two entries."""
    whole = bundle(entries)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with contextlib.suppress(ValueError):
        assert bundle(unbundle(whole[:cut])) == whole[:cut]


def test_a_tile_of_broken_hashes_is_refused() -> None:
    """A tile holds whole hashes, and at least one."""
    for data in (b"", bytes(33)):
        with pytest.raises(ValueError, match="whole hashes"):
            hashes(data)


def test_an_edge_knows_only_its_own_nodes() -> None:
    """A node of a full tile is not the edge's to answer."""
    edge = Edge()
    for n in range(300):
        list(edge.add(leaf_hash(bytes([n % 256]))))
    with pytest.raises(KeyError):
        edge.node(0, 3)
