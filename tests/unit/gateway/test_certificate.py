"""The certificate that the gateway makes for itself, and the context that agents meet."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509

import certificates
from tidegate.errors import ConfigError
from tidegate.gateway.certificate import local_names, self_made, server_context


def shaken(
    server: ssl.SSLContext, authority: Path, hostname: str, pair: certificates.Pair | None = None, alpn: str = "x"
) -> str | None:
    """The version that a careful client agrees on with ``server``, in memory; raises SSLError."""
    wires = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = server.wrap_bio(wires[0], wires[1], server_side=True)
    client = ssl.create_default_context(cafile=authority)
    client.set_alpn_protocols([alpn])
    if pair is not None:
        client.load_cert_chain(pair.certificate, pair.key)
    here = client.wrap_bio(wires[1], wires[0], server_hostname=hostname)
    for _ in range(4):
        for side in (here, there):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert there.selected_alpn_protocol() in (None, alpn)
    return here.version()


@pytest.mark.parametrize("hostname", ["localhost", "127.0.0.1", "gw.example.org"])
def test_a_client_that_trusts_it_verifies_every_name(tmp_path: Path, hostname: str) -> None:
    """The self-made certificate is its own authority, for loopback and for each address listened on."""
    certificate, key = self_made(tmp_path / "tls", local_names(("gw.example.org",)))
    assert shaken(server_context(certificate, key), certificate, hostname) in ("TLSv1.2", "TLSv1.3")


def test_another_name_is_not_its(tmp_path: Path) -> None:
    """A client that wants somebody else refuses it."""
    certificate, key = self_made(tmp_path, ("localhost",))
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shaken(server_context(certificate, key), certificate, "other.example.org")


def test_it_is_made_once(tmp_path: Path) -> None:
    """A second start finds the same certificate, so that clients may pin it."""
    certificate, _ = self_made(tmp_path, ("localhost",))
    first = certificate.read_bytes()
    self_made(tmp_path, ("localhost",))
    assert certificate.read_bytes() == first


def test_its_key_is_nobody_elses(tmp_path: Path) -> None:
    """The key is readable by its owner only, and signs no certificate below itself."""
    certificate, key = self_made(tmp_path, ("localhost",))
    made = x509.load_pem_x509_certificate(certificate.read_bytes())
    assert key.stat().st_mode & 0o777 == 0o600
    assert made.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


def test_old_versions_are_refused(tmp_path: Path) -> None:
    """Nothing below TLS 1.2 is spoken."""
    assert server_context(*self_made(tmp_path, ("localhost",))).minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_key_that_does_not_fit_is_a_config_error(tmp_path: Path) -> None:
    """The operator is told which file, not shown a traceback."""
    certificate, _ = self_made(tmp_path / "a", ("localhost",))
    _, other = self_made(tmp_path / "b", ("localhost",))
    with pytest.raises(ConfigError, match=r"server\.crt: the certificate or its key cannot be loaded"):
        server_context(certificate, other)


def test_agents_certificates(tmp_path: Path) -> None:
    """A certificate of the agents' authority passes, none passes too, another authority's fails the handshake."""
    certificate, key = self_made(tmp_path / "tls", ("localhost",))
    (tmp_path / "other").mkdir()
    ours, others = certificates.issue(tmp_path), certificates.issue(tmp_path / "other")
    context = server_context(certificate, key, agents=ours.authority.read_text(), alpn=["x"])
    assert shaken(context, certificate, "localhost") and shaken(context, certificate, "localhost", ours)
    with pytest.raises(ssl.SSLError):
        shaken(context, certificate, "localhost", others)


def test_it_is_made_again_for_a_new_name(tmp_path: Path) -> None:
    """A name that clients must be able to verify is there after the next start; others are kept out of it."""
    certificate, key = self_made(tmp_path, ("localhost",), ("localhost",))
    first = certificate.read_bytes()
    assert self_made(tmp_path, ("other",), ("localhost",)) == (certificate, key)
    assert certificate.read_bytes() == first
    self_made(tmp_path, local_names(("gw.example.org",)), ("gw.example.org",))
    assert shaken(server_context(certificate, key), certificate, "gw.example.org")


def test_it_is_made_again_before_it_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No start leaves less than a month."""
    monkeypatch.setattr("tidegate.gateway.certificate.LIFE", datetime.timedelta(days=29))
    certificate, _ = self_made(tmp_path, ("localhost",))
    first = certificate.read_bytes()
    self_made(tmp_path, ("localhost",))
    assert certificate.read_bytes() != first
