"""Run client programs directly and through a gateway, and judge each cell by comparing the two.

A cell passes if what the client saw through the gateway equals what it saw directly, addresses and their masks counting
as equal; and no address came through. A thing that an ordinary policy refuses passes if it works directly and the
gateway refuses it. Text of notifications is withheld on a resource with masks: that passes if nothing else differs.
A thing that fails directly says nothing about the gateway, and does not pass. What the client or the server does not
offer is no cell that passes or fails.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from world import ADDRESS, MASK, NUMBER, Way, direct, gateway, prepare, renew, through

from servers import Postgres

HERE = Path(__file__).parent
PATIENCE = 600
"""Seconds one program may take."""

UNSUPPORTED = "not tried"
REFUSED = re.compile(r"refused by rule")
NOISE = (
    (re.compile(r"\b(PID|pid) \d+"), "PID"),
    (re.compile(r"localhost:\d+|127\.0\.0\.1:\d+|port \d+|port \"\d+\""), "PORT"),
)
"""What differs between any two runs."""


@dataclass(frozen=True, slots=True)
class Client:
    """One program: what it is called in the page, how it is started, and the policy it needs."""

    name: str
    command: tuple[str, ...]
    policy: str = "ordinary"
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cell:
    """What became of one thing tried on one server version."""

    tried: str
    passed: bool
    word: str
    reason: str = ""

    @property
    def counts(self) -> bool:
        """Whether it was tried at all."""
        return self.word != UNSUPPORTED


@dataclass(frozen=True, slots=True)
class Played:
    """One program on one server version."""

    client: Client
    version: str
    server: str
    cells: tuple[Cell, ...]

    @property
    def score(self) -> tuple[int, int]:
        """How many passed, of how many that were tried."""
        tried = [cell.passed for cell in self.cells if cell.counts]
        return sum(tried), len(tried)


def play(server: Postgres, clients: list[Client]) -> Iterator[Played]:
    """Every client on one server, which must be fresh. Raises AssertionError if a gateway's log does not verify."""
    prepare(server)
    version = server.psql("show server_version").split()[0]
    for client in clients:
        plain = lines(client, direct(server), renew(server))
        number = renew(server)
        with tempfile.TemporaryDirectory(prefix="tidegate-matrix-") as directory:
            door = gateway(server, Path(directory) / "gateway", client.policy).start(wait=False)
            try:
                door.wait(PATIENCE)
                guarded = lines(client, through(server, door), number)
            finally:
                door.stop()
            with contextlib.redirect_stdout(io.StringIO()) as said:
                status = door.verify()
            assert status == 0, f"the log does not verify after {client.name} on {version}:\n{said.getvalue()}"
        yield Played(client, plain[0].get("client", "?"), version, tuple(judge(plain[1:], guarded[1:])))


def lines(client: Client, way: Way, number: str) -> list[dict[str, object]]:
    """What a program printed, run in a directory of its own; ``number`` is the database's oid."""
    with tempfile.TemporaryDirectory(prefix="tidegate-client-") as directory:
        done = subprocess.run(
            client.command,
            cwd=directory,
            env=way.environment | client.environment | {"PYTHONPATH": f"{HERE}:{way.environment['PYTHONPATH']}"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    said = re.sub(rf"(?<!\d){number}(?!\d)", str(NUMBER), done.stdout)
    found = [json.loads(line) for line in said.splitlines() if line.startswith('{"')]
    if done.returncode or not found:
        sys.stderr.write(f"{client.name}: exit status {done.returncode}\n{done.stderr[-3000:]}\n")
    return found or [{"client": "did not start"}]


def judge(plain: list[dict[str, object]], guarded: list[dict[str, object]]) -> Iterator[Cell]:
    """A cell for each thing tried."""
    answers = {line["tried"]: line for line in guarded}
    for line in plain:
        name = str(line["tried"])
        yield _cell(name, line, answers.get(name, {"failed": "the program ended before"}))


def _cell(name: str, plain: dict[str, object], guarded: dict[str, object]) -> Cell:
    if ADDRESS.search(json.dumps(guarded)):
        return Cell(name, False, "failed", "a masked value came through in clear")
    if "unsupported" in plain:
        return Cell(name, True, UNSUPPORTED, str(plain["unsupported"]))
    if "failed" in plain:
        return Cell(name, False, "failed directly", str(plain["failed"])[:200])
    if plain.get("refused"):
        said = str(guarded.get("failed", guarded.get("got", "")))
        refused = REFUSED.search(said) is not None
        return Cell(
            name,
            refused,
            "refused, by design" if refused else "failed",
            "" if refused else f"was not refused: {said[:300]}",
        )
    if "failed" in guarded:
        return Cell(name, False, "failed", str(guarded["failed"]))
    one, other = _canonical(plain["got"]), _canonical(guarded["got"])
    if "withheld" in plain:
        gone = str(plain["withheld"])
        right = gone in one and one.replace(gone, "") == other
        return Cell(name, right, "text withheld, by design" if right else "failed", "" if right else other)
    return Cell(name, True, "passed") if one == other else Cell(name, False, "failed", _difference(one, other))


def _canonical(value: object) -> str:
    text = MASK.sub("<address>", ADDRESS.sub("<address>", json.dumps(value, sort_keys=True, ensure_ascii=False)))
    for pattern, word in NOISE:
        text = pattern.sub(word, text)
    return text


def _difference(one: str, other: str) -> str:
    at = next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    return f"directly: …{one[max(0, at - 40) : at + 80]}… through the gateway: …{other[max(0, at - 40) : at + 300]}…"
