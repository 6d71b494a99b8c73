"""Logout tokens: the provider's own, about somebody, once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from forge import Signer, key_set
from tidegate.errors import AgentError
from tidegate.identity import backchannel
from tidegate.identity.backchannel import EVENT, LONGEST, Logouts
from tidegate.identity.keysets import KeySet

from .conftest import Watch

IDP = "https://idp.example"
SIGNER = Signer()


async def _published() -> bytes:
    return json.dumps(key_set(SIGNER)).encode()


@pytest.fixture
def logouts(watch: Watch) -> Logouts:
    """What the gateway makes of them."""
    return Logouts(KeySet(_published, watch), IDP, "gw", watch)


def token(watch: Watch, typ: str = "logout+jwt", signer: Signer = SIGNER, **changes: Any) -> str:
    """A good logout token with these changes; None leaves one out."""
    now = watch.seconds
    body = {"iss": IDP, "aud": "gw", "sub": "u1", "iat": now, "exp": now + 120, "jti": "j1", "events": {EVENT: {}}}
    return signer.token({k: v for k, v in (body | changes).items() if v is not None}, typ=typ)


def ended(logouts: Logouts, text: str) -> str:
    """Whose login is over."""
    return asyncio.run(logouts.subject(text))


def refused(logouts: Logouts, text: str) -> str:
    """The code with which it is refused."""
    with pytest.raises(AgentError) as caught:
        ended(logouts, text)
    return caught.value.code


def test_somebody_is_out(logouts: Logouts, watch: Watch) -> None:
    """By name, with the type of the specification or that of older providers."""
    assert ended(logouts, token(watch)) == "u1"
    assert ended(logouts, token(watch, typ="JWT", jti="j2")) == "u1"


def test_a_session_is_over(logouts: Logouts, watch: Watch) -> None:
    """By the session's name, if it is known whose it is."""
    logouts.know("s1", "u1")
    assert ended(logouts, token(watch, sub=None, sid="s1")) == "u1"
    assert refused(logouts, token(watch, sub=None, sid="s2", jti="j2")) == "login.unknown"


def test_a_token_is_used_once(logouts: Logouts, watch: Watch) -> None:
    """Also at its last second; afterwards it has expired."""
    text = token(watch)
    assert ended(logouts, text) == "u1"
    watch.seconds += 119
    assert refused(logouts, text) == "token.replayed"
    watch.seconds += 1
    assert refused(logouts, text) == "token.expired"
    assert ended(logouts, token(watch, jti="j2")) == "u1"
    assert list(logouts._used) == ["j2"]


@pytest.mark.parametrize(
    "change",
    [
        {"events": None},
        {"events": {}},
        {"events": [EVENT]},
        {"events": EVENT},
        {"events": {EVENT: None}},
        {"events": {EVENT + "x": {}}},
        {"nonce": "n"},
        {"jti": None},
        {"jti": ""},
        {"jti": 5},
        {"jti": "a" * 300},
        {"iat": None},
        {"exp": None},
        {"sub": None},
        {"sub": 5},
        {"sub": ""},
        {"sub": 5, "sid": "s1"},
        {"sub": None, "sid": 5},
        {"typ": "at+jwt"},
    ],
)
def test_tokens_that_end_nobody(logouts: Logouts, watch: Watch, change: dict[str, Any]) -> None:
    """Above all an ID token, which has no event and a nonce, is no logout token."""
    logouts.know("s1", "u1")
    assert refused(logouts, token(watch, **change)) == "token.malformed"


def test_a_token_for_ever(logouts: Logouts, watch: Watch) -> None:
    """One that would have to be remembered for long is refused."""
    assert refused(logouts, token(watch, exp=watch.seconds + LONGEST + 1)) == "token.malformed"


@pytest.mark.parametrize(
    ("change", "code"),
    [({"iss": "https://evil.example"}, "token.signature"), ({"aud": "other"}, "token.audience")],
)
def test_tokens_of_others(logouts: Logouts, watch: Watch, change: dict[str, Any], code: str) -> None:
    """Another issuer's, or another client's."""
    assert refused(logouts, token(watch, **change)) == code
    assert refused(logouts, token(watch, signer=Signer())) == "token.signature"


def test_memory_is_bounded(logouts: Logouts, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions make room for later ones; used tokens never do, since they could be used again."""
    monkeypatch.setattr(backchannel, "PLACES", 2)
    for name in ("s1", "s2", "s3"):
        logouts.know(name, "u1")
    assert refused(logouts, token(watch, sub=None, sid="s1")) == "login.unknown"
    for id in ("j1", "j2"):
        ended(logouts, token(watch, jti=id))
    assert refused(logouts, token(watch, jti="j3")) == "token.replayed"
