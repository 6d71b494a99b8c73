"""How people get in, over HTTP."""

from __future__ import annotations

from unit.web.world import World


def test_bootstrap_then_enrol(world: World) -> None:
    """The first administrator comes from the bootstrap code, everybody else from theirs."""
    world.login("alice", "staff")
    me = world.get("/me", "alice").json()
    assert (me["name"], me["groups"]) == ("alice", ["staff"])
    assert world.get("/me", "root").json()["groups"] == ["admins"]


def test_wrong_code_is_refused_and_logged(world: World) -> None:
    """A wrong bootstrap code makes nobody, and leaves an event."""
    answer = world.http.post("/bootstrap", json={"code": "AAAA-BBBB", "name": "mallory"})
    assert (answer.status_code, answer.json()["code"]) == (401, "code.invalid")
    assert world.leaves("auth.fail")[-1]["code"] == "code.invalid"
    assert "identity.bound" not in world.kinds()


def test_flood_of_failures_is_bounded(world: World) -> None:
    """A flood of bad tokens writes only so many events a second."""
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


def test_fresh_code_logs_in_again(staffed: World) -> None:
    """Another code for a person gives them another login; only an operator makes one."""
    code = staffed.post("/people/eve/code", "root").json()["code"]
    assert staffed.http.post("/enrol", json={"code": code}).json()["name"] == "eve"
    assert staffed.post("/people/root/code", "eve").status_code == 403
