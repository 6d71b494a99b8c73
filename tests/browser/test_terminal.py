"""The whole story with everything real: a gateway process, PostgreSQL, the command line, and a browser beside it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from browser.conftest import PATIENCE, authenticator
from e2e.conftest import shop
from gateway import PASSWORD, Gateway
from servers import Postgres

Types = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="module")
def gateway(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway before a shop, with alice and her agent, bob and carol the dbas; its log must verify in the end."""
    found = Gateway(tmp_path_factory.mktemp("story") / "gw", shop(postgres, "shop_browser"))
    found.start().people().person("carol", ["dba"])
    yield found
    assert found.stop() == 0
    assert found.verify() == 0


@pytest.fixture
def page(chromium: Browser, gateway: Gateway) -> Iterator[Page]:
    """A browser's page."""
    context = chromium.new_context(base_url=f"http://localhost:{gateway.api}", locale="en-GB")
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


@pytest.fixture
def types(gateway: Gateway, tmp_path: Path) -> Iterator[Types]:
    """Starts a command in a terminal that has no keyboard."""
    environment = {**os.environ, "TIDEGATE_HOME": str(tmp_path), "BROWSER": "/bin/false"}
    with contextlib.ExitStack() as started:

        def start(*arguments: str) -> subprocess.Popen[str]:
            pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            command = [*gateway.command, *arguments]
            return started.enter_context(subprocess.Popen(command, env=environment, text=True, **pipes))

        yield start


def said(stream: IO[str] | None, pattern: str) -> str:
    """What the pattern finds in what a command says while it runs."""
    assert stream is not None
    heard = ""
    for line in stream:
        heard += line
        found = re.search(pattern, heard)
        if found:
            return found.group(1)
    raise AssertionError(f"{pattern} is not in:\n{heard}")


def log_in(page: Page, name: str) -> None:
    """By hand."""
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def add_passkey(page: Page) -> Any:
    """Make one and enrol it."""
    session = authenticator(page)
    page.goto("/me")
    page.get_by_label("Name of the device").fill("My phone")
    page.get_by_role("button", name="Add a passkey").click()
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text("My phone")).to_be_visible()
    return session


def test_a_terminal_logs_in_and_proves_by_the_browser(gateway: Gateway, page: Page, types: Types) -> None:
    """`tidegate login` waits for a yes; opening a resource as oneself then waits for a finger. Nothing is typed."""
    login = types("login", "--gateway", f"http://localhost:{gateway.api}", "--no-browser")
    code = said(login.stderr, r"\n +([A-Z]{4}-[A-Z]{4})\n")
    page.goto(f"/device?code={code}")
    log_in(page, "bob")
    expect(page.get_by_text("tidegate/")).to_be_visible()
    page.get_by_role("button", name="Yes, log it in").click()
    assert login.wait(60) == 0
    add_passkey(page)
    token = types("token", "create", "--resource", "shop", "--reason", "to look")
    page.goto(said(token.stderr, r"open (http://localhost:\S+/prove/\S+)"))
    expect(page.get_by_text("open shop as yourself")).to_be_visible()
    page.get_by_role("button", name="Confirm with a passkey").click()
    expect(page.get_by_text("It is you.")).to_be_visible()
    out, _ = token.communicate(timeout=60)
    with psycopg.connect(gateway.dsn(out.strip()), autocommit=True) as bob:
        assert bob.execute("select count(*) from orders").fetchone() == (1000,)


def test_a_held_statement_runs_once_a_finger_approves(gateway: Gateway, page: Page) -> None:
    """An agent's bulk update waits; the dba sees it laid out, approves with a passkey, and it runs."""
    page.goto("/login")
    log_in(page, "carol")
    page.wait_for_url("**/approvals")
    add_passkey(page)
    page.goto("/approvals")
    done: list[int] = []

    def agent() -> None:
        with psycopg.connect(gateway.dsn(gateway.token(reason="OPS-1742")), autocommit=True) as link:
            done.append(link.execute("update orders set total = total + 1 where customer > %s or true", [7]).rowcount)

    asking = threading.Thread(target=agent)
    asking.start()
    page.get_by_role("link", name=re.compile("alice → claude-code")).click()
    expect(page.get_by_text("OPS-1742")).to_be_visible()
    laid_out = "update orders\nset total = total + 1\nwhere customer > $1"
    expect(page.locator(".statement").first).to_contain_text(laid_out)
    expect(page.locator(".statement .k").first).to_have_text("update")
    expect(page.get_by_text(re.compile("rows, by the resource's own estimate"))).to_be_visible()
    page.get_by_role("button", name="Try it, and take it back").click()
    expect(page.get_by_text("rows, tried and taken back")).to_be_visible()
    expect(page.locator(".impact b")).to_have_text("1,000")
    page.get_by_role("button", name="Approve with a passkey").click()
    expect(page.locator(".title .pill").first).to_have_text(re.compile("approved|used"))
    asking.join(60)
    assert done == [1000]


def test_logging_out_of_a_terminal_shows(gateway: Gateway, page: Page, types: Types) -> None:
    """A terminal's login can be ended from the browser, and the terminal is told that it is over."""
    login = types("login", "--gateway", f"http://localhost:{gateway.api}", "--no-browser")
    code = said(login.stderr, r"\n +([A-Z]{4}-[A-Z]{4})\n")
    page.goto(f"/device?code={code}")
    log_in(page, "alice")
    page.get_by_role("button", name="Yes, log it in").click()
    assert login.wait(60) == 0
    me = types("whoami", "-o", "json")
    assert json.loads(me.communicate(timeout=60)[0])["name"] == "alice"
    page.goto("/me")
    for _ in range(page.get_by_role("button", name="End").count()):
        page.get_by_role("button", name="End").first.click()
        page.wait_for_load_state()
    over = types("whoami")
    assert over.wait(60) == 77
