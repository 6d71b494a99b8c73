"""Whose business a request is."""

from __future__ import annotations

import pytest

from tidegate.errors import Refused
from tidegate.model.identity import Identity
from tidegate.web.askers import chained, sees
from unit.web.world import World


def who(world: World, *names: str) -> Identity:
    """A chain."""
    return world.call(lambda: world.access.chain(*names))


def test_whose_it_is(staffed: World) -> None:
    """A person sees what they answer for; an agent exactly its own; observers everything; others nothing."""
    alice, agent = who(staffed, "alice"), who(staffed, "alice", "claude-code")
    chain = tuple(hop.subject for hop in agent.chain)
    root, eve = who(staffed, "root"), who(staffed, "eve")
    found = [sees(staffed.services, by, chain) for by in (alice, agent, root, eve)]
    assert found == [True, True, True, False]
    assert not sees(staffed.services, agent, chain[:1])


def test_an_agent_names_nobody_else(staffed: World) -> None:
    """An agent may name itself, nobody else; a person names their own agents only."""
    agent = who(staffed, "alice", "claude-code")
    assert staffed.call(lambda: chained(staffed.services, agent, "claude-code")) is agent
    with pytest.raises(Refused, match="for itself"):
        staffed.call(lambda: chained(staffed.services, agent, "helper"))
