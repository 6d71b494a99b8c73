"""A provider's keys: fetched with limits, rotated, and the one way in which a token's claims come to be believed."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import forge
from forge import Signer, key_set
from site_server import Site
from tidegate.errors import AgentError, ConfigError, ResourceError, TidegateError
from tidegate.identity.fetch import Fetch
from tidegate.identity.keysets import (
    FRESH,
    LEEWAY,
    PAUSE,
    STALE,
    KeySet,
    discover,
    discovered,
    endpoint,
    from_file,
    from_url,
)

from .conftest import Watch

US = "tidegate-client"
IDP = "https://idp.example"


@pytest.fixture
def site() -> Iterator[Site]:
    """A provider's web server."""
    with Site() as started:
        yield started


@pytest.fixture
def signer(site: Site) -> Signer:
    """The provider's key, published at /keys."""
    signer = Signer()
    site.publish("/keys", key_set(signer))
    return signer


@pytest.fixture
def keys(site: Site, signer: Signer, watch: Watch) -> KeySet:
    """The set as the gateway sees it."""
    return KeySet(from_url(Fetch(), site.url + "/keys"), watch)


def claims(watch: Watch, **changes: Any) -> dict[str, Any]:
    """Good claims with these changes; None leaves one out."""
    now = watch.seconds
    body = {"iss": IDP, "aud": US, "sub": "someone-secret", "iat": now, "nbf": now, "exp": now + 60} | changes
    return {name: value for name, value in body.items() if value is not None}


def verified(keys: KeySet, token: str) -> Mapping[str, Any]:
    """What the token says to us."""
    return asyncio.run(keys.verify(token, issuer=IDP, audience=US))


def refused(keys: KeySet, token: str) -> str:
    """The code with which it is refused; nothing of the token is in the error or its causes."""
    with pytest.raises(TidegateError) as caught:
        verified(keys, token)
    told = "".join(traceback.format_exception(caught.value))
    assert "someone-secret" not in told
    assert not any(len(part) > 20 and part in told for part in token.split("."))
    assert caught.value.hint
    return caught.value.code


def test_a_good_token(keys: KeySet, signer: Signer, watch: Watch) -> None:
    """Its claims are given."""
    body = claims(watch)
    assert verified(keys, signer.token(body)) == body
    assert verified(keys, signer.token(claims(watch, aud=[US])))["aud"] == [US]
    assert verified(keys, signer.token(body, typ="application/jwt")) == body


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"iss": "https://evil.example"}, "token.signature"),
        ({"iss": IDP + "/"}, "token.signature"),
        ({"iss": IDP.upper()}, "token.signature"),
        ({"iss": [IDP]}, "token.signature"),
        ({"iss": None}, "token.signature"),
        ({"aud": "other"}, "token.audience"),
        ({"aud": US + " "}, "token.audience"),
        ({"aud": None}, "token.audience"),
        ({"aud": []}, "token.audience"),
        ({"aud": [US, "other"]}, "token.audience"),
        ({"aud": ["other", US]}, "token.audience"),
        ({"aud": [[US]]}, "token.audience"),
        ({"aud": {US: 1}}, "token.audience"),
        ({"exp": None}, "token.malformed"),
        ({"exp": "9999999999"}, "token.malformed"),
        ({"exp": True}, "token.malformed"),
        ({"exp": -1}, "token.malformed"),
        ({"exp": 2**60}, "token.malformed"),
        ({"exp": 1e308}, "token.malformed"),
        ({"exp": [1]}, "token.malformed"),
        ({"iat": "now"}, "token.malformed"),
        ({"nbf": {}}, "token.malformed"),
    ],
)
def test_claims_that_are_refused(keys: KeySet, signer: Signer, watch: Watch, change: dict[str, Any], code: str) -> None:
    """Each with the code that says what is wrong."""
    assert refused(keys, signer.token(claims(watch, **change))) == code


def test_times(keys: KeySet, signer: Signer, watch: Watch) -> None:
    """A token ends on the second; the provider's clock may be a little ahead, not more."""
    now = watch.seconds
    assert refused(keys, signer.token(claims(watch, exp=now))) == "token.expired"
    assert verified(keys, signer.token(claims(watch, exp=now + 1)))
    for name in ("iat", "nbf"):
        assert verified(keys, signer.token(claims(watch, **{name: now + LEEWAY})))
        assert refused(keys, signer.token(claims(watch, **{name: now + LEEWAY + 1}))) == "token.not_yet"
    assert verified(keys, signer.token(claims(watch, iat=None, nbf=None)))


def test_an_unknown_key_and_a_wrong_signature_look_alike(keys: KeySet, signer: Signer, watch: Watch) -> None:
    """Who guesses learns nothing."""
    body = claims(watch)
    errors = []
    forged = signer.token(body).rpartition(".")[0] + "." + forge.encoded(b"\1" * 64)
    for token in (
        Signer("ES256", "k2").token(body),
        Signer().token(body),
        forged,
        signer.token(claims(watch, iss="x")),
    ):
        with pytest.raises(AgentError) as caught:
            verified(keys, token)
        errors.append((caught.value.code, caught.value.message, caught.value.hint))
    assert errors == [errors[0]] * 4
    assert errors[0][0] == "token.signature"


def test_claims_of_another_token(keys: KeySet, signer: Signer, watch: Watch) -> None:
    """A signature fits no other claims, and no other header."""
    header, _, signature = signer.token(claims(watch)).split(".")
    assert refused(keys, f"{header}.{forge.encoded(claims(watch, sub='root'))}.{signature}") == "token.signature"


def test_types(keys: KeySet, signer: Signer, watch: Watch) -> None:
    """A token made for something else, such as a logout, is not one that says who somebody is."""
    for kind in ("logout+jwt", "at+jwt", "secevent+jwt", "dpop+jwt"):
        assert refused(keys, signer.token(claims(watch), typ=kind)) == "token.malformed"


def test_algorithms_can_be_fewer(site: Site, signer: Signer, watch: Watch) -> None:
    """What the operator does not list is refused."""
    keys = KeySet(from_url(Fetch(), site.url + "/keys"), watch, frozenset({"RS256"}))
    assert refused(keys, signer.token(claims(watch))) == "token.malformed"


def test_keys_rotate(keys: KeySet, site: Site, signer: Signer, watch: Watch) -> None:
    """A key that appears is found at once, and one that is gone is refused as soon as the set is old."""
    assert verified(keys, signer.token(claims(watch)))
    second = Signer("RS256", "k2")
    site.publish("/keys", key_set(second))
    watch.seconds += PAUSE
    assert verified(keys, second.token(claims(watch)))
    assert refused(keys, signer.token(claims(watch))) == "token.signature"
    assert site.asked["/keys"] == 2


def test_a_key_that_is_gone_is_not_used_for_long(keys: KeySet, site: Site, signer: Signer, watch: Watch) -> None:
    """Without any unknown key to prompt it, the set is fetched anew when it is old."""
    assert verified(keys, signer.token(claims(watch)))
    site.publish("/keys", key_set())
    watch.seconds += FRESH - 1
    assert verified(keys, signer.token(claims(watch)))
    watch.seconds += 1
    assert refused(keys, signer.token(claims(watch))) == "token.signature"


def test_unknown_keys_do_not_make_us_fetch(keys: KeySet, site: Site, watch: Watch) -> None:
    """A flood of tokens with invented keys costs the provider one request each ``PAUSE``."""
    for number in range(50):
        assert refused(keys, Signer("ES256", f"x{number}").token(claims(watch))) == "token.signature"
    assert site.asked["/keys"] == 1
    watch.seconds += PAUSE
    assert refused(keys, Signer("ES256", "y").token(claims(watch))) == "token.signature"
    assert site.asked["/keys"] == 2


def test_many_at_once_fetch_once(keys: KeySet, site: Site, signer: Signer, watch: Watch) -> None:
    """Who comes while the set is fetched waits for it."""

    async def crowd() -> None:
        token = signer.token(claims(watch))
        await asyncio.gather(*(keys.verify(token, issuer=IDP, audience=US) for _ in range(30)))

    asyncio.run(crowd())
    assert site.asked["/keys"] == 1


def test_a_provider_that_is_away(keys: KeySet, site: Site, signer: Signer, watch: Watch) -> None:
    """Its keys serve for an hour; then nobody gets in, and it is asked now and then."""
    assert verified(keys, signer.token(claims(watch)))
    del site.answers["/keys"]
    watch.seconds += STALE - 1
    assert verified(keys, signer.token(claims(watch)))
    watch.seconds += 1
    for _ in range(3):
        assert refused(keys, signer.token(claims(watch))) == "provider.unreachable"
    assert site.asked["/keys"] == 2
    site.publish("/keys", key_set(signer))
    watch.seconds += PAUSE
    assert verified(keys, signer.token(claims(watch)))


def test_keys_that_are_none(keys: KeySet, site: Site, signer: Signer, watch: Watch) -> None:
    """What is no set is the provider's fault, not the token's."""
    site.answers["/keys"] = b"<html>"
    assert refused(keys, signer.token(claims(watch))) == "provider.answer"


def test_a_token_without_a_key_name(keys: KeySet, site: Site, signer: Signer, watch: Watch) -> None:
    """It is accepted if one key fits, and not if somebody would have to guess."""
    token = forge.signed({"alg": "ES256"}, claims(watch), signer.key, "ES256")
    assert verified(keys, token)
    site.publish("/keys", key_set(signer, Signer("ES256", "k2")))
    watch.seconds += FRESH
    assert refused(keys, token) == "token.signature"


def test_a_name_that_two_keys_have(keys: KeySet, site: Site, signer: Signer, watch: Watch) -> None:
    """Ambiguous is unknown."""
    site.publish("/keys", key_set(signer, Signer()))
    assert refused(keys, signer.token(claims(watch))) == "token.signature"


def test_keys_from_a_file(tmp_path: Path, watch: Watch) -> None:
    """The same, with a file in place of an address; without it nobody gets in."""
    signer, path = Signer("EdDSA"), tmp_path / "keys.json"
    path.write_text(json.dumps(key_set(signer)))
    assert verified(KeySet(from_file(path), watch), signer.token(claims(watch)))
    path.write_bytes(b" " * 300_000)
    assert refused(KeySet(from_file(path), watch), signer.token(claims(watch))) == "provider.keys"
    path.unlink()
    assert refused(KeySet(from_file(path), watch), signer.token(claims(watch))) == "provider.keys"


def test_keys_by_discovery(site: Site, signer: Signer, watch: Watch) -> None:
    """The document says where they are."""
    site.publish("/.well-known/openid-configuration", {"issuer": site.url, "jwks_uri": site.url + "/keys"})
    keys = KeySet(discovered(Fetch(), site.url), watch)
    token = signer.token(claims(watch, iss=site.url))
    assert asyncio.run(keys.verify(token, issuer=site.url, audience=US))


def failing(what: Callable[[], Awaitable[object]]) -> str:
    """The code of the provider's fault."""

    async def run() -> object:
        return await what()

    with pytest.raises(ResourceError) as caught:
        asyncio.run(run())
    assert caught.value.hint
    return caught.value.code


@pytest.mark.parametrize("issuer", ["", "https://evil.example", None, "/"])
def test_a_document_of_another_issuer(site: Site, issuer: str | None) -> None:
    """Exactly the issuer that was asked, or none."""
    site.publish("/.well-known/openid-configuration", {"issuer": site.url + issuer if issuer == "/" else issuer})
    assert failing(lambda: discover(Fetch(), site.url)) == "provider.answer"


def test_a_document_that_is_none(site: Site) -> None:
    """JSON and an object, or nothing."""
    for body in (b"<html>", b"[]", b"[" * 100_000, b'{"issuer":1,"issuer":2}'):
        site.answers["/.well-known/openid-configuration"] = body
        assert failing(lambda: discover(Fetch(), site.url)) == "provider.answer"


def test_an_issuer_with_a_path(site: Site) -> None:
    """The document is below it (OpenID Connect Discovery 1.0 section 4.1)."""
    site.publish("/realms/a/.well-known/openid-configuration", {"issuer": site.url + "/realms/a/"})
    assert asyncio.run(discover(Fetch(), site.url + "/realms/a/"))


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/keys", "http://idp.example/keys", "file:///etc/passwd", "", None, 5, ["https://x"]]
)
def test_a_provider_does_not_send_us_into_the_clear(url: object) -> None:
    """From a document over TLS, only addresses with TLS are taken; the machine's own ports are not either."""
    with pytest.raises(ResourceError) as caught:
        endpoint({"jwks_uri": url}, "jwks_uri", IDP)
    assert caught.value.code == "provider.answer"


def test_an_address_in_the_clear_is_the_operators(watch: Watch) -> None:
    """It is refused where it is written."""
    for make in (from_url, discovered):
        with pytest.raises(ConfigError):
            make(Fetch(), "http://idp.example/keys")
