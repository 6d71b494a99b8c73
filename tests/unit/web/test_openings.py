"""Sealed compartments, opened."""

from __future__ import annotations

import pytest

from tidegate.errors import ConfigError
from tidegate.web.openings import Openings
from unit.web.world import World


def test_gateway_and_session_compartments_open(staffed: World) -> None:
    """Leaves of a session open with its keys, others with those of the process."""
    staffed.ask(staffed.session("OPS-1"), "SELECT 1")
    staffed.call(staffed.log.settled)
    openings = Openings(staffed.log.directory, str(staffed.replay))
    grant, intent = staffed.leaves("grant.activated")[-1], staffed.leaves("op.intent")[-1]
    assert openings.all(grant) == ({"why": "OPS-1", "who": "alice -> claude-code"}, {})
    assert '"SELECT 1"' in openings.text(intent, "stmt")


def test_wrong_identity_opens_nothing(staffed: World) -> None:
    """An identity that is no recipient opens nothing, and says so."""
    import pyrage

    leaf = staffed.leaves("identity.bound")[-1]
    stranger = Openings(staffed.log.directory, str(pyrage.x25519.Identity.generate()))
    with pytest.raises(ConfigError):
        stranger.text(leaf, "who")
    opened, closed = stranger.all(leaf)
    assert (opened, list(closed)) == ({}, ["who"])
