"""What `options` of an HTTP resource say of its connections; the others are the site's (``operations.http``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tidegate.errors import ConfigError
from tidegate.model.resource import Resource
from tidegate.operations.http import KEYS, Site, site

OWN = frozenset(("binary", "cleartext", "header", "host", "redirects", "websocket"))

_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(:[0-9]{1,5})?")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,62}")
_FRAMING = frozenset(("host", "connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer"))


@dataclass(frozen=True, slots=True)
class Options:
    """``host``: the name that the server knows itself by. ``header``: the field that takes the bare credential.
    ``away``: redirects to other origins pass. ``cleartext``: the credential may cross the network in clear. ``binary``:
    bodies that nobody can read pass where there are masks. ``overriding``: another method may stand in for one.
    """

    site: Site
    host: str = ""
    header: str = ""
    away: bool = False
    websocket: bool = False
    cleartext: bool = False
    binary: bool = False
    overriding: bool = False

    @property
    def private(self) -> frozenset[bytes]:
        """Fields that an agent may not send: what proves the gateway."""
        return frozenset((self.header.lower().encode(),)) if self.header else frozenset()


_kept: dict[str, tuple[Resource, Options]] = {}


def known(resource: Resource) -> Options:
    """The options of a resource, read once: they may name long documents. Raises ConfigError."""
    found = _kept.get(resource.name)
    if found is None or found[0] is not resource:
        found = _kept[resource.name] = (resource, read(resource))
    return found[1]


def read(resource: Resource) -> Options:
    """The options of a resource. Raises ConfigError for what is not known."""
    unknown = sorted(set(resource.options) - OWN - KEYS)
    if unknown:
        raise _wrong(resource, unknown[0], f"one of {', '.join(sorted(OWN | KEYS))}")
    return Options(
        site(resource.options, resource.base),
        _text(resource, "host", _HOST, "a host, and its port if the scheme has another"),
        _header(resource),
        _choice(resource, "redirects", {"refuse": False, "pass": True}),
        _flag(resource, "websocket"),
        _flag(resource, "cleartext"),
        _choice(resource, "binary", {"refuse": False, "pass": True}),
        _flag(resource, "override"),
    )


def _header(resource: Resource) -> str:
    name = _text(resource, "header", _NAME, "the name of a field such as X-Api-Key")
    if name.lower() in _FRAMING:
        raise _wrong(resource, "header", "a field that takes a credential")
    return name


def _text(resource: Resource, name: str, form: re.Pattern[str], words: str) -> str:
    value = resource.options.get(name, "")
    if value != "" and not (isinstance(value, str) and form.fullmatch(value)):
        raise _wrong(resource, name, words)
    return str(value)


def _flag(resource: Resource, name: str) -> bool:
    value = resource.options.get(name, False)
    if not isinstance(value, bool):
        raise _wrong(resource, name, "true or false")
    return value


def _choice(resource: Resource, name: str, choices: Mapping[str, bool]) -> bool:
    value = resource.options.get(name, next(iter(choices)))
    if value not in choices:
        raise _wrong(resource, name, " or ".join(choices))
    return choices[str(value)]


def _wrong(resource: Resource, name: str, words: str) -> ConfigError:
    return ConfigError(
        f"resource {resource.name}: the option `{name}` must be {words}",
        hint="See docs/howto/http-api.md.",
        code="config.options",
    )
