"""Bindings: who makes and ends them, what is written, and what cannot be bound."""

from __future__ import annotations

import pytest

from tidegate.enforcement.links import MOST
from tidegate.errors import Refused, TidegateError
from tidegate.model.identity import Identity
from tidegate.store.rows import LinkRow
from unit.web.world import World


def who(world: World, name: str) -> Identity:
    """Somebody as they stand."""
    return world.call(lambda: world.access.chain(name))


def bind(world: World, name: str = "claude-code", by: str = "root", issuer: str = "k8s", **conditions: str) -> LinkRow:
    """Bind, as an administrator unless said otherwise."""
    caller = who(world, by)
    return world.call(lambda: world.links.bind(caller, name, issuer, conditions))


def code(world: World, **words: str) -> str:
    """The code with which a binding is refused; nothing is written then."""
    before = (len(world.store.links()), len(world.leaves("identity.linked")))
    with pytest.raises(TidegateError) as caught:
        bind(world, **words)
    assert (len(world.store.links()), len(world.leaves("identity.linked"))) == before
    return caught.value.code


def test_a_binding_is_in_the_log_first(staffed: World) -> None:
    """The leaf names subject, link and issuer; what the conditions say is sealed."""
    row = bind(staffed, sub="prod:secret-name", repository="org/*")
    leaf = staffed.leaves("identity.linked")[-1]
    assert (leaf["i"], leaf["sub"], leaf["link"], leaf["pv"]) == (row.leaf, "a_claude-code", row.id, "jwt:k8s")
    assert leaf["by"] == who(staffed, "root").person.subject
    assert "secret-name" not in str(leaf) and set(leaf["c"]) == {"stmt", "who"}
    assert (row.external, row.conditions) == ("prod:secret-name", '{"repository":"org/*","sub":"prod:secret-name"}')
    assert bind(staffed, repository="org/app", sub="prod:*").external == ""


def test_only_operators_bind(staffed: World) -> None:
    """Not even the owner: it decides whom an issuer's tokens stand for."""
    assert code(staffed, by="alice", sub="x") == "policy.refused"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"issuer": "elsewhere", "sub": "x"}, "binding.issuer"),
        ({"sub": "*"}, "binding.unpinned"),
        ({"sub": "x", "aud": "y"}, "binding.condition"),
        ({"name": "alice", "sub": "x"}, "identity.unknown"),
        ({"name": "nobody", "sub": "x"}, "identity.unknown"),
    ],
)
def test_what_cannot_be_bound(staffed: World, words: dict[str, str], why: str) -> None:
    """Unknown issuers, conditions that pin nobody, people, and who does not exist."""
    assert code(staffed, **words) == why


def test_the_same_tokens_are_bound_once(staffed: World) -> None:
    """The very same conditions have one owner; once ended they are free again."""
    row = bind(staffed, sub="prod:once")
    eve = who(staffed, "eve")
    staffed.call(lambda: staffed.access.add_agent(eve, "eves", "eve", []))
    assert code(staffed, name="eves", sub="prod:once") == "binding.taken"
    root = who(staffed, "root")
    staffed.call(lambda: staffed.links.unbind(root, row.id))
    assert bind(staffed, name="eves", sub="prod:once").subject == "a_eves"


def test_a_bounded_number(world: World) -> None:
    """One identity has so many bindings and no more."""
    world.staff()
    for at in range(MOST):
        bind(world, sub=f"prod:{at}")
    assert code(world, sub="prod:more") == "binding.full"


def test_an_ended_binding_stays_ended(staffed: World) -> None:
    """Its owner may end it, nobody else; the row put back changes nothing."""
    row = bind(staffed, sub="prod:ends")
    alice, eve = who(staffed, "alice"), who(staffed, "eve")
    for id in (row.id, "li_nothing"):
        with pytest.raises(Refused, match="others' agents"):
            staffed.call(lambda id=id: staffed.links.unbind(eve, id))
    staffed.call(lambda: staffed.links.unbind(alice, row.id))
    leaf = staffed.leaves("cred.revoked")[-1]
    assert (leaf["cred"], leaf["sub"], leaf["by"]) == (row.id, "a_claude-code", alice.person.subject)
    staffed.store.put_link(row)
    assert row.id in staffed.revocations
    assert row.id not in [each.id for each in staffed.call(lambda: staffed.links.of("a_claude-code"))]


def test_links_of_people_are_no_bindings(staffed: World) -> None:
    """What somebody is called at a login provider is neither shown nor ended here."""
    alice, root = who(staffed, "alice"), who(staffed, "root")
    staffed.store.put_link(LinkRow("li_corp", "corp", "00u1", alice.person.subject, "{}", 1))
    assert staffed.call(lambda: staffed.links.of(alice.person.subject)) == []
    with pytest.raises(Refused) as caught:
        staffed.call(lambda: staffed.links.unbind(root, "li_corp"))
    assert caught.value.code == "binding.unknown"
