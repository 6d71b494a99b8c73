"""A policy takes effect once a second person has approved it, in every worker; what is edited by hand opens nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from e2e.conftest import TAGS, shop
from gateway import POLICY, Gateway
from servers import Postgres

MORE = (
    POLICY
    + """
  - id: now-deletes-too
    may: [write]
    where: {command: [delete], unbounded: false}
    then: allow
"""
)
GONE = "delete from log where line = 'no such line'"


def without_refusal(policy: str) -> str:
    """The policy without the rule that refuses deletions."""
    start = policy.index("  - id: no-deletes")
    return policy[:start] + policy[policy.index("  - id: tables") :]


def deletes(gateway: Gateway, token: str) -> bool:
    """Whether a deletion is allowed in a fresh session."""
    with psycopg.connect(gateway.dsn(token), autocommit=True) as agent:
        try:
            agent.execute(GONE)
        except psycopg.errors.InsufficientPrivilege:
            return False
        return True


def health(gateway: Gateway) -> str:
    """What the gateway says of itself."""
    return str(httpx2.get(f"{gateway.url}/api/v1/health", timeout=10).json()["status"])


@pytest.fixture
def gateway(postgres: Postgres, tmp_path: Path) -> Gateway:
    """One in two-person mode, with alice and eve as administrators."""
    upstream = shop(postgres, f"shop_{tmp_path.name[-24:].replace('-', '_')}")
    found = Gateway(tmp_path / "gw", upstream, tags=TAGS, activation="two-person")
    found.start().people()
    found.person("eve", ["admins"])
    return found


def edit(gateway: Gateway, name: str, old: str, new: str) -> None:
    """Change a file by hand."""
    path = gateway.directory / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_edited_rules_open_nothing_until_approved(gateway: Gateway) -> None:
    """Neither a restart nor an administrator alone puts them into force; a second one does, at once, everywhere."""
    token = gateway.token()
    assert not deletes(gateway, token)
    gateway.stop()
    (gateway.directory / "policy.yaml").write_text(without_refusal(MORE))
    gateway.start()
    assert not deletes(gateway, token) and health(gateway) == "ok"
    found = gateway.call("GET", "policy", "alice")
    assert found["refused"] and not found["locked"]

    held = gateway.call("POST", "policy/proposals", "alice", reason="rows are deleted now")
    assert "+- id: now-deletes-too" in held["statement"] and held["matter"] == "policy"
    with pytest.raises(AssertionError, match=r"approval\.self"):
        gateway.call("POST", f"approvals/{held['id']}/approve", "alice")
    with pytest.raises(AssertionError, match=r"approval\.(group|unknown)"):
        gateway.call("POST", f"approvals/{held['id']}/approve", "bob")
    assert not deletes(gateway, token)

    with psycopg.connect(gateway.dsn(token), autocommit=True) as open_before:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            open_before.execute(GONE)
        gateway.call("POST", f"approvals/{held['id']}/approve", "eve")
        end = time.monotonic() + 10
        while not deletes(gateway, token):
            assert time.monotonic() < end
        open_before.execute(GONE)

    gateway.stop()
    gateway.start()
    assert deletes(gateway, token)
    assert gateway.stop() == 0 and gateway.verify() == 0


EDITS: list[tuple[str, str]] = [
    ("activation: two-person", "activation: single-person"),
    ("pii.ssn: [public.customers.ssn]", ""),
]


@pytest.mark.parametrize(("old", "new"), EDITS)
def test_an_edited_configuration_serves_nobody(gateway: Gateway, old: str, new: str) -> None:
    """Turning the mode off, or a mask: no agent connects until somebody else has approved it."""
    token = gateway.token()
    gateway.stop()
    if new:
        (gateway.directory / "policy.yaml").write_text(without_refusal(MORE))
    edit(gateway, "tidegate.yaml", old, new)
    gateway.start()
    assert health(gateway) == "locked"
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(gateway.dsn(token), connect_timeout=5)
    held: dict[str, Any] = gateway.call("POST", "policy/proposals", "alice", reason="on purpose")
    assert f"-{old}" in held["statement"].replace("      ", "") or old in held["statement"]
    gateway.call("POST", f"approvals/{held['id']}/approve", "eve")
    end = time.monotonic() + 30
    while health(gateway) != "ok":
        assert time.monotonic() < end
        time.sleep(0.05)
    end = time.monotonic() + 30
    while True:
        try:
            deletes(gateway, token)
            break
        except psycopg.OperationalError:
            assert time.monotonic() < end
            time.sleep(0.1)
    assert gateway.stop() == 0 and gateway.verify() == 0
