"""A flow fits one answer: its own state, its own provider, in time."""

from __future__ import annotations

import pytest

from tidegate.errors import AgentError
from tidegate.identity.providers import FLOW_LIFE, Flow, random

FLOW = Flow("corp", "https://gw/cb", "state-1", False, 1000, {"nonce": "secret-nonce"})


def test_the_flows_own_answer() -> None:
    """From the moment it began until its life is over."""
    FLOW.demand("corp", "state-1", 1000)
    FLOW.demand("corp", "state-1", 1000 + FLOW_LIFE - 1)


@pytest.mark.parametrize(
    ("provider", "state", "now"),
    [
        ("corp", "state-2", 1000),
        ("corp", "", 1000),
        ("corp", "state-1 ", 1000),
        ("corp", "\ud800", 1000),
        ("corp", "ä", 1000),
        ("other", "state-1", 1000),
        ("corp", "state-1", 1000 + FLOW_LIFE),
        ("corp", "state-1", 999),
    ],
)
def test_other_answers(provider: str, state: str, now: int) -> None:
    """Another state, another provider (mix-up), too late."""
    with pytest.raises(AgentError) as caught:
        FLOW.demand(provider, state, now)
    assert caught.value.code == "login.flow"


def test_secrets_are_not_shown() -> None:
    """Neither in logs nor in tracebacks."""
    assert "secret-nonce" not in repr(FLOW)


def test_random_texts() -> None:
    """43 characters, as PKCE demands at least (RFC 7636 section 4.1), and never the same."""
    drawn = {random() for _ in range(100)}
    assert len(drawn) == 100
    assert {len(text) for text in drawn} == {43}
