"""What compiling the hot modules buys: the same loops on whichever build runs this, without sockets or a database.

Run it by both: ``.venv/bin/python tests/bench/hot.py`` and ``.venv-compiled/bin/python tests/bench/hot.py``. Each line
is the least of several repetitions, in microseconds, since noise only ever adds.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import pyrage

from tidegate.audit.log import Log
from tidegate.audit.seal import Recipients
from tidegate.build import BUILD
from tidegate.clock import SystemClock
from tidegate.masking.transforms import transform
from tidegate.model.operation import Column, Facts, Operation, Outcome, Shape, Transform, Verb
from tidegate.wire._frames import rewrite, run
from tidegate.wire.postgres import PostgresWire
from unit.wire.messages import (
    CATALOG,
    SYNC,
    bind,
    columns,
    complete,
    describe,
    execute,
    frame,
    parse,
    query,
    ready,
    row,
)

ROUNDS = 60
KEY = bytes(range(32))
ROWS = b"".join(
    row(b"%d" % at, b"person%d@example.com" % at, b"Name of %d" % at, b"+43 %09d" % at, b"x" * 60, b"y" * 60)
    for at in range(1000)
)


class Quiet:
    """Results of a session that masks nothing and keeps nothing."""

    def columns(self, operation: Operation, columns: Sequence[Column]) -> None: ...
    def rows(self, operation: Operation, count: int, size: int, masked: Sequence[int]) -> bool:
        return True

    def conceal(self, operation: Operation | None) -> bool:
        return False

    def done(self, operation: Operation, outcome: Outcome) -> None: ...
    def changed(self, setting: str, value: str) -> None: ...


def least(repeat: Callable[[], object], each: int, between: Callable[[], object] = lambda: None) -> float:
    """Microseconds of CPU for one of ``each`` things that ``repeat`` does; ``between`` is not counted."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        repeat()
        best = min(best, time.process_time() - start)
        between()
    return best / each * 1e6


class Conversation:
    """A hundred requests, and a hundred replies, of one kind."""

    def __init__(self, asked: bytes, answer: bytes) -> None:
        self.wire = PostgresWire(understood, lambda: CATALOG, 2**20)
        self.asked, self.answer, self.results = asked, answer, Quiet()
        self.forward(parse("s", "select 1") + SYNC)
        self.wire.responses(frame("1") + ready(), self.results)

    def forward(self, data: bytes) -> None:
        self.wire.feed(data)
        while (request := self.wire.request()) is not None:
            self.wire.forward(request)

    def ask(self) -> None:
        for _ in range(100):
            self.forward(self.asked)

    def hear(self) -> None:
        for _ in range(100):
            self.wire.responses(self.answer, self.results)

    def requests(self) -> float:
        return least(self.ask, 100, self.hear)

    def replies(self) -> float:
        self.ask()
        return least(self.hear, 100, self.ask)


FACTS = (Facts(Verb.READ, "select", "select 1", effect=False),)


def understood(_: str) -> tuple[Facts, ...]:
    """What every text is taken for."""
    return FACTS


def prepared() -> Conversation:
    """What libpq sends for a prepared statement, and its reply of one row."""
    batch = bind("", "s", b"1") + describe("P") + execute() + SYNC
    return Conversation(batch, frame("2") + columns("a", "b", table=1) + row(b"1", b"2") + complete() + ready())


def undescribed() -> Conversation:
    """The same without a Describe: the gateway puts its own in."""
    batch = bind("", "s", b"1") + execute() + SYNC
    return Conversation(batch, frame("2") + columns("a", "b", table=1) + row(b"1", b"2") + complete() + ready())


def simple() -> Conversation:
    """A simple query, and its reply of one row."""
    return Conversation(query("select 1"), columns("a", "b", table=1) + row(b"1", b"2") + complete() + ready())


def counting() -> float:
    """A row whose end is found."""
    return least(lambda: run(ROWS, 0, ord("D")), 1000)


def masking(*tags: str) -> Callable[[], float]:
    """A row of six text columns, the last but three and two masked under ``tags``."""
    masks: list[Transform | None] = [None] * 6
    for at, tag in enumerate(tags, 1):
        masks[at] = transform(tag, Shape.TEXT, KEY, whole=False)
    return lambda: least(lambda: rewrite(ROWS, 0, len(ROWS), masks, [0] * 6), 1000)


def leaves() -> float:
    """A leaf with two openings, appended to a log: encoded, hashed, sealed, and in the kernel."""
    auditor = str(pyrage.x25519.Identity.generate().to_public())
    root = Path(tempfile.mkdtemp(prefix="tidegate-hot-"))
    root.chmod(0o700)
    log = Log.open(
        root,
        organisation="example.org",
        gateway="gw1",
        clock=SystemClock(),
        recipients=Recipients((auditor,), (auditor,)),
    )
    vault = log.vault(uuid.uuid4())
    fields = {
        "sid": str(vault.sid),
        "sub": "u_1",
        "act": ["u_1", "a_x"],
        "res": "shop",
        "op": "select",
        "vb": "read",
        "obj": ["public.accounts"],
        "dec": {"e": "allow", "r": ["reads"], "ph": "0" * 64},
        "rec": {"f": 1, "o": 100},
    }
    private = {"stmt": b"x" * 120, "dec": b"y" * 600}

    def repeat() -> None:
        for _ in range(50):
            log.append("op.intent", fields, private=private, vault=vault)

    try:
        return least(repeat, 50)
    finally:
        log.close()


def main() -> int:
    """Measure and print."""
    print(f"the {BUILD} build, Python {sys.version.split()[0]}, {os.cpu_count()} processors, microseconds of CPU")
    measures: dict[str, Callable[[], float]] = {
        "a prepared statement's request": lambda: prepared().requests(),
        "a prepared statement's reply": lambda: prepared().replies(),
        "the same, not described: its request": lambda: undescribed().requests(),
        "the same, not described: its reply": lambda: undescribed().replies(),
        "a simple query's request": lambda: simple().requests(),
        "a simple query's reply": lambda: simple().replies(),
        "a row of 6 columns, found": counting,
        "a row of 6 columns, 2 constants": masking("pii.phone", "pii.card"),
        "a row of 6 columns, 1 pseudonym, 1 constant": masking("pii.email", "pii.phone"),
        "a row of 6 columns, 2 pseudonyms": masking("pii.email", "pii.name"),
        "a leaf with two openings": leaves,
    }
    for name, measure in measures.items():
        print(f"{name:44} {measure():8.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
