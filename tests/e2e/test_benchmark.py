"""`make bench` runs: one row of it, from the database to the verified log and the page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

COMPARE = Path(__file__).parents[1] / "bench" / "compare.py"


def test_a_row_is_measured_and_its_log_verified() -> None:
    """The latency row gives two figures, each with a verdict; how good they are is not asked here."""
    done = subprocess.run(
        [sys.executable, COMPARE, "--only", "c", "--rounds", "1", "--seconds", "1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "the log holds" in done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| c |")]
    assert len(rows) == 2 and all("met" in row or "missed by" in row for row in rows)
