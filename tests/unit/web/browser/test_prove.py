"""/prove, for a terminal that waits."""

from __future__ import annotations

import pytest

from tidegate.errors import AgentError
from tidegate.model.identity import Identity
from tidegate.model.proof import action
from unit.web.world import PASSWORD, World, token_of

DEED = action("connect", "shop")


@pytest.fixture
def bob(world: World) -> World:
    """A gateway with bob, who has a password."""
    world.login("bob", "staff")
    world.password("bob")
    return world


def asked(world: World, who: Identity) -> str:
    """What a terminal is told when it has no proof."""
    with pytest.raises(AgentError) as error:
        world.call(lambda: world.credentials.prove(who, DEED, None))
    return str(error.value.details["challenge"])


def test_the_terminal_goes_on(bob: World) -> None:
    """The page says the action; with the password there, the terminal's own request is proven, once."""
    who = bob.call(lambda: bob.access.chain("bob"))
    id = asked(bob, who)
    browser = bob.browser("bob")
    page = browser.get(f"/prove/{id}")
    assert "open shop as yourself" in page.text
    form = {"form": token_of(page), "method": "password", "password": PASSWORD}
    assert "The terminal goes on by itself" in browser.post(f"/prove/{id}", data=form).text
    offered = {"method": "browser", "challenge": id}
    proof = bob.call(lambda: bob.credentials.prove(who, DEED, offered))
    assert proof.method == "password"
    with pytest.raises(AgentError):
        bob.call(lambda: bob.credentials.prove(who, DEED, offered))


def test_without_a_proof_it_waits(bob: World) -> None:
    """An empty form, a wrong password, and the claim that a browser was there prove nothing."""
    who = bob.call(lambda: bob.access.chain("bob"))
    id = asked(bob, who)
    browser = bob.browser("bob")
    form = {"form": token_of(browser.get(f"/prove/{id}"))}
    assert browser.post(f"/prove/{id}", data=form).status_code == 200
    for proof in ({"method": "password", "password": "wrong horse"}, {"method": "browser", "challenge": id}):
        assert browser.post(f"/prove/{id}", data={**form, **proof}).status_code == 401
    with pytest.raises(AgentError) as waiting:
        bob.call(lambda: bob.credentials.prove(who, DEED, {"method": "browser", "challenge": id}))
    assert waiting.value.code == "stepup.waiting"
