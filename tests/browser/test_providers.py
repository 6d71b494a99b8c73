"""Logging in at real identity providers with a real browser: an OpenID provider and a SAML one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlencode

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect

from browser.conftest import Desk
from gateway import free_port
from providers import Browser as Visitor
from providers import OpenIdProvider, SamlIdp
from tidegate.clock import SystemClock
from tidegate.identity.oidc import OidcProvider
from tidegate.identity.providers import Provider
from tidegate.identity.saml import SamlProvider
from tidegate.settings import Settings
from tidegate.settings_login import Oidc, Saml
from tidegate.store.box import Box
from unit.web.world import World

CONFIG = """
web: {{url: "{url}"}}
login:
  providers:
    corp: {{kind: oidc, title: Corp, join: true, groups: {{dba: approvers}}, issuer: "{issuer}", client_id: gw,
           secret: env:OP_SECRET, scopes: [openid, profile, email, groups]}}
    campus: {{kind: saml, title: Campus, join: true, groups: {{dba: approvers}}, metadata: "{metadata}"}}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway at whose two providers alice, of the group dba there, and bob are known."""
    directory: Path = tmp_path_factory.mktemp("providers")
    port = free_port()
    url = f"http://localhost:{port}"
    acs = f"{url}/login/campus/acs"
    with (
        OpenIdProvider(f"{url}/login/corp/callback") as op,
        SamlIdp(directory, f"{url}/login/campus/metadata", acs) as idp,
    ):
        op.people(alice={"groups": ["dba"]}, carol={"groups": []})
        idp.people(dave={"groups": ["dba"]})

        def known(settings: Settings) -> Mapping[str, Provider]:
            corp, campus = settings.login.providers["corp"], settings.login.providers["campus"]
            assert isinstance(corp, Oidc)
            assert isinstance(campus, Saml)

            async def secret() -> str:
                return str(op.client["client_secret"])

            clock = SystemClock()
            return {
                "corp": OidcProvider("corp", corp, secret, clock, Box(os.urandom(32)), 3600),
                "campus": SamlProvider("campus", campus, acs, f"{url}/login/campus/metadata", clock),
            }

        (directory / "gateway").mkdir()
        config = CONFIG.format(url=url, issuer=op.issuer, metadata=idp.metadata)
        with World(directory / "gateway", port, config, known) as started:
            started.login("root")
            started.login("worker", "staff")
            started.post("/agents", "worker", {"name": "claude-code"})
            yield started


@pytest.fixture
def desk(chromium: Browser, world: World) -> Iterator[Desk]:
    """A desk before it; what the providers' own pages complain of is theirs."""
    found = Desk(chromium, world)
    yield found
    found.leaves()


def at_corp(page: Page, name: str) -> None:
    """Fill in the OpenID provider's pages until the browser is back."""
    page.locator("input[name=login]").fill(name)
    page.locator("input[name=password]").fill("any")
    page.locator("button[type=submit]").click()
    consent, here = page.get_by_role("heading", name="Authorize"), page.locator("a.brand")
    consent.or_(here).first.wait_for()
    if consent.is_visible():
        page.locator("button[type=submit]").click()


def test_openid(desk: Desk) -> None:
    """There and back: a newcomer is somebody here, with the groups that are mapped, and lands where they wanted."""
    page = desk.opens()
    page.goto("/me")
    page.get_by_role("link", name="Continue with Corp").click()
    at_corp(page, "carol")
    page.wait_for_url("**/me")
    expect(page.get_by_role("heading", name="carol")).to_be_visible()
    assert desk.world.leaves("auth.ok")[-1]["how"] == "oidc:corp"
    cookies = {each["name"]: each["sameSite"] for each in page.context.cookies(desk.url)}
    assert cookies == {"tidegate": "Strict"}


def test_saml(desk: Desk) -> None:
    """The answer is posted from another site, and still counts only in the browser that began."""
    page = desk.opens()
    page.goto("/login")
    page.get_by_role("link", name="Continue with Campus").click()
    page.locator("input[name=username]").fill("dave")
    page.locator("input[name=password]").fill("any")
    page.get_by_role("button", name="Login").click()
    page.wait_for_url("**/approvals")
    page.goto("/me")
    expect(page.get_by_role("heading", name="dave")).to_be_visible()
    expect(page.get_by_text("approvers")).to_be_visible()
    assert desk.world.leaves("auth.ok")[-1]["how"] == "saml:campus"


def test_an_answer_in_another_browser_is_nobodys(desk: Desk) -> None:
    """Whoever is sent somebody else's answer is not logged in as them (login CSRF)."""
    thief = httpx2.Client(base_url=desk.url, trust_env=False)
    begun = thief.get("/login/corp")
    back = f"{desk.url}/login/corp/callback"
    answer = Visitor(login="carol", password="any").visit(begun.headers["location"], back)
    page = desk.opens()
    page.goto(f"{back}?{urlencode(answer)}")
    expect(page.get_by_text("no login under way")).to_be_visible()
    page.goto("/me")
    expect(page.get_by_role("heading", name="Log in to Tidegate")).to_be_visible()
    assert thief.get(back, params=answer).status_code == 200  # while it was good where it was begun


def test_approving_with_a_fresh_login(desk: Desk) -> None:
    """Who has no credential here answers by logging in anew at the provider, for exactly this answer."""
    page = desk.opens()
    page.goto("/login")
    page.get_by_role("link", name="Continue with Corp").click()
    at_corp(page, "alice")
    page.wait_for_url("**/approvals")
    held = desk.world.hold(desk.world.session(by="worker"))
    page.goto(f"/approvals/{held.id}")
    page.get_by_role("button", name="Approve: log in again").click()
    expect(page.get_by_role("heading", name="Is it you, alice?")).to_be_visible()
    page.get_by_role("button", name="Log in again with Corp").click()
    at_corp(page, "alice")
    page.wait_for_url(f"**/approvals/{held.id}")
    expect(page.locator(".title .pill").first).to_have_text(re.compile("approved|used"))
    leaf = desk.world.leaves("approval.granted")[-1]
    assert (leaf["ap"], leaf["how"]) == (held.id, "login")


def test_somebody_elses_fresh_login_proves_nothing(desk: Desk) -> None:
    """The provider knows who it was: another person's login is not alice's proof."""
    page = desk.opens()
    page.goto("/login")
    page.get_by_role("link", name="Continue with Corp").click()
    at_corp(page, "alice")
    page.wait_for_url("**/approvals")
    held = desk.world.hold(desk.world.session(by="worker"))
    page.goto(f"/approvals/{held.id}")
    page.get_by_role("button", name="Approve: log in again").click()
    page.get_by_role("button", name="Log in again with Corp").click()
    at_corp(page, "carol")
    expect(page.get_by_text("Somebody else logged in")).to_be_visible()
    assert desk.world.call(lambda: desk.world.approvals.find(held.id)).state == "waiting"
