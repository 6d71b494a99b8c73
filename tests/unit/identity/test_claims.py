"""What a provider says of somebody: bounded, exact, and no more than it vouches for."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.errors import AgentError
from tidegate.identity.claims import GROUPS, SUBJECT, external, one, texts
from tidegate.model.identity import External
from tidegate.settings_login import Joining

JOINING = Joining(False, {}, "groups", "email", "")


def read(subject: object = "u1", joining: Joining = JOINING, *, verified: bool = True, **said: Any) -> External:
    """Somebody of whom the provider says this."""
    return external("corp", "oidc:corp", subject, said, joining, verified=verified, authenticated=5)


@pytest.mark.parametrize("subject", [None, "", 5, ["u1"], "a" * (SUBJECT + 1), " u1", "u1 ", "u\n1", "u\0", "\u202eu"])
def test_no_subject(subject: object) -> None:
    """Nobody comes in without a plain name of their own."""
    with pytest.raises(AgentError) as caught:
        read(subject)
    assert caught.value.code == "login.answer"


def test_the_longest_subject() -> None:
    """As long as the specification lets it be."""
    assert read("a" * SUBJECT).subject == "a" * SUBJECT


def test_groups() -> None:
    """A list or one text; exactly as they are, once each, in order."""
    assert read(groups=["b", "a", "b", "A"]).groups == ("A", "a", "b")
    assert read(groups="a b").groups == ("a b",)
    assert read().groups == read(groups=None).groups == read(groups={"a": 1}).groups == ()
    assert read(groups=["a", 1, None, ["b"], " c", "d\n", "", "e" * 300]).groups == ("a",)
    assert len(read(groups=[str(n) for n in range(GROUPS + 10)]).groups) == GROUPS


def test_an_address_needs_somebody_who_vouches() -> None:
    """The provider's word beside it, or the operator's for all of them."""
    trusting = Joining(False, {}, "groups", "email", "", trusted_email=True)
    assert read(email="A@x.org").email == "a@x.org"
    assert read(email="a@x.org", verified=False).email == ""
    assert read(joining=trusting, email="a@x.org", verified=False).email == "a@x.org"
    assert read(email=["a@x.org", "b@x.org"]).email == ""


def test_names() -> None:
    """The claim that the settings name, or the usual ones, or the address."""
    assert read(name="Alice A", preferred_username="alice").name == "alice"
    assert read(email="alice@x.org").name == "alice"
    assert read(preferred_username="alice", joining=Joining(False, {}, "", "email", "nick"), nick="al").name == "al"
    assert read().name == ""


def test_one_or_several() -> None:
    """Several are never one."""
    assert list(texts("a")) == list(texts(["a"])) == ["a"]
    assert (one("a"), one(["a"]), one(["a", "b"]), one(["a", 1]), one([])) == ("a", "a", "", "", "")
