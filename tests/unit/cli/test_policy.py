"""Policy at the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from unit.cli.desk import Desk
from unit.web.world import POLICY

ASK = ("policy", "explain", "--as", "alice/claude-code", "--on", "shop")


@pytest.mark.parametrize(
    ("statement", "verdict", "status"),
    [("SELECT 1", "allow", 0), ("UPDATE orders SET a = 1", "hold", 0), ("DROP TABLE orders", "refuse", 1)],
)
def test_explain(seated: Desk, statement: str, verdict: str, status: int) -> None:
    """The verdict, why, and status 1 for a refusal."""
    done = seated.types(*ASK, statement, by="alice")
    assert (done.status, verdict in done.out, "matches" in done.out) == (status, True, True)


def test_check(desk: Desk, tmp_path: Path) -> None:
    """A good policy prints its hash alone; a bad one is refused with file, line and status 78."""
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    good = desk.types("policy", "check", str(path))
    assert (good.status, len(good.out.strip())) == (0, 64)
    path.write_text(POLICY.replace("then: hold", "then: hodl"))
    bad = desk.types("policy", "check", str(path))
    assert (bad.status, f"{path}:" in bad.err) == (78, True)
