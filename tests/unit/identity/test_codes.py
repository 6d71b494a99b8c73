"""One-time codes as people type them."""

from __future__ import annotations

from tidegate.identity import codes


def test_a_code_is_long_and_readable() -> None:
    """26 letters of base32 are 130 bits, in groups of four."""
    groups = codes.fresh().split("-")
    assert [len(group) for group in groups] == [4] * 6 + [2]
    assert set("".join(groups)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")


def test_typing_is_forgiven() -> None:
    """Case, dashes and spaces do not matter; the purpose does."""
    assert codes.kept("AB2D-EF", "enrol") == codes.kept(" ab2de f", "enrol") != codes.kept("AB2D-EF", "bootstrap")
