"""The section ``notify`` of ``tidegate.yaml``: the channels by which people are told, and who is told by which.

Invariants: what another kind of channel needs is refused, not ignored; tokens, passwords and secrets are references;
what is told travels over TLS, or on this machine; an answer by button comes from one workspace that is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from .document import Document, Location
from .model.resource import Address
from .model.secret import parse
from .settings_file import ChannelFile, NotifyFile
from .settings_login import local, public_host


@dataclass(frozen=True, slots=True)
class SlackChannel:
    """``token`` and ``signing`` are references, ``signing`` and ``team`` empty when no answers are taken.

    ``direct`` says that a button may answer; ``api`` is a base URL without a slash at its end.
    """

    token: str
    channel: str
    direct: bool
    signing: str
    team: str
    api: str
    ca: str
    reasons: bool


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    """``url`` is an address or a reference, ``secret`` a reference; ``internal`` lets in addresses of the inside."""

    url: str
    secret: str
    ca: str
    internal: bool
    reasons: bool


@dataclass(frozen=True, slots=True)
class EmailChannel:
    """``tls`` is ``starttls``, ``direct`` or ``disable``; ``secret`` is a reference, or empty without a login."""

    server: Address
    tls: str
    user: str
    secret: str
    ca: str
    sender: str
    to: tuple[str, ...]
    reasons: bool


Channel: TypeAlias = SlackChannel | WebhookChannel | EmailChannel


@dataclass(frozen=True, slots=True)
class Notify:
    """Channels by name; ``routes`` has the names of a group's channels, ``default`` those of every other group."""

    channels: Mapping[str, Channel] = field(default_factory=lambda: MappingProxyType({}))
    routes: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    default: tuple[str, ...] = ()


_NEEDED = {"slack": ("token", "channel"), "webhook": ("url", "secret"), "email": ("server", "sender", "to")}
_OWN = {
    "slack": {"token", "channel", "buttons", "signing", "team", "api", "ca"},
    "webhook": {"url", "secret", "ca", "internal"},
    "email": {"server", "tls", "user", "secret", "ca", "sender", "to"},
}


def read_notify(document: Document, written: NotifyFile, *, vault: bool) -> Notify:
    """The section as the gateway works with it; ``vault`` says whether there is one. Raises ConfigError."""
    for name, given in written.channels.items():
        _check(document, ("notify", "channels", name), given, vault=vault)
    named: list[tuple[Location, list[str]]] = [(("notify", "default"), written.default)]
    named += [(("notify", "routes", group), names) for group, names in written.routes.items()]
    for where, names in named:
        for index, name in enumerate(names):
            if name not in written.channels:
                raise document.complaint((*where, index), "is no channel: name one of `channels`")
    channels = {name: _channel(document, given) for name, given in written.channels.items()}
    return Notify(channels, {group: tuple(names) for group, names in written.routes.items()}, tuple(written.default))


def _check(document: Document, here: Location, given: ChannelFile, *, vault: bool) -> None:
    for key in _NEEDED[given.kind]:
        if not getattr(given, key):
            raise document.complaint((*here, key), f"is missing: `kind: {given.kind}` needs it")
    for key in sorted(given.model_fields_set - _OWN[given.kind] - {"kind", "reasons"}):
        raise document.complaint((*here, key), f"means nothing with `kind: {given.kind}`")
    for key in ("token", "signing", "secret", "url"):
        reference = parse(getattr(given, key) or "")
        if reference is not None and reference.kind == "vault" and not vault:
            raise document.complaint((*here, key), "no `vault:` is configured", hint="Add the section `vault`.")
        if reference is not None and reference.whole:
            raise document.complaint((*here, key), "is a whole account: name one field, vault:MOUNT/PATH#FIELD")
    {"slack": _check_slack, "webhook": _check_webhook, "email": _check_email}[given.kind](document, here, given)


def _check_slack(document: Document, here: Location, given: ChannelFile) -> None:
    if (given.buttons == "answer") != bool(given.signing and given.team):
        raise document.complaint((*here, "buttons"), "`answer` needs `signing` and `team`, and only `answer` does")
    if public_host(given.api) is None:
        raise document.complaint((*here, "api"), "must be an address such as https://slack.com/api")


def _check_webhook(document: Document, here: Location, given: ChannelFile) -> None:
    if parse(given.url) is None and public_host(given.url) is None:
        raise document.complaint((*here, "url"), "must be https://..., http:// on this machine, or a reference")


def _check_email(document: Document, here: Location, given: ChannelFile) -> None:
    assert given.server is not None
    if given.tls == "disable" and not local(given.server.host):
        raise document.complaint((*here, "tls"), "mails leave this machine: write starttls or direct")
    if bool(given.user) != bool(given.secret):
        raise document.complaint((*here, "user"), "a login has `user` and `secret`")


def _channel(document: Document, given: ChannelFile) -> Channel:
    ca = str(document.beside(given.ca)) if given.ca else ""
    match given.kind:
        case "slack":
            return SlackChannel(
                given.token or "", given.channel or "", given.buttons == "answer", given.signing or "",
                given.team or "", given.api.rstrip("/"), ca, given.reasons,
            )  # fmt: skip
        case "webhook":
            return WebhookChannel(given.url, given.secret or "", ca, given.internal, given.reasons)
        case _:
            assert given.server is not None
            return EmailChannel(
                given.server, given.tls, given.user, given.secret or "", ca, given.sender or "", tuple(given.to),
                given.reasons,
            )  # fmt: skip
