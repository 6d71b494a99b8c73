"""Login, logout, whoami."""

from __future__ import annotations

import io
import json

import pytest

from unit.cli.desk import Desk
from unit.web.world import PASSWORD, World


def test_first_administrator(world: World, desk: Desk) -> None:
    """The bootstrap code and a name make the first administrator, and whoami knows them."""
    done = desk.types("login", "--code", str(world.code), "--name", "root", "--gateway", world.url, by="root")
    assert (done.status, done.out) == (0, "")
    me = json.loads(desk.types("whoami", "-o", "json", by="root").out)
    assert (me["name"], me["groups"]) == ("root", ["admins"])


def test_enrolment(staffed: World, seated: Desk) -> None:
    """A code that `people add` printed logs somebody in."""
    code = seated.types("people", "add", "carol", "--group", "staff", by="root").out.strip()
    assert seated.types("login", "--code", code, "--gateway", staffed.url, by="carol").status == 0
    assert "carol" in seated.types("whoami", by="carol").out


def test_codes_and_passwords_from_input(staffed: World, seated: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing secret has to be an argument."""
    code = seated.types("people", "code", "bob", by="root").out
    for secret, options in ((code, ("--code", "-")), (f"{PASSWORD}\n", ("--name", "bob", "--password-file", "-"))):
        monkeypatch.setattr("sys.stdin", io.StringIO(secret))
        assert seated.types("login", *options, "--gateway", staffed.url, by="bob").status == 0


def test_wrong_code(staffed: World, desk: Desk) -> None:
    """A wrong code is refused and nothing is kept."""
    done = desk.types("login", "--code", "AAAA", "--gateway", staffed.url)
    assert (done.status, "hint: " in done.err) == (77, True)
    assert desk.types("whoami").status == 77


def test_logout(staffed: World, seated: Desk) -> None:
    """After logout the login is gone here and at the gateway."""
    code = seated.types("people", "code", "eve", by="root").out.strip()
    seated.types("login", "--code", code, "--gateway", staffed.url, by="eve2")
    assert seated.types("logout", by="eve2").status == 0
    assert seated.types("whoami", by="eve2").err.startswith("tidegate: You are not logged in.")
