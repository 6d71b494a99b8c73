"""Who may answer, and when enough different people have."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.enforcement.answers import may_answer, may_sign, rules_for, satisfied
from tidegate.errors import Refused
from tidegate.model.approval import Answer
from tidegate.model.identity import Hop, Identity, Kind
from tidegate.model.verdict import Approvers
from unit.enforcement.people import AGENT, ALICE, BOB, CAROL, DAVE, PASSWORD, SSH, held, person


def yes(*people: Identity, method: str = "password") -> list[Answer]:
    """A yes of each."""
    return [Answer(each.person.subject, each.person.name, each.person.groups, 0, method) for each in people]


def test_somebody_else_of_the_group_may() -> None:
    """A person outside the chain and inside the group answers."""
    may_answer(held(), BOB)


@pytest.mark.parametrize(
    ("by", "code"),
    [
        (ALICE, "approval.self"),
        (person("alice2", "dba", same="u_alice"), "approval.self"),
        (Identity((AGENT,)), "approval.person"),
        (Identity((BOB.person, AGENT)), "approval.person"),
        (person("robot", "dba", kind=Kind.SERVICE), "approval.person"),
        (CAROL, "approval.group"),
        (person("root", "admins"), "approval.group"),
    ],
)
def test_nobody_else_may(by: Identity, code: str) -> None:
    """Not the person behind the agent nor another account of theirs, no agent, no service, nobody of other groups."""
    with pytest.raises(Refused) as refused:
        may_answer(held(), by)
    assert refused.value.code == code


def test_the_owner_of_an_agent_may_not() -> None:
    """An agent that acts for somebody else than its owner is answered for by neither."""
    lent = Hop("a_lent", "lent", Kind.AGENT, ("agents",), owner="u_bob")
    with pytest.raises(Refused, match="part in the request"):
        may_answer(held(requester=Identity((ALICE.person, lent))), BOB)


def test_administrators_are_no_exception() -> None:
    """Who may do everything to the gateway still has no part in answering their own request."""
    root = person("root", "admins", "dba")
    with pytest.raises(Refused, match="part in the request"):
        may_answer(held(requester=root), root)


def test_every_rule_needs_a_person_of_its_own() -> None:
    """Somebody of two groups counts for one of two rules, whichever lets both be satisfied."""
    both = held(approvers=(Approvers(("dba",), 1, "a"), Approvers(("security",), 1, "b")))
    assert not satisfied(both, yes(DAVE))
    assert satisfied(both, yes(DAVE, BOB)) and satisfied(both, yes(BOB, DAVE)) and satisfied(both, yes(CAROL, DAVE))
    assert not satisfied(both, yes(BOB, ALICE))


def test_a_quorum_counts_people() -> None:
    """Two of one group are two."""
    two = held(approvers=(Approvers(("dba",), 2, "a"),))
    assert not satisfied(two, yes(BOB)) and satisfied(two, yes(BOB, DAVE))


@given(
    st.lists(st.sets(st.sampled_from("abc"), min_size=1), max_size=5),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 2)), min_size=1, max_size=3),
)
def test_it_is_satisfied_exactly_if_people_can_be_placed(groups: list[set[str]], rules: list[tuple[str, int]]) -> None:
    """The matching finds a seating whenever there is one (tried in every order)."""
    from itertools import permutations

    people = [Answer(f"u_{n}", str(n), tuple(own), 0, "password") for n, own in enumerate(groups)]
    places = [group for group, count in rules for _ in range(count)]
    possible = len(places) <= len(groups) and any(
        all(place in own for place, own in zip(places, order, strict=False))
        for order in permutations(groups, len(places))
    )
    asked = held(approvers=tuple(Approvers((group,), count, f"r{n}") for n, (group, count) in enumerate(rules)))
    assert satisfied(asked, people) == possible


def test_a_signature_is_demanded_where_policy_says_so() -> None:
    """A password is no signature: the yes is turned away at once, and would not count."""
    signed = held(approvers=(Approvers(("dba",), 1, "bulk", signed=True),))
    with pytest.raises(Refused, match="passkey or ssh key"):
        may_sign(signed, BOB, PASSWORD)
    may_sign(signed, BOB, SSH)
    assert not satisfied(signed, yes(BOB)) and satisfied(signed, yes(BOB, method="ssh"))


def test_escalation_lets_others_answer() -> None:
    """Only once it has been escalated."""
    asked = held(approvers=(Approvers(("dba",), 1, "bulk", escalate=("security",), after=60),))
    assert rules_for(asked, ("security",)) == []
    later = replace(asked, escalated=60)
    assert rules_for(later, ("security",)) == ["bulk"]
    assert satisfied(later, yes(CAROL)) and not satisfied(asked, yes(CAROL))
