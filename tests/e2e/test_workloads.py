"""Agents and services that come with their own platform's token: real clients, a real gateway, an issuer over HTTP.

The cluster here is a web server that publishes a key set, and signs what a Kubernetes API server would.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from forge import Signer, encoded, key_set, with_secret
from gateway import POLICY, Gateway
from servers import Postgres
from site_server import Site

from .conftest import shop

ISSUER = "https://kubernetes.default.svc"
STANDING = """
  - id: nightly-jobs
    who: {subjects: [nightly, alice]}
    may: [connect]
    then: allow
    standing: true
    for: 30m
"""


class Cluster:
    """An issuer of service accounts' tokens."""

    def __init__(self) -> None:
        self.site, self.signer = Site(), Signer("RS256")
        self.keys = self.site.publish("/openid/v1/jwks", key_set(self.signer))

    @property
    def sections(self) -> str:
        """Its entry in tidegate.yaml."""
        return f"workloads:\n  k8s: {{issuer: '{ISSUER}', audience: tidegate.example.org, keys: '{self.keys}'}}\n"

    def claims(self, account: str, **changes: Any) -> dict[str, Any]:
        """What the token of a service account in prod says."""
        now = int(time.time())
        body = {
            "iss": ISSUER, "aud": ["tidegate.example.org"], "sub": f"system:serviceaccount:prod:{account}",
            "iat": now, "nbf": now, "exp": now + 600, "jti": f"jti-{account}-{time.time_ns()}",
            "kubernetes.io": {"namespace": "prod", "serviceaccount": {"name": account, "uid": f"uid-{account}"}},
        }  # fmt: skip
        return body | changes

    def token(self, account: str, **changes: Any) -> str:
        """A service account's token."""
        return self.signer.token(self.claims(account, **changes))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """The cluster, up for the module."""
    cluster = Cluster()
    with cluster.site:
        yield cluster


@pytest.fixture(scope="module", params=[1, 2], ids=["alone", "workers"])
def prod(
    request: pytest.FixtureRequest, postgres: Postgres, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway that trusts the cluster: the service nightly has standing access, the agents bot and idle have none."""
    up = shop(postgres, f"shop_workloads_{request.param}")
    directory = tmp_path_factory.mktemp("workloads")
    found = Gateway(
        directory / "gw", up, policy=POLICY + STANDING, sections=cluster.sections, workers=int(request.param)
    )
    found.start().people()
    for name, kind in (("nightly", "service"), ("bot", "agent"), ("idle", "agent")):
        conditions = {"sub": f"system:serviceaccount:prod:{name}", "kubernetes.io/namespace": "prod"}
        found.call("POST", "agents", "alice", name=name, kind=kind, issuer="k8s", conditions=conditions)
    yield found
    assert found.stop() == 0
    assert found.verify() == 0


def leaves(gateway: Gateway, kind: str) -> list[dict[str, Any]]:
    """Leaves of a kind, newest first."""
    found: list[dict[str, Any]] = gateway.call("GET", f"audit/leaves?kind={kind}", "alice")["items"]
    return found


def ask(gateway: Gateway, token: str) -> Any:
    """What one statement gives."""
    with psycopg.connect(gateway.dsn(token), connect_timeout=20) as agent:
        return agent.execute("select 6 * 7").fetchone()


def refused(gateway: Gateway, token: str, database: str = "shop") -> str:
    """What a client is told when it may not connect; the token is not in it."""
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(gateway.dsn(token, database), connect_timeout=20)
    assert token not in str(caught.value)
    return str(caught.value).split("FATAL")[1]


def cut(agent: psycopg.Connection, end: Callable[[], object]) -> None:
    """``end`` ends the session of ``agent``."""
    agent.execute("select 1")
    end()
    with pytest.raises(psycopg.OperationalError):
        for _ in range(200):
            agent.execute("select 1")
            time.sleep(0.05)


def test_a_service_with_standing_access(prod: Gateway, cluster: Cluster) -> None:
    """Its own token opens the resource as often as it is valid; grant and session say how it came in."""
    token = cluster.token("nightly")
    assert ask(prod, token) == ask(prod, token) == (42,)
    grant = leaves(prod, "grant.activated")[0]
    assert (grant["standing"], grant["kind"], grant["by"], grant["rule"]) == (
        True, "standing", "s_nightly", "nightly-jobs, people-connect",
    )  # fmt: skip
    assert grant["act"][1] == "s_nightly" and grant["prf"] == ["owner", "jwt:k8s"]
    starts = [leaf for leaf in leaves(prod, "session.start") if leaf["gid"] == grant["gid"]]
    assert len(starts) == 2 and all(leaf["prf"] == ["owner", "jwt:k8s"] for leaf in starts)
    assert {leaf["jti"] for leaf in starts} == {grant["jti"]}


def test_standing_access_ends_with_the_token(prod: Gateway, cluster: Cluster) -> None:
    """A token that is over soon gives no grant that outlives it, and its session ends then."""
    ends = int(time.time()) + 12
    with psycopg.connect(prod.dsn(cluster.token("nightly", exp=ends)), autocommit=True) as agent:
        assert leaves(prod, "grant.activated")[0]["exp"] == ends * 1_000_000
        with pytest.raises(psycopg.OperationalError):
            while time.time() < ends + 30:
                agent.execute("select 1")
                time.sleep(0.1)
        assert time.time() >= ends


def test_without_a_grant_nothing_opens_nor_is_learnt(prod: Gateway, cluster: Cluster) -> None:
    """An agent without standing access is told how to ask, in the same words for a resource that does not exist."""
    token = cluster.token("idle")
    said = refused(prod, token)
    assert "tidegate request new RESOURCE" in said and "/api/v1/requests" in said
    assert refused(prod, token, "nowhere") == said


def test_a_live_grant_opens(prod: Gateway, cluster: Cluster) -> None:
    """A grant of exactly this chain carries the workload's own token, and its end ends the session."""
    grant = prod.minted(agent="bot")["grant"]
    with psycopg.connect(prod.dsn(cluster.token("bot")), autocommit=True) as agent:
        assert leaves(prod, "session.start")[0]["gid"] == grant
        cut(agent, lambda: prod.call("DELETE", f"tokens/{grant}", "alice"))
    assert "there is no grant" in refused(prod, cluster.token("bot"))


def test_a_token_is_revoked_at_once(prod: Gateway, cluster: Cluster) -> None:
    """By its jti: the open session ends, and it opens nothing again, while the workload's next token does."""
    token = cluster.token("nightly", jti="stolen")
    with psycopg.connect(prod.dsn(token), autocommit=True) as agent:
        cut(agent, lambda: prod.call("DELETE", "tokens/stolen?issuer=k8s", "alice"))
    assert "revoked" in refused(prod, token)
    assert ask(prod, cluster.token("nightly")) == (42,)


def test_a_binding_is_ended_at_once(prod: Gateway, cluster: Cluster) -> None:
    """Its sessions end, the workload is nobody any more, and bound anew it comes in again."""
    shown = prod.call("GET", "agents/nightly", "alice")
    assert (shown["owner"], shown["kind"]) == ("alice", "service")
    (binding,) = shown["bindings"]
    with psycopg.connect(prod.dsn(cluster.token("nightly")), autocommit=True) as agent:
        cut(agent, lambda: prod.call("DELETE", f"bindings/{binding['id']}", "alice"))
    assert "nobody of the directory" in refused(prod, cluster.token("nightly"))
    prod.call("POST", "agents/nightly/bindings", "alice", issuer="k8s", conditions=binding["conditions"])
    assert ask(prod, cluster.token("nightly")) == (42,)


def test_nobody_else_binds(prod: Gateway) -> None:
    """bob, who does not operate the gateway, binds neither alice's agents nor his own to anybody's token."""
    headers = {"authorization": f"Bearer {prod.logins['bob']}"}
    body = {"issuer": "k8s", "conditions": {"sub": "system:serviceaccount:prod:idle"}}
    for path, more in (("agents/bot/bindings", {}), ("agents", {"name": "thief"})):
        said = httpx2.post(f"{prod.url}/api/v1/{path}", json=body | more, headers=headers)
        assert said.status_code == 403, said.text
    assert httpx2.get(f"{prod.url}/api/v1/agents/thief", headers=headers).status_code == 404


def test_hostile_tokens(prod: Gateway, cluster: Cluster) -> None:
    """Forged, foreign, early, late and oversized tokens open nothing; unknown issuers look like bad signatures."""
    good, evil = cluster.claims("nightly"), Signer("RS256")
    now = int(time.time())
    wrong = refused(prod, evil.token(good))
    assert refused(prod, cluster.token("nightly", iss="https://evil.example")) == wrong
    pem = cluster.signer.key.as_pem(private=False)
    forged = [
        f"{encoded({'alg': 'none'})}.{encoded(good)}.",
        with_secret({"alg": "HS256", "kid": "k1"}, good, pem),
        evil.token(good, jwk=evil.public),
        evil.token(good, jku="http://127.0.0.1:1/"),
        evil.token(good, kid="../../dev/null"),
        evil.token(good, kid="' or 1=1 --"),
        cluster.token("nightly", aud="another"),
        cluster.token("nightly", aud=["tidegate.example.org", "another"]),
        cluster.token("nightly", exp=now - 1),
        cluster.token("nightly", nbf=now + 3600),
        cluster.token("nightly", act={"sub": prod.call("GET", "me", "alice")["subject"]}),
        cluster.token("nightly", pad="x" * 9000),
        cluster.token("nightly", sub="system:serviceaccount:prod:nightly2"),
        cluster.token("nightly", **{"kubernetes.io": {"namespace": "dev"}}),
    ]
    before = len(leaves(prod, "session.start"))
    for token in forged:
        refused(prod, token)
    assert len(leaves(prod, "session.start")) == before


def test_a_token_is_kept_nowhere(prod: Gateway, cluster: Cluster) -> None:
    """No file of the gateway has it, nor its signature, nor what it says of the workload, whether it came in or not."""
    marked = cluster.token("nightly", jti="jti-that-is-kept-nowhere")
    assert ask(prod, marked) == (42,)
    strange = cluster.token("stranger-that-is-kept-nowhere")
    refused(prod, strange)
    secrets = [part.encode() for token in (marked, strange) for part in token.split(".")[1:]]
    secrets += [b"jti-that-is-kept-nowhere", b"stranger-that-is-kept-nowhere"]
    for path in (each for each in prod.directory.rglob("*") if each.is_file()):
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret in content], path


def test_revocations_outlive_a_restart(postgres: Postgres, cluster: Cluster, tmp_path: Path) -> None:
    """What was ended stays ended when the gateway starts again, also when the store's row is put back."""
    gateway = Gateway(
        tmp_path / "gw", shop(postgres, "shop_restart"), policy=POLICY + STANDING, sections=cluster.sections
    )
    gateway.start().people()
    sub = {"sub": "system:serviceaccount:prod:nightly"}
    gateway.call("POST", "agents", "alice", name="nightly", kind="service", issuer="k8s", conditions=sub)
    (binding,) = gateway.call("GET", "agents/nightly", "alice")["bindings"]
    kept = (gateway.data / "store.sqlite").with_suffix(".copy")
    gateway.stop()
    kept.write_bytes((gateway.data / "store.sqlite").read_bytes())
    gateway.start()
    token = cluster.token("nightly", jti="lost")
    assert ask(gateway, token) == (42,)
    gateway.call("DELETE", "tokens/lost?issuer=k8s", "alice")
    gateway.stop()
    gateway.start()
    assert "revoked" in refused(gateway, token)
    gateway.call("DELETE", f"bindings/{binding['id']}", "alice")
    gateway.stop()
    (gateway.data / "store.sqlite").write_bytes(kept.read_bytes())
    gateway.start()
    assert "nobody of the directory" in refused(gateway, cluster.token("nightly"))
    gateway.stop()
    assert gateway.verify() == 0


def test_the_owner_ends_it_all(postgres: Postgres, cluster: Cluster, tmp_path: Path) -> None:
    """Without the person who answers for it a service has no session and gets none."""
    rule = STANDING.replace("alice", "carol")
    gateway = Gateway(tmp_path / "gw", shop(postgres, "shop_owner"), policy=POLICY + rule, sections=cluster.sections)
    gateway.start().people().person("carol", [])
    sub = {"sub": "system:serviceaccount:prod:nightly"}
    words = {"name": "nightly", "owner": "carol", "kind": "service", "issuer": "k8s", "conditions": sub}
    gateway.call("POST", "agents", "alice", **words)
    with psycopg.connect(gateway.dsn(cluster.token("nightly")), autocommit=True) as agent:
        cut(agent, lambda: gateway.call("POST", "people/carol/disable", "alice"))
    refused(gateway, cluster.token("nightly"))
    gateway.stop()
    assert gateway.verify() == 0
