"""Addresses in an answer: what points at the upstream is made to point at the gateway. Pure.

An answer that sends the agent to another origin would send it past the gateway, so such an address does not pass unless
the resource says so. Cookies are the gateway's host's, below the resource's paths. Source: RFC 9110 section 10.2.2,
RFC 3986 section 5, RFC 6265 section 4.1, RFC 8288 section 3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from .http_forward import OWN_COOKIES

_LINK = re.compile(rb"<([^>]*)>")
_REFRESH = re.compile(rb"(?i)([0-9. \t]*[;,][ \t]*(?:url[ \t]*=[ \t]*)?)([\"']?)([^\"']*)([\"']?)")
_SPACED = re.compile(rb"[\s\\]")


@dataclass(frozen=True, slots=True)
class Origin:
    """The upstream's host and port as it names itself, and the prefix of its paths at the gateway.

    ``away``: addresses of other origins pass as they are.
    """

    scheme: str
    authority: str
    prefix: bytes
    away: bool = False

    def place(self, value: bytes, target: bytes) -> bytes | None:
        """An address as the agent may follow it, asked from ``target``; None for one that leads away."""
        if not value or _SPACED.search(value) or not value.isascii():
            return None  # browsers and libraries read these differently
        try:
            here = f"{self.scheme}://{self.authority}{target.decode('ascii')}"
            there = urlsplit(urljoin(here, value.decode("ascii")))
        except ValueError:
            return None
        if there.scheme not in ("http", "https"):
            return value if self.away else None
        if _authority(there.scheme, there.netloc) not in self._own():
            return value if self.away else None
        if not there.path.startswith("/") and there.path:
            return None
        query = f"?{there.query}" if there.query else ""
        fragment = f"#{there.fragment}" if there.fragment else ""
        path = re.sub("^/+", "/", there.path or "/")  # two slashes would begin a host
        return self.prefix + f"{path}{query}{fragment}".encode()

    def _own(self) -> frozenset[str]:
        # A server behind a gateway that speaks TLS for it often does not know by which scheme it is reached.
        return frozenset(_authority(scheme, self.authority) for scheme in ("http", "https", self.scheme))

    def links(self, value: bytes, target: bytes) -> bytes:
        """A Link field; an address that leads away becomes ``about:blank``."""
        return _LINK.sub(lambda found: b"<" + (self.place(found[1], target) or b"about:blank") + b">", value)

    def refresh(self, value: bytes, target: bytes) -> bytes | None:
        """A Refresh field; None if it leads away."""
        found = _REFRESH.fullmatch(value)
        if found is None:
            return value if value.isdigit() else None
        there = self.place(found[3].strip(b" \t"), target)
        return None if there is None else found[1] + there

    def cookie(self, value: bytes) -> bytes | None:
        """A Set-Cookie field for the gateway's host and the resource's paths; None for what only the gateway sets."""
        pair, *attributes = value.split(b";")
        if pair.strip(b" \t").lower().startswith(OWN_COOKIES):
            return None
        kept = [pair]
        for attribute in attributes:
            name, _, path = attribute.strip(b" \t").partition(b"=")
            if name.strip(b" \t").lower() == b"path" and path.strip(b" \t").startswith(b"/") and self.prefix:
                kept.append(b" Path=" + self.prefix + path.strip(b" \t"))
            elif name.strip(b" \t").lower() != b"domain":
                kept.append(attribute)
        return b";".join(kept)


def _authority(scheme: str, authority: str) -> str:
    """With its port, in lower case; user names are no part of an origin, so that one with any is another's."""
    host = authority.lower()
    has_port = re.search(r":\d+$", host) is not None
    return host if has_port else f"{host}:{443 if scheme == 'https' else 80}"
