"""A forged copy is consistent in itself: only what lies outside it can tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tidegate.audit.checkpoint import LogKey, open_checkpoint
from tidegate.audit.tiles import Edge
from tidegate.audit.tree import leaf_hash
from tidegate.cli.demo.forgery import Forgery

KEY = LogKey("shop.example/gw/gw1/2026", Ed25519PrivateKey.generate())


def entry(index: int) -> bytes:
    """A small leaf."""
    return json.dumps({"i": index, "k": "log.heartbeat"}, separators=(",", ":")).encode()


@pytest.fixture(params=[1, 300])
def forgery(request: pytest.FixtureRequest, tmp_path: Path) -> Forgery:
    """A copy of a directory with a log of one leaf, or of more than a full tile."""
    log = tmp_path / "data" / "log" / "2026"
    (log / "tile").mkdir(parents=True)
    (log / "checkpoint").write_text(f"{KEY.name}\n0\n")
    forgery = Forgery(tmp_path / "data", tmp_path / "copy", KEY)
    forgery.publish([entry(index) for index in range(request.param)])
    return forgery


def test_what_is_published_reads_back(forgery: Forgery) -> None:
    """Publishing and reading are inverse."""
    leaves = forgery.leaves()
    forgery.publish(leaves)
    assert forgery.leaves() == leaves and leaves[-1] == entry(len(leaves) - 1)


def test_the_checkpoint_holds_under_the_live_key(forgery: Forgery) -> None:
    """The forged checkpoint is signed, and its root is the root of the forged leaves."""
    edge = Edge()
    for leaf in forgery.leaves():
        list(edge.add(leaf_hash(leaf)))
    note = next(forgery.directory.rglob("checkpoint")).read_bytes()
    found = open_checkpoint(note, KEY.verifier)
    assert found.size == len(forgery.leaves())
    assert found.size >= 256 or found.root == edge.root()


def test_a_flip_changes_one_leaf(forgery: Forgery) -> None:
    """One bit of the leaf that was named, and nothing else."""
    before, last = forgery.leaves(), len(forgery.leaves()) - 1
    forgery.flip(last)
    changed = [index for index, leaf in enumerate(forgery.leaves()) if leaf != before[index]]
    assert changed == [last] and len(forgery.leaves()) == len(before)


def test_a_leaf_is_found_by_its_content(forgery: Forgery) -> None:
    """The first leaf that fits; none is an error."""
    assert forgery.find(lambda leaf: leaf["k"] == "log.heartbeat") == 0
    with pytest.raises(LookupError):
        forgery.find(lambda leaf: leaf["k"] == "session.start")
