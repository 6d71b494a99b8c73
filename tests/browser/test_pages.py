"""What people do in a browser, done in one."""

from __future__ import annotations

import re

import pyotp
import pytest
from playwright.sync_api import Page, expect

from browser.conftest import Desk, authenticator
from unit.web.world import PASSWORD

HTML = "text/html"
TRAP = """<form method=post action="{url}/logout"><input name=form value=x></form>
<script>document.forms[0].submit()</script>"""
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def prove(page: Page) -> None:
    """Answer /prove with the password."""
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()


def test_login_and_out(desk: Desk) -> None:
    """By name and password in, by one press out; Back does not bring a page back."""
    page = desk.enters("bob", PASSWORD)
    expect(page.get_by_role("heading", name="Approvals")).to_be_visible()
    page.get_by_role("link", name="bob").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in to Tidegate")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Log in to Tidegate")).to_be_visible()


def test_a_question_appears_by_itself_and_is_answered_with_a_finger(desk: Desk) -> None:
    """A passkey is added with the password, then a question comes up in an open page and is approved by it alone."""
    page = desk.enters("bob", PASSWORD, **PHONE)
    session, id = authenticator(page)
    page.goto("/me")
    page.get_by_label("Name of the device").fill("My phone")
    page.get_by_role("button", name="Add a passkey").click()
    page.wait_for_url("**/prove/*")
    expect(page.get_by_text("add a passkey")).to_be_visible()
    prove(page)
    page.wait_for_url("**/me")
    expect(page.get_by_text("My phone")).to_be_visible()
    assert len(session.send("WebAuthn.getCredentials", {"authenticatorId": id})["credentials"]) == 1

    page.goto("/approvals")
    held = desk.world.hold(desk.world.session("OPS-17"), "UPDATE orders SET status = 'gone'")
    page.get_by_role("link", name=re.compile("alice → claude-code")).click()
    expect(page.get_by_text("OPS-17")).to_be_visible()
    expect(page.get_by_text(re.compile(r"\d:\d\d left")).first).to_be_visible()
    page.get_by_role("button", name="Approve with a passkey").click()
    expect(page.locator(".title .pill").first).to_have_text(re.compile("approved|used"))
    leaf = desk.world.leaves("approval.granted")[-1]
    assert (leaf["ap"], leaf["how"], bool(leaf["sig"])) == (held.id, "passkey", True)


def test_a_cancelled_passkey_is_said_and_changes_nothing(desk: Desk) -> None:
    """When the authenticator says no the page says so, and the question still waits."""
    page = desk.enters("bob", PASSWORD)
    held = desk.world.hold(desk.world.session())
    page.goto(f"/approvals/{held.id}")
    session, id = authenticator(page)
    session.send("WebAuthn.setUserVerified", {"authenticatorId": id, "isUserVerified": False})
    page.get_by_role("button", name="Approve with a passkey").click()
    expect(page.get_by_role("alert").filter(has_text="was not used")).to_be_visible()
    assert desk.world.get(f"/approvals/{held.id}", "bob").json()["state"] == "waiting"


def test_refusing_with_the_password(desk: Desk) -> None:
    """Somebody without a passkey says no, with a reason."""
    held = desk.world.hold(desk.world.session())
    page = desk.enters("bob", PASSWORD)
    page.goto(f"/approvals/{held.id}")
    page.get_by_text("Refuse ...").click()
    form = page.locator(f"form[action$='/{held.id}/refuse']:not([data-passkey])")
    if not form.is_visible():
        page.get_by_text("With the password instead").last.click()
    form.get_by_label(re.compile("Why not")).fill("not today")
    form.get_by_label("Your password").fill(PASSWORD)
    form.get_by_role("button", name="Refuse").click()
    expect(page.get_by_text("not today")).to_be_visible()
    expect(page.locator(".title .pill").first).to_have_text("rejected")


def test_a_terminal_logs_in(desk: Desk) -> None:
    """The page that the terminal names asks for a login first, comes back, and lets it in."""
    asked = desk.world.http.post("/login/device", headers={"User-Agent": "tidegate/1 (Linux; laptop)"}).json()
    page = desk.opens()
    page.goto(asked["verification_uri_complete"])
    page.get_by_label("Name", exact=True).fill("alice")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text(asked["user_code"])).to_be_visible()
    expect(page.get_by_text("tidegate/1 (Linux; laptop)")).to_be_visible()
    page.get_by_role("button", name="Yes, log it in").click()
    expect(page.get_by_role("heading", name="Your terminal is logged in")).to_be_visible()
    login = desk.world.http.post("/login/device/token", json={"device_code": asked["device_code"]}).json()
    assert login["name"] == "alice"


def test_the_code_can_be_typed(desk: Desk) -> None:
    """In small letters and without the dash."""
    asked = desk.world.http.post("/login/device").json()
    page = desk.enters("alice", PASSWORD)
    page.goto("/device")
    page.get_by_label("Code").fill(asked["user_code"].replace("-", "").lower())
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("button", name="No", exact=True).click()
    expect(page.get_by_role("heading", name="Nobody was let in")).to_be_visible()


def test_one_time_passwords(desk: Desk) -> None:
    """Set up from the picture's secret; afterwards the password alone does not log in."""
    page = desk.enters("eve", PASSWORD)
    page.goto("/me")
    page.get_by_role("button", name="Set up an authenticator").click()
    expect(page.locator("svg.qr")).to_be_visible()
    page.get_by_text("Or type the secret").click()
    codes = pyotp.TOTP(page.locator("#secret").inner_text())
    page.get_by_label("The code it shows now").fill(codes.now())
    page.get_by_role("button", name="Turn on").click()
    prove(page)
    expect(page.get_by_text("One-time passwords").first).to_be_visible()
    other = desk.opens()
    other.goto("/login")
    other.get_by_label("Name", exact=True).fill("eve")
    other.get_by_label("Password", exact=True).fill(PASSWORD)
    other.get_by_role("button", name="Log in").click()
    expect(other.get_by_role("alert")).to_contain_text("is wrong")
    assert desk.complaints.pop().startswith("Failed to load resource: the server responded with a status of 401")


def test_another_site_can_post_nothing(desk: Desk) -> None:
    """A page elsewhere that sends a form to the gateway carries no login, and is refused (CSRF)."""
    page = desk.enters("alice", PASSWORD)
    page.route("http://evil.example/", lambda route: route.fulfill(body=TRAP.format(url=desk.url), content_type=HTML))
    page.goto("http://evil.example/")
    page.wait_for_url(f"{desk.url}/**")
    page.goto("/me")
    expect(page.get_by_role("heading", name="alice")).to_be_visible()
    desk.complaints[:] = [text for text in desk.complaints if "evil.example" not in text and "403" not in text]


def test_a_link_from_elsewhere_finds_the_login(desk: Desk) -> None:
    """A message's link to an approval opens it: the strict cookie comes along on the second step."""
    held = desk.world.hold(desk.world.session())
    page = desk.enters("bob", PASSWORD)
    link = f'<a href="{desk.url}/approvals/{held.id}">open</a>'
    page.route("http://mail.example/", lambda route: route.fulfill(body=link, content_type=HTML))
    page.goto("http://mail.example/")
    page.get_by_text("open").click()
    expect(page.get_by_text("What would run")).to_be_visible()
    desk.complaints[:] = [text for text in desk.complaints if "mail.example" not in text]


def test_it_works_without_scripts(desk: Desk) -> None:
    """Everything but passkeys: log in, see, and approve with the password."""
    held = desk.world.hold(desk.world.session())
    page = desk.enters("bob", PASSWORD, java_script_enabled=False)
    page.goto(f"/approvals/{held.id}")
    form = page.locator(f"form[action$='/{held.id}/approve']:not([data-passkey])")
    if not form.is_visible():
        page.get_by_text("With the password instead").first.click()
    form.get_by_label("Your password").fill(PASSWORD)
    form.get_by_role("button", name="Approve").click()
    expect(page.locator(".title .pill").first).to_have_text(re.compile("approved|used"))


def test_an_inline_script_would_not_run(desk: Desk) -> None:
    """Even if markup got into a page, the browser would not run it: the page's policy holds."""
    page = desk.enters("alice", PASSWORD)
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.owned = 1\">')")
    page.wait_for_function("document.images[document.images.length - 1].complete")
    assert page.evaluate("window.owned") is None
    assert any("Content Security Policy" in text for text in desk.complaints)
    desk.complaints.clear()


@pytest.mark.parametrize("path", ["/approvals", "/me", "/device", "/login"])
def test_nothing_is_wider_than_a_phone(desk: Desk, path: str) -> None:
    """No page scrolls sideways at 320 px."""
    page = desk.enters("alice", PASSWORD, viewport={"width": 320, "height": 640})
    page.goto(path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
