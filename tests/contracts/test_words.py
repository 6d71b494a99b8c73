"""A protocol's name stands only where a protocol is spoken; nothing names the machine that it was written on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "tidegate"
SPEAKERS = ("protocols", "wire", "operations", "cli/demo", "identity/sshsig.py")
"""Where a protocol is spoken; the demo shows one with its own client, and signatures have a format of their own."""

PROTOCOLS = re.compile(r"postgres|psql|libpq|\bpg_|\bredis|mysql|mongo|kubernetes|\bssh\b", re.IGNORECASE)
KEYS = re.compile(
    r"""sk-[\w-]+@openssh\.com|\bSSH SIGNATURE\b|[`"'./]ssh\b|\bssh[`"'|]|\bssh[- ]key\w*|\badd ssh\b|, ssh,"""
    r"""|\bSSH( =|(?=[,:)\]]|$| else))"""
)
"""An ssh key that somebody signs with is a credential, whatever protocol it was made for."""

TEXT = {".py", ".md", ".yaml", ".yml", ".toml", ".json", ".sql", ".svg", ".sh", ""}
KEPT_HIDDEN = {".ci", ".gitignore"}

FOREIGN = re.compile(
    "|".join(
        (
            r"(?<!\w)/work" + r"/",
            r"(?<!\w)/root" + r"/",
            r"\bpypi\." + "org",
            r"registry\.npmjs",
            r"files\.python" + "hosted",
        )
    )
)
"""A path of somebody's machine, or a host that packages come from."""


def sources() -> Iterator[Path]:
    """Source files that must not name a protocol."""
    for path in sorted(SOURCE.rglob("*")):
        spoken = any(path.is_relative_to(SOURCE / part) for part in SPEAKERS)
        if path.is_file() and path.suffix in TEXT and not spoken and "__pycache__" not in path.parts:
            yield path


def tree() -> Iterator[Path]:
    """Text files of the repository."""
    for directory, below, names in os.walk(ROOT):
        below[:] = sorted(name for name in below if not _hidden(name))
        for path in (Path(directory, name) for name in sorted(names)):
            if path.suffix in TEXT and not _hidden(path.name):
                yield path


def _hidden(name: str) -> bool:
    return (name.startswith(".") and name not in KEPT_HIDDEN) or name == "__pycache__"


def test_no_protocol_is_named_outside_its_place() -> None:
    """Policy, audit, recording, web and command line work for any protocol, so none of them names one."""
    lines = ((path, n, line) for path in sources() for n, line in enumerate(path.read_text().splitlines(), 1))
    found = [
        f"{path.relative_to(SOURCE)}:{n}: {line.strip()}"
        for path, n, line in lines
        if PROTOCOLS.search(KEYS.sub("", line))
    ]
    assert not found, "\n".join(found)


def test_nothing_names_a_machine_or_a_registry() -> None:
    """The repository works anywhere, so it names no path of a machine and no host of packages."""
    found = [str(path.relative_to(ROOT)) for path in tree() if FOREIGN.search(path.read_text(errors="replace"))]
    assert not found
