"""The agents' authority: client certificates that say what a token says, for whoever can present one instead.

Its own Ed25519 key signs certificates and nothing else. A certificate holds the claims of one token (as a URI of scheme
``tidegate``, RFC 5280 section 4.2.1.6), lives exactly as long, and ends with it when it is revoked. The private key
stays with the agent. The authority's own certificate is made anew at each start from the same key, so nothing expires
on disk.
"""

from __future__ import annotations

import base64
import binascii
import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tidegate.errors import AgentError

from .keyfile import load_or_make

LIFE = datetime.timedelta(days=3650)
SCHEME = "tidegate:"
SMALLEST_RSA = 2048

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


class Authority:
    """Signs agents' certificates under ``name``, with the key ``agents-ca.key`` of ``directory``.

    Raises ConfigError when the key file cannot be used.
    """

    def __init__(self, directory: Path, name: str, now: int) -> None:
        self._key = load_or_make(directory / "agents-ca.key")
        self._name = _named(f"agents of {name}"[:64])
        begins = _moment(now) - datetime.timedelta(days=1)
        self._own = (
            self._builder(self._name, begins, begins + LIFE)
            .public_key(self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, None)
        )

    @property
    def certificate(self) -> str:
        """The authority's certificate (PEM), by which others check what it signed."""
        return self._own.public_bytes(Encoding.PEM).decode()

    def certify(self, key: str, claims: bytes, subject: str, begins: int, ends: int) -> str:
        """A certificate (PEM) for a public key (PEM), in force for these Unix seconds. Raises AgentError."""
        alternative = x509.UniformResourceIdentifier(SCHEME + base64.urlsafe_b64encode(claims).decode())
        return (
            self._builder(_named(subject[:64]), _moment(begins), _moment(ends))
            .public_key(_public(key))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=True)
            .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
            .sign(self._key, None)
            .public_bytes(Encoding.PEM)
            .decode()
        )

    def claims(self, certificate: bytes) -> bytes:
        """The claims in a certificate (DER) of this authority; whether they are in force is not looked at.

        Raises AgentError ``token.signature``, ``token.malformed``.
        """
        try:
            found = x509.load_der_x509_certificate(certificate)
            found.verify_directly_issued_by(self._own)
            names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
            scheme, text = uri[: len(SCHEME)], uri[len(SCHEME) :]
            if scheme != SCHEME:
                raise ValueError("another scheme")
            return base64.b64decode(text, altchars=b"-_", validate=True)
        except InvalidSignature:
            raise AgentError("the certificate's signature does not hold", code="token.signature") from None
        except (ValueError, TypeError, binascii.Error, x509.ExtensionNotFound):
            raise AgentError("this is not a certificate of this gateway", code="token.malformed") from None

    def _builder(
        self, subject: x509.Name, begins: datetime.datetime, ends: datetime.datetime
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
        )


def _public(text: str) -> PublicKey:
    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, PublicKey) or (isinstance(key, RSAPublicKey) and key.key_size < SMALLEST_RSA):
        raise AgentError(
            "this is not a public key to certify",
            hint="Send a public key in PEM: elliptic curve, Ed25519, or RSA of 2048 bits or more.",
            code="request.key",
        )
    return key


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _moment(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
