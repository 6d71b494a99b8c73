"""One's own credentials in a browser: each change needs a proof of its own."""

from __future__ import annotations

import re

import pyotp
import pytest

from unit.web.world import PASSWORD, World, token_of

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMJdbE/nkNWQVJ2xBpqZ3bvsFeW8LFzCGSxIEvIWYPnC bob@laptop"


@pytest.fixture
def bob(world: World) -> World:
    """A gateway with bob, who has a password."""
    world.login("bob", "approvers")
    world.password("bob")
    return world


def test_a_change_waits_for_a_proof_and_is_then_done(bob: World) -> None:
    """Adding a key leads to /prove; with the password there it is added, and nothing was added before."""
    browser = bob.browser("bob")
    asked = browser.post("/me/keys", data={"form": token_of(browser.get("/me")), "key": KEY, "label": "laptop"})
    prove = asked.headers["location"]
    assert re.fullmatch(r"/prove/[A-Za-z0-9_-]+", prove)
    assert bob.leaves("cred.enrolled")[-1]["method"] == "password"
    page = browser.get(prove)
    assert "add the ssh key SHA256:" in page.text
    form = {"form": token_of(page), "method": "password", "password": PASSWORD}
    assert browser.post(prove, data=form).headers["location"] == "/me"
    assert bob.leaves("cred.enrolled")[-1]["method"] == "ssh"
    assert "laptop" in browser.get("/me").text


def test_a_wrong_proof_changes_nothing(bob: World) -> None:
    """The page says so and asks again; the right one then still does it, once."""
    browser = bob.browser("bob")
    asked = browser.post("/me/keys", data={"form": token_of(browser.get("/me")), "key": KEY})
    prove = asked.headers["location"]
    form = {"form": token_of(browser.get(prove)), "method": "password", "password": "wrong horse battery"}
    wrong = browser.post(prove, data=form)
    assert (wrong.status_code, "ssh" in bob.leaves("cred.enrolled")[-1]["method"]) == (401, False)
    assert browser.post(prove, data={**form, "password": PASSWORD}).headers["location"] == "/me"


def test_what_waits_belongs_to_one_login(bob: World) -> None:
    """Another browser of the same person does not do what this one asked for."""
    browser, other = bob.browser("bob"), bob.browser("bob")
    asked = browser.post("/me/keys", data={"form": token_of(browser.get("/me")), "key": KEY})
    prove = asked.headers["location"]
    form = {"form": token_of(other.get(prove)), "method": "password", "password": PASSWORD}
    assert "The terminal goes on" in other.post(prove, data=form).text
    assert bob.leaves("cred.enrolled")[-1]["method"] == "password"


def test_one_time_passwords(bob: World) -> None:
    """A secret as a picture and in letters, enrolled with a code of it; from then on the password needs one."""
    browser = bob.browser("bob")
    page = browser.post("/me/codes/new", data={"form": token_of(browser.get("/me"))})
    assert "<svg" in page.text
    found = re.search(r'id="secret">([A-Z2-7]+)<', page.text)
    id = re.search(r'name="id" value="([^"]+)"', page.text)
    assert found
    assert id
    codes = pyotp.TOTP(found.group(1))
    asked = browser.post("/me/codes", data={"form": token_of(page), "id": id.group(1), "otp": codes.now()})
    prove = asked.headers["location"]
    form = {"form": token_of(browser.get(prove)), "method": "password", "password": PASSWORD}
    assert browser.post(prove, data=form).headers["location"] == "/me"
    assert "One-time passwords" in browser.get("/me").text
    fresh = bob.browser()
    answer = fresh.post("/login", data={"form": token_of(fresh.get("/login")), "name": "bob", "password": PASSWORD})
    assert answer.status_code == 401


def test_questions_of_others_are_unknown(bob: World) -> None:
    """A challenge is its own person's: to anybody else there is none."""
    bob.login("eve")
    browser = bob.browser("bob")
    prove = browser.post("/me/keys", data={"form": token_of(browser.get("/me")), "key": KEY}).headers["location"]
    assert bob.browser("eve").get(prove).status_code == 404


def test_what_is_no_key_is_refused(bob: World) -> None:
    """Nonsense gets a page that says so, and no question."""
    browser = bob.browser("bob")
    answer = browser.post("/me/keys", data={"form": token_of(browser.get("/me")), "key": "AAAA"})
    assert answer.status_code == 400
