"""Who somebody is whom a provider knows: by a link, by an invitation, or newly; and with which groups."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.enforcement.accounts import restore
from tidegate.enforcement.revocations import Revocations
from tidegate.errors import AgentError, Refused, TidegateError
from tidegate.model.identity import External, Identity, Kind
from tidegate.settings_login import Joining
from tidegate.store import schema
from unit.web.world import World

CLOSED = Joining(False, {"Domain Admins": "admins", "g-dba": "dba", "g-ops": "ops"}, "groups", "email", "")
OPEN = replace(CLOSED, join=True)
ALICE = External("corp", "00u1", "alice", "alice@example.test", (), "oidc:corp", 1)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A gateway with root, and alice of the staff."""
    with World(tmp_path) as started:
        started.login("alice", "staff")
        yield started


def comes(world: World, who: External = ALICE, joining: Joining = CLOSED) -> Identity:
    """Somebody who has just logged in at the provider."""
    return world.call(lambda: world.accounts.person(who, joining))


def code(call: Callable[[], object]) -> str:
    """The code of a refusal."""
    with pytest.raises(TidegateError) as caught:
        call()
    assert caught.value.hint
    return caught.value.code


def link(world: World, name: str = "alice", provider: str = "corp", **what: str) -> str:
    """Root links somebody; gives the link's id."""
    return world.call(lambda: world.accounts.link(root(world), name, provider, **what)).id


def root(world: World) -> Identity:
    """The administrator, on the loop."""
    return world.directory_.resolve((world.directory_.named("root").hop.subject,))


def test_strangers_stay_out(world: World) -> None:
    """By default nobody comes in whom no administrator has linked, and the refusal says how to."""
    with pytest.raises(Refused) as caught:
        comes(world)
    assert caught.value.code == "login.stranger"
    assert "--provider corp --subject 00u1" in caught.value.hint
    assert code(lambda: comes(world, replace(ALICE, email=""))) == "login.stranger"


def test_a_name_proves_nothing(world: World) -> None:
    """Who is called alice at the provider is not alice here."""
    newcomer = comes(world, joining=OPEN).person
    assert (newcomer.name, newcomer.groups) == ("alice-2", ())
    assert newcomer.subject != world.directory_.named("alice").hop.subject
    assert comes(world, joining=OPEN).person == newcomer
    assert comes(world, replace(ALICE, name="somebody"), OPEN).person.name == "alice-2"


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("Bob.Smith@example.test", "bob.smith"),
        ("../../etc", "etc"),
        ("Ünal Ö", "nal"),
        ("", "person"),
        ("-._-", "person"),
        ("a" * 200, "a" * 50),
        ("x\ny", "x-y"),
    ],
)
def test_newcomers_get_a_name(world: World, name: str, here: str) -> None:
    """Theirs as far as it is one."""
    assert comes(world, replace(ALICE, name=name), OPEN).person.name == here


def test_a_link_by_subject(world: World) -> None:
    """An administrator says who it is; every fact is a leaf."""
    link(world, subject="00u1")
    assert comes(world).person.name == "alice"
    assert code(lambda: comes(world, replace(ALICE, provider="other"))) == "login.stranger"
    assert code(lambda: comes(world, replace(ALICE, subject="00u2"))) == "login.stranger"
    (leaf,) = world.leaves("identity.linked")
    assert (leaf["sub"], leaf["pv"]) == (world.directory_.named("alice").hop.subject, "corp")
    assert "00u1" not in str(leaf)


def test_an_invitation_is_taken_once(world: World) -> None:
    """The first subject with the verified address takes it; a later owner of the mailbox is a stranger."""
    link(world, email="Alice@example.test")
    assert code(lambda: comes(world, replace(ALICE, email=""))) == "login.stranger"
    assert comes(world).person.name == "alice"
    assert comes(world, replace(ALICE, email="")).person.name == "alice"
    assert code(lambda: comes(world, replace(ALICE, subject="00u2"))) == "login.stranger"


def test_an_address_is_no_subject(world: World) -> None:
    """A subject that looks like the invited address is not the address, and the other way round."""
    link(world, email="alice@example.test")
    assert code(lambda: comes(world, replace(ALICE, subject="alice@example.test", email=""))) == "login.stranger"
    link(world, "root", subject="root@example.test")
    assert code(lambda: comes(world, replace(ALICE, email="root@example.test"))) == "login.stranger"


def test_groups_are_mapped_and_replaced(world: World) -> None:
    """Only mapped ones count; each login brings its own in place of the last one's; local ones stay."""
    link(world, subject="00u1")
    seen = []
    for groups in (("g-dba", "staff", "admins"), ("g-ops",), (), ("Domain Admins",), ("domain admins",)):
        seen.append(comes(world, replace(ALICE, groups=groups)).person.groups)
    assert seen == [("dba", "staff"), ("ops", "staff"), ("staff",), ("admins", "staff"), ("staff",)]


def test_a_local_group_stays_when_the_provider_takes_it_away(world: World) -> None:
    """What an administrator gave is not the provider's."""
    joining = replace(CLOSED, groups={"s": "staff"})
    link(world, subject="00u1")
    assert comes(world, replace(ALICE, groups=("s",)), joining).person.groups == ("staff",)
    assert comes(world, ALICE, joining).person.groups == ("staff",)


def test_groups_are_in_the_log_first(world: World) -> None:
    """A change of groups is a leaf with all of them, by the provider; no change is none."""
    link(world, subject="00u1")
    before = len(world.leaves("identity.bound"))
    comes(world, replace(ALICE, groups=("g-dba",)))
    comes(world, replace(ALICE, groups=("g-dba",)))
    (leaf,) = world.leaves("identity.bound")[before:]
    assert (leaf["groups"], leaf["by"], leaf["kind"]) == (["dba", "staff"], "idp:corp", "user")


def test_somebody_disabled_stays_out(world: World) -> None:
    """The provider does not bring them back, and their groups are not touched."""
    link(world, subject="00u1")
    world.call(lambda: world.access.disable(root(world), "alice", Kind.USER))
    before = len(world.leaves("identity.bound"))
    with pytest.raises(AgentError) as caught:
        comes(world, replace(ALICE, groups=("g-dba",)), OPEN)
    assert caught.value.code == "identity.disabled"
    assert len(world.leaves("identity.bound")) == before


def test_a_link_ends(world: World) -> None:
    """Who comes by it is a stranger, and the groups it gave are gone."""
    id = link(world, subject="00u1")
    comes(world, replace(ALICE, groups=("g-dba",)))
    world.call(lambda: world.accounts.unlink(root(world), "alice", id))
    assert code(lambda: comes(world)) == "login.stranger"
    assert world.directory_.named("alice").hop.groups == ("staff",)
    assert code(lambda: world.call(lambda: world.accounts.unlink(root(world), "alice", id))) == "link.unknown"
    link(world, subject="00u1")
    assert comes(world).person.name == "alice"


def test_an_ended_link_that_is_put_back_opens_nothing(world: World) -> None:
    """Also after a restart: what the log says has ended is not read from the store."""
    id = link(world, subject="00u1")
    row = world.store.link(id)
    assert row is not None
    world.call(lambda: world.accounts.unlink(root(world), "alice", id))
    world.store.put_link(row)
    assert code(lambda: comes(world)) == "login.stranger"
    world.accounts._revocations = Revocations(world.leaves())
    assert code(lambda: comes(world)) == "login.stranger"


def test_a_row_that_was_written_by_hand_stops_the_login(world: World) -> None:
    """A link is signed: another subject in it is seen."""
    link(world, subject="00u1")
    with sqlite3.connect(world.settings.data / "store.sqlite") as database:
        database.execute("UPDATE links SET external = '00u2'")
    assert code(lambda: comes(world, replace(ALICE, subject="00u2"))) == "store.forged"


def test_two_are_not_linked_to_one(world: World) -> None:
    """Neither by subject nor by address."""
    link(world, subject="00u1")
    link(world, email="alice@example.test")
    assert code(lambda: link(world, "root", subject="00u1")) == "link.taken"
    assert code(lambda: link(world, "root", email="ALICE@example.test")) == "link.taken"


def test_links_have_limits(world: World) -> None:
    """One person has so many and no more."""
    for number in range(16):
        link(world, subject=f"s{number}")
    assert code(lambda: link(world, subject="s16")) == "link.full"


def test_who_may_link(world: World) -> None:
    """Only who operates the gateway says who somebody is."""
    alice = world.call(lambda: world.access.chain("alice"))
    for call in (
        lambda: world.accounts.link(alice, "alice", "corp", subject="00u9"),
        lambda: world.accounts.unlink(alice, "alice", "li_1"),
        lambda: world.accounts.same(alice, "alice", "root"),
    ):
        assert code(lambda call=call: world.call(call)) == "policy.refused"


def test_agents_are_not_linked(world: World) -> None:
    """A provider's subject is a person."""
    assert world.post("/agents", "alice", {"name": "bot"}).status_code == 201
    assert code(lambda: link(world, "bot", subject="00u1")) == "identity.unknown"


def test_accounts_of_one_person(world: World) -> None:
    """Joined for good, with all that were joined before: none may approve for another."""
    for name in ("b", "c", "d"):
        world.login(name)
    same = world.accounts.same
    for first, second in (("b", "alice"), ("d", "c"), ("c", "b")):
        world.call(lambda first=first, second=second: same(root(world), first, second))
    hops = [world.directory_.named(name).hop for name in ("alice", "b", "c", "d")]
    assert {hop.same for hop in hops} == {hops[0].subject}
    chain = world.call(lambda: world.access.chain("d"))
    assert hops[0].subject in chain.involved
    assert any(leaf.get("same") == hops[0].subject for leaf in world.leaves("identity.bound"))
    world.call(lambda: same(root(world), "alice", "d"))
    assert {world.directory_.named(name).hop.same for name in ("alice", "b", "c", "d")} == {hops[0].subject}


def test_joined_accounts_stay_joined_through_a_login(world: World) -> None:
    """New groups do not part them."""
    world.login("b")
    link(world, subject="00u1")
    world.call(lambda: world.accounts.same(root(world), "alice", "b"))
    same = world.directory_.named("b").hop.subject
    assert comes(world, replace(ALICE, groups=("g-dba",))).person.same == same


def test_groups_that_are_put_back_by_hand_give_nothing(world: World) -> None:
    """A genuine, older row of the store: whoever has the file cannot bring back what somebody was."""
    link(world, subject="00u1")
    comes(world, replace(ALICE, groups=("Domain Admins",)))
    old = world.store.identity(world.directory_.named("alice").hop.subject)
    assert old is not None and "admins" in old.groups
    comes(world)
    world.store._put(schema.identities, "subject", old)
    assert code(lambda: world.call(lambda: world.access.chain("alice"))) == "store.forged"
    assert world.get("/me", "alice").status_code == 500
    for call in (
        lambda: world.accounts.same(root(world), "alice", "root"),
        lambda: world.accounts.link(root(world), "alice", "other", subject="x"),
        lambda: world.accounts.person(ALICE, CLOSED),
    ):
        assert code(lambda call=call: world.call(call)) == "store.forged"
    assert restore(world.store, world.leaves()) == [old.subject]
    assert world.call(lambda: world.access.chain("alice")).person.groups == ("staff",)
    assert restore(world.store, world.leaves()) == []


def test_accounts_that_are_parted_by_hand_stay_one(world: World) -> None:
    """Also after a restart, with what the log says."""
    world.login("b")
    old = world.store.identity(world.directory_.named("b").hop.subject)
    assert old is not None
    world.call(lambda: world.accounts.same(root(world), "b", "alice"))
    world.store._put(schema.identities, "subject", old)
    world.directory_.watch(Revocations(world.leaves()).outdated)
    assert code(lambda: world.call(lambda: world.access.chain("b"))) == "store.forged"
    assert restore(world.store, world.leaves()) == [old.subject]
    assert world.directory_.named("b").hop.same == world.directory_.named("alice").hop.subject
