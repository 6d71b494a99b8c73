"""Answers by a button in a chat: by whom, for what, and what the log says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.errors import AgentError, Refused
from tidegate.model.approval import Held
from tidegate.notify.clicks import Click
from unit.web.world import World

CHANNELS = """
notify:
  channels:
    chat: {kind: slack, token: env:T, channel: C1, buttons: answer, signing: env:S, team: T1, api: "http://127.0.0.1:1"}
"""


@pytest.fixture(scope="module")
def staffed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway whose chat takes answers: U_BOB is bob, U_ALICE alice, U_EVE eve."""
    with World(tmp_path_factory.mktemp("gateway"), more=CHANNELS) as started:
        started.staff()
        for name in ("bob", "alice", "eve"):
            body = {"provider": "slack:chat", "subject": f"U_{name.upper()}"}
            assert started.post(f"/people/{name}/links", "root", body).status_code == 201
        yield started


def click(held: Held, user: str = "U_BOB", verb: str = "approve", digest: str = "") -> Click:
    """A button that was pressed."""
    return Click("chat", user, verb, held.id, digest or held.question.digest)


def waiting(world: World) -> Held:
    """A question that waits."""
    hold = world.hold(world.session())
    found = world.call(lambda: world.approvals.find(hold.id))
    assert found is not None
    return found


def press(world: World, pressed: Click) -> str:
    """What becomes of the question."""
    return world.call(lambda: world.services.buttons.press(pressed)).state


def test_a_yes(staffed: World) -> None:
    """Of the person whom an administrator linked; the log says who, by which method, and that it was seen."""
    held = waiting(staffed)
    assert press(staffed, click(held)) == "approved"
    leaf = staffed.leaves("approval.granted")[-1]
    assert (leaf["ap"], leaf["how"], leaf["done"]) == (held.id, "slack", True)
    assert leaf["sh"] == staffed.leaves("approval.shown")[-1]["sh"] != ""
    assert "sig" not in leaf


def test_a_no(staffed: World) -> None:
    """It ends the question."""
    held = waiting(staffed)
    assert press(staffed, click(held, verb="refuse")) == "rejected"
    assert staffed.leaves("approval.rejected")[-1]["how"] == "slack"


@pytest.mark.parametrize(
    ("user", "code"), [("U_NOBODY", "link.unknown"), ("U_ALICE", "approval.self"), ("U_EVE", "approval.group")]
)
def test_who_may_not(staffed: World, user: str, code: str) -> None:
    """Somebody nobody linked; who has a part in it; who is no approver. It waits on."""
    held = waiting(staffed)
    for verb in ("approve", "refuse"):
        with pytest.raises(Refused) as error:
            press(staffed, click(held, user, verb))
        assert error.value.code == code
    found = staffed.call(lambda: staffed.approvals.find(held.id))
    assert found is not None and found.state == "waiting"


def test_nobody_makes_themselves_an_approver(staffed: World) -> None:
    """Who asks, and says that some account in the chat is an approver's, cannot answer by it; others' links count."""
    staffed.post("/people/bob/links", "root", {"provider": "slack:chat", "subject": "U_ROOTS_OWN"})
    hold = staffed.hold(staffed.session())
    case = staffed.approvals._cases[hold.id]
    root = staffed.call(lambda: staffed.access.chain("root"))
    case.held = replace(case.held, question=replace(case.held.question, requester=root))
    with pytest.raises(Refused) as error:
        press(staffed, click(case.held, "U_ROOTS_OWN"))
    assert error.value.code == "approval.self"
    staffed.call(lambda: staffed.approvals.withdraw_where(lambda _: True))


def test_it_answers_exactly_what_was_shown(staffed: World) -> None:
    """Not something else under the same id, and not twice."""
    held = waiting(staffed)
    with pytest.raises(Refused, match="waiting"):
        press(staffed, click(held, digest="0" * 64))
    press(staffed, click(held))
    with pytest.raises(Refused, match="waiting"):
        press(staffed, click(held))


def test_what_needs_a_proof_needs_the_page(staffed: World) -> None:
    """A signed yes, or two people: a button does not do."""
    hold = staffed.hold(staffed.session())
    case = staffed.approvals._cases[hold.id]
    (approvers,) = case.held.question.approvers
    for stricter in (replace(approvers, signed=True), replace(approvers, count=2)):
        case.held = replace(case.held, question=replace(case.held.question, approvers=(stricter,)))
        with pytest.raises(Refused) as error:
            press(staffed, click(case.held))
        assert error.value.code == "approval.proof"
        assert f"/approvals/{hold.id}" in error.value.hint
    staffed.call(lambda: staffed.approvals.withdraw_where(lambda _: True))


def test_who_is_disabled_answers_nothing(staffed: World) -> None:
    """From that moment on."""
    staffed.login("carol", "approvers")
    staffed.post("/people/carol/links", "root", {"provider": "slack:chat", "subject": "U_CAROL"})
    assert staffed.post("/people/carol/disable", "root").status_code < 300
    with pytest.raises((Refused, AgentError)):
        press(staffed, click(waiting(staffed), "U_CAROL"))


def test_a_link_that_ended_stands_for_nobody(staffed: World) -> None:
    """Also when its row is put back."""
    staffed.login("dave", "approvers")
    link = staffed.post("/people/dave/links", "root", {"provider": "slack:chat", "subject": "U_DAVE"}).json()
    row = staffed.store.link(link["id"])
    assert staffed.delete(f"/people/dave/links/{link['id']}", "root").status_code == 200
    assert row is not None
    staffed.store.put_link(row)
    with pytest.raises(Refused) as error:
        press(staffed, click(waiting(staffed), "U_DAVE"))
    assert error.value.code == "link.unknown"


def test_who_pressed_hears_what_became_of_it(staffed: World) -> None:
    """Alone, in a sentence."""
    held = waiting(staffed)
    for user in ("U_NOBODY", "U_BOB"):
        staffed.call(lambda user=user: staffed.services.buttons.answer(click(held, user)))  # type: ignore[misc]
    (_, nobody, no), (_, bob, yes) = staffed.whispered[-2:]
    assert (nobody, bob, yes) == ("U_NOBODY", "U_BOB", "It is approved.")
    assert no.startswith("Nothing has happened: nobody here is known by your account in Slack.")
    assert "tidegate people link NAME --provider slack:chat --subject U_NOBODY" in no


def test_only_a_chat_that_takes_answers_can_be_linked(staffed: World, tmp_path: Path) -> None:
    """Not another channel, and not by an address of e-mail."""
    for body in (
        {"provider": "slack:other", "subject": "U1"},
        {"provider": "slack:chat", "email": "bob@example.org"},
        {"provider": "chat", "subject": "U1"},
    ):
        answer = staffed.post("/people/bob/links", "root", body)
        assert (answer.status_code, answer.json()["code"]) == (403, "link.provider")
    assert staffed.post("/people/bob/links", "alice", {"provider": "slack:chat", "subject": "U1"}).status_code == 403
