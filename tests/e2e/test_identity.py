"""No connection without a live, matching, unrevoked token and its grant."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import httpx2
import psycopg
import pytest

from gateway import Gateway
from servers import Postgres

from .conftest import shop


def refused(gateway: Gateway, token: str, database: str = "shop") -> str:
    """What a client is told when it may not connect."""
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(gateway.dsn(token, database), connect_timeout=10)
    return str(caught.value)


def test_wrong_tokens(gateway: Gateway) -> None:
    """Tampered, truncated, empty, login and foreign tokens open nothing, and the error does not repeat them."""
    good = gateway.token()
    head, body, signature = good.split(".")
    flipped = signature[:10] + ("A" if signature[10] != "A" else "B") + signature[11:]
    for bad in (f"{head}.{body}.{flipped}", good[:-20], "x", gateway.logins["alice"], "a.b.c", "x" * 9000):
        said = refused(gateway, bad)
        assert bad not in said


def test_unknown_resources_look_like_bad_tokens(gateway: Gateway) -> None:
    """Resources cannot be enumerated: an unknown name and a wrong token give the same error."""
    assert (
        refused(gateway, "nonsense", "shop").split("FATAL")[1]
        == refused(gateway, "nonsense", "nowhere").split("FATAL")[1]
    )


def test_expired(gateway: Gateway) -> None:
    """A token ends with its time, and so does the session it opened."""
    token = gateway.token(ttl=10)
    with psycopg.connect(gateway.dsn(token), autocommit=True) as agent:
        assert agent.execute("select 1").fetchone() == (1,)
        time.sleep(11.5)
        with pytest.raises(psycopg.OperationalError):
            agent.execute("select 1")
    assert "expired" in refused(gateway, token)


def test_revoked_mid_session(gateway: Gateway) -> None:
    """Revocation ends the open session within a second and the token opens nothing more."""
    minted = gateway.minted()
    with psycopg.connect(gateway.dsn(minted["token"]), autocommit=True) as agent:
        agent.execute("select 1")
        gateway.call("DELETE", f"tokens/{minted['id']}", "alice")
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError):
            while time.monotonic() - began < 5:
                agent.execute("select 1")
                time.sleep(0.05)
    assert "revoked" in refused(gateway, minted["token"])


def test_people_mint_for_themselves(gateway: Gateway) -> None:
    """bob can neither mint for alice nor for her agent."""
    for body in ({"person": "alice"}, {"agent": "claude-code"}, {"person": "alice", "agent": "claude-code"}):
        said = httpx2.post(
            f"{gateway.url}/api/v1/tokens",
            json={"resource": "shop", "ttl": 60, **body},
            headers={"authorization": f"Bearer {gateway.logins['bob']}"},
        )
        assert said.status_code in (401, 403, 404), said.text


def test_the_store_opens_nothing(postgres: Postgres, tmp_path: Path) -> None:
    """Editing the store by hand, or deleting the revocation from it, opens nothing."""
    gateway = Gateway(tmp_path / "gw", shop(postgres, "shop_store"))
    gateway.start().people()
    minted, short = gateway.minted(), gateway.minted(ttl=10)
    gateway.call("DELETE", f"tokens/{minted['id']}", "alice")
    gateway.stop()
    with sqlite3.connect(gateway.data / "store.sqlite") as store:
        columns = [row[1] for row in store.execute("pragma table_info(grants)")]
        assert "expires" in columns
        store.execute("update grants set expires = expires + 86400000000")
        for row in store.execute("pragma table_info(tokens)").fetchall():
            if row[1] == "revoked":
                store.execute("update tokens set revoked = 0")
    gateway.start()
    assert "FATAL" in refused(gateway, minted["token"])
    assert "FATAL" in refused(gateway, short["token"])
    gateway.stop()
    with sqlite3.connect(gateway.data / "store.sqlite") as store:
        store.execute("delete from identities")
    gateway.start().stop()
    assert gateway.output.count("bootstrap code") == 1 and "store.emptied" in gateway.output
