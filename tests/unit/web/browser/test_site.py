"""Pages as a whole: what every one carries, who may see one, and where forms may come from."""

from __future__ import annotations

import pytest

from unit.web.world import World, token_of

OTHER = "https://evil.example"


@pytest.mark.parametrize("path", ["/login", "/me", "/device", "/nothing"])
def test_every_page_forbids_what_is_not_its_own(staffed: World, path: str) -> None:
    """Good pages and errors alike: no foreign or inline script, no frame, nothing kept."""
    headers = staffed.browser("alice").get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert (headers["x-frame-options"], headers["cache-control"]) == ("DENY", "no-store")


def test_pages_have_nothing_inline_and_nothing_foreign(staffed: World) -> None:
    """No script, style or event handler stands in a page, and no address of another host."""
    for path in ("/login", "/me", "/device", "/nothing"):
        text = staffed.browser("alice").get(path).text
        assert "<style" not in text
        assert " style=" not in text
        assert " on" not in {text[at : at + 3] for at in range(len(text)) if text[at + 3 : at + 8] == "click"}
        assert "//" not in text.replace("<!doctype html>", "")


@pytest.mark.parametrize("path", ["/me", "/device?code=BCDF-GHJK"])
def test_a_guest_logs_in_first_and_comes_back(staffed: World, path: str) -> None:
    """Without a login every page leads to the login page, which knows the way back."""
    answer = staffed.browser().get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login")


def test_a_link_from_elsewhere_finds_the_login(staffed: World) -> None:
    """A strict cookie does not come along from another site: the page sends the browser to itself once."""
    answer = staffed.browser().get("/me", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"})
    assert (answer.status_code, 'content="0;url=/me"' in answer.text) == (200, True)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": OTHER},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_forms_of_other_sites_are_refused(staffed: World, headers: dict[str, str]) -> None:
    """Even with the right token a post that another site sends does nothing."""
    browser = staffed.browser("alice")
    token = token_of(browser.get("/me"))
    assert browser.post("/logout", data={"form": token}, headers=headers).status_code == 403
    assert browser.get("/me").status_code == 200


def test_a_post_that_says_nothing_of_its_origin_is_refused(staffed: World) -> None:
    """A browser always says where a form is from."""
    browser = staffed.browser("alice")
    token = token_of(browser.get("/me"))
    del browser.headers["Origin"]
    assert browser.post("/logout", data={"form": token}).status_code == 403
    assert browser.post("/logout", data={"form": token}, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303


@pytest.mark.parametrize("wrong", ["", "0" * 64, "eve"])
def test_forms_without_their_token_are_refused(staffed: World, wrong: str) -> None:
    """No token, an invented one, and somebody else's do nothing."""
    token = token_of(staffed.browser("eve").get("/me")) if wrong == "eve" else wrong
    browser = staffed.browser("alice")
    answer = browser.post("/logout", data={"form": token} if token else {})
    assert (answer.status_code, "out of date" in answer.text) == (403, True)
    assert browser.get("/me").status_code == 200


def test_a_terminals_token_is_no_cookie(staffed: World) -> None:
    """A login token of the API does not open a page, whatever cookie carries it."""
    browser = staffed.browser()
    browser.cookies.set("tidegate", staffed.login("alice"))
    assert browser.get("/me").status_code == 303


def test_names_cannot_become_markup(staffed: World) -> None:
    """What others have written is text on a page, and a control character is visible."""
    answer = staffed.browser("alice").get("/device?code=%3Cscript%3E%1b")
    assert "<script>" not in answer.text.replace("<script src", "")


def test_disabled_means_out_at_once(world: World) -> None:
    """The next page after somebody was disabled is the login page."""
    world.login("carol")
    browser = world.browser("carol")
    assert browser.get("/me").status_code == 200
    world.post("/people/carol/disable", "root")
    assert browser.get("/me").status_code == 303


def test_missing_paths_of_the_api_stay_problems(staffed: World) -> None:
    """Beside pages the API still answers with problem documents."""
    answer = staffed.http.get("/nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "request.unknown")
