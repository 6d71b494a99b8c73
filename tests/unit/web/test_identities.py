"""How people get in, over HTTP."""

from __future__ import annotations

import pytest

from tidegate.identity import throttle
from unit.web.world import PASSWORD, World


def test_bootstrap_then_enrol(world: World) -> None:
    """The first administrator comes from the bootstrap code, everybody else from theirs."""
    world.login("alice", "staff")
    me = world.get("/me", "alice").json()
    assert (me["name"], me["groups"]) == ("alice", ["staff"])
    assert world.get("/me", "root").json()["groups"] == ["admins"]


def test_wrong_code_is_refused_and_logged(world: World) -> None:
    """A wrong bootstrap code makes nobody, and leaves an event."""
    answer = world.http.post("/bootstrap", json={"code": "AAAA-BBBB", "name": "mallory", "password": PASSWORD})
    assert (answer.status_code, answer.json()["code"]) == (401, "code.invalid")
    assert world.leaves("auth.fail")[-1]["code"] == "code.invalid"
    assert "identity.bound" not in world.kinds()


def test_flood_of_failures_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of bad tokens writes only so many events a second."""
    monkeypatch.setattr(throttle, "LATEST", 0)
    for _ in range(120):
        world.http.get("/me", headers={"Authorization": "Bearer nonsense"})
    assert 0 < len(world.leaves("auth.fail")) < 120


def test_logout_ends_the_login(world: World) -> None:
    """After logout the token is refused."""
    world.login("alice")
    assert world.post("/logout", "alice").status_code == 204
    assert world.get("/me", "alice").json()["code"] == "token.revoked"


def test_people_and_agents_are_ones_own(staffed: World) -> None:
    """A person lists themselves and their agents; an observer everybody."""
    names = [row["name"] for row in staffed.get("/people", "eve").json()["items"]]
    agents = [staffed.get("/agents", by).json()["items"] for by in ("eve", "alice", "root")]
    assert (names, [len(found) for found in agents]) == (["eve"], [0, 1, 1])
    assert agents[1][0]["owner"] == "alice"
    assert len(staffed.get("/people", "root").json()["items"]) == 4


def test_taken_name_is_a_conflict(staffed: World) -> None:
    """A name can be given once."""
    answer = staffed.post("/people", "root", {"name": "alice"})
    assert (answer.status_code, answer.json()["code"]) == (409, "identity.taken")


def test_bootstrap_tells_nobody_who_exists(staffed: World) -> None:
    """Without the code a name that is taken is answered as one that is not."""
    answers = [
        staffed.http.post("/bootstrap", json={"code": "AAAA-BBBB", "name": name, "password": PASSWORD}).json()
        for name in ("alice", "claude-code", "nobody")
    ]
    assert [answer["code"] for answer in answers] == ["code.invalid"] * 3


def test_others_are_as_unknown_as_nobody(staffed: World) -> None:
    """Whoever has no business with somebody hears the same of them as of a name that nobody has."""
    asked = (
        ("POST", "/tokens", lambda name: {"person": name, "resource": "shop", "agent": "claude-code"}),
        ("POST", "/tokens", lambda name: {"agent": name, "resource": "shop"}),
        ("POST", "/requests", lambda name: {"agent": name, "resource": "shop", "seconds": 60, "reason": "x"}),
        ("POST", "/agents", lambda name: {"name": "spy", "owner": name}),
        ("GET", "/agents/{}", None),
        ("GET", "/connect/shop?agent={}", None),
        ("POST", "/agents/{}/disable", None),
        ("POST", "/people/{}/disable", None),
        ("POST", "/people/{}/code", None),
        ("POST", "/agents/{}/bindings", lambda name: {"issuer": "k8s", "conditions": {"sub": "x"}}),
        ("GET", "/people/{}/links", None),
        ("POST", "/policy/explain", lambda name: {"identity": name, "resource": "shop", "statement": "SELECT 1"}),
        (
            "POST",
            "/policy/explain",
            lambda name: {"identity": f"eve/{name}", "resource": "shop", "statement": "SELECT 1"},
        ),
    )
    headers = {"Authorization": f"Bearer {staffed.login('eve')}"}
    for method, path, body in asked:
        answers = [
            staffed.http.request(method, path.format(name), headers=headers, json=body(name) if body else None)
            for name in ("alice", "claude-code", "nobody")
        ]
        told = {(each.status_code, each.text) for each in answers}
        assert len(told) == 1, (method, path, told)


def test_a_cached_login_lets_nobody_in(staffed: World) -> None:
    """An administrator's login that their agent found makes no person, no code and no link without a proof."""
    before = staffed.kinds()
    for path, body in (
        ("/people", {"name": "puppet", "groups": ["approvers"]}),
        ("/people/root/code", {}),
        ("/people/bob/code", {}),
        ("/people/bob/links", {"same_as": "eve"}),
    ):
        for proof in ({}, {"method": "password", "password": "wrong wrong wrong"}):
            answer = staffed.post(path, "root", {**body, "proof": proof})
            assert (answer.status_code, answer.json()["code"]) == (401, "stepup.wrong" if proof else "stepup.required")
    made = staffed.kinds()[len(before) :]
    assert set(made) <= {"auth.fail", "auth.slowed"}


def test_a_line_break_in_a_name_is_no_name(staffed: World) -> None:
    """It makes no two actions out of one, and no fault."""
    for path, body in (("/people/bob%0Aroot/code", {}), ("/people/bob%0Aroot/links", {"same_as": "eve"})):
        assert staffed.post(path, "root", body).json()["code"] == "identity.unknown"


def test_fresh_code_logs_in_again(staffed: World) -> None:
    """Another code for a person gives them another login; only an operator makes one."""
    code = staffed.post("/people/eve/code", "root").json()["code"]
    assert staffed.http.post("/enrol", json={"code": code, "password": PASSWORD}).json()["name"] == "eve"
    assert staffed.post("/people/root/code", "eve").status_code == 403
