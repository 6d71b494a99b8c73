"""People log in at a real OpenID provider; and a hostile one, or a hostile browser, gets nobody in."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import forge
from forge import Signer, key_set
from providers import Browser, OpenIdProvider
from site_server import Site
from tidegate.clock import SystemClock
from tidegate.errors import ResourceError, TidegateError
from tidegate.identity.oidc import OidcProvider
from tidegate.identity.providers import Begun, Flow
from tidegate.model.identity import External
from tidegate.settings_login import Joining, Oidc
from tidegate.store.box import Box

BACK = "http://127.0.0.1:7443/login/corp/callback"
JOINING = Joining(False, {}, "groups", "email", "")


@pytest.fixture(scope="module")
def op() -> Iterator[OpenIdProvider]:
    """A real provider with alice and bob."""
    with OpenIdProvider(BACK) as started:
        yield started


def gateway(op: OpenIdProvider, **changes: Any) -> OidcProvider:
    """The provider as the gateway knows it."""
    scopes = ("openid", "profile", "email", "groups")
    settings = Oidc("corp", JOINING, op.issuer, "gw", "", scopes, True, "")
    secret = str(changes.pop("secret", op.client["client_secret"]))

    async def known() -> str:
        return secret

    return OidcProvider("corp", replace(settings, **changes), known, SystemClock(), Box(os.urandom(32)), 3600)


def begun(provider: OidcProvider, **how: Any) -> Begun:
    """The way there."""
    return asyncio.run(provider.begin(BACK, **how))


def finished(provider: OidcProvider, flow: Flow, answer: dict[str, str]) -> External:
    """Who came back."""
    return asyncio.run(provider.finish(flow, answer))


def refused(provider: OidcProvider, flow: Flow, answer: dict[str, str]) -> str:
    """The code with which an answer is refused; it repeats nothing of the answer."""
    with pytest.raises(TidegateError) as caught:
        finished(provider, flow, answer)
    assert not any(len(value) > 8 and value in caught.value.message for value in answer.values())
    assert caught.value.hint
    return caught.value.code


def alice() -> Browser:
    """Alice's browser."""
    return Browser(login="alice", password="any")


def test_the_way_there(op: OpenIdProvider) -> None:
    """Code flow with S256 and nonce, to exactly our callback; the verifier stays."""
    way = begun(gateway(op))
    asked = {name: value for name, (value,) in parse_qs(urlsplit(way.url).query).items()}
    verifier = way.flow.secrets["verifier"]
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    assert asked == {
        "response_type": "code",
        "client_id": "gw",
        "redirect_uri": BACK,
        "scope": "openid profile email groups",
        "state": way.flow.state,
        "nonce": way.flow.secrets["nonce"],
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    assert verifier not in way.url


def test_somebody_logs_in(op: OpenIdProvider) -> None:
    """Subject, name, verified address and groups are the provider's."""
    provider = gateway(op)
    way = begun(provider)
    who = finished(provider, way.flow, alice().visit(way.url, BACK))
    assert who == External(
        "corp", "alice", "alice", "alice@example.test", ("admins", "dba"), "oidc:corp", who.authenticated
    )
    assert abs(who.authenticated - SystemClock().now() // 1_000_000) < 60


def test_an_address_that_is_not_verified_is_none(op: OpenIdProvider) -> None:
    """Whoever can write any address at the provider is not taken for its owner."""
    op.people(alice={"email": "bob@example.test", "verified": False})
    provider = gateway(op)
    way = begun(provider)
    assert finished(provider, way.flow, alice().visit(way.url, BACK)).email == ""
    op.people(alice={"groups": ["admins", "dba"]})


def test_without_userinfo_there_are_fewer_claims() -> None:
    """What is not in the ID token is asked for only if the settings say so."""
    with OpenIdProvider(BACK, conform=True) as op:
        for userinfo, groups, email in ((False, (), ""), (True, ("admins", "dba"), "alice@example.test")):
            provider = gateway(op, userinfo=userinfo)
            way = begun(provider)
            who = finished(provider, way.flow, alice().visit(way.url, BACK))
            assert (who.subject, who.groups, who.email) == ("alice", groups, email)


def test_a_fresh_login_asks_again(op: OpenIdProvider) -> None:
    """Somebody who is logged in at the provider types the password once more, and only then."""
    provider, browser = gateway(op), alice()
    for fresh, asked in ((False, 1), (False, 1), (True, 2)):
        way = begun(provider, fresh=fresh)
        finished(provider, way.flow, browser.visit(way.url, BACK))
        assert browser.asked == asked


def test_a_remembered_login_is_not_fresh(op: OpenIdProvider) -> None:
    """A browser that leaves out our demand brings an old login, and that is seen."""
    provider, browser = gateway(op), alice()
    way = begun(provider)
    finished(provider, way.flow, browser.visit(way.url, BACK))
    way = begun(provider, fresh=True)
    late = replace(way.flow, began=way.flow.began + 300)
    answer = browser.visit(way.url.replace("prompt=login", "").replace("&max_age=0", "&max_age=9999"), BACK)

    class Later(SystemClock):
        def now(self) -> int:
            return super().now() + 300_000_000

    provider._clock = Later()
    assert refused(provider, late, answer) == "login.stale"


def test_no_time_of_login_is_not_fresh(op: OpenIdProvider) -> None:
    """A provider that does not say when somebody proved who they are has not done what was demanded."""
    provider, browser = gateway(op), alice()
    way = begun(provider, fresh=True)
    answer = browser.visit(way.url.replace("prompt=login", "").replace("&max_age=0", ""), BACK)
    assert refused(provider, way.flow, answer) == "login.stale"


def test_a_code_is_used_once(op: OpenIdProvider) -> None:
    """The provider refuses it the second time."""
    provider = gateway(op)
    way = begun(provider)
    answer = alice().visit(way.url, BACK)
    finished(provider, way.flow, answer)
    assert refused(provider, way.flow, answer) == "login.answer"


def test_a_stolen_code_is_worthless(op: OpenIdProvider) -> None:
    """Without the verifier of the flow it began in nobody redeems it, also not through another flow of ours."""
    provider = gateway(op)
    victim, attacker = begun(provider), begun(provider)
    answer = alice().visit(victim.url, BACK)
    assert refused(provider, attacker.flow, answer) == "login.flow"
    assert refused(provider, attacker.flow, answer | {"state": attacker.flow.state}) == "login.answer"
    wrong = replace(victim.flow, secrets={**victim.flow.secrets, "verifier": "x" * 43})
    assert refused(provider, wrong, answer) == "login.answer"


def test_a_wrong_nonce(op: OpenIdProvider) -> None:
    """An ID token of another login, however genuine, is not for this one."""
    provider = gateway(op)
    way = begun(provider)
    answer = alice().visit(way.url, BACK)
    other = replace(way.flow, secrets={**way.flow.secrets, "nonce": "another"})
    assert refused(provider, other, answer) == "login.answer"


def test_another_callback(op: OpenIdProvider) -> None:
    """Neither a way there nor a code with another address to come back to."""
    provider = gateway(op)
    way = asyncio.run(provider.begin("https://evil.example/cb"))
    assert alice().get(way.url).status_code == 400
    way = begun(provider)
    answer = alice().visit(way.url, BACK)
    assert refused(provider, replace(way.flow, callback=BACK + "/x"), answer) == "login.answer"


def test_a_wrong_secret(op: OpenIdProvider) -> None:
    """The provider does not know this client; the person reads that it is not their fault."""
    provider = gateway(op, secret="wrong-secret")
    way = begun(provider)
    assert refused(provider, way.flow, alice().visit(way.url, BACK)) == "login.answer"


@pytest.mark.parametrize("change", [{"iss": "https://evil.example"}, {"iss": ""}, {"iss": None}])
def test_an_answer_of_another_issuer(op: OpenIdProvider, change: dict[str, str | None]) -> None:
    """Mix-up: the provider promises to name itself (RFC 9207), so it must."""
    provider = gateway(op)
    way = begun(provider)
    answer = {**alice().visit(way.url, BACK), **change}
    assert refused(provider, way.flow, {k: v for k, v in answer.items() if v is not None}) == "login.answer"


@pytest.mark.parametrize(
    "answer",
    [{}, {"code": ""}, {"code": "x" * 5000}, {"code": "x", "id_token": "y"}, {"code": "x", "access_token": "y"}],
)
def test_answers_that_are_none(op: OpenIdProvider, answer: dict[str, str]) -> None:
    """No code, a huge one, or tokens that came through the browser."""
    provider = gateway(op)
    flow = begun(provider).flow
    assert refused(provider, flow, {"state": flow.state, "iss": op.issuer, **answer}) == "login.answer"


def test_denied(op: OpenIdProvider) -> None:
    """The provider's error is not repeated: it is anybody's text."""
    provider = gateway(op)
    flow = begun(provider).flow
    error = {"error": "access_denied", "error_description": "<script>alert(1)</script>"}
    assert refused(provider, flow, {"state": flow.state, "iss": op.issuer, **error}) == "login.denied"


def test_a_public_client() -> None:
    """Without a secret PKCE alone protects the code."""
    with OpenIdProvider(BACK, token_endpoint_auth_method="none") as op:
        provider = gateway(op, secret="")
        way = begun(provider)
        assert finished(provider, way.flow, alice().visit(way.url, BACK)).subject == "alice"


def test_a_client_by_form() -> None:
    """A client that is registered to send its secret in the form does so when the provider offers nothing else."""
    with OpenIdProvider(BACK, token_endpoint_auth_method="client_secret_post") as op:
        provider = gateway(op)
        document = dict(asyncio.run(provider._discovery.document()))
        provider._discovery._document = {**document, "token_endpoint_auth_methods_supported": ["client_secret_post"]}
        way = begun(provider)
        assert finished(provider, way.flow, alice().visit(way.url, BACK)).subject == "alice"


def test_somebody_who_is_gone(op: OpenIdProvider) -> None:
    """Asked with the refresh token, again and again; gone is only who the provider refuses, and only once."""
    provider = gateway(op)
    way = begun(provider)
    finished(provider, way.flow, alice().visit(way.url, BACK))
    assert asyncio.run(provider.gone()) == []
    assert asyncio.run(provider.gone()) == []
    op.people(bob={})
    assert asyncio.run(provider.gone()) == ["alice"]
    assert asyncio.run(provider.gone()) == []
    op.people(alice={"groups": ["admins", "dba"]}, bob={"groups": ["dba"]})


def test_a_provider_that_is_away_ends_nobody() -> None:
    """It is no answer that somebody is gone."""
    with OpenIdProvider(BACK) as op:
        provider = gateway(op)
        way = begun(provider)
        finished(provider, way.flow, alice().visit(way.url, BACK))
    assert asyncio.run(provider.gone()) == []
    assert begun(provider)
    with pytest.raises(ResourceError):
        begun(gateway(op))


class Pretender:
    """A provider that answers the token request with whatever a test puts into ``tokens``."""

    def __init__(self, site: Site) -> None:
        self.site, self.signer = site, Signer("RS256")
        self.document = {
            "issuer": site.url,
            "authorization_endpoint": site.url + "/auth",
            "token_endpoint": site.url + "/token",
            "userinfo_endpoint": site.url + "/userinfo",
            "jwks_uri": site.url + "/keys",
        }
        self.publish()
        settings = Oidc("corp", JOINING, site.url, "gw", "", ("openid",), False, "")

        async def secret() -> str:
            return "secret-of-the-client"

        self.settings, self._secret = settings, secret
        self.provider = self.made()
        self.way = begun(self.provider)

    def made(self, **changes: Any) -> OidcProvider:
        """The provider with other settings."""
        settings = replace(self.settings, **changes)
        self.provider = OidcProvider("corp", settings, self._secret, SystemClock(), Box(os.urandom(32)), 3600)
        return self.provider

    def publish(self, **changes: Any) -> None:
        """The discovery document with changes, and the keys."""
        self.site.publish("/.well-known/openid-configuration", {**self.document, **changes})
        self.site.publish("/keys", key_set(self.signer))

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Good claims for the flow under way, with changes; None leaves one out."""
        now = SystemClock().now() // 1_000_000
        nonce = self.way.flow.secrets["nonce"]
        body = {"iss": self.site.url, "aud": "gw", "sub": "u1", "iat": now, "exp": now + 60, "nonce": nonce}
        return {name: value for name, value in (body | changes).items() if value is not None}

    def answers(self, id_token: object, **more: Any) -> External | str:
        """What becomes of a token answer with this ID token."""
        tokens = {"token_type": "Bearer", "access_token": "access-1", "id_token": id_token, **more}
        self.site.publish("/token", {name: value for name, value in tokens.items() if value is not None})
        try:
            return finished(self.provider, self.way.flow, {"state": self.way.flow.state, "code": "code-1"})
        except TidegateError as error:
            assert "u1" not in error.message and "secret-of" not in error.message and "code-1" not in error.message
            return error.code


@pytest.fixture
def pretender() -> Iterator[Pretender]:
    """A provider that says what it is told to."""
    with Site() as site:
        yield Pretender(site)


def test_a_pretender_can_tell_the_truth(pretender: Pretender) -> None:
    """So that the refusals below say something."""
    found = pretender.answers(pretender.signer.token(pretender.claims()))
    assert isinstance(found, External)
    assert found.subject == "u1"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"nonce": None}, "login.answer"),
        ({"nonce": ""}, "login.answer"),
        ({"nonce": ["n"]}, "login.answer"),
        ({"nonce": "other"}, "login.answer"),
        ({"azp": "other"}, "login.answer"),
        ({"azp": None, "aud": ["gw", "other"]}, "token.audience"),
        ({"aud": "other", "azp": "gw"}, "token.audience"),
        ({"iss": "https://evil.example"}, "token.signature"),
        ({"exp": 1}, "token.expired"),
        ({"exp": None}, "token.malformed"),
        ({"iat": None}, "token.malformed"),
        ({"iat": 2**40, "exp": 2**41}, "token.not_yet"),
        ({"sub": None}, "login.answer"),
        ({"sub": ""}, "login.answer"),
        ({"sub": 1}, "login.answer"),
        ({"sub": "a" * 256}, "login.answer"),
        ({"sub": "u1\n"}, "login.answer"),
        ({"at_hash": "wrong"}, "login.answer"),
        ({"at_hash": 5}, "login.answer"),
        ({"auth_time": "now"}, "token.malformed"),
    ],
)
def test_id_tokens_that_are_refused(pretender: Pretender, change: dict[str, Any], code: str) -> None:
    """Signed by the provider, and still not for this login."""
    assert pretender.answers(pretender.signer.token(pretender.claims(**change))) == code


def test_forged_id_tokens(pretender: Pretender) -> None:
    """No signature, another key, the public key as a secret, a key that comes along, another type."""
    claims, signer = pretender.claims(), pretender.signer
    other = Signer("RS256")
    pem = signer.key.as_pem(private=False)
    for token, code in (
        (f"{forge.encoded({'alg': 'none'})}.{forge.encoded(claims)}.", "token.malformed"),
        (forge.with_secret({"alg": "HS256", "kid": "k1"}, claims, pem), "token.malformed"),
        (forge.with_secret({"alg": "RS256", "kid": "k1"}, claims, pem), "token.signature"),
        (other.token(claims), "token.signature"),
        (other.token(claims, jwk=other.public), "token.malformed"),
        (other.token(claims, jku="https://evil.example/keys"), "token.malformed"),
        (signer.token(claims, crit=["nonce"]), "token.malformed"),
        (signer.token(claims, typ="logout+jwt"), "token.malformed"),
        (signer.token(claims, typ="at+jwt"), "token.malformed"),
        ("a.b.c", "token.malformed"),
        ("a" * 100_000, "token.malformed"),
        ("", "token.malformed"),
        (None, "login.answer"),
        (5, "login.answer"),
    ):
        assert pretender.answers(token) == code, token


@pytest.mark.parametrize("algorithm", ["RS256", "ES384", "EdDSA"])
def test_at_hash(pretender: Pretender, algorithm: str) -> None:
    """It binds the access token, by the hash that goes with the signature."""
    pretender.signer = Signer(algorithm)
    pretender.publish()
    hashes = {"RS256": hashlib.sha256, "ES384": hashlib.sha384, "EdDSA": hashlib.sha512}
    digest = hashes[algorithm](b"access-1").digest()
    right = base64.urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")
    assert isinstance(pretender.answers(pretender.signer.token(pretender.claims(at_hash=right))), External)
    stolen = pretender.signer.token(pretender.claims(at_hash=right))
    assert pretender.answers(stolen, access_token="access-2") == "login.answer"
    assert pretender.answers(stolen, access_token=None) == "login.answer"


@pytest.mark.parametrize("more", [{"token_type": "mac"}, {"token_type": None}, {"id_token": None}])
def test_token_answers_that_are_none(pretender: Pretender, more: dict[str, Any]) -> None:
    """A bearer token and an ID token, or nothing."""
    token = pretender.signer.token(pretender.claims())
    assert pretender.answers(**{"id_token": token, **more}) == "login.answer"


def test_answers_that_are_no_json(pretender: Pretender) -> None:
    """Whatever the token endpoint sends."""
    flow = pretender.way.flow
    for body in (b"", b"<html>", b"[]", b"[" * 100_000, b'{"id_token":1,"id_token":2}'):
        pretender.site.answers["/token"] = body
        assert refused(pretender.provider, flow, {"state": flow.state, "code": "code-1"}) == "login.answer"


def test_user_information_of_somebody_else(pretender: Pretender) -> None:
    """An access token of another person does not lend their groups (OpenID Connect Core 1.0 section 5.3.2)."""
    pretender.made(userinfo=True)
    token = pretender.signer.token(pretender.claims())
    pretender.site.publish("/userinfo", {"sub": "admin", "groups": ["admins"]})
    assert pretender.answers(token) == "login.answer"
    pretender.site.publish("/userinfo", {"sub": "u1", "groups": ["dba"]})
    found = pretender.answers(token)
    assert isinstance(found, External)
    assert found.groups == ("dba",)
    assert pretender.answers(token, access_token="a\r\nHost: evil") == "login.answer"


def test_an_address_is_verified_where_it_is_said(pretender: Pretender) -> None:
    """One answer's word does not vouch for the other's address."""
    pretender.made(userinfo=True)
    pretender.site.publish("/userinfo", {"sub": "u1", "email_verified": True})
    found = pretender.answers(pretender.signer.token(pretender.claims(email="admin@example.org")))
    assert isinstance(found, External)
    assert found.email == ""
    found = pretender.answers(pretender.signer.token(pretender.claims(email="a@x.org", email_verified="true")))
    assert isinstance(found, External)
    assert found.email == ""


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
@pytest.mark.parametrize("url", [None, "http://evil.example/", "file:///etc/passwd", "javascript:alert(1)", 5])
def test_documents_that_lead_astray(pretender: Pretender, name: str, url: object) -> None:
    """An address in the clear, or none: nothing is sent there."""
    pretender.publish(**{name: url})
    provider = pretender.made()
    with pytest.raises(ResourceError) as caught:
        way = begun(provider)
        pretender.way = way
        pretender.site.publish(
            "/token", {"token_type": "Bearer", "id_token": pretender.signer.token(pretender.claims())}
        )
        finished(provider, way.flow, {"state": way.flow.state, "code": "code-1"})
    assert caught.value.code == "provider.answer"


def test_a_promise_to_name_itself(pretender: Pretender) -> None:
    """A provider that says it sends `iss` and does not, was replaced on the way (RFC 9207)."""
    pretender.publish(authorization_response_iss_parameter_supported=True)
    pretender.made()
    token = pretender.signer.token(pretender.claims())
    assert pretender.answers(token) == "login.answer"


def test_the_secret_goes_to_the_token_endpoint_only(pretender: Pretender) -> None:
    """In a header, as the client proves itself; never in an address."""
    pretender.answers(pretender.signer.token(pretender.claims()))
    sent = {path: headers.get("authorization", "") for path, headers in pretender.site.heard.items()}
    assert sent.pop("/token") == "Basic " + base64.b64encode(b"gw:secret-of-the-client").decode()
    assert set(sent.values()) == {""}
    assert not any("secret" in path or "code-1" in path for path in pretender.site.asked)
