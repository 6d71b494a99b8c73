"""`tidegate credentials`, as a person types it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pyotp
import pytest

from terminal import types
from tidegate.cli.credentials import Credentials, save
from unit.cli.desk import Desk
from unit.web.world import PASSWORD, World

OTHER = "cobalt mitten 44 orchard"


@pytest.fixture
def home(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """carol's terminal, logged in."""
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "carol"))
    save(Credentials(world.url, world.login("carol"), "carol", 2**31))
    return tmp_path / "carol"


def test_one_time_passwords(world: World, home: Path) -> None:
    """The secret and its code are shown; from then on logging in asks for both."""
    secret: list[str] = []

    class Device(str):
        """Types what the device shows by then."""

        def encode(self, *_: object) -> bytes:  # type: ignore[override]
            return secret[0].encode()

    import terminal

    shown_so_far = terminal._more

    def watching(handle: int) -> str:
        more = shown_so_far(handle)
        if found := re.search(r"application: ([A-Z2-7]{32})", more):
            now = int(time.time())
            secret[:] = [pyotp.TOTP(found[1]).at(now - 30), found[1]]
        return more

    terminal._more = watching
    try:
        answers = [("that it shows: ", Device()), (r"Password[^:]*: ", PASSWORD)]
        status, shown = types(home, ["credentials", "add", "totp", "--label", "phone"], answers)
    finally:
        terminal._more = shown_so_far
    assert (status, "█" in shown or "▄" in shown) == (0, True)
    otp = pyotp.TOTP(secret[1]).now()
    login = ["login", "--name", "carol", "--gateway", world.url]
    wrong = types(home, login, [("Password of carol: ", PASSWORD), ("One-time password[^:]*: ", "")])
    right = types(home, login, [("Password of carol: ", PASSWORD), ("One-time password[^:]*: ", otp)])
    assert (wrong[0], right[0]) == (77, 0)
    assert PASSWORD not in wrong[1] + right[1]


def test_another_password(world: World, home: Path) -> None:
    """Typed twice, proven with the old one; two that differ change nothing."""
    command = ["credentials", "add", "password"]
    fresh = [("New password[^:]*: ", OTHER), ("same again: ", OTHER + "x")]
    status, shown = types(home, command, fresh)
    assert (status, "not the same" in shown) == (65, True)
    fresh = [("New password[^:]*: ", OTHER), ("same again: ", OTHER), (r"Password[^:]*: ", PASSWORD)]
    assert types(home, command, fresh)[0] == 0
    login = ["login", "--name", "carol", "--gateway", world.url]
    assert types(home, login, [("carol: ", OTHER), ("One-time[^:]*: ", "")])[0] == 0


def test_enrolling_on_a_terminal(world: World, tmp_path: Path) -> None:
    """A code, and a password typed twice, that is refused when it is weak, which leaves the code as it was."""
    code = world.post("/people", "root", {"name": "dora"}).json()["code"]
    command = ["login", "--code", code, "--gateway", world.url]
    weak = [("New password[^:]*: ", "password1234"), ("same again: ", "password1234")]
    status, shown = types(tmp_path, command, weak)
    assert (status, "anybody would guess" in shown) == (65, True)
    good = [("New password[^:]*: ", OTHER), ("same again: ", OTHER)]
    assert types(tmp_path, command, good)[0] == 0
    assert "dora" in types(tmp_path, ["whoami"], [])[1]


def test_listing_and_removing(world: World, desk: Desk) -> None:
    """Ids, methods and labels; the last one stays."""
    desk.seats(world, "dave")
    row = json.loads(desk.types("credentials", "ls", "-o", "json", by="dave").out)["items"][0]
    assert row["method"] == "password"
    done = desk.types("credentials", "rm", row["id"], by="dave")
    assert (done.status, "all you can prove" in done.err) == (77, True)
    assert desk.types("credentials", "rm", "c_nonsense", by="dave").status == 65
    assert "/me and add" in desk.types("credentials", "add", "passkey", by="dave").err
