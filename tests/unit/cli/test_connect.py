"""`tidegate connect`: what the client gets, what others see of it, and what is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tidegate.cli.connect import Renewal
from tidegate.cli.credentials import Credentials, save
from tidegate.errors import ResourceError
from unit.cli.desk import Desk
from unit.enforcement.granting import YES, Granting
from unit.web.world import World

WHO = ("--agent", "claude-code")

LOOK = """
import json, os, pathlib, sys
passfile = pathlib.Path(os.environ["PGPASSFILE"])
print(json.dumps({
    "line": passfile.read_text(), "service": pathlib.Path(os.environ["PGSERVICEFILE"]).read_text(),
    "modes": [oct(passfile.stat().st_mode & 0o777), oct(passfile.parent.stat().st_mode & 0o777)],
    "environment": dict(os.environ), "argv": sys.argv, "directory": str(passfile.parent),
}))
sys.exit(7)
"""


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's directory in memory."""
    path = tmp_path / "runtime"
    path.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    return path


def test_a_client_gets_the_token_by_file_only(staffed: World, seated: Desk, runtime: Path) -> None:
    """The client reads it from a private file; arguments and variables have none; its exit status is the command's."""
    out = runtime / "seen"
    script = LOOK.replace("print(", f"pathlib.Path({str(out)!r}).write_text(")
    done = seated.types("connect", "shop", *WHO, "--", sys.executable, "-c", script, by="alice")
    seen = json.loads(out.read_text())
    token = seen["line"].strip().rsplit(":", 1)[1]
    assert (done.status, staffed.issuer.verify(token, "resource:shop").chain[1]) == (7, "a_claude-code")
    assert seen["line"].startswith("127.0.0.1:6432:*:*:")
    assert seen["modes"] == ["0o600", "0o700"]
    assert token not in json.dumps([seen["environment"], seen["argv"], seen["service"], done.out, done.err])
    assert "sslmode=verify-full" in seen["service"]
    assert not Path(seen["directory"]).exists()


def test_what_would_get_in_the_way_is_taken_away(seated: Desk, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password or an address that the shell had set does not reach the client."""
    monkeypatch.setenv("PGPASSWORD", "stale")
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    out = runtime / "seen"
    script = LOOK.replace("print(", f"pathlib.Path({str(out)!r}).write_text(")
    seated.types("connect", "shop", *WHO, "--", sys.executable, "-c", script, by="alice")
    assert not {"PGPASSWORD", "PGHOSTADDR"} & json.loads(out.read_text())["environment"].keys()


def test_a_client_that_is_not_there(seated: Desk, runtime: Path) -> None:
    """A missing client is said so, and nothing is left behind."""
    done = seated.types("connect", "shop", *WHO, "--", "no-such-client", by="alice")
    assert (done.status, "cannot be started" in done.err) == (69, True)
    assert list(runtime.iterdir()) == []


def test_the_usual_client_is_started(seated: Desk, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name the first installed client of the recipe runs, with the arguments that were given."""
    binaries = runtime / "bin"
    binaries.mkdir()
    (binaries / "pgcli").write_text(f'#!/bin/sh\necho "$0 $*" > {runtime}/ran\n')
    (binaries / "pgcli").chmod(0o700)
    monkeypatch.setenv("PATH", str(binaries))
    assert seated.types("connect", "shop", *WHO, "--", "--less-chatty", by="alice").status == 0
    assert (runtime / "ran").read_text().split() == [str(binaries / "pgcli"), "--less-chatty"]
    (binaries / "pgcli").unlink()
    assert "no usual client" in seated.types("connect", "shop", *WHO, by="alice").err


def test_who_may_not_gets_nothing(seated: Desk, runtime: Path) -> None:
    """Without the right to connect there is no such resource, and no directory was made."""
    done = seated.types("connect", "shop", "--", "true", by="eve")
    assert (done.status, "no such resource" in done.err, list(runtime.iterdir())) == (65, True, [])


def test_nobody_is_sent_to_log_in(seated: Desk) -> None:
    """Without a login the hint says how to get one."""
    done = seated.types("connect", "shop", by="stranger")
    assert (done.status, "tidegate login" in done.err) == (77, True)


def test_where_people_must_say_yes_it_asks_them(
    tmp_path_factory: pytest.TempPathFactory, desk: Desk, runtime: Path
) -> None:
    """The client starts after the yes, with a token of minutes under that grant; the next one uses it too."""
    with Granting(tmp_path_factory.mktemp("vault")) as world:
        world.staff()
        desk.seats(world, "alice")
        answering = threading.Thread(target=lambda: _yes(world))
        answering.start()
        words = ("connect", "crm", *WHO, "--for", "30m", "--", "true")
        first = desk.types(*words, by="alice")
        answering.join(30)
        second = desk.types(*words, by="alice")
        grants = world.get("/grants", "alice").json()["items"]
        tokens = [row for row in world.get("/tokens", "alice").json()["items"] if row["grant"]]
    assert (first.status, "waits for somebody" in first.err, second.status) == (0, True, 0)
    assert (len(grants), {row["grant"] for row in tokens}, len(tokens)) == (1, {grants[0]["id"]}, 2)


def _yes(world: Granting) -> None:
    """bob looks until something waits, and says yes."""
    bob = world.who("bob")
    _until(lambda: bool(world.call(world.approvals.waiting)))
    asked = world.call(world.approvals.waiting)[0]
    world.call(lambda: world.approvals.approve(asked.id, bob, YES))


def test_at_a_terminal_one_logs_in_first(staffed: World, seated: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not logged in is, before anything else, and the client then runs."""

    def log_in(**_: str) -> None:
        save(Credentials(staffed.url, staffed.login("alice"), "alice", 2**31))

    monkeypatch.setattr("tidegate.cli.connect._at_a_terminal", lambda: True)
    monkeypatch.setattr("tidegate.cli.login.login", log_in)
    assert seated.types("connect", "shop", *WHO, "--", "true", by="stranger").status == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_reaches_the_client_and_files_go(
    staffed: World, seated: Desk, runtime: Path, number: signal.Signals
) -> None:
    """A signal to the command is the client's to handle; the directory goes with it either way."""
    waits = "import os, pathlib, time; pathlib.Path(os.environ['READY']).write_text('x'); time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-m", "tidegate", "connect", "shop", *WHO, "--", sys.executable, "-c", waits],
        env={**os.environ, "TIDEGATE_HOME": str(seated.home / "alice"), "READY": str(runtime / "ready")},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _until((runtime / "ready").exists)
    assert len(list(runtime.glob("tidegate-connect-*"))) == 1
    process.send_signal(number)
    assert process.wait(30) in (128 + number, 1)
    assert list(runtime.glob("tidegate-connect-*")) == []


def test_show_has_lines_to_copy(seated: Desk) -> None:
    """Every client has its line; one client can be named; an unknown one is refused."""
    every = seated.types("connect", "shop", *WHO, "--show", by="alice").out
    one = seated.types("connect", "shop", *WHO, "--show", "django", by="alice").out
    assert 'eval "$(tidegate env shop --agent claude-code)"' in every
    assert "jdbc:" in every and "django" in one and "jdbc:" not in one
    assert seated.types("connect", "shop", *WHO, "--show", "excel", by="alice").status == 65


def test_a_token_is_renewed_while_the_client_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it ends there is another one; a failure is kept, tried again, and forgotten when the next one works."""
    answers: Iterator[int | ResourceError] = iter([0, ResourceError("down"), 2**31])
    done = list[int]()

    def obtain() -> int:
        done.append(1)
        answer = next(answers)
        if isinstance(answer, ResourceError):
            raise answer
        return answer

    renewal = Renewal(obtain, again=True)
    monkeypatch.setattr(renewal, "_pause", lambda: 0.01 if len(done) < 3 else 60)
    with renewal:
        _until(lambda: len(done) == 3)
    assert renewal.failure is None


def _until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)
