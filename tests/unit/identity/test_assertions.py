"""ID tokens presented by somebody else: of a login provider, for our client alone, and of a person."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from forge import Signer, key_set
from site_server import Site
from tidegate.errors import AgentError
from tidegate.identity.assertions import Asserted, Assertions
from tidegate.settings_login import Joining, Oidc

from .conftest import Watch

CLIENT = "tidegate-client"


@pytest.fixture
def site() -> Iterator[Site]:
    """A provider's web server."""
    with Site() as started:
        yield started


@pytest.fixture
def signer(site: Site) -> Signer:
    """The provider's key, found by discovery."""
    signer = Signer()
    keys = site.publish("/keys", key_set(signer))
    site.publish("/.well-known/openid-configuration", {"issuer": site.url, "jwks_uri": keys})
    return signer


@pytest.fixture
def assertions(site: Site, signer: Signer, watch: Watch) -> Assertions:
    """The one provider corp."""
    corp = Oidc("Corp", Joining(False, {}, "groups", "email", "name"), site.url, CLIENT, "", ("openid",), False, "")
    return Assertions({"corp": corp}, watch)


def claims(site: Site, watch: Watch, **changes: Any) -> dict[str, Any]:
    """Good claims with these changes; None leaves one out."""
    now = watch.seconds
    body = {"iss": site.url, "aud": CLIENT, "sub": "00u1", "iat": now, "exp": now + 60} | changes
    return {name: value for name, value in body.items() if value is not None}


def asserted(assertions: Assertions, token: str) -> Asserted:
    """Whom the token means."""
    return asyncio.run(assertions.verify(token, "corp"))


def test_a_persons_token(assertions: Assertions, site: Site, signer: Signer, watch: Watch) -> None:
    """The provider is told by issuer and audience, the person by ``sub``."""
    token = signer.token(claims(site, watch))
    assert assertions.meant(token) == "corp"
    found = asserted(assertions, token)
    assert (found.subject, found.proof, found.issued, found.expires) == (
        "00u1", "oidc:corp", watch.seconds, watch.seconds + 60,
    )  # fmt: skip


@pytest.mark.parametrize("change", [{"iss": "https://other.example"}, {"aud": "other"}, {"aud": [CLIENT, "other"]}])
def test_tokens_of_others(
    assertions: Assertions, site: Site, signer: Signer, watch: Watch, change: dict[str, Any]
) -> None:
    """Another issuer's, another client's, and one for several are no provider's here, nor do they verify."""
    token = signer.token(claims(site, watch, **change))
    assert assertions.meant(token) == ""
    with pytest.raises(AgentError):
        asserted(assertions, token)


@pytest.mark.parametrize(
    "change",
    [
        {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
        {"act": {"sub": "x"}},
        {"azp": "other"},
        {"sub": ""},
        {"sub": 7},
        {"sub": None},
        {"exp": 1},
    ],
)
def test_tokens_that_prove_nobody(
    assertions: Assertions, site: Site, signer: Signer, watch: Watch, change: dict[str, Any]
) -> None:
    """Logout tokens, tokens of somebody acted for, another party's, nobody's, and old ones."""
    with pytest.raises(AgentError):
        asserted(assertions, signer.token(claims(site, watch, **change)))


def test_forgeries(assertions: Assertions, site: Site, watch: Watch) -> None:
    """Meant is not proven: another key's signature does not hold."""
    token = Signer().token(claims(site, watch))
    assert assertions.meant(token) == "corp"
    with pytest.raises(AgentError) as caught:
        asserted(assertions, token)
    assert caught.value.code == "token.signature"
