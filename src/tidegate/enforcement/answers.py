"""Who may answer a question, and when enough have said yes. Pure.

Nobody who has a part in what is asked answers it: no hop of the chain, no accountable owner of an agent in it, no other
account of the same person, whatever groups they are in. Each yes counts for one rule only, so that two rules need two
people.
"""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.errors import Refused
from tidegate.model.approval import Answer, Held
from tidegate.model.identity import Identity, Kind
from tidegate.model.proof import Proof
from tidegate.model.verdict import Approvers

SIGNED = frozenset({"passkey", "ssh"})
"""Methods of proof that leave a signature of the approver's own key."""


def may_answer(held: Held, by: Identity) -> None:
    """Raises Refused unless ``by`` is a person who has no part in it, in one of the approvers' groups."""
    if len(by.chain) != 1 or by.person.kind is not Kind.USER:
        raise Refused("only a person answers for themselves", rule="tidegate.approver", code="approval.person")
    if by.involved & held.question.requester.involved:
        raise Refused(
            "nobody who has a part in the request may answer it",
            rule="tidegate.approver",
            hint="Ask somebody else of the approvers' group.",
            code="approval.self",
        )
    if not rules_for(held, by.person.groups):
        raise Refused(
            "you are not among the approvers that the rule names", rule=held.question.rule, code="approval.group"
        )


def rules_for(held: Held, groups: Sequence[str]) -> list[str]:
    """The rules for which a yes of somebody in these groups can count."""
    return [each.rule for each in held.question.approvers if _fits(held, each, groups)]


def may_sign(held: Held, by: Identity, proof: Proof) -> None:
    """Raises Refused when every rule that this yes could count for demands a signature that ``proof`` lacks."""
    fitting = [each for each in held.question.approvers if _fits(held, each, by.person.groups)]
    if proof.method not in SIGNED and all(each.signed for each in fitting):
        raise Refused(
            "this needs a yes that is signed by your own passkey or ssh key",
            rule=held.question.rule,
            hint="Register one: tidegate credentials add ssh. Then: tidegate approvals approve ID --key FILE",
            code="approval.signature",
        )


def satisfied(held: Held, yes: Sequence[Answer]) -> bool:
    """Whether every rule has its number of different people, each counted once (a bipartite matching)."""
    places = [each for each in held.question.approvers for _ in range(each.count)]
    taken: dict[int, int] = {}
    return all(_seat(held, place, places, yes, taken, set()) for place in range(len(places)))


def _seat(
    held: Held,
    place: int,
    places: Sequence[Approvers],
    yes: Sequence[Answer],
    taken: dict[int, int],
    tried: set[int],
) -> bool:
    """Find somebody for a place, moving others along if need be (the augmenting path of Kuhn's algorithm)."""
    for person, answer in enumerate(yes):
        if person in tried or not _counts(held, places[place], answer):
            continue
        tried.add(person)
        if person not in taken or _seat(held, taken[person], places, yes, taken, tried):
            taken[person] = place
            return True
    return False


def _counts(held: Held, wanted: Approvers, answer: Answer) -> bool:
    return _fits(held, wanted, answer.groups) and (answer.method in SIGNED or not wanted.signed)


def _fits(held: Held, wanted: Approvers, groups: Sequence[str]) -> bool:
    return not set(held.groups(wanted)).isdisjoint(groups)
