"""`tidegate login` through a browser."""

from __future__ import annotations

import json
import threading
import time
import webbrowser

import pytest

from tidegate.cli import browser
from tidegate.identity import devices
from unit.cli.desk import Desk
from unit.web.world import World, token_of


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal asks at once."""
    monkeypatch.setattr(devices, "INTERVAL", 0)
    monkeypatch.setattr(time, "sleep", lambda _seconds, wait=time.sleep: wait(0.02))


def confirm(world: World, by: str, answer: str) -> None:
    """Once a terminal waits, somebody answers in the browser, reading the code off it."""
    waiting = world.api.state.devices._devices
    while not waiting:
        threading.Event().wait(0.01)
    code = next(iter(waiting.values())).user_code
    client = world.browser(by)
    page = client.get("/device", params={"code": code})
    client.post("/device/answer", data={"form": token_of(page), "code": code, "answer": answer})


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("answer", "status"), [("yes", 0), ("no", 77)])
def test_a_browser_says_yes_or_no(
    world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch, answer: str, status: int
) -> None:
    """The terminal prints address and code, opens a browser, waits, and is whoever said yes."""
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: bool(opened.append(url)) or True)
    world.login("carol")
    person = threading.Thread(target=confirm, args=(world, "carol", answer))
    person.start()
    done = desk.types("login", "--gateway", world.url, by="carol")
    person.join()
    assert (done.status, "confirm this code" in done.err) == (status, True)
    assert len(opened) == 1
    assert "/device?code=" in opened[0]
    if answer == "yes":
        assert json.loads(desk.types("whoami", "-o", "json", by="carol").out)["name"] == "carol"


@pytest.mark.usefixtures("quick")
def test_no_browser_is_opened_unasked(world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --no-browser the address is only printed."""
    monkeypatch.setattr(webbrowser, "open", lambda url: pytest.fail("opened"))
    world.login("carol")
    person = threading.Thread(target=confirm, args=(world, "carol", "yes"))
    person.start()
    done = desk.types("login", "--gateway", world.url, "--no-browser", by="carol")
    person.join()
    assert done.status == 0


@pytest.mark.parametrize("address", ["file:///etc/passwd", "javascript:x", "http://gw/ --new", "http://gw/\x1b[2J"])
def test_a_browser_is_sent_to_pages_only(address: str) -> None:
    """What is not a page is not opened, whoever names it."""
    with pytest.raises(Exception, match="a page that is none"):
        browser._page(address)
