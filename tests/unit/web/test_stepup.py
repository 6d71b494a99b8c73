"""A cached login neither approves nor opens a resource as the person: that needs a proof, made for this request."""

from __future__ import annotations

from typing import Any

import pytest

from unit.web.world import BY_PASSWORD, PASSWORD, World, bearer


def asked(world: World, path: str = "/tokens", by: str = "alice", **body: Any) -> Any:
    """What the API answers to a request as it is, without a proof being added."""
    given = {"resource": "shop", **body} if path == "/tokens" else body
    return world.http.post(path, headers=bearer(world.login(by)), json=given)


def test_opening_as_oneself_needs_a_proof(staffed: World) -> None:
    """401 with all that is needed to give one; with it the token comes, and the token's leaf says how."""
    answer = asked(staffed)
    assert (answer.status_code, answer.json()["code"]) == (401, "stepup.required")
    assert 'error="insufficient_user_authentication"' in answer.headers["WWW-Authenticate"]
    assert answer.json()["methods"] == ["password"]
    assert answer.json()["action"] == "open shop as yourself"
    assert asked(staffed, proof=BY_PASSWORD).status_code == 201
    assert staffed.leaves("token.issued")[-1]["how"] == "password"


def test_an_agents_token_needs_none(staffed: World) -> None:
    """A person lets their agent act with the login that they have."""
    assert asked(staffed, agent="claude-code").status_code == 201


def test_wrong_proof(staffed: World) -> None:
    """Another answer than no proof, and no token."""
    answer = asked(staffed, proof={"method": "password", "password": "wrong wrong wrong"})
    assert (answer.status_code, answer.json()["code"]) == (401, "stepup.wrong")


def test_what_may_not_be_done_needs_no_proof(staffed: World) -> None:
    """Nobody types a password for what a rule refuses anyway."""
    assert asked(staffed, resource="crm").json()["code"] == "policy.refused"
    assert asked(staffed, resource="nonsense").json()["code"] == "policy.refused"


def test_a_proof_is_for_its_action(staffed: World) -> None:
    """What was proven in a browser opens this once, and minting for another person is another action."""
    challenge = asked(staffed).json()["challenge"]
    who = staffed.call(lambda: staffed.access.chain("alice"))
    staffed.call(lambda: staffed.credentials.fulfil(who, challenge, BY_PASSWORD))
    browser = {"method": "browser", "challenge": challenge}
    staffed.login("root")
    other = staffed.http.post("/tokens", headers=bearer(staffed.login("root")),
                              json={"resource": "shop", "person": "alice", "proof": browser})  # fmt: skip
    assert other.status_code in (401, 403)
    assert asked(staffed, proof=browser).status_code == 201
    assert asked(staffed, proof=browser).json()["code"] == "stepup.wrong"


@pytest.mark.parametrize(
    "proof",
    ["x", [], {"method": 5}, {"method": ["password"]}, {f"m{each}": "x" for each in range(13)}, {"method": None}],
)
def test_shapeless_proofs_are_refused(staffed: World, proof: object) -> None:
    """What is no object of text is refused as it stands, without repeating it."""
    assert asked(staffed, proof=proof).json()["code"] == "request.invalid"


def test_secrets_are_in_no_answer(staffed: World) -> None:
    """Neither in a refusal of the proof nor in one of the request's shape."""
    wrong = asked(staffed, proof={"method": "telepathy", "password": PASSWORD}).text
    shape = asked(staffed, proof={"method": "password", "password": PASSWORD, "more": 5}).text
    assert PASSWORD not in wrong + shape
