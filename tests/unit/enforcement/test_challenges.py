"""Challenges: for one person, one action, one answer."""

from __future__ import annotations

from tidegate.enforcement.challenges import Challenges, spoken
from tidegate.model.proof import action
from unit.identity.conftest import Watch

APPROVE = action("approve", "ap_1", "digest")


def test_one_answer_by_one_person_for_one_action() -> None:
    """Somebody else finds none; for another action it is spent; the second answer is refused."""
    challenges = Challenges(Watch())
    asked = challenges.begin("u_1", APPROVE)
    assert challenges.take("u_2", asked.id, APPROVE) is None
    assert challenges.take("u_1", asked.id, APPROVE) is asked
    assert challenges.take("u_1", asked.id, APPROVE) is None
    asked = challenges.begin("u_1", APPROVE)
    assert challenges.take("u_1", asked.id, action("approve", "ap_2", "digest")) is None
    assert challenges.take("u_1", asked.id, APPROVE) is None
    challenges.forget(asked)
    assert challenges.find("u_1", asked.id) is None


def test_no_two_ask_for_the_same_signature() -> None:
    """What is signed holds the action and is never the same."""
    challenges = Challenges(Watch())
    one, two = (challenges.begin("u_1", APPROVE) for _ in range(2))
    assert one.message.startswith(APPROVE + b"\nnonce ")
    assert one.message != two.message
    assert one.bytes != two.bytes


def test_actions_in_words() -> None:
    """People read what they prove; an action without words of its own is read as it stands."""
    assert spoken(action("connect", "shop")) == "open shop as yourself"
    assert spoken(APPROVE) == "approve ap_1"
    assert spoken(action("password")) == "change your password"
    assert spoken(action("paint", "it")) == "paint it"
