"""Logging in a terminal, over HTTP and with a browser."""

from __future__ import annotations

from typing import Any

from tidegate.enforcement.access import BROWSER
from tidegate.web.browser.cookies import VISIT
from unit.web.world import World, token_of


def begun(world: World) -> dict[str, Any]:
    """A terminal begins."""
    answer = world.http.post("/login/device", headers={"User-Agent": "tidegate/1 (Linux)"})
    assert answer.status_code == 201
    return dict(answer.json())


def polled(world: World, code: str) -> Any:
    return world.http.post("/login/device/token", json={"device_code": code})


def answered(world: World, by: str, user_code: str, answer: str) -> Any:
    """Somebody opens the page that the terminal named, and answers."""
    browser = world.browser(by)
    page = browser.get("/device", params={"code": user_code})
    return browser.post("/device/answer", data={"form": token_of(page), "code": user_code, "answer": answer})


def test_a_terminal_logs_in_through_a_browser(staffed: World) -> None:
    """Pending until its person says yes; then the terminal is them, and both facts are in the log."""
    asked = begun(staffed)
    pending = polled(staffed, asked["device_code"])
    assert (pending.status_code, pending.json()["error"]) == (400, "authorization_pending")
    assert "Your terminal is logged in" in answered(staffed, "bob", asked["user_code"], "yes").text
    login = polled(staffed, asked["device_code"]).json()
    assert login["name"] == "bob"
    me = staffed.http.get("/me", headers={"Authorization": f"Bearer {login['token']}"})
    assert me.json()["name"] == "bob"
    assert staffed.leaves("auth.ok")[-1]["how"] == "device"


def test_the_page_says_what_asks(staffed: World) -> None:
    """Program, address and code are shown before anybody says yes."""
    asked = begun(staffed)
    text = staffed.browser("bob").get("/device", params={"code": asked["user_code"].lower()}).text
    for word in (asked["user_code"], "tidegate/1 (Linux)", "127.0.0.1", "as you, bob"):
        assert word in text


def test_a_no_is_final_and_an_event(staffed: World) -> None:
    """The terminal hears of it, and the log keeps who said no."""
    asked = begun(staffed)
    assert "Nobody was let in" in answered(staffed, "bob", asked["user_code"], "no").text
    denied = polled(staffed, asked["device_code"]).json()
    assert (denied["error"], denied["code"]) == ("access_denied", "login.denied")
    assert staffed.leaves("auth.fail")[-1]["code"] == "login.denied"


def test_an_invented_code_is_expired(staffed: World) -> None:
    """A device code that never was looks like one that is over."""
    answer = polled(staffed, "x" * 43)
    assert (answer.status_code, answer.json()["error"]) == (400, "expired_token")


def test_the_api_cannot_confirm(staffed: World) -> None:
    """Confirming needs the browser's own login and form: a terminal's token does not do."""
    asked = begun(staffed)
    bearer = {"Authorization": f"Bearer {staffed.login('bob')}", "Origin": staffed.url}
    form = {"code": asked["user_code"], "answer": "yes"}
    assert staffed.browser().post("/device/answer", data=form, headers=bearer).status_code == 303
    assert polled(staffed, asked["device_code"]).json()["error"] == "authorization_pending"


def test_a_kill_ends_what_was_confirmed_before(world: World) -> None:
    """Who said yes before the kill switch fell, or before their browser's login ended, gave away nothing."""
    world.login("carol")
    for end in (
        lambda: world.post("/kill", "root", {"what": "identity", "name": "carol", "reason": "stolen"}),
        lambda: world.call(lambda: _log_out(world, "carol")),
    ):
        asked = begun(world)
        answered(world, "carol", asked["user_code"], "yes")
        end()
        assert (polled(world, asked["device_code"]).json()["code"]) == "token.revoked"


async def _log_out(world: World, name: str) -> None:
    """Their browsers' logins are over."""
    who = await world.access.chain(name)
    for row in world.store.tokens(who.person.subject):
        if row.audience == BROWSER and not row.revoked:
            await world.access.revoke(who, row.jti)


def test_a_terminals_login_ends_with_the_browsers(world: World) -> None:
    """A provider's login for an hour becomes none for twelve."""
    world.login("carol")
    browser, asked = world.browser(), begun(world)
    browser.cookies.set(VISIT, world.call(lambda: _visit(world, "carol", 60)))
    page = browser.get("/device", params={"code": asked["user_code"]})
    browser.post("/device/answer", data={"form": token_of(page), "code": asked["user_code"], "answer": "yes"})
    assert polled(world, asked["device_code"]).json()["expires"] <= world.clock.now() // 1_000_000 + 60


async def _visit(world: World, name: str, ttl: int) -> str:
    minted = await world.access.login(await world.access.chain(name), method="oidc:corp", audience=BROWSER, ttl=ttl)
    return str(world.api.state.site.visits.begin(minted))


def test_a_disabled_person_confirms_nothing(world: World) -> None:
    """Who was disabled between yes and the terminal's question gets no login."""
    world.login("carol")
    asked = begun(world)
    answered(world, "carol", asked["user_code"], "yes")
    world.post("/people/carol/disable", "root")
    assert polled(world, asked["device_code"]).status_code == 401
