"""The command line as one person uses it, in this process: exit status, standard output and standard error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tidegate.cli import screen, typed
from tidegate.cli.credentials import Credentials, save, write_private
from tidegate.cli.main import main
from unit.web.world import PASSWORD, World


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command left behind."""

    status: int
    out: str
    err: str


class Desk:
    """Types commands as a person of a world; ``home`` keeps the logins."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.home, self._monkeypatch, self._capsys = home, monkeypatch, capsys

    def types(self, *arguments: str, by: str = "nobody") -> Answer:
        """Run a command with the login of ``by``."""
        with self._at(by):
            status = main(arguments)
        shown = self._capsys.readouterr()
        return Answer(status, shown.out, shown.err)

    def seats(self, world: World, *names: str) -> None:
        """Log people in, as `tidegate login` would."""
        for name in names:
            with self._at(name):
                save(Credentials(world.url, world.login(name), name, 2**31))

    def _password(self) -> Path:
        """Everybody's password, in a file as programs have it."""
        path = self.home / "password"
        if not path.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            write_private(path, f"{PASSWORD}\n")
        return path

    @contextmanager
    def _at(self, name: str) -> Iterator[None]:
        screen.console.cache_clear()
        with self._monkeypatch.context() as patch:
            patch.setenv("TIDEGATE_HOME", str(self.home / name))
            patch.setenv(typed.FILE, str(self._password()))
            yield
