"""The section ``workloads`` of ``tidegate.yaml``: issuers whose tokens are credentials of agents and services.

Invariants: no two entries have the same issuer, nor is one called as the gateway's own, so that a token says whose it
is; keys are fetched over TLS, or on this machine.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from .document import Document, Location
from .settings_file import WorkloadFile
from .settings_login import local


@dataclass(frozen=True, slots=True)
class Workload:
    """An issuer of workloads' tokens. ``keys`` is an address, ``file:`` and an absolute path, or empty for discovery.

    ``audience`` may hold ``{resource}``; ``ca`` is a file or empty; ``algorithms`` is empty for all that are known.
    """

    issuer: str
    audience: str
    keys: str
    ca: str
    algorithms: frozenset[str]


def read_workloads(document: Document, written: Mapping[str, WorkloadFile], organisation: str) -> dict[str, Workload]:
    """The section as the gateway works with it. Raises ConfigError."""
    seen = {organisation}
    for name, entry in written.items():
        here: Location = ("workloads", name)
        if entry.issuer in seen:
            raise document.complaint((*here, "issuer"), "is another's: a token would not say whose it is")
        seen.add(entry.issuer)
        key, where = ("keys", entry.keys) if entry.keys else ("issuer", entry.issuer)
        if not _fetchable(where) and not (entry.keys and where.startswith("file:")):
            raise document.complaint((*here, key), "must begin with https://, or http:// on this machine")
    return {name: _workload(document, entry) for name, entry in written.items()}


def _fetchable(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    host = parts.hostname or ""
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and local(host)))


def _workload(document: Document, written: WorkloadFile) -> Workload:
    base, keys = document.path.parent, written.keys or ""
    if keys.startswith("file:"):
        keys = "file:" + os.path.normpath(base / keys.removeprefix("file:"))
    ca = os.path.normpath(base / written.ca) if written.ca else ""
    return Workload(written.issuer, written.audience, keys, ca, frozenset(written.algorithms or ()))
