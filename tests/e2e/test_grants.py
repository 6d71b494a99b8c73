"""Access through a real gateway from the request to its end, and broken glass: clients connect, and are cut on time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from gateway import PASSWORD, Gateway
from servers import Postgres
from tidegate.cli.credentials import Credentials, write_private

from .conftest import TAGS, shop
from .test_connect import tidegate

POLICY = """
rules:
  - id: ask-first
    may: [connect]
    then: hold
    approvers: {groups: [dba], count: 1}
    within: 5m
    for: 1h
  - {id: on-call, who: {groups: [admins]}, may: [break-glass], then: allow, for: 30m}
  - {id: reads, may: [read], then: allow, mask: [pii]}
  - {id: bulk, may: [write], where: {unbounded: true}, then: hold, approvers: {groups: [dba], count: 1}, within: 5m}
  - {id: deletes, may: [write], where: {command: [delete]}, then: refuse, break_glass: true}
  - {id: tables, may: [define], then: refuse}
"""
PROOF = {"method": "password", "password": PASSWORD}
DOCS = Path(__file__).parents[2] / "docs" / "howto" / "ask-for-access.md"


@pytest.fixture(scope="module", params=[1, 2], ids=["alone", "workers"])
def running(request: Any, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway on which everybody asks first; whatever happened, its log verifies."""
    upstream = shop(postgres, f"shop_grants_{request.param}")
    directory = tmp_path_factory.mktemp("grants") / "gw"
    gateway = Gateway(directory, upstream, tags=TAGS, workers=request.param, policy=POLICY)
    gateway.start().people()
    yield gateway
    assert gateway.stop() == 0
    assert gateway.verify() == 0


def asked(gateway: Gateway, seconds: int = 600, agent: str = "claude-code", reason: str = "a test") -> dict[str, Any]:
    """A request of alice's."""
    found = gateway.call("POST", "requests", "alice", resource="shop", seconds=seconds, reason=reason, agent=agent)
    assert isinstance(found, dict)
    return found


def approved(gateway: Gateway, request: dict[str, Any]) -> dict[str, Any]:
    """bob says yes."""
    gateway.call("POST", f"approvals/{request['approval']}/approve", "bob", proof=PROOF)
    found = gateway.call("GET", f"requests/{request['id']}?wait=20", "alice")
    assert isinstance(found, dict)
    return found


def test_nothing_opens_before_the_yes(running: Gateway) -> None:
    """No token while people have not answered; the refusal says how to ask."""
    request = asked(running, reason="not yet")
    said = httpx2.post(
        f"{running.url}/api/v1/tokens",
        json={"resource": "shop", "agent": "claude-code"},
        headers={"authorization": f"Bearer {running.logins['alice']}"},
    )
    assert (said.status_code, said.json()["code"]) == (403, "grant.needed")
    assert "/api/v1/requests" in said.json()["hint"]
    running.call("POST", f"requests/{request['id']}/withdraw", "alice")
    assert running.call("GET", f"requests/{request['id']}", "alice")["state"] == "denied"


def test_a_session_ends_with_its_grant(running: Gateway) -> None:
    """It opens after the yes and is cut in the middle of a statement when the time that was asked for is over."""
    request = approved(running, asked(running, seconds=12, reason="twelve seconds"))
    assert request["state"] == "approved"
    minted = running.minted(ttl=3600)
    assert minted["grant"] == request["id"]
    with psycopg.connect(running.dsn(minted["token"]), autocommit=True) as agent:
        assert agent.execute("select 1").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError):
            agent.execute("select count(*) from generate_series(1, 1000000000000)")
    assert time.time() * 1_000_000 >= request["expires"]
    with pytest.raises(psycopg.OperationalError, match="expired"):
        psycopg.connect(running.dsn(minted["token"]))
    end = time.monotonic() + 20
    while running.call("GET", f"requests/{request['id']}", "alice")["state"] != "expired":
        assert time.monotonic() < end
        time.sleep(0.1)


def test_an_agent_asks_as_the_page_says(running: Gateway) -> None:
    """The program of the how-to asks with the agent's own token and waits until somebody says yes."""
    approved(running, asked(running, reason="a first token"))
    token = running.token()
    program = re.search(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert program is not None
    text = f"token = {token!r}\n{program[1]}\nprint(asked['state'])".replace(
        "127.0.0.1:7443", f"127.0.0.1:{running.api}"
    )
    process = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + 30
    while not (waiting := running.call("GET", "approvals", "bob")["items"]):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.1)
    assert (waiting[0]["matter"], waiting[0]["who"]) == ("grant", "alice -> claude-code")
    running.call("POST", f"approvals/{waiting[0]['id']}/approve", "bob", proof=PROOF)
    assert process.communicate(timeout=60)[0].strip() in ("approved", "active")
    running.call("POST", "kill", "alice", what="all")


def test_a_refused_client_reads_how_to_ask(running: Gateway) -> None:
    """The hint of an expired grant's refusal names command, path and body."""
    request = approved(running, asked(running, seconds=10, reason="ten seconds"))
    token = running.token(ttl=10)
    time.sleep(max(0.0, request["expires"] / 1e6 - time.time()) + 0.5)
    with pytest.raises(psycopg.OperationalError) as refused:
        psycopg.connect(running.dsn(token))
    assert "expired" in str(refused.value)


def test_grants_outlive_a_restart(running: Gateway) -> None:
    """A yes from before a restart is good after it, and one that was being waited for can still be given."""
    first, second = approved(running, asked(running, reason="before")), asked(running, reason="across")
    headers = {"authorization": f"Bearer {running.logins['alice']}"}
    with httpx2.stream("GET", f"{running.url}/api/v1/requests/{second['id']}/events", headers=headers) as waiting:
        assert waiting.status_code == 200
        assert running.stop() == 0, "who waits must not keep the gateway from stopping"
    running.start()
    assert approved(running, second)["state"] in ("approved", "active")
    assert running.call("GET", f"requests/{first['id']}", "alice")["state"] == "approved"
    with psycopg.connect(running.dsn(running.token()), autocommit=True) as agent:
        assert agent.execute("select 1").fetchone() == (1,)
    running.call("POST", "kill", "alice", what="all")


def test_broken_glass(running: Gateway) -> None:
    """The person gets in at once; what waits runs, marked refusals are lifted; masks and other refusals stay."""
    broken = running.call("POST", "break-glass", "alice", resource="shop", seconds=600, reason="it burns", proof=PROOF)
    minted = running.minted(agent="")
    assert minted["grant"] == broken["id"]
    with psycopg.connect(running.dsn(minted["token"]), autocommit=True) as person:
        assert person.execute("update orders set total = total + 1").rowcount == 1000
        assert person.execute("delete from log").rowcount == 0
        masked = person.execute("select email from customers where id = 1").fetchone()
        assert masked is not None and "@mail.example" not in masked[0]
        with pytest.raises(psycopg.Error):
            person.execute("create table mine (x int)")
    said = httpx2.post(
        f"{running.url}/api/v1/tokens",
        json={"resource": "shop", "agent": "claude-code"},
        headers={"authorization": f"Bearer {running.logins['alice']}"},
    )
    assert said.json()["code"] == "grant.needed"
    assert [each["id"] for each in running.call("GET", "break-glass?unreviewed=true", "alice")] == [broken["id"]]
    running.call("POST", "kill", "alice", what="identity", name="alice")


def test_the_command_line_uses_what_was_given(running: Gateway, tmp_path: Path) -> None:
    """`tidegate connect` runs under the grant that was asked for."""
    login = httpx2.post(f"{running.url}/api/v1/login", json={"name": "alice", "password": PASSWORD}, timeout=30)
    running.logins["alice"] = login.json()["token"]
    approved(running, asked(running, reason="connect"))
    stored = Credentials(running.url, running.logins["alice"], "alice", 2**31)
    text = json.dumps({name: getattr(stored, name) for name in stored.__slots__})
    write_private(tmp_path / "credentials.json", text)
    home = {**os.environ, "TIDEGATE_HOME": str(tmp_path), "XDG_RUNTIME_DIR": "", "TMPDIR": str(tmp_path)}
    done = tidegate(home, "connect", "shop", "--agent", "claude-code", "--", "psql", "-XAtc", "select 7")
    assert (done.returncode, done.stdout) == (0, "7\n"), done.stderr
