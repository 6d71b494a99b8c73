"""Who may answer, when a question is satisfied, and that a yes covers one thing once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tidegate.enforcement.approvals import Held, may_answer, satisfied
from tidegate.errors import Refused
from tidegate.model.identity import Hop, Identity, Kind
from tidegate.model.verdict import Approvers


def person(name: str, *groups: str, kind: Kind = Kind.USER) -> Identity:
    """A chain of one."""
    return Identity((Hop(f"u_{name}", name, kind, groups),))


ALICE, BOB, CAROL = person("alice", "dba"), person("bob", "dba"), person("carol", "security")
AGENT = Hop("a_code", "code", Kind.AGENT, ("agents", "dba"))
HELD = Held(
    id="ap_1", sid="s", requester=Identity((ALICE.person, AGENT)), resource="shop", statement="update t set x = 1",
    parameters="", reason="", rule="bulk", because="", approvers=(Approvers(("dba",), 1, "bulk"),), asked=0,
    expires=10, digest="d", bundle="b", intents=(7,),
)  # fmt: skip


def test_somebody_else_of_the_group_may() -> None:
    """A person outside the chain and inside the group answers."""
    may_answer(HELD, BOB)


@pytest.mark.parametrize(
    ("by", "code"),
    [
        (ALICE, "approval.self"),
        (Identity((AGENT,)), "approval.person"),
        (Identity((BOB.person, AGENT)), "approval.person"),
        (person("robot", "dba", kind=Kind.SERVICE), "approval.person"),
        (CAROL, "approval.group"),
    ],
)
def test_nobody_else_may(by: Identity, code: str) -> None:
    """Not the person behind the agent, no agent, no chain, no service, nobody outside the groups."""
    with pytest.raises(Refused) as refused:
        may_answer(HELD, by)
    assert refused.value.code == code


def test_every_rule_needs_its_people() -> None:
    """Two rules with their own groups are satisfied only when both are, by different people."""
    rules = (Approvers(("dba",), 2, "a"), Approvers(("security",), 1, "b"))
    assert not satisfied(rules, [ALICE, BOB])
    assert not satisfied(rules, [BOB, CAROL])
    assert satisfied(rules, [ALICE, BOB, CAROL])


def test_a_question_is_a_frozen_value() -> None:
    """What was shown cannot change under the approver: a change is a new value with the same digest."""
    assert replace(HELD, state="approved").digest == HELD.digest
