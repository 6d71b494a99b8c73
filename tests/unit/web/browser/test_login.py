"""Logging in with a browser, and out."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from unit.web.world import PASSWORD, World, token_of


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway whose people have passwords."""
    with World(tmp_path_factory.mktemp("gateway")) as world:
        world.staff()
        for name in ("alice", "bob", "eve"):
            world.password(name)
        yield world


def fields(world: World, browser: httpx2.Client, **more: str) -> dict[str, str]:
    page = browser.get("/login")
    return {"form": token_of(page), "name": "bob", "password": PASSWORD, **more}


def test_name_and_password(people: World) -> None:
    """The right ones lead on, with a cookie that scripts and other sites cannot use; the login is in the log."""
    browser = people.browser()
    answer = browser.post("/login", data=fields(people, browser, next="/me"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/me")
    cookie = next(value for value in answer.headers.get_list("set-cookie") if value.startswith("tidegate="))
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert "bob" in browser.get("/me").text
    assert people.leaves("auth.ok")[-1]["how"] == "password"


@pytest.mark.parametrize("wrong", [{"password": "wrong horse battery"}, {"name": "nobody"}, {"name": ""}])
def test_nothing_says_what_was_wrong(people: World, wrong: dict[str, str]) -> None:
    """A wrong password and an unknown name get the same page, which keeps nothing secret."""
    browser = people.browser()
    answer = browser.post("/login", data=fields(people, browser, **wrong))
    assert (answer.status_code, "the password or the one-time password is wrong" in answer.text) == (401, True)
    assert wrong.get("password", PASSWORD) not in answer.text
    assert browser.get("/me").status_code == 303


def test_a_planted_cookie_is_replaced(people: World) -> None:
    """Whatever cookie a browser brings, the login gets a new one: nobody who planted it gets in (session fixation)."""
    browser, thief = people.browser(), people.browser("eve")
    planted = thief.cookies["tidegate"]
    browser.cookies.set("tidegate", planted)
    before = token_of(browser.get("/login"))
    answer = browser.post("/login", data={"form": before, "name": "bob", "password": PASSWORD})
    fresh = next(v for v in answer.headers.get_list("set-cookie") if v.startswith("tidegate=")).split(";")[0]
    assert fresh != f"tidegate={planted}"
    assert thief.get("/me").status_code == 303


def test_the_form_belongs_to_the_browser(people: World) -> None:
    """A login form of another browser does not log this one in (login CSRF)."""
    other = people.browser()
    form = fields(people, other)
    assert people.browser().post("/login", data=form).status_code == 403
    mine = people.browser()
    mine.get("/login")
    assert mine.post("/login", data=form).status_code == 403


def test_the_way_on_is_only_to_own_pages(people: World) -> None:
    """A `next` that leads elsewhere is ignored, on the page and after the login."""
    browser = people.browser()
    assert "evil" not in browser.get("/login", params={"next": "//evil.example"}).text
    answer = browser.post("/login", data=fields(people, browser, next="https://evil.example/"))
    assert answer.headers["location"] == "/approvals"


def test_logging_out_ends_it_everywhere(people: World) -> None:
    """After it the cookie stands for nothing, also where it was copied to, and the token is revoked in the log."""
    browser = people.browser("alice")
    copied = people.browser()
    copied.cookies.set("tidegate", browser.cookies["tidegate"])
    answer = browser.post("/logout", data={"form": token_of(browser.get("/me"))})
    assert answer.headers["location"] == "/login"
    assert copied.get("/me").status_code == 303
    assert people.kinds()[-1] == "token.revoked"


def test_a_login_ended_elsewhere_is_over(people: World) -> None:
    """One browser's login can be ended from another, and the terminal's list shows it."""
    first, second = people.browser("eve"), people.browser("eve")
    page = second.get("/me")
    other = [row["id"] for row in people.get("/tokens", "eve").json()["items"] if row["resource"] == "tidegate-browser"]
    for id in other:
        if f">{id}<" in page.text and f'value="{id}"' in page.text:
            second.post("/me/logins/end", data={"form": token_of(page), "id": id})
    assert (first.get("/me").status_code, second.get("/me").status_code) == (303, 200)


def test_nobody_ends_anothers_login(people: World) -> None:
    """The id of somebody else's login does nothing in one's own form."""
    victim, thief = people.browser("alice"), people.browser("eve")
    id = people.leaves("auth.ok")[-2]["jti"]
    answer = thief.post("/me/logins/end", data={"form": token_of(thief.get("/me")), "id": id})
    assert answer.status_code == 403
    assert victim.get("/me").status_code == 200


def enrolled(world: World, name: str, **more: str) -> tuple[httpx2.Client, httpx2.Response]:
    """What the page answers to a newcomer with a good code."""
    code = world.post("/people", "root", {"name": name, "groups": []}).json()["code"]
    browser = world.browser()
    form = {"form": token_of(browser.get("/enrol")), "code": code, "password": PASSWORD, "again": PASSWORD}
    return browser, browser.post("/enrol", data=form | more)


def test_a_newcomer_chooses_a_password(people: World) -> None:
    """With the code they are logged in, and can from then on by password; the code is used up."""
    browser, answer = enrolled(people, "carol")
    assert answer.headers["location"] == "/me"
    assert "carol" in browser.get("/me").text
    again = people.browser()
    login = {"form": token_of(again.get("/login")), "name": "carol", "password": PASSWORD}
    assert again.post("/login", data=login).status_code == 303


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"code": "AAAA-AAAA"}, "code is wrong"), ({"again": "another one 42"}, "differ"), ({"password": "short"}, "")],
)
def test_a_newcomer_is_told_what_is_wrong(people: World, wrong: dict[str, str], said: str) -> None:
    """A wrong code, two passwords that differ, and a weak one let nobody in; no password comes back on the page."""
    name = "n" + "".join(filter(str.isalpha, "".join(wrong.values())))[:8].lower()
    more = wrong | ({"again": wrong["password"]} if "password" in wrong else {})
    browser, answer = enrolled(people, name, **more)
    assert (answer.status_code, said in answer.text) == (401, True)
    assert PASSWORD not in answer.text
    assert browser.get("/me").status_code == 303
