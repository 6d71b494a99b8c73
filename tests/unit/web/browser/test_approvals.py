"""The inbox, one question, and the answer."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tidegate.model.impact import Impact, Sample
from tidegate.web.browser import approvals
from unit.web.world import PASSWORD, World, token_of


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway whose approver has a password."""
    with World(tmp_path_factory.mktemp("gateway")) as world:
        world.staff()
        world.password("bob")
        yield world


def test_the_approver_sees_everything(people: World) -> None:
    """Statement, chain, reason as a claim, rule, who must agree and the fingerprint; that it was shown is an event."""
    held = people.hold(people.session("OPS-17 <b>urgent</b>"), "UPDATE orders SET status = '<script>gone'")
    text = people.browser("bob").get(f"/approvals/{held.id}").text
    assert "<script>gone" not in text
    plain = html.unescape(text)
    for word in ("&#39;&lt;script&gt;gone&#39;", "public.orders", "bulk-writes-need-approval", held.question.digest):
        assert word in text
    for word in ("alice", "claude-code", "OPS-17 <b>urgent</b>", "Nobody has checked this", "1 of approvers"):
        assert word in plain
    assert people.leaves("approval.shown")[-1]["ap"] == held.id


def test_yes_by_password(people: World) -> None:
    """With the right password the yes counts, and the log says how it was proven."""
    held = people.hold(people.session())
    browser = people.browser("bob")
    form = {"form": token_of(browser.get(f"/approvals/{held.id}")), "method": "password", "password": PASSWORD}
    answer = browser.post(f"/approvals/{held.id}/approve", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/approvals/{held.id}")
    leaf = people.leaves("approval.granted")[-1]
    assert (leaf["ap"], leaf["how"]) == (held.id, "password")


def test_no_with_a_reason(people: World) -> None:
    """The no and its reason are the answer."""
    held = people.hold(people.session())
    browser = people.browser("bob")
    form = {"form": token_of(browser.get(f"/approvals/{held.id}")), "method": "password", "password": PASSWORD}
    browser.post(f"/approvals/{held.id}/refuse", data={**form, "reason": "not <today>"})
    page = browser.get(f"/approvals/{held.id}").text
    assert "rejected" in page
    assert "not &lt;today&gt;" in page


@pytest.mark.parametrize("proof", [{"method": "password", "password": "wrong horse battery"}, {"method": "x"}])
def test_without_a_proof_nothing_is_approved(people: World, proof: dict[str, str]) -> None:
    """A login alone, a wrong password and a method that is none leave it waiting; the page asks again."""
    held = people.hold(people.session())
    browser = people.browser("bob")
    token = token_of(browser.get(f"/approvals/{held.id}"))
    answer = browser.post(f"/approvals/{held.id}/approve", data={"form": token, **proof})
    assert answer.status_code == 401
    assert "Your answer" in answer.text
    assert people.get(f"/approvals/{held.id}", "bob").json()["state"] == "waiting"


def test_without_any_proof_one_is_asked_for(people: World) -> None:
    """A press alone leads to a page that names the very statement; with the proof there it is approved."""
    held = people.hold(people.session(), "UPDATE orders SET status = 'late'")
    browser = people.browser("bob")
    token = token_of(browser.get(f"/approvals/{held.id}"))
    prove = browser.post(f"/approvals/{held.id}/approve", data={"form": token}).headers["location"]
    page = browser.get(prove)
    assert "UPDATE orders SET status = &#39;late&#39;" in page.text
    assert people.get(f"/approvals/{held.id}", "bob").json()["state"] == "waiting"
    form = {"form": token_of(page), "method": "password", "password": PASSWORD}
    assert browser.post(prove, data=form).headers["location"] == f"/approvals/{held.id}"
    assert people.leaves("approval.granted")[-1]["ap"] == held.id


def test_who_is_involved_cannot_answer(people: World) -> None:
    """The requester sees their own question without a form, and a forged post is refused."""
    held = people.hold(people.session())
    browser = people.browser("alice")
    page = browser.get(f"/approvals/{held.id}")
    assert "not yours to answer" in page.text
    token = token_of(browser.get("/me"))
    assert browser.post(f"/approvals/{held.id}/approve", data={"form": token}).status_code == 403


def test_strangers_see_nothing(people: World) -> None:
    """Neither page nor inbox nor its mark tells of what is not theirs."""
    empty = people.browser("eve").get("/approvals/mark").json()
    held = people.hold(people.session())
    browser = people.browser("eve")
    assert browser.get(f"/approvals/{held.id}").status_code == 404
    assert held.id not in browser.get("/approvals").text
    assert browser.get("/approvals/mark").json() == empty
    assert browser.get(f"/approvals/{held.id}/mark").json() == empty


def test_marks_change_with_what_is_shown(people: World) -> None:
    """An open page learns by its mark that something was asked and answered; looking at a mark is no event."""
    held = people.hold(people.session())
    browser = people.browser("bob")
    page = browser.get(f"/approvals/{held.id}").text
    shown = len(people.leaves("approval.shown"))
    mark = browser.get(f"/approvals/{held.id}/mark").json()["mark"]
    assert f'data-mark="{mark}"' in page
    assert len(people.leaves("approval.shown")) == shown
    form = {"form": token_of(browser.get(f"/approvals/{held.id}")), "method": "password", "password": PASSWORD}
    browser.post(f"/approvals/{held.id}/approve", data=form)
    assert browser.get(f"/approvals/{held.id}/mark").json()["mark"] != mark


def test_other_words_are_no_answer(people: World) -> None:
    """Only approve and refuse are routes."""
    browser = people.browser("bob")
    token = token_of(browser.get("/me"))
    assert browser.post("/approvals/ap_1/use", data={"form": token}).status_code == 400


def test_other_matters_are_no_statements(people: World) -> None:
    """A grant's terms are a sentence, and words in it are not those of a statement; a policy is what changes in it."""
    sentence = "Connect to shop for 30m, from the approval on."
    grant = replace(people.hold(people.session()).question, matter="grant", statement=sentence, digest="1" * 64, sid="")
    held = people.call(lambda: people.approvals.ask(grant))
    text = people.browser("bob").get(f"/approvals/{held.id}").text
    assert f">{sentence}</pre>" in text
    assert "Access to shop" in text
    policy = replace(grant, matter="policy", statement="@@ -1 +1 @@\n-old\n+new", digest="2" * 64)
    held = people.call(lambda: people.approvals.ask(policy))
    text = people.browser("bob").get(f"/approvals/{held.id}").text
    assert '<span class="a">+new</span>' in text
    assert "What would change" in text


def test_scripts_are_told_in_json(people: World) -> None:
    """What a page's script asks for is answered, when it cannot be, so that the script can say why."""
    browser = people.browser("bob")
    form = {"form": token_of(browser.get("/me"))}
    answer = browser.post("/approvals/ap_1/approve/passkey", data=form, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (404, "approval.unknown")


def test_how_far_it_reaches(people: World) -> None:
    """An estimate comes with the page; trying is a press of its own, and shows masked rows before and after."""
    held = people.hold(people.session())
    people.impact = Impact(rows=48_213, notes=("triggers are not counted",))
    browser = people.browser("bob")
    page = browser.get(f"/approvals/{held.id}")
    for word in ("48,213", "the resource&#39;s own estimate", "Triggers are not counted.", "Try it, and take it back"):
        assert word in page.text
    assert browser.post(f"/approvals/{held.id}/try").status_code == 403
    before, after = Sample(("status",), [("<b>new",)]), Sample(("status",), [(None,)])
    people.impact = Impact(rows=1, exact=True, sample_before=before, sample_after=after)
    tried = browser.post(f"/approvals/{held.id}/try", data={"form": token_of(page)}).text
    for word in ("tried and taken back", "&lt;b&gt;new", ">null<", "Rows as they are"):
        assert word in tried
    assert people.attempts[-1][2] is True


def test_what_nobody_can_tell_is_said(people: World) -> None:
    """Unknown is shown as unknown, never as nothing."""
    held = people.hold(people.session())
    people.impact = Impact(unknown="it calls a function that may do anything")
    text = people.browser("bob").get(f"/approvals/{held.id}").text
    assert "Nobody can tell" in text
    assert "It calls a function that may do anything." in text


def test_a_slow_resource_does_not_keep_the_page_back(people: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The question is there to be answered even when its reach is not known in time."""
    held = people.hold(people.session())

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(approvals, "PATIENCE", 0)
    monkeypatch.setattr(approvals.impact, "estimate", never)
    text = people.browser("bob").get(f"/approvals/{held.id}").text
    assert "did not say within" in text
    assert "Your answer" in text


def test_only_who_may_answer_asks_the_resource(people: World) -> None:
    """The requester's own look at the page asks nothing of it."""
    held = people.hold(people.session())
    asked = len(people.attempts)
    people.browser("alice").get(f"/approvals/{held.id}")
    assert len(people.attempts) == asked
