"""Being asked once more: by password, by ssh key, in a browser; and by whom one is asked."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from terminal import types
from tidegate.cli import stepup, typed
from tidegate.cli.credentials import Credentials, save, write_private
from tidegate.errors import AgentError
from unit.cli.desk import Desk
from unit.web.world import BY_PASSWORD, PASSWORD, World

MINT = ("token", "create", "--resource", "shop")


@pytest.fixture
def home(staffed: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """alice's terminal, logged in, with nothing in its environment."""
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "alice"))
    save(Credentials(staffed.url, staffed.login("alice"), "alice", 2**31))
    return tmp_path / "alice"


def test_password_is_typed(home: Path) -> None:
    """A wrong one may be typed again; the question says for what; nothing that is typed is shown."""
    answers = [
        ("to open shop as yourself[^P]*Password[^:]*: ", "wrong wrong wrong"),
        ("once more.*Password[^:]*: ", PASSWORD),
    ]
    status, shown = types(home, MINT, [(f"(?s){question}", answer) for question, answer in answers])
    assert (status, "eyJ" in shown, PASSWORD in shown, "wrong wrong" in shown) == (0, True, False, False)


def test_three_wrong_ones_end_it(home: Path, staffed: World) -> None:
    """Then the command fails, as what it is: not permitted."""
    status, shown = types(home, MINT, [("Password[^:]*: ", f"wrong wrong {each}") for each in range(3)])
    assert (status, shown.count("once more"), "eyJ" in shown) == (77, 2, False)


def test_password_of_a_file(staffed: World, seated: Desk) -> None:
    """For programs: the file that the environment names, which nobody else may read."""
    assert seated.types(*MINT, by="alice").status == 0
    (seated.home / "password").chmod(0o644)
    done = seated.types(*MINT, by="alice")
    assert (done.status, "others may read" in done.err) == (78, True)


def test_an_agents_token_asks_nothing(home: Path) -> None:
    """No question where none is needed."""
    status, shown = types(home, [*MINT, "--agent", "claude-code"], [])
    assert (status, "Password" in shown) == (0, False)


def test_ssh_key(home: Path, staffed: World, tmp_path: Path) -> None:
    """The key is added with a password, and then signs; a key that is not enrolled is refused with what to do."""
    key = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "laptop", "-f", key], check=True)
    status, shown = types(home, [*MINT, "--ssh-key", str(key)], [])
    assert (status, "credentials add ssh" in shown) == (77, True)
    status, shown = types(home, ["credentials", "add", "ssh", f"{key}.pub"], [("Password[^:]*: ", PASSWORD)])
    assert (status, "laptop" in shown) == (0, True)
    assert types(home, [*MINT, "--ssh-key", str(key)], [])[0] == 0
    assert types(home, MINT, [], TIDEGATE_SSH_KEY=str(key))[0] == 0
    assert "is the private half" in types(home, ["credentials", "add", "ssh", str(key)], [])[1]


def test_browser(home: Path, staffed: World) -> None:
    """With nothing typed the command shows a page and waits until the person has been there."""
    who = staffed.call(lambda: staffed.access.chain("alice"))
    waiting = staffed.credentials._challenges._waiting

    def confirm() -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            for id, kept in list(waiting._kept.items()):
                if kept.value.action.endswith(b"connect\nshop") and kept.value.proof is None and not done.is_set():
                    done.set()
                    staffed.call(lambda id=id: staffed.credentials.fulfil(who, id, BY_PASSWORD))  # type: ignore[misc]
                    return
            time.sleep(0.05)

    waiting._kept.clear()
    done = threading.Event()
    person = threading.Thread(target=confirm)
    person.start()
    status, shown = types(home, MINT, [("Password[^:]*: ", "")])
    person.join()
    assert (status, "/prove/" in shown, "eyJ" in shown) == (0, True, True)


def test_without_a_terminal_a_browser_is_needed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody can type: the address is shown, and waiting ends with the challenge."""
    monkeypatch.setattr(typed, "there", lambda: False)
    monkeypatch.delenv(typed.FILE, raising=False)
    details = {
        "methods": ["password"],
        "otp": False,
        "challenge": "c",
        "sign": "s",
        "seconds": 0,
        "url": "http://x/prove/c",
    }

    def send(proof: Any) -> None:
        raise AgentError("m", code="stepup.waiting" if proof else "stepup.required", details=details)

    with pytest.raises(AgentError) as caught:
        stepup.proven(send)
    assert caught.value.code == "stepup.waiting"
    assert "http://x/prove/c" in capsys.readouterr().err


def test_other_errors_pass(tmp_path: Path) -> None:
    """Only the gateway's question is answered."""

    def send(proof: Any) -> None:
        raise AgentError("m", code="token.expired")

    with pytest.raises(AgentError) as caught:
        stepup.proven(send)
    assert caught.value.code == "token.expired"


def test_a_key_that_cannot_sign(tmp_path: Path) -> None:
    """What ssh-keygen says is passed on."""
    write_private(tmp_path / "id", "nonsense")
    with pytest.raises(Exception, match="ssh-keygen cannot sign"):
        stepup.sign(tmp_path / "id", "text")
