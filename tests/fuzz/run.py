"""Coverage-guided fuzzing of every target: ``make fuzz ARGS="--seconds 60 agent upstream"``.

Each target runs in a process of its own, from the seeds in ``corpus/`` and what earlier runs learnt (``.fuzz/``). An
input that finds something is kept in ``.fuzz/found/``; once what it found is mended, it belongs in ``corpus/``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LEARNT = ROOT / ".fuzz"
SLOW = 10
"""Seconds after which one input counts as a hang."""

LONGEST = 8192
"""Bytes of an input: enough for long conversations, and for every limit the targets set."""


def fuzz(name: str, arguments: list[str]) -> None:
    """Run one target in this process; libFuzzer ends it."""
    import atheris

    sys.path.insert(0, str(ROOT / "tests"))
    with atheris.instrument_imports(include=["tidegate"]):
        from fuzz.targets import TARGETS
    atheris.Setup([sys.argv[0], *arguments], TARGETS[name])
    atheris.Fuzz()


def run(name: str, seconds: int) -> bool:
    """Run one target in a process; whether it found nothing."""
    sys.path.insert(0, str(ROOT / "tests"))
    learnt, found = LEARNT / name, LEARNT / "found"
    learnt.mkdir(parents=True, exist_ok=True)
    found.mkdir(exist_ok=True)
    options = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-timeout={SLOW}", "-rss_limit_mb=2048"]
    folders = [str(learnt), str(Path(__file__).parent / "corpus" / name)]
    command = [sys.executable, __file__, "--target", name, *options, f"-artifact_prefix={found}/{name}-", *folders]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    inputs = next((line for line in reversed(done.stderr.splitlines()) if line.startswith(("#", "Done"))), "")
    print(f"{name:10} {'ok' if not done.returncode else 'FOUND SOMETHING':16} {inputs[:80]}", flush=True)
    if done.returncode:
        print(done.stdout[-4000:], done.stderr[-2000:], sep="\n")
    return not done.returncode


def main() -> int:
    """Run the targets named, or all."""
    if sys.argv[1:2] == ["--target"]:
        fuzz(sys.argv[2], sys.argv[3:])
        return 0
    parser = argparse.ArgumentParser(description="Coverage-guided fuzzing.")
    parser.add_argument("--seconds", type=int, default=20, help="how long each target runs")
    parser.add_argument("targets", nargs="*", help="all of them if none is named")
    asked = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests"))
    from fuzz.targets import TARGETS

    unknown = set(asked.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    return 0 if all([run(name, asked.seconds) for name in asked.targets or TARGETS]) else 1


if __name__ == "__main__":
    sys.exit(main())
