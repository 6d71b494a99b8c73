"""The demo is the first end-to-end test: it checks every promise itself and ends with another status when one fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_the_demo_keeps_every_promise(tmp_path: Path) -> None:
    """`tidegate demo --once` ends by itself with status 0 and tells the whole story."""
    done = subprocess.run(
        [sys.executable, "-m", "tidegate", "demo", "--once"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": "/tmp"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert all(
        word in done.stdout
        for word in ("[masked:", "42501", "UPDATE", "NOPERM", "403 {", "not proven", "promises checked")
    )
