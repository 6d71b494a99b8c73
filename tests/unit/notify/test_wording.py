"""What is said outside, and what is not."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from tidegate.model.approval import APPROVED, GRANT, POLICY, REJECTED
from tidegate.model.verdict import Approvers
from tidegate.notify.wording import LONGEST, change, direct, of_alarm, of_question
from tidegate.operations.sql_redaction import redacted

from .sample import NOW, QUESTION, held, yes


def told(**changes: object) -> dict[str, object]:
    """What is told of the question."""
    found = of_question(held(**changes), "https://gw/approvals/ap_0123", NOW, lambda _, text: redacted(text))
    return found.written()


def test_a_question_is_told_without_its_values() -> None:
    """Who, where, what in general, why it needs an answer, of whom; no literal, no parameter."""
    found = told()
    assert found["statement"] == "UPDATE customers SET mail = ? WHERE id = ?"
    assert found["title"] == "alice -> claude-code asks to run a statement on shop"
    facts = dict(found["facts"])  # type: ignore[call-overload]
    assert facts["Objects"] == "public.customers"
    assert facts["Answers needed"] == "1 of dba"
    assert (found["event"], found["open"], found["urgent"]) == ("approval.asked", True, False)
    text = orjson.dumps(found).decode()
    assert "bob@example.org" not in text
    assert "parameter-secret" not in text


def test_a_statement_that_cannot_be_told_is_not() -> None:
    """Verb and objects stay; the statement is left out."""
    broken = replace(QUESTION, statement="UPDATE customers SET mail 'bob@example.org'")
    found = told(question=broken)
    assert found["statement"] == ""
    assert "bob@example.org" not in orjson.dumps(found).decode()


def test_a_policy_is_never_told() -> None:
    """What it says is for people who are logged in."""
    found = told(question=replace(QUESTION, matter=POLICY, statement="+ may: [secret]"))
    assert "secret]" not in orjson.dumps(found).decode()
    assert found["direct"] is False


def test_a_grant_is_told_in_the_gateways_own_words() -> None:
    """They hold nothing that anybody wrote."""
    words = "Connect to shop for 30m, from the approval on."
    found = told(question=replace(QUESTION, matter=GRANT, statement=words))
    assert (found["statement"], found["title"]) == (words, "alice -> claude-code asks to use shop")


@pytest.mark.parametrize(
    ("changes", "event", "line"),
    [
        ({"yes": (yes(),)}, "approval.granted", "It waits for more answers. bob said yes (passkey)."),
        ({"state": APPROVED, "yes": (yes(),)}, "approval.approved", "It is approved. bob said yes (passkey)."),
        ({"state": REJECTED, "answer": "answer-secret"}, "approval.rejected", "It is refused."),
        ({"escalated": 600}, "approval.escalated", "It waits too long: others may answer now."),
        ({"state": "expired"}, "approval.expired", "It is expired."),
    ],
)
def test_each_change_is_told(changes: dict[str, object], event: str, line: str) -> None:
    """With an id of its own, in a sentence, and without anybody's words."""
    found = told(**changes)
    assert (found["event"], found["line"]) == (event, line)
    assert found["id"] == f"ap_0123.{change(held(**changes))}"
    assert "answer-secret" not in orjson.dumps(found).decode()


def test_states_of_one_question_have_different_ids() -> None:
    """So that none is taken for another that was sent before."""
    states = [held(), held(yes=(yes(),)), held(escalated=600), held(state=APPROVED, yes=(yes(),)), held(state="used")]
    assert len({change(each) for each in states}) == len(states)


def test_text_cannot_steer_and_has_a_limit() -> None:
    """A name or rule with control characters arrives as escapes, a long one is cut."""
    found = told(question=replace(QUESTION, because="\x1b[2J\u202e" + "x" * 10_000))
    facts = dict(found["facts"])  # type: ignore[call-overload]
    assert facts["Because"].startswith(r"\x1b[2J\u202exxx")
    assert len(facts["Because"]) == LONGEST


def test_one_plain_yes_may_be_given_by_a_button() -> None:
    """Not two, not a signed one, not for a policy."""
    one = Approvers(("dba",), 1, "bulk")
    assert direct(QUESTION)
    assert not direct(replace(QUESTION, approvers=(replace(one, count=2),)))
    assert not direct(replace(QUESTION, approvers=(one, replace(one, rule="other"))))
    assert not direct(replace(QUESTION, approvers=(replace(one, signed=True),)))
    assert not direct(replace(QUESTION, approvers=()))
    assert not direct(replace(QUESTION, matter=POLICY))


def test_an_alarm() -> None:
    """Its reason is apart, since not every channel may have it."""
    fields = {"who": "alice", "resource": "shop", "reason": "disk full", "id": "g_1"}
    found = of_alarm("g_1", "breakglass.opened", "alice broke the glass of shop", fields, "https://gw", NOW)
    assert (found.id, found.about, found.urgent, found.reason) == ("g_1.opened", "g_1", True, "disk full")
    assert found.facts == (("who", "alice"), ("resource", "shop"))
