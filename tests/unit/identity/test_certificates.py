"""Certificates of the agents' authority say what a token says, to the second, and nobody else can make one."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from tidegate.errors import AgentError
from tidegate.identity.certificates import Authority
from tidegate.identity.issuer import Claims, Issuer
from unit.identity.conftest import Watch
from unit.identity.test_issuer import CHAIN


def public(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey,
) -> str:
    """The public half in PEM."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


KEY = ec.generate_private_key(ec.SECP256R1())


def der(pem: str) -> bytes:
    """As it comes out of a handshake."""
    return x509.load_pem_x509_certificate(pem.encode()).public_bytes(serialization.Encoding.DER)


@pytest.fixture
def claims(issuer: Issuer) -> Claims:
    """What a token for the shop says."""
    return issuer.mint(CHAIN, audience="resource:shop", ttl=900, grant="g_1")[1]


def test_it_says_what_the_token_says(issuer: Issuer, claims: Claims) -> None:
    """Chain, audience, grant, id and life come back as they were."""
    assert issuer.verify_certificate(der(issuer.certify(claims, public(KEY))), "resource:shop") == claims


def test_it_is_a_short_client_certificate(issuer: Issuer, claims: Claims) -> None:
    """It is for clients only, signs nothing, names the actor, and lives as long as the token."""
    made = x509.load_pem_x509_certificate(issuer.certify(claims, public(KEY)).encode())
    use = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(use) == [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert made.subject.rfc4514_string() == f"CN={claims.chain[-1]}"
    assert int(made.not_valid_before_utc.timestamp()) == claims.issued
    assert int(made.not_valid_after_utc.timestamp()) == claims.expires


def test_a_restart_keeps_the_authority(tmp_path: Path, issuer: Issuer, claims: Claims, watch: Watch) -> None:
    """A certificate made before a restart holds after it."""
    certificate = der(issuer.certify(claims, public(KEY)))
    assert Issuer(tmp_path / "keys", "gw.example", watch).verify_certificate(certificate, "resource:shop") == claims


@pytest.mark.parametrize(
    ("audience", "later", "code"),
    [
        ("resource:crm", 0, "token.audience"),
        ("tidegate", 0, "token.audience"),
        ("resource:shop", 900, "token.expired"),
        ("resource:shop", -1, "token.not_yet"),
    ],
)
def test_it_is_checked_as_a_token_is(
    issuer: Issuer, claims: Claims, watch: Watch, audience: str, later: int, code: str
) -> None:
    """Another resource, the API, or another time is refused."""
    certificate = der(issuer.certify(claims, public(KEY)))
    watch.seconds += later
    with pytest.raises(AgentError) as refused:
        issuer.verify_certificate(certificate, audience)
    assert refused.value.code == code


def test_others_cannot_make_one(tmp_path: Path, issuer: Issuer, claims: Claims, watch: Watch) -> None:
    """Another gateway's, a self-signed copy and garbage are refused, and a token's own key signs none."""
    other = Issuer(tmp_path / "other", "gw.example", watch)
    found = x509.load_pem_x509_certificate(issuer.certify(claims, public(KEY)).encode())
    forged = x509.CertificateBuilder(
        found.issuer, found.subject, KEY.public_key(), 1, found.not_valid_before_utc, found.not_valid_after_utc,
        list(found.extensions),
    ).sign(KEY, hashes.SHA256())  # fmt: skip
    for bad in (
        der(other.certify(claims, public(KEY))),
        forged.public_bytes(serialization.Encoding.DER),
        b"",
        b"0\x80",
    ):
        with pytest.raises(AgentError) as refused:
            issuer.verify_certificate(bad, "resource:shop")
        assert refused.value.code in ("token.signature", "token.malformed")


@pytest.mark.parametrize("claimed", [b"", b"[]", b"{}", b"null", b"\xff", b'{"iss": "gw.example"}', b"[" * 5000])
def test_strange_claims_of_our_own(tmp_path: Path, issuer: Issuer, claimed: bytes) -> None:
    """Even what the authority did sign is read with care."""
    authority = Authority(tmp_path / "keys", "gw.example", 1_800_000_000)
    certificate = authority.certify(public(KEY), claimed, "a_x", 1_800_000_000, 1_800_000_900)
    with pytest.raises(AgentError):
        issuer.verify_certificate(der(certificate), "resource:shop")


@pytest.mark.parametrize(
    "key", ["", "x", public(rsa.generate_private_key(65537, 1024)), public(ed448.Ed448PrivateKey.generate())]
)
def test_keys_that_are_not_certified(issuer: Issuer, claims: Claims, key: str) -> None:
    """Garbage, weak keys and kinds that not every TLS library takes are refused."""
    with pytest.raises(AgentError) as refused:
        issuer.certify(claims, key)
    assert refused.value.code == "request.key"


@pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()])
def test_keys_that_are(issuer: Issuer, claims: Claims, key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> None:
    """RSA of 2048 bits and Ed25519 do as well as elliptic curves."""
    assert issuer.verify_certificate(der(issuer.certify(claims, public(key))), "resource:shop") == claims


def test_the_private_key_is_nobody_elses(tmp_path: Path, issuer: Issuer, claims: Claims) -> None:
    """The authority's key is readable by its owner only; the certificate holds no token."""
    assert (tmp_path / "keys" / "agents-ca.key").stat().st_mode & 0o777 == 0o600
    made = x509.load_pem_x509_certificate(issuer.certify(claims, public(KEY)).encode())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
    with pytest.raises(AgentError):
        issuer.verify(base64.urlsafe_b64decode(uri.removeprefix("tidegate:")).decode(), "resource:shop")
