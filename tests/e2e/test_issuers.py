"""Tokens of real issuers at a real gateway: an OpenID provider's client credentials and ID tokens, and OpenBao's.

The provider is node's `oidc-provider`, found by discovery; OpenBao signs identity tokens for whoever logs in to it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Iterator
from urllib.parse import urlencode

import httpx2
import psycopg
import pytest

from forge import encoded
from gateway import POLICY, Gateway, free_port
from providers import Browser, OpenIdProvider
from servers import Postgres
from vault import Bao

from .conftest import shop
from .test_exchange import asked, denied, exchanged, said
from .test_workloads import ask, leaves, refused

AUDIENCE = "urn:tidegate:gw1"
CALLBACK = "http://127.0.0.1:9/callback"
STANDING = """
  - {id: ci-jobs, who: {subjects: [ci, vaulted, alice]}, may: [connect], then: allow, standing: true, for: 30m}
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdProvider]:
    """The organisation's provider: people log in there, and the client gw gets tokens of its own."""
    grants = ["authorization_code", "refresh_token", "client_credentials"]
    with OpenIdProvider(CALLBACK, grant_types=grants) as started:
        yield started


@pytest.fixture(scope="module")
def bao() -> Iterator[Bao]:
    """A server that signs identity tokens for the entity job, which logs in by password."""
    with Bao() as started:
        started.call("POST", "sys/auth/userpass", type="userpass")
        started.call(
            "PUT", "sys/policies/acl/tokens", policy='path "identity/oidc/token/*" { capabilities = ["read"] }'
        )
        started.call("POST", "auth/userpass/users/job", password="only-in-tests", token_policies="tokens")
        started.call("POST", "identity/oidc/config", issuer=started.address)
        started.call("POST", "identity/oidc/key/signing", allowed_client_ids="*", algorithm="ES256")
        started.call("POST", "identity/oidc/role/gateway", key="signing", ttl="10m", client_id=AUDIENCE)
        yield started


@pytest.fixture(scope="module")
def trusting(
    postgres: Postgres, provider: OpenIdProvider, bao: Bao, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway that trusts both, and lets people log in at the provider."""
    api = free_port()
    sections = f"""web: {{url: 'http://127.0.0.1:{api}'}}
login:
  providers:
    corp: {{kind: oidc, title: Corp, issuer: '{provider.issuer}', client_id: gw, secret: env:CORP_SECRET}}
workloads:
  corp: {{issuer: '{provider.issuer}', audience: '{AUDIENCE}', algorithms: [RS256]}}
  bao: {{issuer: '{bao.address}/v1/identity/oidc', audience: '{AUDIENCE}', algorithms: [ES256]}}
"""
    found = Gateway(
        tmp_path_factory.mktemp("issuers") / "gw",
        shop(postgres, "shop_issuers"),
        policy=POLICY + STANDING,
        sections=sections,
        api=api,
        environment={"CORP_SECRET": provider.client["client_secret"]},
    )
    found.start().people()
    found.call("POST", "agents", "alice", name="ci", kind="service", issuer="corp", conditions={"sub": "gw"})
    yield found
    assert found.stop() == 0
    assert found.verify() == 0


def corporate(provider: OpenIdProvider, resource: str = AUDIENCE) -> str:
    """An access token of the client itself, by its credentials (RFC 6749 section 4.4)."""
    form = {"grant_type": "client_credentials", "resource": resource}
    return str(_token(provider, form)["access_token"])


def personal(provider: OpenIdProvider, name: str) -> str:
    """The ID token of somebody who logs in at the provider, as the client gets it."""
    verifier = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
    query = {
        "client_id": "gw", "response_type": "code", "scope": "openid", "redirect_uri": CALLBACK, "state": "x",
        "nonce": "n", "code_challenge_method": "S256",
        "code_challenge": encoded(hashlib.sha256(verifier.encode()).digest()),
    }  # fmt: skip
    back = Browser(login=name, password="x").visit(f"{provider.issuer}/auth?{urlencode(query)}", CALLBACK)
    form = {"grant_type": "authorization_code", "code": back["code"], "redirect_uri": CALLBACK}
    return str(_token(provider, form | {"code_verifier": verifier})["id_token"])


def vaulted(bao: Bao) -> str:
    """An identity token of the entity job."""
    login = httpx2.post(f"{bao.address}/v1/auth/userpass/login/job", json={"password": "only-in-tests"}).json()
    headers = {"x-vault-token": login["auth"]["client_token"]}
    answer = httpx2.get(f"{bao.address}/v1/identity/oidc/token/gateway", headers=headers)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["data"]["token"])


def _token(provider: OpenIdProvider, form: dict[str, str]) -> dict[str, str]:
    basic = ":".join(
        httpx2.QueryParams({"x": provider.client[key]}).__str__()[2:] for key in ("client_id", "client_secret")
    )
    headers = {"authorization": f"Basic {base64.b64encode(basic.encode()).decode()}"}
    answer = httpx2.post(f"{provider.issuer}/token", data=form, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    found: dict[str, str] = answer.json()
    return found


def test_client_credentials(trusting: Gateway, provider: OpenIdProvider) -> None:
    """A CI system's access token for us opens the resource; one for somebody else does not."""
    assert ask(trusting, corporate(provider)) == (42,)
    assert leaves(trusting, "session.start")[0]["prf"] == ["owner", "jwt:corp"]
    assert "for something else" in refused(trusting, corporate(provider, "urn:another:api"))


def test_openbao(trusting: Gateway, bao: Bao) -> None:
    """An identity token of OpenBao opens it too, once its entity is bound."""
    token = vaulted(bao)
    assert "nobody of the directory" in refused(trusting, token)
    entity = bao.call("POST", "identity/lookup/entity", alias_name="job", alias_mount_accessor=_accessor(bao))["data"]
    conditions = {"sub": entity["id"]}
    trusting.call("POST", "agents", "alice", name="vaulted", kind="service", issuer="bao", conditions=conditions)
    with psycopg.connect(trusting.dsn(token)) as agent:
        assert agent.execute("select 1").fetchone() == (1,)


def test_keys_that_rotate(trusting: Gateway, bao: Bao) -> None:
    """A token of a key that the gateway has never seen is good as soon as the issuer publishes the key."""
    assert ask(trusting, vaulted(bao)) == (42,)
    bao.call("POST", "identity/oidc/key/signing/rotate")
    time.sleep(11)  # a set is not fetched twice in ten seconds, whatever tokens say
    assert ask(trusting, vaulted(bao)) == (42,)


def test_a_persons_id_token(trusting: Gateway, provider: OpenIdProvider) -> None:
    """A service acts for somebody who has logged in at the provider, and for nobody whom we do not know."""
    stranger, workload = personal(provider, "bob"), corporate(provider)
    id_token = "urn:ietf:params:oauth:token-type:id_token"
    assert denied(trusting, stranger, workload, subject_token_type=id_token)[1] == "identity.unbound"
    trusting.call("POST", "people/bob/links", "alice", provider="corp", subject="bob")
    token = exchanged(trusting, personal(provider, "bob"), workload, subject_token_type=id_token)
    assert (said(trusting, token)["prf"], said(trusting, token)["act"]) == (
        "oidc:corp", {"sub": "s_ci", "prf": "jwt:corp"},
    )  # fmt: skip
    assert ask(trusting, token) == (42,)


def test_a_persons_id_token_opens_nothing_alone(trusting: Gateway, provider: OpenIdProvider) -> None:
    """Neither at the door, nor without somebody who acts, nor as the one who acts."""
    token = personal(provider, "bob")
    refused(trusting, token)
    assert denied(trusting, token)[1] == "exchange.actor"
    answer = asked(trusting, subject_token=trusting.logins["alice"], actor_token=token)
    assert answer.status_code == 400 and token not in answer.text


def _accessor(bao: Bao) -> str:
    return str(bao.call("GET", "sys/auth")["data"]["userpass/"]["accessor"])
