"""Kill -9 at random moments: whatever was acknowledged is there afterwards."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pyrage
import pytest

from tidegate.audit.log import Log
from tidegate.audit.scan import scan
from tidegate.audit.seal import Recipients
from tidegate.audit.verify import verify
from tidegate.audit.wal import shard_id
from tidegate.clock import SystemClock

RECIPIENT = str(pyrage.x25519.Identity.generate().to_public())
CHILD = textwrap.dedent(
    """
    import asyncio, os, sys
    from pathlib import Path
    from tidegate.audit.log import Log
    from tidegate.audit.seal import Recipients
    from tidegate.clock import SystemClock

    async def main():
        log = Log.open(Path(sys.argv[1]), organisation="example.org", gateway="gw1", clock=SystemClock(),
                       recipients=Recipients((), (sys.argv[2],)), segment=2**16)
        log.start()
        sid, n = str(SystemClock().session_id()), 0
        while True:
            for _ in range(7):
                n += 1
                kind = "session.start" if n == 1 else "gateway.statement"
                index = log.append(kind, {"sid": sid, "n": n}, private={"stmt": b"x" * (n % 300)})
            await log.sync()
            os.write(1, b"%d\\n" % index)

    asyncio.run(main())
    """
)


def open_log(directory: Path) -> Log:
    return Log.open(
        directory,
        organisation="example.org",
        gateway="gw1",
        clock=SystemClock(),
        recipients=Recipients((), (RECIPIENT,)),
        segment=2**16,
    )


def run_and_kill(directory: Path, acknowledgements: int) -> int:
    """Let a gateway run until it has acknowledged so often, kill it; gives the last index acknowledged."""
    command = [sys.executable, "-c", CHILD, str(directory), RECIPIENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as child:
        assert child.stdout is not None
        for _ in range(acknowledgements):
            assert child.stdout.readline(), "the child ended by itself"
        child.kill()
        rest = child.stdout.read().split()
    return int(rest[-1]) if rest else -1


@pytest.mark.parametrize("seed", range(3))
def test_no_acknowledged_leaf_is_lost(tmp_path: Path, seed: int) -> None:
    """Killed again and again, with garbage after half of the tails: every acknowledged leaf is there; verify holds."""
    chance, kept = random.Random(seed), b""
    for _ in range(4):
        last = run_and_kill(tmp_path, chance.randrange(1, 150))
        if chance.random() < 0.5:
            found = scan(tmp_path / "wal", shard_id(f"example.org/gw/gw1/{next((tmp_path / 'log').iterdir()).name}"))
            with found.paths[found.end[0]].open("r+b") as segment:
                segment.seek(found.end[1])
                segment.write(chance.randbytes(100))
        log = open_log(tmp_path)
        assert log.size > last and kept == b"".join(log.leaves(0, log.size))[: len(kept)]
        kept = b"".join(log.leaves(0, log.size))
        log.close()
        report = verify(tmp_path, trust=tmp_path / "trust.txt")
        assert report.status == 0, report.findings
