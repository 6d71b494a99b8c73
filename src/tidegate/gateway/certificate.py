"""TLS for the agents' side: a certificate of the operator's, or one made here on first start."""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tidegate.errors import ConfigError

LIFE = datetime.timedelta(days=825)
LAST = datetime.timedelta(days=30)
"""Life of a certificate made here, and what must be left of it at a start."""


def server_context(certificate: Path, key: Path, *, agents: str = "", alpn: Sequence[str] = ()) -> ssl.SSLContext:
    """TLS 1.2 or later with this certificate. Raises ConfigError.

    ``agents`` is the authority (PEM) of agents' certificates: whoever presents one of another's is refused in the
    handshake, whoever presents none is not. ``alpn`` names the protocols that are spoken here.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"the certificate or its key cannot be loaded: {getattr(error, 'reason', None) or error}",
            path=str(certificate),
            hint="`tls.certificate` is a PEM chain, `tls.key` its PEM private key.",
        ) from error
    if agents:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=agents)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def self_made(directory: Path, hosts: tuple[str, ...], needed: tuple[str, ...] = ()) -> tuple[Path, Path]:
    """The paths of a self-signed certificate and its key (0600) for ``hosts``.

    It is kept, so that clients may pin it, until it has nearly expired or lacks a name of ``needed``.
    """
    certificate, key = directory / "server.crt", directory / "server.key"
    if not (certificate.exists() and key.exists() and _serves(certificate, needed)):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make(certificate, key, hosts)
    return certificate, key


def _serves(certificate: Path, needed: tuple[str, ...]) -> bool:
    """Whether the certificate lives on for a while and has the names; what is none at all is found out at its use."""
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        names = set(found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except (OSError, ValueError, x509.ExtensionNotFound):
        return True
    alive = found.not_valid_after_utc - datetime.datetime.now(datetime.UTC) > LAST
    return alive and names >= {_name(host) for host in needed}


def _make(certificate: Path, key: Path, hosts: tuple[str, ...]) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tidegate")])
    now = datetime.datetime.now(datetime.UTC)
    alternatives = x509.SubjectAlternativeName([_name(host) for host in dict.fromkeys(hosts)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + LIFE)
        .add_extension(alternatives, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(pem)
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def local_names(listening: tuple[str, ...]) -> tuple[str, ...]:
    """The names a certificate made here should carry."""
    return ("localhost", "127.0.0.1", "::1", socket.gethostname(), *listening)
