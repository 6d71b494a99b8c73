"""Metadata (SAML Metadata 2.0): what a provider's file says of it, and what we say of ourselves.

The file is the operator's and trusted as it is: its keys are the provider's keys, whatever dates are on certificates.
It is read anew when it has changed, so that a provider's new key needs no restart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from tidegate.errors import AgentError, ConfigError

from .fetch import checked
from .saml_document import DS, MD, plain_xml

PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
PROTOCOL = "urn:oasis:names:tc:SAML:2.0:protocol"

_DESCRIPTOR = f"{MD}IDPSSODescriptor"
_CERTIFICATES = f"{DS}KeyInfo/{DS}X509Data/{DS}X509Certificate"


@dataclass(frozen=True, slots=True)
class Peer:
    """A provider: ``address`` takes our requests by redirect, ``certificates`` (base64 of DER) hold its keys."""

    entity_id: str
    address: str
    certificates: Sequence[str]


class Metadata:
    """The provider's file at ``path``. Blocks; call it outside the event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._peer: Peer | None = None

    def peer(self) -> Peer:
        """What the file says now. Raises ConfigError ``provider.metadata``."""
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_size)
            if self._peer is None or seen != self._seen:
                self._peer, self._seen = _peer(self._path, self._path.read_bytes()), seen
        except OSError as error:
            raise _complaint(self._path, f"the provider's metadata cannot be read: {error.strerror}") from None
        return self._peer


def described(entity_id: str, acs: str, *, persistent: bool) -> bytes:
    """Our own metadata: who we are, where responses go, and that assertions must be signed."""
    root = etree.Element(f"{MD}EntityDescriptor", entityID=entity_id, nsmap={"md": MD[1:-1]})
    about = {"AuthnRequestsSigned": "false", "WantAssertionsSigned": "true", "protocolSupportEnumeration": PROTOCOL}
    descriptor = etree.SubElement(root, f"{MD}SPSSODescriptor", about)
    if persistent:
        etree.SubElement(descriptor, f"{MD}NameIDFormat").text = PERSISTENT
    etree.SubElement(
        descriptor, f"{MD}AssertionConsumerService", Binding=POST, Location=acs, index="0", isDefault="true"
    )
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True))


def _peer(path: Path, data: bytes) -> Peer:
    try:
        root = plain_xml(data)
    except AgentError:
        raise _complaint(path, "the provider's metadata is not plain XML of bearable size") from None
    entities = [root] if root.tag == f"{MD}EntityDescriptor" else root.findall(f"{MD}EntityDescriptor")
    entities = [entity for entity in entities if entity.find(_DESCRIPTOR) is not None]
    if len(entities) != 1 or not entities[0].get("entityID"):
        raise _complaint(path, "the metadata must describe exactly one identity provider")
    descriptor = entities[0].find(_DESCRIPTOR)
    assert descriptor is not None
    if descriptor.get("WantAuthnRequestsSigned") in ("true", "1"):
        raise _complaint(path, "the provider wants signed requests, which this gateway does not send")
    addresses = [
        service.get("Location", "")
        for service in descriptor.findall(f"{MD}SingleSignOnService")
        if service.get("Binding") == REDIRECT
    ]
    keys = [key for key in descriptor.findall(f"{MD}KeyDescriptor") if key.get("use", "signing") == "signing"]
    certificates = ["".join((each.text or "").split()) for key in keys for each in key.findall(_CERTIFICATES)]
    if not addresses or not any(certificates):
        raise _complaint(path, "the metadata has no HTTP-Redirect SingleSignOnService, or no certificate to sign with")
    return Peer(entities[0].get("entityID", ""), checked(addresses[0]), certificates)


def _complaint(path: Path, message: str) -> ConfigError:
    return ConfigError(
        message, path=str(path), hint="Save the provider's own metadata there.", code="provider.metadata"
    )
