"""The directory: who may stand in a chain, and how people get in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tidegate.errors import AgentError, Refused
from tidegate.identity.directory import Directory
from tidegate.identity.issuer import Issuer
from tidegate.model.identity import Identity, Kind

from .conftest import Watch


@pytest.fixture
def alice(directory: Directory) -> Identity:
    """Alice and her agent claude-code."""
    directory.add(person := directory.person("alice", ["dba"]), leaf=1)
    directory.add(directory.agent("claude-code", ["agents"]), owner=person.subject, leaf=2)
    return directory.resolve([person.subject, "a_claude-code"])


def code(directory: Directory, *subjects: str) -> str:
    """The code with which a chain is refused."""
    with pytest.raises(AgentError) as caught:
        directory.resolve(subjects)
    return caught.value.code


def test_a_chain_resolves_with_groups(directory: Directory, issuer: Issuer, alice: Identity) -> None:
    """A token's subjects become hops with the groups of this moment."""
    _, claims = issuer.mint(alice, audience="resource:shop", ttl=60)
    assert directory.identity(claims) == alice
    assert alice.title == "alice -> claude-code"
    assert [(hop.kind, hop.groups) for hop in alice.chain] == [(Kind.USER, ("dba",)), (Kind.AGENT, ("agents",))]


def test_subjects_are_pseudonyms(alice: Identity) -> None:
    """A person's subject says nothing of the name; an agent's is its name."""
    assert len(alice.person.subject) == 22 and "alice" not in alice.person.subject
    assert alice.actor.subject == "a_claude-code"


def test_disabled_ends_at_once(directory: Directory, issuer: Issuer, alice: Identity) -> None:
    """Disabling the agent ends its chain but not the person; disabling the person ends both."""
    _, claims = issuer.mint(alice, audience="resource:shop", ttl=60)
    directory.disable("a_claude-code", leaf=3)
    with pytest.raises(AgentError, match="disabled"):
        directory.identity(claims)
    directory.resolve([alice.person.subject])
    directory.disable(alice.person.subject, leaf=4)
    assert code(directory, alice.person.subject) == "identity.disabled"


def test_an_agent_of_another_is_refused(directory: Directory, alice: Identity) -> None:
    """Nobody acts through an agent that somebody else owns."""
    directory.add(bob := directory.person("bob"), leaf=3)
    assert code(directory, bob.subject, "a_claude-code") == "identity.unowned"


def test_an_agent_never_stands_alone(directory: Directory, alice: Identity) -> None:
    """A chain starts with a person, and has only one."""
    assert code(directory, "a_claude-code") == "identity.unowned"
    assert code(directory) == "identity.unowned"
    assert code(directory, alice.person.subject, alice.person.subject) == "identity.unowned"


def test_an_agent_that_proved_itself_may_act_for_others(directory: Directory, alice: Identity) -> None:
    """What an exchange has proven may stand behind another person, and its owner stays known; a plain token may not."""
    directory.add(bob := directory.person("bob"), leaf=3)
    found = directory.resolve([bob.subject, "a_claude-code"], ["token", "jwt:k8s"])
    assert [hop.proof for hop in found.chain] == ["token", "jwt:k8s"]
    assert found.involved == {bob.subject, "a_claude-code", alice.person.subject}
    with pytest.raises(AgentError, match="not an agent of this person"):
        directory.resolve([bob.subject, "a_claude-code"], ["oidc:corp", "token"])


def test_no_chain_rests_on_a_disabled_owner(directory: Directory, alice: Identity) -> None:
    """An agent ends with the person who answers for it, also where it acts for somebody else."""
    directory.add(bob := directory.person("bob"), leaf=3)
    directory.disable(alice.person.subject, leaf=4)
    for attempt in (
        lambda: directory.resolve([bob.subject, "a_claude-code"], ["token", "exchange"]),
        lambda: directory.answering("a_claude-code", "jwt:k8s"),
    ):
        with pytest.raises(AgentError) as caught:
            attempt()
        assert caught.value.code == "identity.disabled"


def test_nobody_is_in_a_chain_twice(directory: Directory, alice: Identity) -> None:
    """A chain that comes back to an agent is refused."""
    assert code(directory, alice.person.subject, "a_claude-code", "a_claude-code") == "identity.repeated"


def test_who_comes_alone_brings_its_owner(directory: Directory, alice: Identity) -> None:
    """An agent's own credential stands for its owner and itself; the owner has proven nothing."""
    directory.add(directory.service("nightly"), owner=alice.person.subject, leaf=3)
    for subject in ("a_claude-code", "s_nightly"):
        found = directory.answering(subject, "jwt:k8s")
        assert [(hop.subject, hop.proof) for hop in found.chain] == [
            (alice.person.subject, "owner"),
            (subject, "jwt:k8s"),
        ]
    assert found.actor.kind is Kind.SERVICE


def test_without_an_owner_nobody_connects(directory: Directory, alice: Identity) -> None:
    """A person comes in no such way, nor an agent whose owner is not in the directory."""
    directory._entries.put_identity(directory.agent("orphan"), owner="", disabled=False, leaf=3)
    directory._entries.put_identity(directory.agent("pet"), owner="a_claude-code", disabled=False, leaf=3)
    for subject in (alice.person.subject, "a_orphan", "a_pet"):
        with pytest.raises(AgentError) as caught:
            directory.answering(subject, "jwt:k8s")
        assert caught.value.code == "identity.unowned"
    with pytest.raises(AgentError, match="no person answers for a_orphan"):
        directory.answering("a_orphan", "jwt:k8s")


def test_strangers_are_refused(directory: Directory, alice: Identity) -> None:
    """An unknown subject or name is an error, also behind a known person."""
    assert code(directory, "u_nobody") == code(directory, alice.person.subject, "a_nobody") == "identity.unknown"
    with pytest.raises(AgentError, match="no such identity"):
        directory.named("nobody")


def test_an_agent_needs_an_owner(directory: Directory, alice: Identity) -> None:
    """An agent without a person, or owned by an agent, is not added."""
    for owner in ("", "u_nobody", "a_claude-code"):
        with pytest.raises(AgentError):
            directory.add(directory.agent("stray"), owner=owner, leaf=3)
    assert [entry.hop.name for entry in directory.entries()] == ["alice", "claude-code"]


@pytest.mark.parametrize("name", ["", "Alice", "-x", "a b", "a\n", "a/b", "x" * 64, "ä", "a'"])
def test_names_are_plain(directory: Directory, name: str) -> None:
    """A name or group that could be mistaken for something else is refused."""
    for attempt in (lambda: directory.person(name), lambda: directory.agent("x", [name])):
        with pytest.raises(Refused) as caught:
            attempt()
        assert caught.value.code == "identity.name"


def test_names_are_taken_once(directory: Directory, alice: Identity) -> None:
    """People and agents share one name space, also when two are added at the same moment."""
    with pytest.raises(Refused, match="taken"):
        directory.agent("alice")
    first, second = directory.person("carol"), directory.person("carol")
    directory.add(first, leaf=3)
    with pytest.raises(Refused) as caught:
        directory.add(second, leaf=4)
    assert caught.value.code == "identity.taken"


def test_a_code_enrols_once(directory: Directory, alice: Identity) -> None:
    """The first use says who it was for; the second is refused."""
    typed = directory.enrolment_code(alice.person.subject, ttl=60).lower()
    assert directory.enrol(typed).person == alice.person
    with pytest.raises(AgentError) as caught:
        directory.enrol(typed)
    assert caught.value.code == "code.invalid"


def test_two_threads_cannot_share_a_code(directory: Directory, alice: Identity) -> None:
    """Of eight attempts at once exactly one gets in."""
    typed = directory.enrolment_code(alice.person.subject, ttl=60)

    def attempt(_: int) -> bool:
        try:
            return bool(directory.enrol(typed))
        except AgentError:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1


def test_codes_expire(directory: Directory, alice: Identity, watch: Watch) -> None:
    """A code is refused from its last second on."""
    typed = directory.enrolment_code(alice.person.subject, ttl=60)
    watch.seconds += 60
    with pytest.raises(AgentError):
        directory.enrol(typed)


def test_agents_do_not_enrol(directory: Directory, alice: Identity) -> None:
    """Codes are for people."""
    with pytest.raises(AgentError):
        directory.enrolment_code("a_claude-code", ttl=60)


def test_bootstrap_is_for_the_first(directory: Directory) -> None:
    """A bootstrap code works once, is replaced by the next, and is no enrolment code."""
    old, new = directory.bootstrap_code(ttl=60), directory.bootstrap_code(ttl=60)
    assert old and new
    for attempt in (lambda: directory.bootstrap(old), lambda: directory.enrol(new)):
        with pytest.raises(AgentError):
            attempt()
    directory.bootstrap(new)
    with pytest.raises(AgentError):
        directory.bootstrap(new)


def test_bootstrap_ends_with_the_first_identity(directory: Directory) -> None:
    """Once anybody exists there is no bootstrap code, and an earlier one is worth nothing."""
    typed = directory.bootstrap_code(ttl=60)
    assert typed
    directory.add(directory.person("alice"), leaf=1)
    with pytest.raises(AgentError):
        directory.bootstrap(typed)
    assert directory.bootstrap_code(ttl=60) is None
