"""Requests for access, over HTTP: by people, by agents with their own token, and those who wait for an answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from unit.enforcement.granting import Granting
from unit.web.world import bearer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Granting]:
    """People, an agent, and a vault."""
    with Granting(tmp_path_factory.mktemp("requests")) as started:
        started.staff()
        yield started


def new(world: Granting, by: str = "alice", **words: Any) -> httpx2.Response:
    """Ask."""
    return world.post("/requests", by, {"resource": "crm", "seconds": 600, "reason": "OPS-1", **words})


def agents_own(world: Granting) -> dict[str, str]:
    """An agent's own token for the vault, from a grant that it had."""
    row = world.ask("alice", "claude-code", reason="to have a token")
    if row.state == "requested":
        world.answer(row)
    return bearer(world.mint(agent="claude-code", resource="crm").json()["token"])


def test_a_person_asks_for_their_agent(world: Granting) -> None:
    """The request is of the chain; its owner and observers see it, others do not."""
    made = new(world, agent="claude-code").json()
    assert (made["state"], made["title"], made["seconds"]) == ("requested", "alice -> claude-code", 600)
    seen = {by: world.get(f"/requests/{made['id']}", by).status_code for by in ("alice", "root", "eve", "bob")}
    assert seen == {"alice": 200, "root": 200, "eve": 404, "bob": 404}
    listed = {by: made["id"] in world.get("/requests", by).text for by in ("alice", "root", "eve")}
    assert listed == {"alice": True, "root": True, "eve": False}
    assert world.post(f"/requests/{made['id']}/withdraw", "eve").status_code == 404
    assert world.post(f"/requests/{made['id']}/withdraw", "alice").json()["state"] == "denied"


def test_an_agent_asks_for_itself(world: Granting) -> None:
    """With its own token for the resource, for its own chain, and only there."""
    own = agents_own(world)
    made = world.http.post("/requests", headers=own, json={"resource": "crm", "seconds": 60, "reason": "more"}).json()
    assert (made["state"], made["title"]) == ("requested", "alice -> claude-code")
    assert world.http.get(f"/requests/{made['id']}", headers=own).json()["id"] == made["id"]
    as_other = {"resource": "crm", "seconds": 60, "agent": "helper"}
    assert world.http.post("/requests", headers=own, json=as_other).json()["code"] == "request.agent"
    assert world.http.post("/requests", headers=own, json={"resource": "shop"}).json()["code"] == "token.audience"
    mine = new(world, reason="alice's own").json()
    assert world.http.get(f"/requests/{mine['id']}", headers=own).status_code == 404
    for id in (made["id"], mine["id"]):
        world.post(f"/requests/{id}/withdraw", "alice")


@pytest.mark.parametrize("path", ["tokens", "approvals", "sessions", "requests", "break-glass", "me", "connect/crm"])
def test_an_agents_token_calls_nothing_else(world: Granting, path: str) -> None:
    """Everything else of the API is for people's logins."""
    assert world.http.get(f"/{path}", headers=agents_own(world)).status_code == 401


def test_a_revoked_token_asks_for_nothing(world: Granting) -> None:
    """An agent whose token has ended cannot ask."""
    own = agents_own(world)
    world.post("/kill", "root", {"what": "agent", "name": "claude-code"})
    asked = world.http.post("/requests", headers=own, json={"resource": "crm", "seconds": 60})
    assert (asked.status_code, asked.json()["code"]) == (401, "token.revoked")


@pytest.mark.parametrize("token", ["-", "x", "a.b.c", "e30.e30.", "x" * 20_000])
def test_other_tokens(world: Granting, token: str) -> None:
    """What nobody signed is nobody's."""
    assert world.http.post("/requests", headers=bearer(token), json={"resource": "crm"}).status_code == 401


def test_waiting_for_the_answer(world: Granting) -> None:
    """A long poll ends with the yes of somebody else."""
    made = new(world, reason="long poll").json()
    found: list[Any] = []
    waiter = threading.Thread(
        target=lambda: found.append(world.get(f"/requests/{made['id']}", "alice", wait=30).json())
    )
    waiter.start()
    world.answer(world.row(made["id"]))
    waiter.join(20)
    assert [answer["state"] for answer in found] == ["approved"]
    assert world.get(f"/requests/{made['id']}", "alice", wait=1).json()["state"] == "approved"


@pytest.mark.parametrize("of", ["requests", "approvals"])
def test_events_tell_the_answer(world: Granting, of: str) -> None:
    """A stream begins with how it stands, and ends with the answer; an agent follows it with its own token."""
    own = agents_own(world)
    made = world.http.post(
        "/requests", headers=own, json={"resource": "crm", "seconds": 60, "reason": f"sse {of}"}
    ).json()
    path = f"/{of}/{made['id'] if of == 'requests' else made['approval']}/events"
    states = []
    with world.http.stream("GET", path, headers=own) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("data: "):
                states.append(json.loads(line.removeprefix("data: "))["state"])
                if len(states) == 1:
                    world.answer(world.row(made["id"]))
    assert states[0] in ("requested", "waiting") and states[-1] in ("approved", "used")


def test_nobody_else_follows(world: Granting) -> None:
    """A stranger finds neither request nor approval."""
    made = new(world, reason="not yours").json()
    for path in (f"/requests/{made['id']}/events", f"/approvals/{made['approval']}/events", "/approvals/ap_x/events"):
        assert world.get(path, "eve").status_code == 404
    world.post(f"/requests/{made['id']}/withdraw", "alice")


def test_only_so_many_wait(world: Granting) -> None:
    """One person's agents cannot take every connection; the places come back."""
    made = new(world, reason="crowd").json()
    path, alice = f"/requests/{made['id']}/events", bearer(world.login("alice"))
    clients = [httpx2.Client(base_url=world.http.base_url, trust_env=False) for _ in range(10)]
    streams = [client.send(client.build_request("GET", path, headers=alice), stream=True) for client in clients]
    assert world.get(path, "alice").json()["code"] == "gateway.full"
    world.post(f"/requests/{made['id']}/withdraw", "alice")
    for stream in streams:
        stream.read()
    for client in clients:
        client.close()
    assert world.get(path, "alice").status_code == 200


def test_standing_access_is_a_report(world: Granting) -> None:
    """Grants can be listed by kind."""
    assert world.get("/grants", "root", kind="standing").json()["items"] == []
    kinds = {row["kind"] for row in world.get("/grants", "root", kind="timed").json()["items"]}
    assert kinds == {"timed"}
    assert world.get("/grants", "root", kind="eternal").status_code == 400
