"""The token endpoint: forms in, errors of RFC 6749 and RFC 8693 out, nothing cached, nothing repeated."""

from __future__ import annotations

import httpx2
import pytest

from tidegate.cli.token import key_pair
from tidegate.enforcement.pace import Pace
from tidegate.web.oauth import ACCESS, CERTIFICATE, GRANT, JWT
from unit.web.world import World


@pytest.fixture(scope="module", autouse=True)
def bound(staffed: World) -> None:
    """claude-code comes with the tokens of prod:claude."""
    root = staffed.call(lambda: staffed.access.chain("root"))
    staffed.call(lambda: staffed.links.bind(root, "claude-code", "k8s", {"sub": "prod:claude"}))


def asked(world: World, **change: str) -> httpx2.Response:
    """A good request with these changes; an empty value leaves a parameter out."""
    good = {
        "grant_type": GRANT,
        "subject_token": world.login("alice"),
        "subject_token_type": ACCESS,
        "actor_token": world.workload("prod:claude"),
        "actor_token_type": JWT,
        "audience": "shop",
    }
    return world.http.post("/oauth/token", data={name: value for name, value in (good | change).items() if value})


def test_a_token(staffed: World) -> None:
    """What RFC 8693 section 2.2.1 says an answer has, and it works."""
    answer = asked(staffed, audience="", resource="shop")
    body = answer.json()
    assert (answer.status_code, body["issued_token_type"], body["token_type"]) == (200, ACCESS, "Bearer")
    assert 0 < body["expires_in"] <= 900 and answer.headers["cache-control"].startswith("no-store")
    assert staffed.issuer.verify(body["access_token"], "resource:shop").chain[1] == "a_claude-code"


def test_a_certificate(staffed: World) -> None:
    """With a public key; a token is not asked for then, nor a certificate without a key."""
    _, public = key_pair()
    body = asked(staffed, public_key=public, requested_token_type=CERTIFICATE).json()
    assert body["access_token"].startswith("-----BEGIN CERTIFICATE-----") and body["token_type"] == "N_A"
    assert asked(staffed, public_key="nonsense").json()["code"] == "request.key"
    assert asked(staffed, public_key=public, requested_token_type=JWT).json()["error"] == "invalid_request"
    assert asked(staffed, requested_token_type=CERTIFICATE).json()["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "invalid_request"),
        ({"subject_token": ""}, "invalid_request"),
        ({"subject_token_type": "jwt"}, "invalid_request"),
        ({"actor_token": ""}, "invalid_request"),
        ({"actor_token_type": ""}, "invalid_request"),
        ({"scope": "x"}, "invalid_scope"),
        ({"audience": ""}, "invalid_target"),
        ({"audience": "nowhere"}, "invalid_target"),
        ({"resource": "crm"}, "invalid_target"),
        ({"unknown": "x"}, "invalid_request"),
        ({"subject_token": "x.y.z"}, "invalid_request"),
    ],
)
def test_errors(staffed: World, change: dict[str, str], error: str) -> None:
    """The word that the specifications have for each, and no token in it."""
    answer = asked(staffed, **change)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert staffed.login("alice") not in answer.text and answer.json()["error_description"]


def test_what_is_no_form(staffed: World) -> None:
    """Another content type, doubled parameters, bytes."""
    form = {"content-type": "application/x-www-form-urlencoded"}
    good = asked(staffed).request.content.decode()
    assert staffed.http.post("/oauth/token", content=good, headers=form).status_code == 200
    for answer in (
        staffed.http.post("/oauth/token", json={"grant_type": GRANT}),
        staffed.http.post("/oauth/token", content=good),
        staffed.http.post("/oauth/token", content=f"{good}&audience=shop", headers=form),
        staffed.http.post("/oauth/token", content=f"{good}&reason", headers=form),
        staffed.http.post("/oauth/token", content=b"a=\xff", headers=form),
        staffed.http.post("/oauth/token", content="", headers=form),
    ):
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_metadata_and_keys(staffed: World) -> None:
    """Where the endpoint is, and the public keys, without login."""
    found = httpx2.get(f"{staffed.url}/.well-known/oauth-authorization-server").json()
    assert found["token_endpoint"].endswith("/api/v1/oauth/token") and found["grant_types_supported"] == [GRANT]
    keys = httpx2.get(f"{staffed.url}/.well-known/jwks.json").json()["keys"]
    assert [set(key) for key in keys] == [{"kty", "crv", "x", "kid", "use", "alg"}]


def test_asking_too_often_is_slowed(staffed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who acts gets so many and then a 429; what was wrong about the tokens is said before that."""
    monkeypatch.setattr(staffed.services.exchange, "_pace", Pace(staffed.clock, burst=1, rate=1))
    assert asked(staffed).status_code == 200
    slowed = asked(staffed)
    assert (slowed.status_code, slowed.json()["code"]) == (429, "exchange.slowed")
    assert asked(staffed, actor_token="x.y.z").status_code == 400
