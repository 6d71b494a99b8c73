"""The way to a provider and back, with a provider that says what a test wants; real ones are in tests/browser."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from tidegate.identity.providers import Begun, Flow, denied, random
from tidegate.model.identity import External
from unit.web.browser.test_me import KEY
from unit.web.world import World, token_of

CONFIG = """
web: {url: "http://localhost:7443"}
login:
  providers:
    corp: {kind: oidc, join: true, issuer: "https://op.example", client_id: gw}
    campus: {kind: oidc, join: true, issuer: "https://other.example", client_id: gw}
"""


class Says:
    """A provider that lets in whom the answer names."""

    kind = "oidc"

    def __init__(self, name: str) -> None:
        self.name = name

    async def begin(self, callback: str, *, fresh: bool = False) -> Begun:
        flow = Flow(self.name, callback, random(), fresh, 0, {})
        return Begun(f"https://op.example/authorize?state={flow.state}", flow)

    async def finish(self, flow: Flow, answer: Mapping[str, str]) -> External:
        if answer.get("state") != flow.state or "code" not in answer:
            raise denied()
        return External(self.name, answer["code"], answer["code"], "", (), f"oidc:{self.name}", 0)

    async def gone(self) -> Sequence[str]:
        return ()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway with two providers."""
    directory = tmp_path_factory.mktemp("gateway")
    with World(directory, more=CONFIG, providers=lambda _: {name: Says(name) for name in ("corp", "campus")}) as found:
        found.login("root")
        yield found


def begun(browser: httpx2.Client, next: str = "/me") -> dict[str, str]:
    """Begin at corp; gives what it would answer for `newcomer`."""
    answer = browser.get("/login/corp", params={"next": next})
    assert answer.status_code == 303
    assert "SameSite=lax" in answer.headers["set-cookie"]
    return {"state": parse_qs(urlsplit(answer.headers["location"]).query)["state"][0], "code": "newcomer"}


def test_there_and_back(world: World) -> None:
    """The page that leads on sets the login's cookie, strict, and takes the flow's away."""
    browser = world.browser()
    answer = browser.get("/login/corp/callback", params=begun(browser))
    cookies = answer.headers.get_list("set-cookie")
    assert any(each.startswith("tidegate=") and "SameSite=strict" in each for each in cookies)
    assert 'content="0;url=/me"' in answer.text
    assert "newcomer" in browser.get("/me").text


def test_an_answer_counts_once(world: World) -> None:
    """A second time it belongs to nothing."""
    browser = world.browser()
    answer = begun(browser)
    cookie = browser.cookies["tidegate-flow"]
    assert browser.get("/login/corp/callback", params=answer).status_code == 200
    browser.cookies.set("tidegate-flow", cookie)
    assert browser.get("/login/corp/callback", params=answer).status_code == 400


@pytest.mark.parametrize("other", ["another browser", "another provider", "another state", "nothing"])
def test_what_does_not_fit_logs_nobody_in(world: World, other: str) -> None:
    """Another browser's cookie jar, another provider's address, another state and no answer at all."""
    browser = world.browser()
    answer = begun(browser)
    if other == "another browser":
        browser = world.browser()
    if other == "another state":
        answer["state"] = random()
    name = "campus" if other == "another provider" else "corp"
    back = browser.get(f"/login/{name}/callback", params={} if other == "nothing" else answer)
    assert back.status_code == 400
    assert browser.get("/me").status_code == 303


def test_nothing_may_stand_twice_in_an_answer(world: World) -> None:
    """Of two codes no one can say which one counts."""
    browser = world.browser()
    answer = begun(browser)
    back = browser.get(f"/login/corp/callback?code=a&code=newcomer&state={answer['state']}")
    assert (back.status_code, "twice" in back.text) == (400, True)


def test_a_posted_answer_comes_again_with_the_cookies(world: World) -> None:
    """From another site the form comes without cookies: it is put aside, and fetched once by the browser itself."""
    browser = world.browser()
    answer = begun(browser)
    stranger = world.browser()
    stranger.headers["Origin"] = "https://op.example"
    sent_on = stranger.post("/login/corp/acs", data=answer)
    assert sent_on.status_code == 303
    where = sent_on.headers["location"]
    assert browser.get(where).status_code == 200
    assert "newcomer" in browser.get("/me").text
    assert browser.get(where).status_code == 400


def test_the_way_on_is_only_to_own_pages(world: World) -> None:
    """A `next` elsewhere is dropped before the browser is sent away."""
    browser = world.browser()
    answer = browser.get("/login/corp/callback", params=begun(browser, "https://evil.example/"))
    assert 'content="0;url=/approvals"' in answer.text


def test_an_unknown_provider_is_said_to_be_one(world: World) -> None:
    """No redirect anywhere."""
    assert world.browser().get("/login/evil").status_code == 404


def test_only_a_press_on_the_page_begins_a_proof(world: World) -> None:
    """No link does, since the provider's page does not say what for; nor does a challenge that is not one's own."""
    world.password("root")
    browser = world.browser("root")
    key = {"form": token_of(browser.get("/me")), "key": KEY}
    prove = browser.post("/me/keys", data=key).headers["location"]
    assert browser.get(f"{prove}/login/corp").status_code == 405
    assert browser.post(f"{prove}/login/corp").status_code == 403
    form = {"form": token_of(browser.get(prove))}
    assert browser.post("/prove/ch_1/login/corp", data=form).status_code == 404
    sent = browser.post(f"{prove}/login/corp", data=form)
    assert 'content="0;url=https://op.example/authorize' in sent.text
    assert "tidegate-flow" in browser.cookies


def test_a_fresh_login_of_another_is_no_proof(world: World) -> None:
    """Whoever the provider names must be the very person that the challenge asks."""
    world.password("root")
    browser = world.browser("root")
    key = {"form": token_of(browser.get("/me")), "key": KEY}
    prove = browser.post("/me/keys", data=key).headers["location"]
    sent = browser.post(f"{prove}/login/corp", data={"form": token_of(browser.get(prove))})
    state = re.search(r"state=([A-Za-z0-9_-]+)", sent.text)
    assert state
    back = browser.get("/login/corp/callback", params={"state": state.group(1), "code": "newcomer"})
    assert "omebody else logged in" in back.text
    assert "ssh" not in [leaf.get("method") for leaf in world.leaves("cred.enrolled")]
