"""A flood of failed logins neither fills the log nor goes uncounted."""

from __future__ import annotations

from tidegate.enforcement.failures import ALARM, PER_SECOND, Failures
from unit.web.world import World


class Stopped:
    """A clock that stands still until it is moved; microseconds."""

    time = 5_000_000

    def monotonic(self) -> int:
        return self.time


def test_a_flood_is_counted_not_written(world: World) -> None:
    """So many leaves a second, and the next second's first leaf says how many there were besides."""
    clock = Stopped()
    failures = Failures(world.log, clock)  # type: ignore[arg-type]  # only the monotonic clock is used
    for _ in range(PER_SECOND + 7):
        world.call(lambda: failures("token.invalid", "192.0.2.1:5"))
    clock.time += 1_000_000
    world.call(lambda: failures("token.invalid", "192.0.2.1:5"))
    assert [leaf["more"] for leaf in world.leaves("auth.fail")] == [0] * PER_SECOND + [7]


def test_where_it_came_from_is_sealed(world: World) -> None:
    """The leaf names the fault, never the peer's address."""
    world.call(lambda: Failures(world.log, world.clock)("token.expired", "192.0.2.1:5"))
    leaf = world.leaves("auth.fail")[-1]
    assert (leaf["code"], "192.0.2.1" in str(leaf), "net" in leaf["c"]) == ("token.expired", False, True)


def test_guessing_is_an_event_and_then_an_alert(world: World) -> None:
    """Who guesses at what is sealed; from so many on it is an alert; both are as bounded as failures are."""
    failures = Failures(world.log, world.clock)
    world.call(lambda: failures.slowed("identity", "alice", "192.0.2.1", 5))
    world.call(lambda: failures.slowed("source", "alice", "192.0.2.1", ALARM))
    slowed, alert = world.leaves("auth.slowed"), world.leaves("alert.raised")[-1]
    assert [(leaf["by"], leaf["count"]) for leaf in slowed] == [("identity", 5), ("source", ALARM)]
    assert (alert["code"], "alice" in str(alert), "192.0.2.1" in str(alert)) == ("auth.guessing", False, False)
    for _ in range(100):
        world.call(lambda: failures.slowed("identity", "bob", "192.0.2.2", 5))
    assert len(world.leaves("auth.slowed")) <= 2 * PER_SECOND + 2
