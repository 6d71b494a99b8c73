"""A real browser before a gateway: Chromium, driven by Playwright, whose console must stay silent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from gateway import free_port
from unit.web.world import World

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE = 20_000
"""Milliseconds that a page may take."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser of the system. It is gone after the module: while it is there, its loop keeps others from running."""
    path = shutil.which("chromium")
    if path is None:
        pytest.fail("there is no chromium: run tools/system-packages as root")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway at its own address, whose people have passwords."""
    with World(tmp_path_factory.mktemp("gateway"), free_port()) as world:
        world.staff()
        for name in ("alice", "bob", "eve"):
            world.password(name)
        yield world


class Desk:
    """Opens pages as somebody; whatever a page complained of stands in ``complaints``."""

    def __init__(self, browser: Browser, world: World) -> None:
        self._browser, self.world = browser, world
        self.url = world.settings.public
        self.complaints: list[str] = []
        self._contexts: list[BrowserContext] = []

    def opens(self, **options: Any) -> Page:
        """A page of a fresh browser."""
        context = self._browser.new_context(base_url=self.url, locale="en-GB", timezone_id="UTC", **options)
        context.set_default_timeout(PATIENCE)
        self._contexts.append(context)
        page = context.new_page()
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def enters(self, name: str, password: str, **options: Any) -> Page:
        """A page of a browser in which somebody has logged in by hand."""
        page = self.opens(**options)
        page.goto("/login")
        page.get_by_label("Name", exact=True).fill(name)
        page.get_by_label("Password", exact=True).fill(password)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/approvals")
        return page

    def leaves(self) -> None:
        """Close everything."""
        for context in self._contexts:
            context.close()

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


@pytest.fixture
def desk(chromium: Browser, people: World) -> Iterator[Desk]:
    """A desk; in the end no page may have complained: not of a policy, a script or a missing file."""
    found = Desk(chromium, people)
    yield found
    found.leaves()
    assert found.complaints == []


def authenticator(page: Page) -> Any:
    """A platform authenticator with a finger on it (WebAuthn section 11), for this page."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True,
    }  # fmt: skip
    id = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]
    return session, id
