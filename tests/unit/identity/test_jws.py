"""Tokens of others: read strictly, and verified only by a key that fits."""

from __future__ import annotations

import json
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OKPKey

import forge
from forge import Signer
from tidegate.errors import AgentError
from tidegate.identity import jws
from tidegate.identity.jws import KEYS, SIZE, public_keys, read

BODY = {"iss": "https://idp.example", "sub": "someone-secret"}


def refused(token: str) -> None:
    """Reading it fails, and nothing of it is told."""
    with pytest.raises(AgentError) as caught:
        read(token)
    assert caught.value.code == "token.malformed"
    told = "".join(traceback.format_exception(caught.value))
    assert "someone-secret" not in told
    assert caught.value.hint


def only(*keys: dict[str, Any]) -> tuple[jws.PublicKey, ...]:
    """The usable keys of a set."""
    return public_keys(json.dumps({"keys": list(keys)}).encode())


@pytest.mark.parametrize("algorithm", forge.ALGORITHMS)
def test_each_algorithm(algorithm: str) -> None:
    """A token is read, fits its key and verifies; one byte changed, it does not."""
    signer = Signer(algorithm)
    (key,) = only(signer.public)
    token = read(signer.token(BODY))
    assert (token.claims, token.kid, token.type) == (BODY, "k1", "jwt")
    assert key.fits(token)
    assert key.verifies(token)
    other = read(Signer(algorithm).token(BODY))
    assert not key.verifies(other)


@pytest.mark.parametrize(
    "algorithm",
    [
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        "HS256",
        "HS384",
        "HS512",
        "RS384",
        "ES512",
        "ES256K",
        "Ed448",
        "dir",
        "RSA-OAEP",
    ],
)
def test_algorithms_that_are_refused(algorithm: str) -> None:
    """No signature, secrets, and what nobody needs."""
    refused(Signer().token(BODY, alg=algorithm))


@pytest.mark.parametrize("algorithm", [None, 1, True, ["RS256"], {"a": 1}])
def test_an_algorithm_is_a_text(algorithm: object) -> None:
    """Nothing else is looked up."""
    refused(Signer().token(BODY, alg=algorithm))


def test_unsigned_tokens() -> None:
    """With an empty signature part, or none at all."""
    header, body = forge.encoded({"alg": "none"}), forge.encoded(BODY)
    for token in (f"{header}.{body}.", f"{header}.{body}", f"{header}.{body}..", f"{header}.{body}.AAAA"):
        refused(token)


def test_a_public_key_is_no_secret() -> None:
    """Key confusion: a token signed with the PEM, DER or JWK of the public key as the secret of HS256."""
    signer = Signer("RS256")
    for secret in (
        signer.key.as_pem(private=False),
        signer.key.as_der(private=False),
        json.dumps(signer.public).encode(),
    ):
        refused(forge.with_secret({"alg": "HS256", "kid": "k1"}, BODY, secret))


@pytest.mark.parametrize(
    "header",
    [
        {"jwk": Signer().public},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/cert"},
        {"x5c": ["MIIB"]},
        {"crit": ["exp"]},
        {"crit": []},
        {"b64": False, "crit": ["b64"]},
        {"zip": "DEF"},
        {"enc": "A256GCM"},
        {"cty": "JWT"},
        {"unheard": "of"},
        {"kid": 1},
        {"kid": None},
        {"kid": "a" * 257},
        {"typ": ["JWT"]},
    ],
)
def test_headers_that_are_refused(header: dict[str, Any]) -> None:
    """A token neither brings its key along nor asks for what is not understood."""
    refused(Signer().token(BODY, **header))


@pytest.mark.parametrize(
    "kid", ["../../../dev/null", "k1' OR '1'='1", "https://evil.example/k", "k1\x00", "", "K1", "k1 "]
)
def test_a_kid_is_only_compared(kid: str) -> None:
    """It is no path, no query and no address; none but the exact name fits, an empty one is no name."""
    signer = Signer()
    (key,) = only(signer.public)
    assert key.fits(read(signer.token(BODY, kid=kid))) is (kid == "")


@pytest.mark.parametrize(
    "text",
    [
        '{"alg":"ES256","alg":"none"}',
        '{"alg":"ES256","kid":"k1","kid":"k2"}',
        "[]",
        '"x"',
        "{",
        "null",
        "\ufeff{}",
        '{"alg":"ES256"} x',
    ],
)
def test_headers_in_no_good_form(text: str) -> None:
    """Twice the same member, no object, no JSON."""
    signer = Signer()
    refused(forge.signed(text.encode(), BODY, signer.key, "ES256"))


@pytest.mark.parametrize(
    "text",
    [
        '{"sub":"a","sub":"b"}',
        '{"x":{"y":1,"y":2}}',
        "[]",
        "1",
        '{"exp":NaN}',
        '{"exp":Infinity}',
        '{"a":' * 2000 + "1" + "}" * 2000,
        '{"exp":' + "9" * 5000 + "}",
        "\xff",
    ],
)
def test_claims_in_no_good_form(text: str) -> None:
    """What two parsers might read differently is not read at all."""
    signer = Signer()
    refused(forge.signed({"alg": "ES256", "kid": "k1"}, text.encode("latin-1"), signer.key, "ES256"))


def test_a_token_has_a_size() -> None:
    """Beyond it nothing is parsed."""
    refused(Signer().token({"x": "a" * SIZE}))
    refused("a" * 10_000_000)


@pytest.mark.parametrize("change", [" {}", "{} ", "{}\n", "{}=", "{}.x", ".{}", "Bearer {}"])
def test_a_token_is_exact(change: str) -> None:
    """Nothing before, after or around it."""
    refused(change.format(Signer().token(BODY)))


@given(st.text(max_size=300))
def test_any_text(text: str) -> None:
    """It is a token or malformed, never anything else."""
    try:
        read(text)
    except AgentError as error:
        assert error.code == "token.malformed"


def test_a_key_of_another_kind_does_not_fit() -> None:
    """The algorithm of the token is one of the key's kind and curve, and the one that the key is bound to."""
    rsa, ec, ec384, ed = (Signer(algorithm) for algorithm in ("RS256", "ES256", "ES384", "EdDSA"))
    (bound,) = only(rsa.public)
    assert not bound.fits(read(rsa.token(BODY, alg="PS256")))
    free = [
        only({name: value for name, value in each.public.items() if name != "alg"})[0] for each in (rsa, ec, ec384, ed)
    ]
    fitting = {a: [k.fits(read(ec.token(BODY, alg=a))) for k in free] for a in forge.ALGORITHMS}
    assert fitting == {
        "RS256": [True, False, False, False],
        "PS256": [True, False, False, False],
        "ES256": [False, True, False, False],
        "ES384": [False, False, True, False],
        "EdDSA": [False, False, False, True],
        "Ed25519": [False, False, False, True],
    }


def test_keys_that_are_left_out() -> None:
    """Secrets, private keys, weak and huge ones, other uses, other curves, and what is no key."""
    signer = Signer("RS256")
    good = signer.public
    weak, huge = ({**good, "n": forge.encoded(bytes([255]) * (bits // 8)), "kid": str(bits)} for bits in (1024, 16384))
    ec = ECKey.generate_key("P-521").as_dict(private=False)
    bad: list[Any] = [
        {**good, "use": "enc"},
        {**good, "key_ops": ["sign"]},
        {**good, "alg": "HS256"},
        {**good, "alg": "RS512"},
        {**good, "kty": "oct"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {**good, **signer.key.as_dict(private=True)},
        {**good, "e": forge.encoded((2**64 + 1).to_bytes(9, "big"))},
        {**good, "n": 5},
        {**good, "n": "!!"},
        {**good, "kid": 5},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "RSA"},
        {},
        5,
        "key",
        weak,
        huge,
        {**OKPKey.generate_key("X25519").as_dict(private=False), "crv": "X999"},
    ]
    assert [key.kid for key in only(good, *bad)] == ["k1"]
    (p521,) = only({**ec, "kid": "p521"})
    assert not any(p521.fits(read(Signer("ES256", "p521").token(BODY, alg=each))) for each in forge.ALGORITHMS)


@pytest.mark.parametrize(
    "document", [b"", b"[]", b"{}", b'{"keys":{}}', b'{"keys":1}', b'{"keys":[],"keys":[]}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_set(document: bytes) -> None:
    """It is told as a wrong value, whatever it is."""
    with pytest.raises(ValueError):
        public_keys(document)


def test_a_set_has_a_size() -> None:
    """More keys than anybody has are not looked at."""
    good = Signer().public
    assert len(only(*[good] * KEYS)) == KEYS
    with pytest.raises(ValueError):
        only(*[good] * (KEYS + 1))
