"""The register: asked once, answered by others, used once, over in time."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tidegate.enforcement.register import MOST_OF_ONE
from tidegate.errors import AgentError, Refused
from tidegate.model.verdict import Approvers
from unit.enforcement.desk import Desk, run
from unit.enforcement.people import ALICE, BOB, CAROL, DAVE, PASSWORD, SSH, question


def test_asked_answered_used(tmp_path: Path) -> None:
    """The three leaves, in this order, and a yes that is used once."""

    async def story(desk: Desk) -> None:
        asked = await desk.register.ask(question())
        assert [each.id for each in await desk.register.waiting()] == [asked.id]
        waiting = asyncio.create_task(desk.register.wait(asked.id, 20))
        await desk.register.shown(asked.id, BOB, "f00d")
        approved = await desk.register.approve(asked.id, BOB, PASSWORD)
        assert (approved.state, approved.yes[0].shown) == ("approved", "f00d")
        assert (await waiting).state == "approved"
        await desk.register.use(asked.id, asked.question.digest, "s1")
        with pytest.raises(Refused, match="used before"):
            await desk.register.use(asked.id, asked.question.digest, "s1")
        assert desk.kinds() == ["requested", "shown", "granted", "used"]
        granted = next(leaf for leaf in desk.leaves() if leaf["k"] == "approval.granted")
        assert (granted["by"], granted["how"], granted["done"], granted["sh"]) == ("u_bob", "password", True, "f00d")
        assert "OPS-1" not in str(desk.leaves()) and "update t" not in str(desk.leaves())

    run(tmp_path, story)


def test_the_same_question_is_one(tmp_path: Path) -> None:
    """Asked again, by the same chain and word for word, it is the same; by another chain or otherwise it is not."""

    async def story(desk: Desk) -> None:
        first = await desk.register.ask(question())
        assert (await desk.register.ask(question(sid="s2"))).id == first.id
        assert (await desk.register.ask(question(requester=CAROL))).id != first.id
        assert (await desk.register.ask(question(bound="{}"))).id != first.id

    run(tmp_path, story)


def test_only_its_own_digest_is_covered(tmp_path: Path) -> None:
    """A yes for one thing is none for another."""

    async def story(desk: Desk) -> None:
        asked = await desk.register.ask(question())
        await desk.register.approve(asked.id, BOB, PASSWORD)
        with pytest.raises(Refused):
            await desk.register.use(asked.id, "0" * 64, "s1")
        await desk.register.use(asked.id, asked.question.digest, "s1")

    run(tmp_path, story)


def test_uses_race_for_one_yes(tmp_path: Path) -> None:
    """Of many that use it at the same moment one goes on."""

    async def story(desk: Desk) -> None:
        asked = await desk.register.ask(question())
        await desk.register.approve(asked.id, BOB, PASSWORD)
        uses = [desk.register.use(asked.id, asked.question.digest, f"s{n}") for n in range(5)]
        ended = await asyncio.gather(*uses, return_exceptions=True)
        assert ended.count(None) == 1 and sum(isinstance(each, Refused) for each in ended) == 4
        assert desk.kinds().count("used") == 1

    run(tmp_path, story)


def test_two_answers_at_once_are_both_counted(tmp_path: Path) -> None:
    """Two people of a quorum who answer at the same moment approve it, once."""

    async def story(desk: Desk) -> None:
        asked = await desk.register.ask(question(approvers=(Approvers(("dba",), 2, "bulk"),)))
        both = [desk.register.approve(asked.id, by, PASSWORD) for by in (BOB, DAVE)]
        await asyncio.gather(*both)
        found = await desk.register.find(asked.id)
        assert found is not None and found.state == "approved"
        assert [leaf["done"] for leaf in desk.leaves() if leaf["k"] == "approval.granted"] == [False, True]

    run(tmp_path, story)


def test_nobody_answers_twice(tmp_path: Path) -> None:
    """One person is one yes, and a signed yes leaves its signature."""

    async def story(desk: Desk) -> None:
        asked = await desk.register.ask(question(approvers=(Approvers(("dba",), 2, "bulk"),)))
        await desk.register.approve(asked.id, BOB, SSH)
        with pytest.raises(Refused, match="already"):
            await desk.register.approve(asked.id, BOB, PASSWORD)
        granted = next(leaf for leaf in desk.leaves() if leaf["k"] == "approval.granted")
        assert (granted["sig"], granted["sgd"], granted["key"]) == ("c2lnbmF0dXJl", "c2lnbmVk", "c_2")

    run(tmp_path, story)


def test_a_no_ends_it(tmp_path: Path) -> None:
    """The reason reaches who waits, and nothing can be said any more."""

    async def story(desk: Desk) -> None:
        asked = await desk.register.ask(question())
        waiting = asyncio.create_task(desk.register.wait(asked.id, 20))
        await asyncio.sleep(0)
        await desk.register.refuse(asked.id, BOB, "not on a Friday", PASSWORD)
        assert ((await waiting).state, (await waiting).answer) == ("rejected", "not on a Friday")
        with pytest.raises(Refused, match="waiting"):
            await desk.register.approve(asked.id, DAVE, PASSWORD)

    run(tmp_path, story)


def test_time_approves_nothing(tmp_path: Path) -> None:
    """What nobody answers in time is over; so is a yes that nobody used in time."""

    async def story(desk: Desk) -> None:
        asked = await desk.register.ask(question(within=1))
        assert (await desk.register.wait(asked.id, 20)).state == "expired"
        second = await desk.register.ask(question(within=1))
        assert second.id != asked.id
        await desk.register.approve(second.id, BOB, PASSWORD)
        await asyncio.sleep(1.2)
        with pytest.raises(Refused):
            await desk.register.use(second.id, second.question.digest, "s1")
        assert desk.kinds() == ["requested", "expired", "requested", "granted", "expired"]

    run(tmp_path, story)


def test_a_yes_is_over_in_time_though_nothing_told(tmp_path: Path) -> None:
    """The clock counts, not a timer that is late: while a machine sleeps no timer runs."""

    async def story(desk: Desk) -> None:
        asked = await desk.register.ask(question(within=1))
        await desk.register.approve(asked.id, BOB, PASSWORD)
        time.sleep(1.2)  # noqa: ASYNC251 - so that no timer of the loop can run
        with pytest.raises(Refused, match="time"):
            await desk.register.use(asked.id, asked.question.digest, "s1")
        assert desk.kinds() == ["requested", "granted", "expired"]

    run(tmp_path, story)


def test_patience_is_not_an_answer(tmp_path: Path) -> None:
    """Who waits no longer finds it as it stands; it stays open, and only who asked first takes it back."""

    async def story(desk: Desk) -> None:
        asked = await desk.register.ask(question())
        assert (await desk.register.wait(asked.id, 0.05)).state == "waiting"
        desk.register.withdraw(asked.id, "s2")
        assert (await desk.register.wait(asked.id, 0)).state == "waiting"
        desk.register.withdraw(asked.id, "s1")
        assert (await desk.register.wait(asked.id, 0)).state == "withdrawn"

    run(tmp_path, story)


def test_it_is_escalated_in_time(tmp_path: Path) -> None:
    """After a while others may answer, and everybody hears of it."""

    async def story(desk: Desk) -> None:
        approvers = (Approvers(("dba",), 1, "bulk", escalate=("security",), after=1),)
        asked = await desk.register.ask(question(approvers=approvers))
        with pytest.raises(Refused):
            await desk.register.approve(asked.id, CAROL, PASSWORD)
        await asyncio.sleep(1.2)
        assert (await desk.register.approve(asked.id, CAROL, PASSWORD)).state == "approved"
        assert desk.kinds() == ["requested", "escalated", "granted"]
        assert [each.escalated for each in desk.changes] == [0, 1, 1]

    run(tmp_path, story)


def test_each_rule_is_escalated_in_its_own_time(tmp_path: Path) -> None:
    """What lets others answer for one rule does not let others answer for a rule that waits longer."""

    async def story(desk: Desk) -> None:
        soon = Approvers(("ops",), 1, "soon", escalate=("dba",), after=1)
        late = Approvers(("ops",), 1, "late", escalate=("security",), after=3600)
        asked = await desk.register.ask(question(approvers=(soon, late)))
        await asyncio.sleep(1.2)
        assert (await desk.register.approve(asked.id, BOB, PASSWORD)).state == "waiting"
        with pytest.raises(Refused, match="not among the approvers"):
            await desk.register.approve(asked.id, CAROL, PASSWORD)
        leaf = next(leaf for leaf in desk.leaves() if leaf["k"] == "approval.escalated")
        assert (leaf["to"], leaf["after"]) == (["dba"], 1)

    run(tmp_path, story)


def test_what_is_over_takes_no_place(tmp_path: Path) -> None:
    """The limit is on open questions, not on how many somebody has had answered."""

    async def story(desk: Desk) -> None:
        for number in range(MOST_OF_ONE + 1):
            asked = await desk.register.ask(question(bound=f"{{{number}}}"))
            desk.register.withdraw(asked.id, "s1")

    run(tmp_path, story)


def test_the_yes_of_somebody_disabled_is_void(tmp_path: Path) -> None:
    """Between answer and use an approver may be disabled: then it opens nothing."""

    async def story(desk: Desk) -> None:
        asked = await desk.register.ask(question())
        await desk.register.approve(asked.id, BOB, PASSWORD)
        desk.revocations.add("u_bob")
        with pytest.raises(Refused, match="disabled"):
            await desk.register.use(asked.id, asked.question.digest, "s1")
        assert desk.kinds()[-1] == "voided"

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("groups", "counts"), [(["dba"], True), (["dba", "more"], True), (["more"], False), ([], False)]
)
def test_the_yes_of_somebody_who_left_is_void(tmp_path: Path, groups: list[str], counts: bool) -> None:
    """Who is no approver any more when it is to be used has not approved it; what cannot be looked up is no yes."""

    async def story(desk: Desk) -> None:
        asked = await desk.register.ask(question())
        await desk.register.approve(asked.id, BOB, PASSWORD)

        def now(subject: str) -> list[str]:
            assert subject == "u_bob"
            if not groups:
                raise AgentError("nobody", code="identity.unknown")
            return groups

        desk.register.watch(now)
        uses = [desk.register.use(asked.id, asked.question.digest, f"s{n}") for n in range(3)]
        ended = await asyncio.gather(*uses, return_exceptions=True)
        assert ended.count(None) == counts and sum(isinstance(each, Refused) for each in ended) == 3 - counts
        assert desk.kinds() == ["requested", "granted", "used" if counts else "voided"]

    run(tmp_path, story)


def test_nobody_floods_it(tmp_path: Path) -> None:
    """One person's chains have a limit; others go on asking."""

    async def story(desk: Desk) -> None:
        for number in range(MOST_OF_ONE):
            await desk.register.ask(question(bound=f"{{{number}}}"))
        with pytest.raises(Refused, match="too many"):
            await desk.register.ask(question(bound="{more}"))
        await desk.register.ask(question(requester=CAROL))

    run(tmp_path, story)


def test_the_chain_of_a_question_is_never_an_approver(tmp_path: Path) -> None:
    """Whatever else is asked, the register itself turns them away."""

    async def story(desk: Desk) -> None:
        asked = await desk.register.ask(question())
        with pytest.raises(Refused, match="part in the request"):
            await desk.register.approve(asked.id, ALICE, PASSWORD)
        with pytest.raises(Refused, match="part in the request"):
            await desk.register.refuse(asked.id, ALICE, "", PASSWORD)

    run(tmp_path, story)
