"""Errors as problem details."""

from __future__ import annotations

import pytest

from tidegate.errors import AgentError, ConfigError, IntegrityError, LogFailure, Refused, ResourceError, TidegateError
from tidegate.web.problem import status_of
from unit.web.world import World


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AgentError("x", code="token.expired"), 401),
        (AgentError("x", code="auth.missing"), 401),
        (AgentError("x", code="code.invalid"), 401),
        (AgentError("x", code="request.cursor"), 400),
        (AgentError("x", code="identity.unknown"), 404),
        (Refused("x", code="policy.refused"), 403),
        (Refused("x", code="session.unknown"), 404),
        (Refused("x", code="identity.taken"), 409),
        (ResourceError("x"), 502),
        (LogFailure("x"), 503),
        (ConfigError("x"), 500),
        (IntegrityError("x"), 500),
    ],
)
def test_status_says_whose_fault_it_is(error: TidegateError, status: int) -> None:
    """Each branch of the error tree has its status, some codes a closer one."""
    assert status_of(error) == status


def test_refusal_names_rule_and_hint(staffed: World) -> None:
    """A refusal is a problem document with code, rule and hint."""
    answer = staffed.mint("eve")
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, problem["code"], problem["rule"]) == (403, "policy.refused", "default")
    assert problem["hint"]


def test_invalid_request_is_not_repeated(staffed: World) -> None:
    """A body that does not fit is refused without quoting it: it could hold a code."""
    answer = staffed.http.post("/enrol", json={"code": ["SECRET-CODE"], "SECRET-KEY": 1})
    assert (answer.status_code, answer.json()["code"]) == (400, "request.invalid")
    assert "SECRET-CODE" not in answer.text


def test_unknown_path_is_a_problem(staffed: World) -> None:
    """What no route serves is a problem too, not a page."""
    answer = staffed.http.get("/nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "request.unknown")


def test_fault_of_the_gateway_tells_nothing(staffed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception becomes a plain 500 without its text."""
    monkeypatch.setattr(staffed.store, "identities", lambda: 1 / 0)
    answer = staffed.get("/people", "root")
    assert (answer.status_code, answer.json()["code"]) == (500, "gateway.fault")
    assert "division" not in answer.text
