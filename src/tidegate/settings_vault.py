"""The section ``vault`` of ``tidegate.yaml``: a server that speaks HashiCorp Vault's API, and how to log in there.

Invariants: what a method sends is written by reference, all of it and nothing else; secrets travel over TLS, or on this
machine.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from .document import Document, Location
from .settings_file import VaultFile
from .settings_login import local

_WORDS = {"token": ("token",), "approle": ("role_id", "secret_id"), "jwt": ("jwt",)}
"""What each method sends."""

_HERE: Location = ("vault",)


@dataclass(frozen=True, slots=True)
class Vault:
    """``address`` is a base URL without a slash at its end; ``ca`` a PEM file or empty; ``role`` is not secret.

    ``words`` are what the method sends, each by reference.
    """

    address: str
    ca: str
    namespace: str
    method: str
    mount: str
    role: str
    words: Mapping[str, str]


def read_vault(document: Document, written: VaultFile) -> Vault:
    """The section as the gateway works with it. Raises ConfigError."""
    _check_address(document, written.address)
    auth = written.auth
    given = {name: value for names in _WORDS.values() for name in names if (value := getattr(auth, name))}
    if set(given) != set(_WORDS[auth.method]) or (auth.method == "jwt") != bool(auth.role):
        needs = " and ".join((*_WORDS[auth.method], *(("role",) if auth.method == "jwt" else ())))
        raise document.complaint((*_HERE, "auth"), f"the method {auth.method} needs {needs}, and nothing else")
    return Vault(
        address=written.address.rstrip("/"),
        ca=os.path.normpath(document.path.parent / written.ca) if written.ca else "",
        namespace=written.namespace or "",
        method=auth.method,
        mount=auth.mount or auth.method,
        role=auth.role,
        words=given,
    )


def _check_address(document: Document, address: str) -> None:
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    more = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in ("http", "https") or not host or more:
        raise document.complaint((*_HERE, "address"), "must be an address such as https://vault.example.org:8200")
    if parts.scheme == "http" and not local(host):
        raise document.complaint((*_HERE, "address"), "is plain HTTP", hint="Write https://: secrets travel there.")
