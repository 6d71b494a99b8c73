"""A real gateway as a process, with people, agents and tokens, for end-to-end and fault tests.

Nothing here reaches inside the gateway: it is configured by files and spoken to through its API and its ports.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pyrage

POLICY = """
rules:
  - id: people-connect
    who: {kinds: [user]}
    may: [connect]
    then: allow
    for: 8h
  - id: agents-connect
    who: {kinds: [agent]}
    may: [connect]
    then: allow
    for: 1h
  - id: reads
    may: [read]
    then: allow
  - id: writes
    may: [write]
    where: {unbounded: false}
    then: allow
  - id: calls
    may: [execute]
    where: {command: [select, call]}
    then: allow
  - id: bulk-writes-need-a-dba
    may: [write]
    where: {unbounded: true}
    then: hold
    approvers: {groups: [dba], count: 1}
    within: 60s
    because: "It changes every row."
  - id: no-deletes
    may: [write]
    where: {command: [delete, truncate]}
    then: refuse
    because: "Rows are closed, not deleted."
    hint: "Set a closing date instead."
  - id: tables
    may: [define]
    where: {command: [create table, create index, alter table]}
    then: allow
  - id: no-destruction
    may: [define]
    where: {command: [drop table, drop database, drop schema, truncate]}
    then: refuse
    because: "Destructive DDL goes through migrations."
    hint: "Open a migration instead."
"""


PASSWORD = "river anvil 91 sparrow"
"""Everybody's."""


def free_port() -> int:
    """A loopback port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Upstream:
    """Where the resource is and how the gateway logs in: ``secret`` is a reference, left out one to ``password``."""

    host: str
    port: int
    database: str
    user: str
    password: str = ""
    tls: str = "disable"
    ca: str = ""
    secret: str = ""
    protocol: str = "postgres"
    more: str = ""
    """Further lines of the resource, each indented by four blanks."""


@dataclass
class Gateway:
    """One gateway process in ``directory``. ``resources``: YAML of further ones; ``shared``: ports by protocol."""

    directory: Path
    upstream: Upstream
    policy: str = POLICY
    tags: dict[str, list[str]] = field(default_factory=dict)
    limits: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    segment: str = "4MiB"
    activation: str = "single-person"
    sections: str = ""
    resources: str = ""
    shared: dict[str, int] = field(default_factory=dict)
    workers: int = field(default_factory=lambda: int(os.environ.get("TIDEGATE_TEST_WORKERS", "1")))
    command: list[str] = field(default_factory=lambda: [sys.executable, "-m", "tidegate"])
    port: int = field(default_factory=free_port)
    api: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    logins: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.directory / "data"

    def home(self, sid: str) -> Path:
        """Where a session's keys and recordings lie: the data directory, or that of its worker."""
        found = next(self.data.rglob(f"keys/{sid}.agent.age"))
        return found.parent.parent

    @property
    def output(self) -> str:
        """What the process has printed."""
        return (self.directory / "gateway.log").read_text(errors="replace")

    def configure(self) -> None:
        """Write tidegate.yaml, policy.yaml and the auditor's key."""
        self.directory.mkdir(parents=True, exist_ok=True)
        key = self.directory / "auditor.key"
        if not key.exists():
            key.write_text(str(pyrage.x25519.Identity.generate()))
        auditor = str(pyrage.x25519.Identity.from_str(key.read_text()).to_public())
        (self.directory / "policy.yaml").write_text(self.policy)
        up = self.upstream
        tags = "".join(f"\n      {tag}: [{', '.join(fields)}]" for tag, fields in self.tags.items())
        limits = ", ".join(f"{name}: {value}" for name, value in self.limits.items())
        reference = up.secret or ("env:UPSTREAM_PASSWORD" if up.password else "")
        secret = f"\n    secret: {reference}" if reference else ""
        user = f"\n    user: {up.user}" if up.user else ""
        ca = f"\n    ca: {up.ca}" if up.ca else ""
        listen = "".join(f', {protocol}: "127.0.0.1:{port}"' for protocol, port in self.shared.items())
        (self.directory / "tidegate.yaml").write_text(
            f"""organisation: example.org
gateway: gw1
data: ./data
workers: {self.workers}
api: 127.0.0.1:{self.api}
listen: {{{up.protocol}: "127.0.0.1:{self.port}"{listen}}}
policy: {{files: [policy.yaml], activation: {self.activation}}}
recording: {{auditors: [{auditor}]}}
audit: {{segment: {self.segment}}}
limits: {{{limits}}}
{self.sections}resources:
  shop:
    protocol: {up.protocol}
    address: {up.host}:{up.port}
    database: "{up.database}"{user}{secret}
    tls: {up.tls}{ca}
    labels: {{env: prod}}{up.more}
    tags: {"" if tags else "{}"}{tags}
{self.resources}"""
        )

    def start(self, *, wait: bool = True) -> Gateway:
        """Start the process; raises AssertionError with its output if it does not come up."""
        if not (self.directory / "tidegate.yaml").exists():
            self.configure()
        environment = {**os.environ, "UPSTREAM_PASSWORD": self.upstream.password, **self.environment}
        with (self.directory / "gateway.log").open("ab") as output:
            self.process = subprocess.Popen(
                [*self.command, "serve", "--config", str(self.directory / "tidegate.yaml")],
                stdout=output,
                stderr=output,
                env=environment,
                cwd=self.directory,
            )
        if wait:
            self.wait()
        return self

    def wait(self, patience: float = 60) -> None:
        """Until the API answers."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            assert self.process is not None
            assert self.process.poll() is None, f"the gateway ended with {self.process.returncode}:\n{self.output}"
            try:
                if httpx2.get(f"{self.url}/api/v1/health", timeout=5).status_code == 200:
                    return
            except httpx2.HTTPError:
                time.sleep(0.03)
        raise AssertionError(f"the gateway did not come up:\n{self.output}")

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.api}"

    def stop(self) -> int:
        """End it in order; gives the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self) -> None:
        """End it at once."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(60)

    def verify(self) -> int:
        """The exit status of `tidegate audit verify` on the data directory, under its own trust file."""
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "tidegate",
                "audit",
                "verify",
                str(self.data),
                "--trust",
                str(self.data / "trust.txt"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        print(done.stdout, done.stderr)
        return done.returncode

    # people, agents, tokens

    def call(self, method: str, path: str, by: str, **body: Any) -> Any:
        """One API call as a person, who proves that they are there where that is needed.

        Raises AssertionError with the problem document unless it succeeds.
        """
        proven = method == "POST" and path.endswith(("/approve", "/refuse", "people", "/code", "/links", "/bindings"))
        proven = proven or ((method, path) == ("POST", "agents") and bool(body.get("issuer")))
        if proven or ((method, path) == ("POST", "tokens") and not body.get("agent")):
            body.setdefault("proof", {"method": "password", "password": PASSWORD})
        answer = httpx2.request(
            method,
            f"{self.url}/api/v1/{path}",
            json=body or None,
            headers={"authorization": f"Bearer {self.logins[by]}"},
            timeout=30,
        )
        assert answer.status_code < 400, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def people(self) -> Gateway:
        """alice (administrator, owns claude-code) and bob (dba)."""
        found = re.search(r"bootstrap code: (\S+)", self.output)
        assert found, f"no bootstrap code was printed:\n{self.output}"
        code = found.group(1)
        answer = httpx2.post(
            f"{self.url}/api/v1/bootstrap", json={"code": code, "name": "alice", "password": PASSWORD}, timeout=30
        )
        assert answer.status_code < 400, answer.text
        self.logins["alice"] = answer.json()["token"]
        self.person("bob", ["dba"])
        self.call("POST", "agents", "alice", name="claude-code")
        return self

    def person(self, name: str, groups: list[str]) -> None:
        """Add somebody and log them in."""
        code = self.call("POST", "people", "alice", name=name, groups=groups)["code"]
        answer = httpx2.post(f"{self.url}/api/v1/enrol", json={"code": code, "password": PASSWORD}, timeout=30)
        assert answer.status_code < 400, answer.text
        self.logins[name] = answer.json()["token"]

    def minted(
        self,
        *,
        agent: str = "claude-code",
        ttl: int = 900,
        reason: str = "a test",
        by: str = "alice",
        resource: str = "shop",
    ) -> Any:
        """What minting a token answers: ``token``, its id and its grant."""
        return self.call("POST", "tokens", by, resource=resource, agent=agent, ttl=ttl, reason=reason)

    def token(self, **words: Any) -> str:
        """A token for the shop, or another resource."""
        return str(self.minted(**words)["token"])

    def dsn(self, token: str, database: str = "shop", sslmode: str = "disable") -> str:
        """A libpq connection string."""
        return f"host=127.0.0.1 port={self.port} dbname={database} user=agent password={token} sslmode={sslmode}"
