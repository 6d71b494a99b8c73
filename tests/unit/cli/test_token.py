"""Tokens."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

import pytest

from tidegate.cli.token import seconds
from tidegate.errors import AgentError
from unit.cli.desk import Desk
from unit.web.world import World

CREATE = ("token", "create", "--agent", "claude-code", "--for", "alice", "--resource", "shop", "--ttl", "15m")


def test_create_prints_only_the_token(staffed: World, seated: Desk) -> None:
    """Standard output is the token alone; the note says who, what and until when."""
    done = seated.types(*CREATE, "--reason", "OPS-17", by="alice")
    assert staffed.issuer.verify(done.out.strip(), "resource:shop").chain[1] == "a_claude-code"
    assert "alice -> claude-code may use shop until" in done.err
    assert done.out.strip() not in done.err


def test_out_writes_a_private_password_file(staffed: World, seated: Desk, tmp_path: Path) -> None:
    """--out writes one password line with mode 0600 and prints no token."""
    path = tmp_path / "pass"
    done = seated.types(*CREATE, "--out", str(path), by="alice")
    *anything, token = path.read_text().strip().split(":")
    assert (anything, done.out, stat.S_IMODE(path.stat().st_mode)) == (["*"] * 4, "", 0o600)
    assert staffed.issuer.verify(token, "resource:shop")


def test_certificate_and_key(seated: Desk, tmp_path: Path) -> None:
    """--certificate and --key write a pair that fits, both files private, and print no token."""
    certificate, key = tmp_path / "agent.crt", tmp_path / "agent.key"
    done = seated.types(*CREATE, "--certificate", str(certificate), "--key", str(key), by="alice")
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key)
    assert (done.status, done.out) == (0, "")
    assert {stat.S_IMODE(path.stat().st_mode) for path in (certificate, key)} == {0o600}


@pytest.mark.parametrize(
    "words", [("--certificate", "c"), ("--key", "k"), ("--certificate", "c", "--key", "k", "--out", "o")]
)
def test_half_a_pair(seated: Desk, words: tuple[str, ...]) -> None:
    """A certificate without its key, or beside a password file, is refused before anything is minted."""
    done = seated.types(*CREATE, *words, by="alice")
    assert done.status and "belong together" in done.err


def test_refusal(seated: Desk) -> None:
    """A token that policy does not give has status 77, and nothing on standard output."""
    done = seated.types("token", "create", "--resource", "shop", by="eve")
    assert (done.status, done.out, "may not connect" in done.err) == (77, "", True)


def test_list_and_revoke(staffed: World, seated: Desk) -> None:
    """A token is listed by its id and ends by it."""
    minted = staffed.mint().json()
    assert minted["id"] in seated.types("token", "ls", by="alice").out
    assert seated.types("token", "revoke", minted["id"], by="alice").status == 0
    assert "revoked" in seated.types("token", "ls", "--limit", "1000", by="alice").out


@pytest.mark.parametrize(("text", "value"), [("30s", 30), ("15m", 900), ("8h", 28_800)])
def test_duration(text: str, value: int) -> None:
    """Durations are whole seconds, minutes or hours."""
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "15", "0m", "-5m", "1.5h", "1d", "٣m", "5m "])
def test_odd_duration(text: str) -> None:
    """Everything else is refused."""
    with pytest.raises(AgentError):
        seconds(text)
