"""Which resource a request names, and the target it has there. Pure.

On a port that resources share, the first label of the host names one (``shop.gateway.example``), or the path does
(``/r/shop/...``); a port of its own needs no name. A target in absolute form, as sent to a proxy, must agree with the
Host field and name the resource: the gateway connects to its resources only, whatever else is asked of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tidegate.errors import AgentError
from tidegate.model.resource import Resource

from .http_head import Head

_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?@]*)(@?)([^@]*)")
_PATH = re.compile(rb"/r/([a-z0-9][a-z0-9._-]{0,62})(/[^?]*)?(\?.*)?")
_NUMBERS = re.compile(rb"[0-9.]+")
_LOCAL = (b"localhost", b"127.0.0.1", b"[::1]")


@dataclass(frozen=True, slots=True)
class Route:
    """The resource's name, what stands before its paths at the gateway, and the target in origin form.

    ``name`` is empty where nothing names a resource.
    """

    name: str
    prefix: bytes
    target: bytes


def route(head: Head, resource: Resource | None, known: Callable[[str], bool]) -> Route:
    """Where a request goes: ``resource`` has the port of its own; ``known`` names may be virtual hosts.

    Raises AgentError.
    """
    authority, target = _origin(head)
    if resource is not None:
        if authority is not None and not _names(resource, authority):
            raise _misdirected()
        found = _PATH.fullmatch(target)
        if found is None or found[1].decode() != resource.name:
            return Route(resource.name, b"", target)
        return _below(found)
    label = _label(authority or head.get(b"host") or b"")
    if label and known(label):
        return Route(label, b"", target)
    if authority is not None:
        raise _misdirected()
    found = _PATH.fullmatch(target)
    if found is None:
        return Route("", b"", target)
    return _below(found)


def _below(found: re.Match[bytes]) -> Route:
    return Route(found[1].decode(), b"/r/" + found[1], (found[2] or b"/") + (found[3] or b""))


def _origin(head: Head) -> tuple[bytes | None, bytes]:
    """The authority of an absolute target (None if it has none), and the target in origin form."""
    target = head.target
    if target.startswith(b"/"):
        return None, target
    if target == b"*" and head.method == b"OPTIONS":
        return None, target
    found = _ABSOLUTE.fullmatch(target)
    if found is None or found[2]:
        raise AgentError("the request's target is not one of HTTP", hint="Send a path.", code="http.malformed")
    if found[1].lower() != (head.get(b"host") or found[1]).lower():
        raise AgentError(
            "the request's target and its Host field name different hosts", hint="Send the same.", code="http.malformed"
        )
    path: bytes = found[3]
    return found[1], path if path.startswith(b"/") else b"/" + path


def _label(authority: bytes) -> str:
    host = _host(authority)
    first, dot, rest = host.partition(b".")
    return first.decode() if dot and rest and not _NUMBERS.fullmatch(host) else ""


def _host(authority: bytes) -> bytes:
    host, colon, port = authority.rpartition(b":")
    return (host if colon and port.isdigit() else authority).lower()


def _names(resource: Resource, authority: bytes) -> bool:
    """Whether an authority is the resource's own, a virtual host of it, or this machine."""
    host = _host(authority)
    return _label(authority) == resource.name or host in _LOCAL or host == resource.address.host.lower().encode()


def _misdirected() -> AgentError:
    return AgentError(
        "the request is for another host, and this gateway is no proxy to the world",
        hint="Use the resource's address at the gateway.",
        code="http.misdirected",
    )
