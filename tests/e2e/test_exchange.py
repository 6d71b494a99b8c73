"""Token exchange: agents that act for people and for each other, each proven by itself; a real gateway and clients."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from forge import Signer
from gateway import POLICY, Gateway
from servers import Postgres

from .conftest import shop
from .test_workloads import Cluster, ask, cut, leaves, refused

TYPES = "urn:ietf:params:oauth:token-type:"
GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """An issuer that signs for every agent here."""
    cluster = Cluster()
    with cluster.site:
        yield cluster


@pytest.fixture(scope="module")
def office(postgres: Postgres, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """alice with her agent planner, bob with his agents helper and third; carol may not connect, nor may dunce."""
    policy = POLICY.replace("who: {kinds: [user]}", "who: {subjects: [alice, bob]}").replace(
        "who: {kinds: [agent]}", "who: {subjects: [planner, helper, third, claude-code]}"
    )
    found = Gateway(
        tmp_path_factory.mktemp("exchange") / "gw",
        shop(postgres, "shop_exchange"),
        policy=policy,
        sections=cluster.sections,
        workers=1,
    )
    found.start().people().person("carol", [])
    for name, owner in (("planner", "alice"), ("helper", "bob"), ("third", "bob"), ("dunce", "bob")):
        sub = {"sub": f"system:serviceaccount:prod:{name}"}
        found.call("POST", "agents", "alice", name=name, owner=owner, issuer="k8s", conditions=sub)
    yield found
    assert found.stop() == 0
    assert found.verify() == 0


def asked(gateway: Gateway, **form: str) -> httpx2.Response:
    """One call of the token endpoint; an empty value leaves a field out."""
    body = {
        "grant_type": GRANT,
        "audience": "shop",
        "subject_token_type": f"{TYPES}jwt" if "subject_token" in form else "",
        "actor_token_type": f"{TYPES}jwt" if form.get("actor_token") else "",
    }
    fields = {name: value for name, value in (body | form).items() if value}
    return httpx2.post(f"{gateway.url}/api/v1/oauth/token", data=fields, timeout=30)


def exchanged(gateway: Gateway, subject: str, actor: str = "", **more: str) -> str:
    """The token that an exchange gives."""
    answer = asked(gateway, subject_token=subject, actor_token=actor, **more)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def denied(gateway: Gateway, subject: str, actor: str = "", **more: str) -> tuple[str, str]:
    """The error and the code of an exchange that is refused; neither token is in the answer."""
    answer = asked(gateway, subject_token=subject, actor_token=actor, **more)
    assert answer.status_code == 400, answer.text
    assert subject not in answer.text and (not actor or actor not in answer.text)
    return answer.json()["error"], answer.json()["code"]


def said(gateway: Gateway, token: str) -> dict[str, Any]:
    """What a token of ours says, checked with the published keys."""
    keys = KeySet.import_key_set(httpx2.get(f"{gateway.url}/.well-known/jwks.json").json())
    return dict(jwt.decode(token, keys, algorithms=["Ed25519"]).claims)


def test_an_agent_acts_for_a_person(office: Gateway, cluster: Cluster) -> None:
    """helper, which bob owns, acts for alice: both have presented a token; each hop says how it was proven."""
    token = exchanged(office, office.logins["alice"], cluster.token("helper"))
    body = said(office, token)
    alice = office.call("GET", "me", "alice")["subject"]
    assert (body["sub"], body["act"]) == (alice, {"sub": "a_helper", "prf": "jwt:k8s"})
    assert body["aud"] == "resource:shop" and body["exp"] - body["iat"] <= 900
    assert ask(office, token) == (42,)
    start, grant = leaves(office, "session.start")[0], leaves(office, "grant.activated")[0]
    assert start["act"] == grant["act"] == [alice, "a_helper"] and start["gid"] == grant["gid"]
    assert start["prf"] == grant["prf"] == [body["prf"], "jwt:k8s"]
    assert leaves(office, "token.issued")[0]["by"] == "a_helper"


def test_the_owner_of_an_acting_agent_approves_nothing(office: Gateway, cluster: Cluster) -> None:
    """bob of the dba group owns the agent that asks: he may not even see it, although alice is the chain's head."""
    token = exchanged(office, office.logins["alice"], cluster.token("helper"))
    with psycopg.connect(office.dsn(token), autocommit=True) as agent, ThreadPoolExecutor() as pool:
        answer = pool.submit(lambda: agent.execute("update orders set total = total + 1"))
        end = time.monotonic() + 30
        while not (waiting := office.call("GET", "approvals", "alice")["items"]):
            assert time.monotonic() < end
            time.sleep(0.1)
        url = f"{office.url}/api/v1/approvals/{waiting[0]['id']}"
        headers = {"authorization": f"Bearer {office.logins['bob']}"}
        refusal = httpx2.post(f"{url}/approve", json={}, headers=headers)
        assert refusal.status_code == 404, refusal.text
        agent.cancel()
        with pytest.raises(psycopg.Error):
            answer.result(30)


def test_agents_act_for_each_other(office: Gateway, cluster: Cluster) -> None:
    """A chain grows by exchange, the one that acts outermost, and its rights are those of its weakest hop."""
    first = exchanged(office, office.logins["alice"], cluster.token("planner"))
    second = exchanged(office, first, cluster.token("helper"))
    assert said(office, second)["act"] == {
        "sub": "a_helper", "prf": "jwt:k8s", "act": {"sub": "a_planner", "prf": "jwt:k8s"},
    }  # fmt: skip
    assert ask(office, second) == (42,)
    assert leaves(office, "session.start")[0]["act"][1:] == ["a_planner", "a_helper"]
    for weak in (cluster.token("dunce"), cluster.token("planner")):
        error, code = denied(office, second, weak)
        assert (error, code) in (("invalid_target", "policy.refused"), ("invalid_request", "identity.repeated"))


def test_an_agent_brings_a_token_of_ours(office: Gateway, cluster: Cluster) -> None:
    """The actor may present what its owner minted for it, but not what stands for a longer chain."""
    minted = office.minted(agent="claude-code")["token"]
    token = exchanged(office, cluster.token("helper"), minted)
    body = said(office, token)
    assert body["act"]["sub"] == "a_claude-code" and body["act"]["prf"] == "exchange"
    assert body["act"]["act"] == {"sub": "a_helper", "prf": "jwt:k8s"} and body["prf"] == "owner"
    assert denied(office, office.logins["alice"], token)[1] == "exchange.actor"


def test_a_workload_gets_a_token_for_itself(office: Gateway, cluster: Cluster) -> None:
    """Where a driver takes no long password: the same chain as at the door, as a short token of ours."""
    token = exchanged(office, cluster.token("planner"))
    assert ask(office, token) == (42,)
    assert leaves(office, "session.start")[0]["prf"] == ["owner", "jwt:k8s"]


def test_a_person_alone_gets_nothing(office: Gateway) -> None:
    """A cached login opens no resource as the person, and no person acts for anybody."""
    assert denied(office, office.logins["alice"])[1] == "exchange.actor"
    assert denied(office, office.logins["alice"], office.logins["bob"])[1] == "token.audience"


def test_policy_and_unknown_resources_look_alike(office: Gateway, cluster: Cluster) -> None:
    """Who may not connect learns nothing of what exists."""
    for_carol = asked(office, subject_token=office.logins["carol"], actor_token=cluster.token("helper"))
    nowhere = asked(
        office, subject_token=office.logins["alice"], actor_token=cluster.token("helper"), audience="nowhere"
    )
    assert for_carol.json()["error_description"] == nowhere.json()["error_description"]
    assert for_carol.json()["error"] == nowhere.json()["error"] == "invalid_target"


def test_a_token_ends_with_what_it_was_made_of(office: Gateway, cluster: Cluster) -> None:
    """Revoking the first token of a chain ends the sessions of the last, and its tokens open nothing more."""
    minted = office.minted(agent="claude-code")
    token = exchanged(office, minted["token"], cluster.token("third"))
    with psycopg.connect(office.dsn(token), autocommit=True) as agent:
        cut(agent, lambda: office.call("DELETE", f"tokens/{minted['id']}", "alice"))
    assert "revoked" in refused(office, token)
    assert denied(office, minted["token"], cluster.token("third"))[1] == "token.revoked"
    assert denied(office, token, cluster.token("planner"))[1] == "token.revoked"


def test_a_revoked_actor_gets_nothing(office: Gateway, cluster: Cluster) -> None:
    """A workload's token that was revoked, and one whose agent is disabled, add nobody to a chain."""
    stolen = cluster.token("third", jti="stolen-actor")
    token = exchanged(office, office.logins["alice"], stolen)
    office.call("DELETE", "tokens/stolen-actor?issuer=k8s", "alice")
    assert denied(office, office.logins["alice"], stolen)[1] == "token.revoked"
    assert "revoked" in refused(office, token)


def test_one_resources_token_gives_none_for_another(office: Gateway, cluster: Cluster) -> None:
    """A chain is not carried over to another resource."""
    first = exchanged(office, office.logins["alice"], cluster.token("planner"))
    assert denied(office, first, cluster.token("helper"), audience="crm")[1] == "token.audience"
    assert "for something else" in refused(office, first, "nowhere")


def test_forged_chains(office: Gateway, cluster: Cluster) -> None:
    """What a workload's token says of others adds nobody, and a token that names who may act lets nobody else."""
    alice, helper = office.logins["alice"], cluster.claims("helper")
    sub = office.call("GET", "me", "alice")["subject"]
    assert denied(office, cluster.token("helper", act={"sub": sub}), cluster.token("third"))[1] == "token.delegated"
    assert denied(office, alice, cluster.token("helper", act={"sub": sub}))[1] == "token.delegated"
    assert denied(office, alice, Signer("RS256").token(helper))[1] == "token.signature"
    assert denied(office, Signer("RS256").token(helper), cluster.token("third"))[1] == "token.signature"
    other = {"sub": "system:serviceaccount:prod:planner"}
    assert denied(office, cluster.token("helper", may_act=other), cluster.token("third"))[1] == "exchange.may_act"
    exchanged(office, cluster.token("helper", may_act=other), cluster.token("planner"))
    for may_act in ({}, "planner", None, []):
        token = cluster.token("helper", may_act=may_act)
        assert denied(office, token, cluster.token("planner"))[1] == "exchange.may_act"


def test_a_certificate_in_place_of_a_token(office: Gateway, cluster: Cluster, tmp_path: Path) -> None:
    """A workload gets a client certificate by the command line, renews it without anybody, and libpq presents it."""
    own, certificate, key = tmp_path / "own.jwt", tmp_path / "a.crt", tmp_path / "a.key"
    words = ("--resource", "shop", "--token-file", str(own), "--certificate", str(certificate), "--key", str(key))
    dsn = f"host=127.0.0.1 port={office.port} dbname=shop user=x sslmode=require sslcert={certificate} sslkey={key}"
    seen = set()
    for _ in range(2):
        own.write_text(cluster.token("planner"))
        done = subprocess.run(
            [sys.executable, "-m", "tidegate", "token", "exchange", *words, "--gateway", office.url],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        with psycopg.connect(dsn, connect_timeout=20) as agent:
            assert agent.execute("select 6 * 7").fetchone() == (42,)
        start = leaves(office, "session.start")[0]
        assert start["prf"] == ["owner", "certificate"]
        seen.add(start["jti"])
    assert len(seen) == 2
    office.call("DELETE", f"tokens/{start['jti']}", "alice")
    with pytest.raises(psycopg.OperationalError, match="revoked"):
        psycopg.connect(dsn, connect_timeout=20)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "invalid_request"),
        ({"subject_token": ""}, "invalid_request"),
        ({"subject_token_type": f"{TYPES}saml2"}, "invalid_request"),
        ({"actor_token_type": ""}, "invalid_request"),
        ({"actor_token_type": f"{TYPES}id_token"}, "invalid_request"),
        ({"requested_token_type": f"{TYPES}refresh_token"}, "invalid_request"),
        ({"audience": ""}, "invalid_target"),
        ({"resource": "crm"}, "invalid_target"),
        ({"scope": "all"}, "invalid_scope"),
        ({"client_secret": "x"}, "invalid_request"),
        ({"reason": "x" * 2001}, "invalid_request"),
        ({"subject_token": "x" * 20_000}, "invalid_request"),
        ({"subject_token": "a.b.c"}, "invalid_request"),
    ],
)
def test_requests_that_are_wrong(office: Gateway, cluster: Cluster, change: dict[str, str], error: str) -> None:
    """Each with the error that RFC 6749 and RFC 8693 name for it."""
    form = {"subject_token": office.logins["alice"], "actor_token": cluster.token("helper")} | change
    answer = asked(office, **form)
    assert (answer.status_code, answer.json()["error"]) == (400, error), answer.text
    assert answer.headers["cache-control"] == "no-store"


def test_forms_that_are_none(office: Gateway) -> None:
    """JSON, doubled parameters, and what is no form at all."""
    url = f"{office.url}/api/v1/oauth/token"
    form = {"content-type": "application/x-www-form-urlencoded"}
    for answer in (
        httpx2.post(url, json={"grant_type": GRANT}),
        httpx2.post(url, content=f"grant_type={GRANT}&audience=a&audience=b", headers=form),
        httpx2.post(url, content=f"grant_type={GRANT}&subject_token", headers=form),
        httpx2.post(url, content=b"\xff=1", headers=form),
        httpx2.post(url, content="&".join(f"a{n}=1" for n in range(100)), headers=form),
    ):
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_clients_find_the_endpoint(office: Gateway) -> None:
    """The metadata says where it is (RFC 8414)."""
    found = httpx2.get(f"{office.url}/.well-known/oauth-authorization-server").json()
    assert found["issuer"] == office.url and found["grant_types_supported"] == [GRANT]
    assert httpx2.post(found["token_endpoint"], data={}).status_code == 400
    assert httpx2.get(found["jwks_uri"]).json()["keys"][0]["kty"] == "OKP"
