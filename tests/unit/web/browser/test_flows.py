"""Logins under way at a provider."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.errors import AgentError
from tidegate.identity.providers import FLOW_LIFE, Flow
from tidegate.web.browser import flows
from tidegate.web.browser.flows import ASIDE, Flows, Way
from unit.web.browser.test_visits import Hours


def way(provider: str = "sso", source: str = "198.51.100.1") -> Way:
    return Way(Flow(provider, "http://gw/login/sso/callback", "state", False, 0, {}), "/approvals", source)


def fresh() -> tuple[Any, Flows]:
    clock: Any = Hours()
    return clock, Flows(clock)


def test_a_flow_is_taken_once_by_its_browser() -> None:
    """With the cookie of the browser that began, and never again."""
    _, store = fresh()
    mine = way()
    cookie = store.put(mine)
    assert store.take(cookie, "sso") is mine
    with pytest.raises(AgentError) as again:
        store.take(cookie, "sso")
    assert again.value.code == "login.flow"


@pytest.mark.parametrize("cookie", ["", "x" * 43])
def test_without_its_cookie_there_is_none(cookie: str) -> None:
    """An answer in a browser that began nothing is nobody's: a stolen code logs no one in (login CSRF)."""
    _, store = fresh()
    store.put(way())
    with pytest.raises(AgentError):
        store.take(cookie, "sso")


def test_a_flow_fits_its_provider_only() -> None:
    """An answer at another provider's address ends the flow (mix-up)."""
    _, store = fresh()
    cookie = store.put(way("sso"))
    with pytest.raises(AgentError):
        store.take(cookie, "other")
    with pytest.raises(AgentError):
        store.take(cookie, "sso")


def test_flows_and_answers_end() -> None:
    """Ten minutes for a login, one for an answer that was put aside."""
    clock, store = fresh()
    cookie, ticket = store.put(way()), store.set_aside({"SAMLResponse": "x"})
    clock.hours = (ASIDE + 1) / 3600
    with pytest.raises(AgentError):
        store.fetch(ticket)
    clock.hours = FLOW_LIFE / 3600
    with pytest.raises(AgentError):
        store.take(cookie, "sso")


def test_a_flood_displaces_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both tables are bounded, and who begins many logins loses their own."""
    monkeypatch.setattr(flows, "MOST", 20)
    monkeypatch.setattr(flows, "ANSWERS", 5)
    _, store = fresh()
    mine = store.put(way(source="203.0.113.9"))
    for _ in range(100):
        store.put(way())
        store.set_aside({})
    assert (len(store._ways), len(store._aside)) == (20, 5)
    assert store.take(mine, "sso")


def test_a_posted_answer_is_fetched_once() -> None:
    """And only by its ticket."""
    _, store = fresh()
    ticket = store.set_aside({"SAMLResponse": "x"})
    assert store.fetch(ticket) == {"SAMLResponse": "x"}
    with pytest.raises(AgentError):
        store.fetch(ticket)
