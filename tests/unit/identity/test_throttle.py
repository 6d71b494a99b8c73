"""Guessing is slow, and only for who guesses."""

from __future__ import annotations

import asyncio

import pytest

from tidegate.errors import AgentError
from tidegate.identity import throttle
from tidegate.identity.throttle import FADES, LONGEST, NAME_FREE, PAIR_FREE, SOURCE_FREE, TABLE, Throttle, network
from unit.identity.conftest import Watch

ATTACKER, OFFICE = "203.0.113.66", "198.51.100.7"


class Gate:
    """A throttle with its clock; each try is wrong unless it says otherwise."""

    def __init__(self) -> None:
        self.clock = Watch()
        self.alarms: list[tuple[str, str, str, int]] = []
        self.throttle = Throttle(self.clock, lambda *alarm: self.alarms.append(alarm))
        self.slept: list[float] = []

    def tries(self, name: str, source: str, *, right: bool = False) -> str:
        """What comes of a try: right, wrong, or slowed."""
        return asyncio.run(self._try(name, source, right))

    async def _try(self, name: str, source: str, right: bool) -> str:
        try:
            async with self.throttle.attempt(name, source):
                if not right:
                    raise AgentError("wrong", code="auth.wrong")
        except AgentError as error:
            return error.code.removeprefix("auth.")
        return "right"


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """A fresh one, whose waits are noted and not waited."""
    made = Gate()

    async def sleep(seconds: float) -> None:
        made.slept.append(seconds)

    monkeypatch.setattr(throttle.asyncio, "sleep", sleep)  # type: ignore[attr-defined]
    return made


def test_guessing_one_name_is_slowed_more_each_time(gate: Gate) -> None:
    """Five are free; then one waits a second, two, four, and a minute at most."""
    assert [gate.tries("alice", ATTACKER) for _ in range(PAIR_FREE + 1)] == ["wrong"] * PAIR_FREE + ["slowed"]
    waits = []
    for _ in range(9):
        waited = 0
        while gate.tries("alice", ATTACKER) == "slowed":
            gate.clock.seconds += 1
            waited += 1
        waits.append(waited)
    assert waits == sorted(waits)
    assert (waits[0], max(waits) <= LONGEST) == (1, True)


def test_the_person_elsewhere_is_not_slowed(gate: Gate) -> None:
    """While somebody guesses at alice, alice gets in from where she is."""
    for _ in range(200):
        gate.tries("alice", ATTACKER)
    assert gate.tries("alice", OFFICE, right=True) == "right"


def test_others_at_the_same_source_are_not_slowed_by_guesses_at_one(gate: Gate) -> None:
    """Guessing at alice from an address that bob shares leaves bob alone."""
    for _ in range(200):
        gate.tries("alice", OFFICE)
    assert gate.tries("bob", OFFICE, right=True) == "right"


def test_trying_many_names_is_slowed(gate: Gate) -> None:
    """One password for every name: the source waits, and nobody else does."""
    found = [gate.tries(f"person{each}", ATTACKER) for each in range(SOURCE_FREE + 5)]
    assert found == ["wrong"] * SOURCE_FREE + ["slowed"] * 5
    assert gate.tries("person40", OFFICE, right=True) == "right"


def test_who_got_in_before_is_not_slowed_for_others_at_their_source(gate: Gate) -> None:
    """bob has succeeded from this address, so a spray from it does not keep him out."""
    assert gate.tries("bob", OFFICE, right=True) == "right"
    for each in range(100):
        gate.tries(f"person{each}", OFFICE)
    assert gate.tries("carol", OFFICE, right=True) == "slowed"
    assert gate.tries("bob", OFFICE, right=True) == "right"


def test_many_sources_at_one_name_wait_a_moment_and_lock_nobody_out(gate: Gate) -> None:
    """A thousand addresses guess at alice: each waits, alice too, and she gets in."""
    for each in range(1000):
        gate.tries("alice", f"192.0.{each // 250}.{each % 250}")
    assert len(gate.slept) == 1000 - NAME_FREE
    assert gate.tries("alice", OFFICE, right=True) == "right"
    gate.slept.clear()
    assert gate.tries("alice", OFFICE, right=True) == "right"
    assert not gate.slept


def test_many_at_once_gain_nothing(gate: Gate) -> None:
    """A try counts before it is checked: of fifty at once only the free ones are checked."""
    checked = 0

    async def one() -> None:
        nonlocal checked
        async with gate.throttle.attempt("alice", ATTACKER):
            checked += 1
            await asyncio.gather(asyncio.to_thread(lambda: None))
            raise AgentError("wrong")

    async def all() -> None:
        await asyncio.gather(*(one() for _ in range(50)), return_exceptions=True)

    asyncio.run(all())
    assert checked == PAIR_FREE


def test_success_forgets_and_time_does(gate: Gate) -> None:
    """After getting in the count is gone; without it, one failure a minute is forgotten."""
    for _ in range(PAIR_FREE - 1):
        gate.tries("alice", OFFICE)
    assert gate.tries("alice", OFFICE, right=True) == "right"
    assert [gate.tries("alice", OFFICE) for _ in range(PAIR_FREE)] == ["wrong"] * PAIR_FREE
    gate.clock.seconds += FADES * PAIR_FREE
    assert [gate.tries("alice", OFFICE) for _ in range(PAIR_FREE)] == ["wrong"] * PAIR_FREE


def test_unknown_names_are_treated_alike(gate: Gate) -> None:
    """The throttle knows no directory: what it answers cannot tell who exists."""
    found = [[gate.tries(name, ATTACKER) for _ in range(8)] for name in ("alice", "nobody")]
    assert found[0] == found[1]


def test_alarms_say_what_is_tried(gate: Gate) -> None:
    """The first when guesses are slowed, then one for each ten more."""
    for each in range(SOURCE_FREE + 20):
        gate.clock.seconds += LONGEST
        gate.tries("alice" if each % 2 else "bob", ATTACKER)
    for _ in range(PAIR_FREE):
        gate.tries("carol", OFFICE)
    assert gate.alarms[-1] == ("identity", "carol", OFFICE, PAIR_FREE)


def test_tables_are_bounded(gate: Gate) -> None:
    """However many names and sources there are, so many are kept."""
    for each in range(TABLE + 10):
        gate.throttle._count(f"n{each}", f"s{each}", 0)
        gate.throttle._passed(f"k{each}", f"s{each}")
    tables = (gate.throttle._pairs, gate.throttle._sources, gate.throttle._names)
    assert max(len(table._counts) for table in tables) <= TABLE
    assert len(gate.throttle._known) == TABLE


def test_no_comes_late_to_who_fails_often(gate: Gate) -> None:
    """A wrong token is answered at once thirty times, then late, for at most a few seconds."""
    for _ in range(SOURCE_FREE + 10):
        asyncio.run(gate.throttle.rebuke(ATTACKER))
    assert 0 < len(gate.slept) <= 10
    assert max(gate.slept) <= throttle.LATEST
    gate.slept.clear()
    asyncio.run(gate.throttle.rebuke(OFFICE))
    assert not gate.slept


def test_late_answers_are_few() -> None:
    """Waiting holds a place, so only so many wait; the others hear it at once."""
    made = Gate()
    for _ in range(SOURCE_FREE + 2):
        asyncio.run(made.throttle.rebuke(ATTACKER))

    async def flood() -> int:
        waiting = [asyncio.ensure_future(made.throttle.rebuke(ATTACKER)) for _ in range(throttle.LATE + 30)]
        await asyncio.sleep(0.2)
        late = [each for each in waiting if not each.done()]
        for each in late:
            each.cancel()
        return len(late)

    assert asyncio.run(flood()) == throttle.LATE


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff:4:5:6:54321", "2001:db8:1:2::"),
        ("[2001:db8:1:2::1]:443", "2001:db8:1:2::"),
        ("", ""),
        ("x" * 100, "x" * 64),
    ],
)
def test_network(source: str, place: str) -> None:
    """Ports do not count, and a household's IPv6 addresses are one source."""
    assert network(source) == place
