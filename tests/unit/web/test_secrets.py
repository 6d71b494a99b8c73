"""Secrets over HTTP: in, never out."""

from __future__ import annotations

import httpx2

from unit.web.world import World, bearer

VALUE = "hunter2-hunter2"


def put(world: World, name: str, value: str = VALUE, by: str = "root") -> httpx2.Response:
    """Set a secret as a person."""
    return world.http.put(f"/secrets/{name}", headers=bearer(world.login(by)), json={"value": value})


def test_set_listed_and_removed(staffed: World) -> None:
    """Who changed it and when is known; the value is in no answer, and what is gone is gone."""
    answer = put(staffed, "crm")
    assert (answer.status_code, answer.json()["by"], answer.json()["resources"]) == (200, "root", [])
    listed = staffed.get("/secrets", "root")
    assert listed.json()["items"] == [answer.json()]
    assert VALUE not in answer.text + listed.text
    assert staffed.delete("/secrets/crm", "root").status_code == 200
    assert staffed.get("/secrets", "root").json()["items"] == []
    gone = staffed.delete("/secrets/crm", "root")
    assert (gone.status_code, gone.json()["code"]) == (404, "secret.unknown")


def test_it_needs_the_ability_to_operate(staffed: World) -> None:
    """Others can neither set, remove nor list them, and no leaf is written."""
    before = len(staffed.leaves("secret.changed"))
    answers = [put(staffed, "shop", by="alice"), staffed.delete("/secrets/shop", "alice")]
    answers.append(staffed.get("/secrets", "alice"))
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(403, "policy.refused")] * 3
    assert len(staffed.leaves("secret.changed")) == before


def test_what_is_no_secret(staffed: World) -> None:
    """A name that is none, and a value that is none, which is not repeated."""
    for name, value in (("UPPER", VALUE), ("shop", ""), ("shop", "a\0b-" + VALUE), ("shop", VALUE * 2000)):
        answer = put(staffed, name, value)
        assert answer.status_code == 400
        assert VALUE not in answer.text
    assert staffed.http.put("/secrets/shop", json={"value": VALUE}).status_code == 401
