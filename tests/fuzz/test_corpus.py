"""Every seed and every input that once found something, again: no fuzzer is needed for that."""

from __future__ import annotations

import pytest

from .targets import CORPUS, TARGETS

INPUTS = sorted(path for path in CORPUS.glob("*/*"))


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_has_seeds(name: str) -> None:
    """A target without seeds would begin from nothing."""
    assert any(path.parent.name == name for path in INPUTS)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("data", [b"", b"\0", b"\xff" * 100, bytes(5000)], ids=["none", "null", "ones", "nulls"])
def test_nothing_much(name: str, data: bytes) -> None:
    """Inputs without any sense raise nothing either."""
    TARGETS[name](data)


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_again(path) -> None:  # type: ignore[no-untyped-def]
    """What was found once stays found."""
    TARGETS[path.parent.name](path.read_bytes())
