"""What a held request asks of people, and what its agent is told."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import pytest

from tidegate.enforcement.held import covers, no, pending, question_of
from tidegate.model.identity import Grant, Identity
from tidegate.model.operation import Facts, Operation, Request, Verb
from tidegate.model.resource import Address, Resource
from tidegate.model.verdict import Approvers, Decision, Effect
from unit.enforcement.people import AGENT, ALICE, CAROL, held

SHOP = Resource("shop", "proto", Address("db", 1))
GRANT = Grant("g_1", ("u_alice", "a_code"), "shop", 10**18, "connect", "OPS-1", 3)
CHAIN = Identity((ALICE.person, AGENT))
HOLDS = Decision(
    Effect.HOLD, ("bulk",), "b" * 64, because="It changes all.", approvers=(Approvers(("dba",), 1, "bulk"),), within=60
)
ALLOWS = Decision(Effect.ALLOW, ("reads",), "b" * 64)


@dataclass
class Holding:
    """A request and its decisions."""

    request: Request
    decisions: tuple[Decision, ...] = (HOLDS,)


def operation(
    text: str = "update t set x = $1",
    parameters: bytes = b"7",
    phase: str = "execute",
    declared: bytes = b"",
    runs: str = "",
) -> Operation:
    """A write."""
    return Operation(
        Facts(Verb.WRITE, "update", text, writes=("public.t",), runs=runs), parameters, phase, declared=declared
    )


def digest(
    *operations: Operation,
    chain: Identity = CHAIN,
    resource: Resource = SHOP,
    context: str = "[]",
    bundle: str = "b",
    approvers: tuple[Approvers, ...] = HOLDS.approvers,
) -> str:
    """What a yes to these would be about."""
    asked = operations or (operation(),)
    decisions = tuple(replace(HOLDS, bundle=bundle, approvers=approvers) for _ in asked)
    return question_of(chain, resource, GRANT, "s1", Holding(Request(b"raw", asked), decisions), context).digest


@pytest.mark.parametrize(
    "other",
    [
        digest(operation("update t set x = $1 ")),
        digest(operation(parameters=b"8")),
        digest(operation(phase="prepare")),
        digest(operation(runs="delete from t")),
        digest(operation(declared=b"\0\0\0\x17")),
        digest(operation(), operation()),
        digest(chain=Identity((CAROL.person, AGENT))),
        digest(chain=ALICE),
        digest(resource=replace(SHOP, name="crm")),
        digest(resource=replace(SHOP, address=Address("other", 1))),
        digest(context='[["changed"]]'),
        digest(bundle="c"),
        digest(approvers=(Approvers(("dba",), 2, "bulk"),)),
        digest(approvers=(Approvers(("dba",), 1, "bulk", signed=True),)),
        digest(approvers=(*HOLDS.approvers, Approvers(("dba",), 1, "other"))),
    ],
)
def test_anything_else_is_another_question(other: str) -> None:
    """Text, values, types, phase, number, chain, resource, address, meaning, policy, approvers: each is bound."""
    assert other != digest()


def test_the_session_and_its_bytes_are_not_bound() -> None:
    """So that exactly the same may be asked again from another session."""
    one = question_of(CHAIN, SHOP, GRANT, "s1", Holding(Request(b"raw", (operation(),))), "[]")
    two = question_of(CHAIN, SHOP, GRANT, "s2", Holding(Request(b"other", (operation(),))), "[]")
    assert one.digest == two.digest == hashlib.sha256(one.bound.encode()).hexdigest()


def test_only_what_holds_decides() -> None:
    """Approvers, time and words come from the decisions that hold it."""
    longer = replace(HOLDS, rules=("other",), within=30, approvers=(Approvers(("sec",), 1, "other"),), because="Too.")
    several = Holding(Request(b"", (operation(), operation(), operation())), (ALLOWS, HOLDS, longer))
    asked = question_of(CHAIN, SHOP, GRANT, "s1", several, "[]")
    assert (asked.rule, asked.within, asked.because) == ("bulk, other", 30, "It changes all. Too.")
    assert [each.rule for each in asked.approvers] == ["bulk", "other"]
    assert asked.reason == "OPS-1"


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("rejected", "approval.rejected"),
        ("expired", "approval.expired"),
        ("withdrawn", "approval.withdrawn"),
        ("voided", "approval.void"),
        ("used", "approval.void"),
    ],
)
def test_every_end_says_why(state: str, code: str) -> None:
    """A stable code, the reason, and that nothing ran."""
    refusal = no(replace(held(), state=state, answer="because"))
    assert refusal.code == code and "Nothing was executed" in refusal.hint


def test_who_does_not_wait_is_told_how_to_go_on() -> None:
    """The id of the approval, and that the same statement then runs once."""
    refusal = pending(held())
    assert (refusal.code, refusal.request) == ("approval.pending", "ap_1")
    assert "exactly the same" in refusal.hint


@pytest.mark.parametrize(
    ("decision", "still"),
    [
        (HOLDS, True),
        (ALLOWS, True),
        (replace(HOLDS, effect=Effect.REFUSE), False),
        (replace(HOLDS, bundle="c"), False),
        (replace(HOLDS, approvers=(Approvers(("dba",), 2, "bulk"),)), False),
        (replace(HOLDS, approvers=(*HOLDS.approvers, Approvers(("audit",), 1, "other"))), False),
    ],
)
def test_a_yes_covers_what_policy_still_asks(decision: Decision, still: bool) -> None:
    """Who else would have to be asked by now has not said yes."""
    asked = question_of(CHAIN, SHOP, GRANT, "s1", Holding(Request(b"raw", (operation(),))), "[]")
    assert covers(asked, [ALLOWS, decision]) is still
