"""A named upstream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Address:
    """Host and TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, order=True)
class Field:
    """A base column or its like: ``object`` such as ``public.customers`` and ``name`` such as ``email``."""

    object: str
    name: str

    def __str__(self) -> str:
        return f"{self.object}.{self.name}"


@dataclass(frozen=True, slots=True)
class Resource:
    """A named upstream: protocol, address, upstream credential by reference, labels.

    ``secret`` is a reference (``env:NAME`` or ``file:PATH``), resolved only when a connection is opened.
    ``tls`` is one of ``disable``, ``require``, ``verify-full``; ``ca`` a PEM file; with ``direct_tls`` the handshake is
    not asked for first. ``replication`` opens it to connections that carry the changes of its data. ``tags`` maps
    sensitive fields to a tag such as ``pii.email``; ``detect`` are the tags of what is looked for in all other text.
    ``options`` is what else its protocol is told, JSON values; file names in it are relative to ``base``.
    """

    name: str
    protocol: str
    address: Address
    database: str = ""
    user: str = ""
    secret: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    tls: str = "disable"
    ca: str = ""
    direct_tls: bool = False
    replication: bool = False
    listen: Address | None = None
    tags: Mapping[Field, str] = field(default_factory=dict)
    detect: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    base: str = ""
