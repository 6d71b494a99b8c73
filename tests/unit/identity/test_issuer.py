"""The issuer: its own tokens hold, everything else is refused and never repeated."""

from __future__ import annotations

import base64
import json
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, OKPKey

from tidegate.errors import AgentError
from tidegate.identity.issuer import SIZE_LIMIT, Claims, Issuer, ours
from tidegate.model.identity import Hop, Identity, Kind

from .conftest import Watch

ALICE = Hop("u_alice", "alice", Kind.USER, ("dba",))
AGENTS = tuple(Hop(f"a_{name}", name, Kind.AGENT) for name in ("claude-code", "sub-agent"))
CHAIN = Identity((ALICE, *AGENTS))


def minted(issuer: Issuer, **changes: Any) -> str:
    """A token of the chain for resource:shop."""
    arguments: dict[str, Any] = {"audience": "resource:shop", "ttl": 900, "grant": "g_1"} | changes
    return issuer.mint(CHAIN, **arguments)[0]


def refused(issuer: Issuer, token: str) -> str:
    """The code with which ``token`` is refused; nothing of it may be in the error, nor in what caused it."""
    with pytest.raises(AgentError) as caught:
        issuer.verify(token, "resource:shop")
    told = "".join(traceback.format_exception(caught.value)) if len(token) > 20 else ""
    assert not any(part and part in told for part in token.split("."))
    assert caught.value.hint
    return caught.value.code


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, unverified."""
    header, body, _ = (json.loads(_decoded(part)) if at < 2 else {} for at, part in enumerate(token.split(".")))
    return header, body


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def signed(issuer: Issuer, header: dict[str, Any], body: dict[str, Any]) -> str:
    """A token of our key with any content."""
    data = f"{_encoded(header)}.{_encoded(body)}"
    signature = base64.urlsafe_b64encode(issuer._key.sign(data.encode())).decode().rstrip("=")
    return f"{data}.{signature}"


def test_what_is_minted_verifies(issuer: Issuer, watch: Watch) -> None:
    """Verifying gives the claims that minting gave, the person first."""
    token, claims = issuer.mint(CHAIN, audience="resource:shop", ttl=900, grant="g_1")
    assert issuer.verify(token, "resource:shop") == claims
    now = watch.seconds
    assert claims == Claims(
        ("u_alice", "a_claude-code", "a_sub-agent"), "resource:shop", claims.id, "g_1", now, now + 900
    )


def test_the_actor_is_outermost(issuer: Issuer) -> None:
    """``act`` nests as in RFC 8693 section 4.1: the current actor outside, the one before within."""
    _, body = parts(minted(issuer))
    assert body["sub"] == "u_alice"
    assert body["act"] == {"sub": "a_sub-agent", "act": {"sub": "a_claude-code"}}


def test_each_hop_says_how_it_was_proven(issuer: Issuer) -> None:
    """``prf`` stands beside each ``sub`` that was not proven by a token of ours, and comes back in order."""
    proofs = ("oidc:corp", "token", "jwt:k8s")
    chain = Identity(tuple(replace(hop, proof=proof) for hop, proof in zip(CHAIN.chain, proofs, strict=True)))
    token, claims = issuer.mint(chain, audience="resource:shop", ttl=60)
    _, body = parts(token)
    assert (body["prf"], body["act"]) == (
        "oidc:corp",
        {"sub": "a_sub-agent", "prf": "jwt:k8s", "act": {"sub": "a_claude-code"}},
    )
    assert issuer.verify(token, "resource:shop") == claims
    assert claims.proofs == proofs


def test_others_can_check_a_token_by_the_public_keys(issuer: Issuer) -> None:
    """The key set verifies what was minted and holds nothing private."""
    keys = json.loads(json.dumps(issuer.keys))
    assert "d" not in keys["keys"][0]
    found = jwt.decode(minted(issuer), KeySet.import_key_set(keys), algorithms=["Ed25519"])
    assert found.claims["sub"] == "u_alice"


def test_a_token_of_ours_is_told_by_its_type(issuer: Issuer) -> None:
    """Only the type in the header says so, and nothing else is asked; garbage is none."""
    header, body = parts(minted(issuer))
    assert ours(minted(issuer)) and ours(f"{_encoded(header | {'alg': 'none'})}.{_encoded(body)}.AA")
    assert not any(
        map(ours, (f"{_encoded(header | {'typ': 'JWT'})}.{_encoded(body)}.AA", "", "a.b.c", "x" * 9000, "é"))
    )


def test_no_groups_and_no_names(issuer: Issuer) -> None:
    """A token holds no groups, which are read live, and no names."""
    assert set(parts(minted(issuer))[1]) == {"iss", "sub", "aud", "iat", "nbf", "exp", "jti", "act", "grant"}
    assert "dba" not in str(parts(minted(issuer)))


def test_time_bounds_are_exact(issuer: Issuer, watch: Watch) -> None:
    """A token holds from its second of issue to the last second before its expiry."""
    token = minted(issuer, ttl=60)
    watch.seconds += 59
    issuer.verify(token, "resource:shop")
    watch.seconds += 1
    assert refused(issuer, token) == "token.expired"
    watch.seconds -= 61
    assert refused(issuer, token) == "token.not_yet"


def test_another_audience_is_refused(issuer: Issuer) -> None:
    """A login is no key to a resource, nor one resource's token to another."""
    assert refused(issuer, minted(issuer, audience="tidegate")) == "token.audience"
    assert refused(issuer, minted(issuer, audience="resource:shop2")) == "token.audience"


def test_a_list_of_audiences_is_refused(issuer: Issuer) -> None:
    """One token, one audience: a list is malformed even if it has the right one."""
    header, body = parts(minted(issuer))
    assert refused(issuer, signed(issuer, header, body | {"aud": ["resource:shop"]})) == "token.malformed"


def test_another_gateways_token_is_refused(issuer: Issuer, tmp_path: Path, watch: Watch) -> None:
    """A foreign key is refused by its key id, and also when it claims to be ours."""
    other = Issuer(tmp_path / "other", "gw.example", watch)
    token = minted(other)
    assert refused(issuer, token) == "token.signature"
    header, body = parts(token)
    assert refused(issuer, signed(other, header | {"kid": parts(minted(issuer))[0]["kid"]}, body)) == "token.signature"


def test_another_issuer_name_is_refused(issuer: Issuer) -> None:
    """A key shared by mistake does not make two gateways one."""
    header, body = parts(minted(issuer))
    assert refused(issuer, signed(issuer, header, body | {"iss": "gw2.example"})) == "token.signature"


def test_alg_none_is_refused(issuer: Issuer) -> None:
    """An unsigned token is malformed (RFC 8725 section 2.1)."""
    header, body = parts(minted(issuer))
    assert refused(issuer, f"{_encoded(header | {'alg': 'none'})}.{_encoded(body)}.") == "token.malformed"


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_the_public_key_is_no_secret(issuer: Issuer) -> None:
    """HS256 keyed with the public key is malformed (RFC 8725 section 2.1)."""
    header, body = parts(minted(issuer))
    for form in ((Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), (Encoding.Raw, PublicFormat.Raw)):
        secret = OctKey.import_key(base64.urlsafe_b64encode(issuer._public.public_bytes(*form)))
        token = jwt.encode(header | {"alg": "HS256"}, body, secret, algorithms=["HS256"])
        assert refused(issuer, token) == "token.malformed"


@pytest.mark.parametrize(
    "change", [{"typ": "JWT"}, {"typ": "TIDEGATE+JWT"}, {"crit": ["b64"], "b64": False}, {"jku": "https://evil"}]
)
def test_other_headers_are_refused(issuer: Issuer, change: dict[str, Any]) -> None:
    """Only our type, and no header besides the three, even under our signature."""
    header, body = parts(minted(issuer))
    assert refused(issuer, signed(issuer, header | change, body)) == "token.malformed"


def test_a_key_within_the_token_is_not_used(issuer: Issuer) -> None:
    """A header that brings its own key (``jwk``) is malformed."""
    evil = OKPKey.import_key(Ed25519PrivateKey.generate())
    header, body = parts(minted(issuer))
    header["jwk"] = evil.as_dict(private=False)
    assert refused(issuer, jwt.encode(header, body, evil, algorithms=["Ed25519"])) == "token.malformed"


@pytest.mark.parametrize(
    "change",
    [
        {"exp": "tomorrow"}, {"exp": True}, {"exp": 1.5e18}, {"nbf": None}, {"sub": ""}, {"sub": 7}, {"jti": None},
        {"prf": ""}, {"prf": 7}, {"act": {"sub": "a_x", "prf": []}}, {"act": "a_x"}, {"act": {}}, {"act": []},
        {"grant": 7},
    ],
)  # fmt: skip
def test_wrong_claims_are_refused(issuer: Issuer, change: dict[str, Any]) -> None:
    """A claim of the wrong type is malformed, even under our signature."""
    header, body = parts(minted(issuer))
    assert refused(issuer, signed(issuer, header, body | change)) == "token.malformed"


def test_endless_chains_are_refused(issuer: Issuer) -> None:
    """A chain of more hops than anybody needs is malformed, and is not minted."""
    header, body = parts(minted(issuer))
    for _ in range(20):
        body["act"] = {"sub": "a_x", "act": body["act"]}
    assert refused(issuer, signed(issuer, header, body)) == "token.malformed"
    with pytest.raises(ValueError, match="hops"):
        issuer.mint(Identity((ALICE, *AGENTS * 4)), audience="resource:shop", ttl=60)


def test_size_is_limited_before_parsing(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing above 8 KiB reaches a parser."""
    monkeypatch.setattr("tidegate.identity.issuer.jws", None)
    assert refused(issuer, "x" * (SIZE_LIMIT + 1)) == "token.malformed"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_changed_token_is_refused(issuer: Issuer, data: st.DataObject) -> None:
    """Any other character anywhere makes it malformed or wrongly signed, or leaves the same bytes."""
    token = minted(issuer)
    at = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.sampled_from("ABCxyz019-_.=%\x00\xff"))
    changed = token[:at] + letter + token[at + 1 :]
    if changed != token and at < len(token) - 1:
        with pytest.raises(AgentError) as caught:
            issuer.verify(changed, "resource:shop")
        assert caught.value.code in ("token.malformed", "token.signature")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=300))
def test_garbage_is_malformed(issuer: Issuer, text: str) -> None:
    """Any text is refused without a surprise."""
    with pytest.raises(AgentError) as caught:
        issuer.verify(text, "resource:shop")
    assert caught.value.code == "token.malformed"


def test_rows_and_tokens_do_not_mix(issuer: Issuer) -> None:
    """A row's signature signs no token, and the other way round."""
    data, _, _ = minted(issuer).rpartition(".")
    assert issuer.verify_row(data.encode(), issuer.sign_row(data.encode()))
    assert not issuer.verify_row(data.encode(), issuer._key.sign(data.encode()))
    signature = base64.urlsafe_b64encode(issuer.sign_row(data.encode())).decode().rstrip("=")
    assert refused(issuer, f"{data}.{signature}") == "token.signature"


def test_the_key_is_not_shown(issuer: Issuer) -> None:
    """Neither repr nor attributes printed by mistake show the private key."""
    secret = base64.urlsafe_b64encode(issuer._key.private_bytes_raw()).decode().rstrip("=")
    assert secret not in repr(issuer) + repr(vars(issuer))
