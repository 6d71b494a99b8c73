"""The audit chapters: the log is whole, and a byte flipped, an end cut off or a page rewritten is noticed.

The auditor keeps two small files outside the data directory: the trust file with the log's public key, and a checkpoint
seen earlier. Without them `verify` says in plain words what it could not prove; with them even the holder of the live
signing key cannot cut or rewrite what the auditor has seen.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from tidegate.errors import TidegateError

from .desk import Desk
from .forgery import Forgery, live_key
from .page import Page
from .stage import Stage


def whole(stage: Stage, operator: Desk) -> Desk:
    """The auditor takes a trust file and a checkpoint, and verifies the log as it is; gives the auditor's desk."""
    stage.page.chapter(
        "The log is whole",
        "Every fact above is a leaf of a Merkle tree. The auditor keeps two files outside the gateway's data: the "
        "log's public key, and a checkpoint. `verify` needs no gateway and trusts nothing else.",
    )
    auditor = stage.desk("auditor")
    checkpoint = sealed(stage, operator)
    shutil.copy(next(stage.data.rglob("trust.txt")), auditor.home / "trust.txt")
    shutil.copy(checkpoint, auditor.home / "checkpoint")
    answer = verify(auditor, stage.data)
    stage.page.promise("error" not in answer, "verify says that the log is whole", answer)
    return auditor


def flipped(stage: Stage, auditor: Desk) -> None:
    """One bit of one leaf."""
    stage.page.chapter("One byte is flipped", "In a copy, one bit of the leaf that records bob's approval is changed.")
    copy = forge(stage, "flipped")
    index = copy.find(lambda leaf: leaf["k"] == "approval.granted")
    copy.flip(index)
    answer = verify(auditor, copy.directory, status=1, brief=True)
    stage.page.promise(str(index) in answer, f"verify names leaf {index}", answer)


def truncated(stage: Stage, auditor: Desk) -> None:
    """The agent's whole session is cut off, and the checkpoint is signed anew."""
    stage.page.chapter(
        "The end is cut off",
        "In a copy, everything from the agent's session on is gone, newer checkpoints with it; what is left is signed "
        "with the gateway's live key. Nothing in the copy itself is wrong.",
    )
    copy = forge(stage, "truncated")
    cut = copy.find(lambda leaf: leaf["k"] == "session.start")
    copy.publish(copy.leaves()[:cut])
    both(stage.page, auditor, copy)


def rewritten(stage: Stage, auditor: Desk) -> None:
    """Another operation is written into the log, and all of it is signed anew."""
    stage.page.chapter(
        "A page is rewritten",
        "In a copy, the approved operation is an insert, not an update; every hash is computed anew and the result is "
        "signed with the gateway's live key. Again nothing in the copy itself is wrong.",
    )
    copy = forge(stage, "rewritten")
    leaves = copy.leaves()
    index = copy.find(lambda leaf: leaf["k"] == "op.intent" and leaf["req"] == "hold")
    leaves[index] = leaves[index].replace(b'"op":"update"', b'"op":"insert"')
    copy.publish(leaves)
    both(stage.page, auditor, copy)


def both(page: Page, auditor: Desk, copy: Forgery) -> None:
    """Verify a forged copy without and with what the auditor keeps."""
    alone = auditor.types("audit", "verify", copy.directory, brief=True)
    page.promise("not proven" in alone, "alone, verify says in plain words what it could not prove", alone)
    verify(auditor, copy.directory, status=1, brief=True)
    page.promise(True, "with the trust file and the seen checkpoint, it is noticed")


def verify(auditor: Desk, directory: Path, *, status: int = 0, brief: bool = False) -> str:
    """`audit verify` with the auditor's two files, expecting ``status``."""
    trust, seen = auditor.home / "trust.txt", auditor.home / "checkpoint"
    options = ("--trust", trust, "--seen", seen)
    return auditor.types("audit", "verify", directory, *options, expect=(status,), brief=brief)


def forge(stage: Stage, name: str) -> Forgery:
    """A fresh copy of the log for an intruder who holds the gateway's live signing key."""
    return Forgery(stage.data, stage.root / "auditor" / name, live_key(stage.data))


def sealed(stage: Stage, operator: Desk) -> Path:
    """The checkpoint file, once it covers everything that has happened. Raises TidegateError when it never does."""
    newest: dict[str, Any] = operator.asks("audit", "tail", "--limit", "1")[-1]
    path = next(stage.data.rglob("checkpoint"))
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if int(path.read_text().splitlines()[1]) > newest["i"]:
            return path
        time.sleep(0.05)
    raise TidegateError("a promise was not kept: the log is sealed within seconds", code="demo.promise")
