"""The sections ``login`` and ``web`` of ``tidegate.yaml``: where people prove who they are, and where they come back.

Invariants: what another kind of provider needs is refused, not ignored; a provider gives only groups that are mapped
here by name; there is no way back from a provider but to the public address, which has TLS or is on this machine.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .document import Document, Location
from .settings_file import LoginFile, ProviderFile, WebFile

LONGEST_LOGIN = 24 * 3600
"""Seconds that a login at a provider may hold."""


@dataclass(frozen=True, slots=True)
class Web:
    """``url`` is the public address without a slash at its end, ``host`` the name in it (IPv6 in brackets).

    ``forwarded`` says that a proxy on this machine names the caller's address.
    """

    url: str
    host: str
    forwarded: bool = False


@dataclass(frozen=True, slots=True)
class Joining:
    """Who comes in: ``join`` lets unknown people in; ``groups`` maps the provider's groups to ours, all others count
    for nothing. The claims (or attributes) have groups, e-mail address and a name for newcomers; ``trusted_email`` says
    that the provider has verified every address.
    """

    join: bool
    groups: Mapping[str, str]
    groups_claim: str
    email_claim: str
    name_claim: str
    trusted_email: bool = False


@dataclass(frozen=True, slots=True)
class Oidc:
    """An OpenID provider; ``secret`` is a reference, or empty for a public client; ``ca`` a file, or empty."""

    title: str
    joining: Joining
    issuer: str
    client_id: str
    secret: str
    scopes: tuple[str, ...]
    userinfo: bool
    ca: str


@dataclass(frozen=True, slots=True)
class Saml:
    """A SAML identity provider; ``subject_claim`` is empty for the persistent NameID, ``entity_id`` for the default."""

    title: str
    joining: Joining
    metadata: Path
    entity_id: str
    subject_claim: str


@dataclass(frozen=True, slots=True)
class Login:
    """The providers by name, and how many seconds a login at one holds."""

    providers: Mapping[str, Oidc | Saml]
    life: int


_NEEDED = {"oidc": ("issuer", "client_id"), "saml": ("metadata",)}
_FOREIGN = {
    "oidc": ("metadata", "entity_id", "subject_claim"),
    "saml": ("ca", "issuer", "client_id", "secret", "scopes", "userinfo"),
}


def read_login(document: Document, written: LoginFile, *, public: bool) -> Login:
    """The section ``login``; ``public`` says whether there is a public address. Raises ConfigError."""
    if written.providers and not public:
        raise document.complaint(
            ("login", "providers"), "need a public address to come back to", hint="Write web: {url: https://HOST}."
        )
    if written.life > LONGEST_LOGIN:
        raise document.complaint(("login", "life"), "must be a day at most: 24h")
    return Login({name: _provider(document, name, given) for name, given in written.providers.items()}, written.life)


def read_web(document: Document, written: WebFile) -> Web:
    """The section ``web``. Raises ConfigError."""
    url = written.url.rstrip("/")
    host = public_host(url)
    if host is None or urlsplit(url).path or urlsplit(url).query:
        raise document.complaint(
            ("web", "url"), "must be an address such as https://gateway.example.org, without a path"
        )
    return Web(url, host, written.forwarded)


def public_host(url: str) -> str | None:
    """The name in an address that people may be sent to, as a Host header has it; else None, as without TLS."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return None
    if not host or not url.isascii() or "@" in parts.netloc or parts.fragment or any(c <= " " for c in url):
        return None
    if parts.scheme != "https" and not (parts.scheme == "http" and local(host)):
        return None
    return f"[{host}]" if ":" in host else host


def local(host: str) -> bool:
    """Whether a name or address is this machine, so that plaintext is bearable."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _provider(document: Document, name: str, written: ProviderFile) -> Oidc | Saml:
    here: Location = ("login", "providers", name)
    for key in _NEEDED[written.kind]:
        if not getattr(written, key):
            raise document.complaint((*here, key), f"is missing: `kind: {written.kind}` needs it")
    for key in _FOREIGN[written.kind]:
        if key in written.model_fields_set:
            raise document.complaint((*here, key), f"means nothing with `kind: {written.kind}`")
    title = written.title or name
    joining = Joining(
        written.join, written.groups, written.groups_claim, written.email_claim, written.name_claim,
        written.trusted_email,
    )  # fmt: skip
    if written.kind == "saml":
        metadata = document.beside(written.metadata)
        return Saml(title, joining, metadata, written.entity_id, written.subject_claim)
    if public_host(written.issuer) is None or urlsplit(written.issuer).query:
        raise document.complaint((*here, "issuer"), "must be https://..., or http://127.0.0.1:... on this machine")
    if "openid" not in written.scopes:
        raise document.complaint((*here, "scopes"), "must have openid in it")
    ca = str(document.beside(written.ca)) if written.ca else ""
    return Oidc(
        title, joining, written.issuer, written.client_id, written.secret or "", tuple(written.scopes),
        written.userinfo, ca,
    )  # fmt: skip
