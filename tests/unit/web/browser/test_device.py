"""/device, beyond what tests/unit/web/test_device.py plays."""

from __future__ import annotations

from unit.web.world import World, token_of


def test_a_typed_code_leads_to_its_terminal(staffed: World) -> None:
    """However it was typed, the way on names it as it is shown; nonsense leads nowhere else."""
    browser = staffed.browser("bob")
    form = {"form": token_of(browser.get("/device"))}
    answer = browser.post("/device", data={**form, "code": " bcdf ghjk"})
    assert answer.headers["location"] == "/device?code=BCDF-GHJK"
    odd = browser.post("/device", data={**form, "code": "//evil.example/?x"})
    assert odd.headers["location"].startswith("/device?code=EVIL-")


def test_an_unknown_code_says_so(staffed: World) -> None:
    """And after ten of them nothing is looked up any more, for this person."""
    browser = staffed.browser("eve")
    for _ in range(10):
        assert "No terminal shows this code" in browser.get("/device?code=BBBB-BBBB").text
    assert "too many wrong codes" in browser.get("/device?code=BBBB-BBBB").text


def test_a_link_alone_confirms_nothing(staffed: World) -> None:
    """Opening the page that a link names lets nobody in: it takes a press on its form."""
    asked = staffed.http.post("/login/device").json()
    staffed.browser("bob").get("/device", params={"code": asked["user_code"]})
    poll = staffed.http.post("/login/device/token", json={"device_code": asked["device_code"]})
    assert poll.json()["error"] == "authorization_pending"
    assert staffed.browser("bob").get(f"/device/answer?code={asked['user_code']}&answer=yes").status_code == 405
