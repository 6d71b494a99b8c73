"""The kill switch inside: what it takes, what it leaves, and what a crash in between would leave open."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.enforcement.kill import Struck
from tidegate.enforcement.revocations import Revocations
from tidegate.enforcement.session import Session
from tidegate.errors import AgentError, LogFailure, Refused
from tidegate.model.identity import Identity
from unit.web.world import PASSWORD, World


def pull(world: World, what: str, name: str = "", reason: str = "an incident") -> Struck:
    """Order it as root."""
    root: Identity = world.call(lambda: world.access.chain("root"))
    return world.call(lambda: world.services.switch.order(root, what, name, reason))


def barred(world: World, session: Session, *, revocations: Revocations | None = None) -> bool:
    """Whether the grant of a session opens nothing any more."""
    found = world.store.grant(session.grant.id)
    assert found is not None
    ended = revocations or world.revocations
    leaf = session.grant.leaf
    return session.grant.id in ended or ended.barred(found.subjects, found.resource, issued=0, leaf=leaf)


@pytest.mark.parametrize(
    ("what", "name"),
    [("session", ""), ("identity", "alice"), ("agent", "claude-code"), ("resource", "shop"), ("all", "")],
)
def test_sessions_tokens_and_grants_end(staffed: World, what: str, name: str) -> None:
    """Whatever names it: the session is cut, its grant and token are revoked in log and store, and stay so."""
    session = staffed.session()
    struck = pull(staffed, what, name or (str(session.id) if what == "session" else ""))
    assert (session.ended, struck.sessions >= 1, struck.grants >= 1, struck.tokens >= 1) == ("killed", True, True, True)
    assert barred(staffed, session)
    row = staffed.store.grant(session.grant.id)
    token = staffed.store.token(session.token)
    assert row is not None and row.state == "revoked" and token is not None and token.revoked
    assert session.grant.id in [leaf["gid"] for leaf in staffed.leaves("grant.revoked")]
    staffed.call(lambda: staffed.sessions.remove(session, "killed"))
    if what == "identity":
        staffed._logins.pop("alice")
        code = staffed.post("/people/alice/code", "root").json()["code"]
        staffed._logins["alice"] = staffed.http.post("/enrol", json={"code": code, "password": PASSWORD}).json()[
            "token"
        ]


def test_the_order_is_a_leaf(staffed: World) -> None:
    """Who ordered what is in the log, without names; the reason is sealed."""
    session = staffed.session()
    pull(staffed, "agent", "claude-code", reason="it was told to wipe the shop")
    leaf, root = staffed.leaves("kill.ordered")[-1], staffed.store.identity_named("root")
    assert root is not None
    assert (leaf["of"], leaf["id"], leaf["by"]) == ("subject", "a_claude-code", root.subject)
    assert "why" in leaf["c"] and "wipe" not in str(leaf)
    assert staffed.leaves("session.killed")[-1]["sid"] == str(session.id)


def test_others_go_on(staffed: World) -> None:
    """What does not have the named in its chain is not touched, and new access is valid."""
    pull(staffed, "agent", "claude-code")
    after = staffed.session()
    pull(staffed, "identity", "bob")
    assert (after.ended, barred(staffed, after)) == ("", False)


def test_a_crash_after_the_order_leaves_shut(staffed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The leaf of the order alone, read at the next start, ends what was given before it."""
    session = staffed.session()

    def crash(*_: Any) -> None:
        raise LogFailure("the machine is gone")

    monkeypatch.setattr(staffed.services.switch, "_revoke", crash)
    with pytest.raises(LogFailure):
        pull(staffed, "resource", "shop")
    row = staffed.store.grant(session.grant.id)
    assert row is not None and row.state == "active"
    assert barred(staffed, session, revocations=Revocations(staffed.leaves()))


def test_a_killed_identity_has_no_login(staffed: World) -> None:
    """Logins of the named end too, until they log in again."""
    staffed.login("mallory")
    assert staffed.get("/me", "mallory").status_code == 200
    pull(staffed, "identity", "mallory")
    assert staffed.get("/me", "mallory").json()["code"] == "token.revoked"
    code = staffed.post("/people/mallory/code", "root").json()["code"]
    staffed._logins["mallory"] = staffed.http.post("/enrol", json={"code": code, "password": PASSWORD}).json()["token"]
    assert staffed.get("/me", "mallory").status_code == 200


@pytest.mark.parametrize(
    ("what", "name"), [("session", "none"), ("identity", "nobody"), ("agent", "alice"), ("resource", "nowhere")]
)
def test_what_is_not_there(staffed: World, what: str, name: str) -> None:
    """Nothing is ordered about what nobody has; an agent's name must be an agent's."""
    before = len(staffed.leaves("kill.ordered"))
    with pytest.raises((Refused, AgentError)):
        pull(staffed, what, name)
    assert len(staffed.leaves("kill.ordered")) == before


@pytest.mark.parametrize(
    ("what", "name"), [("session", ""), ("agent", "claude-code"), ("resource", "shop"), ("all", "")]
)
def test_what_waits_is_withdrawn(staffed: World, what: str, name: str) -> None:
    """Nobody can say yes any more to what was asked by the named; the question of another goes on."""
    session = staffed.session()
    held = staffed.hold(session, f"UPDATE orders SET status = '{what}'")
    pull(staffed, what, name or (str(session.id) if what == "session" else ""))
    staffed.call(lambda: staffed.sessions.remove(session, "killed"))
    if what != "session":
        found = staffed.call(lambda: staffed.approvals.find(held.id))
        assert found is not None and found.state == "withdrawn"
