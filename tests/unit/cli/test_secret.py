"""Secrets: typed twice or piped in, listed without values."""

from __future__ import annotations

import getpass
import io
import json
import sys
from pathlib import Path

import pytest

from tidegate.store.secrets import Safe
from unit.cli.desk import Desk
from unit.web.world import World

VALUE = "hunter2-hunter2"


class Input:
    """Standard input with bytes in it, on a terminal or not."""

    def __init__(self, data: bytes, terminal: bool) -> None:
        self.buffer = io.BytesIO(data)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def kept(world: World) -> str:
    """The value in the store."""
    return Safe(world.store, world.services.box).value("shop")


def test_piped_in(staffed: World, seated: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line break at the end does not count; nothing shows the value."""
    monkeypatch.setattr(sys, "stdin", Input(f"{VALUE}\n".encode(), terminal=False))
    done = seated.types("secret", "set", "shop", by="root")
    assert (done.status, kept(staffed), VALUE in done.out + done.err) == (0, VALUE, False)
    listed = seated.types("secret", "ls", by="root")
    assert "shop" in listed.out and "root" in listed.out and VALUE not in listed.out
    assert json.loads(seated.types("secret", "ls", "-o", "json", by="root").out)[0]["name"] == "shop"


def test_typed_twice(staffed: World, seated: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without echo, and a slip of the finger changes nothing."""
    monkeypatch.setattr(sys, "stdin", Input(b"", terminal=True))
    typed = iter(["the-first-value", "the-first-value", "the-next-value", "the-nxet-value"])
    monkeypatch.setattr(getpass, "getpass", lambda prompt: next(typed))
    assert seated.types("secret", "set", "shop", by="root").status == 0
    done = seated.types("secret", "set", "shop", by="root")
    assert (done.status, "differ" in done.err, kept(staffed)) == (65, True, "the-first-value")


def test_from_a_file(staffed: World, seated: Desk, tmp_path: Path) -> None:
    """A file with a value, and files with none."""
    path = tmp_path / "value"
    path.write_text(VALUE + "\r\n")
    assert seated.types("secret", "set", "shop", "--from-file", str(path), by="root").status == 0
    assert kept(staffed) == VALUE
    for data in (b"", b"\n", b"\xff\xfe", b"x" * 70_000):
        path.write_bytes(data)
        assert seated.types("secret", "set", "shop", "--from-file", str(path), by="root").status == 78
    assert kept(staffed) == VALUE


def test_removed(seated: Desk, tmp_path: Path) -> None:
    """What is not there cannot be removed, and only who operates the gateway may."""
    (tmp_path / "value").write_text(VALUE)
    seated.types("secret", "set", "shop", "--from-file", str(tmp_path / "value"), by="root")
    assert seated.types("secret", "rm", "shop", by="alice").status == 77
    assert seated.types("secret", "rm", "shop", by="root").status == 0
    assert seated.types("secret", "rm", "shop", by="root").status == 65


def test_a_value_is_never_an_argument(seated: Desk) -> None:
    """Arguments can be read by everybody on the machine."""
    done = seated.types("secret", "set", "shop", VALUE, by="root")
    assert (done.status, VALUE in done.out) == (64, False)
