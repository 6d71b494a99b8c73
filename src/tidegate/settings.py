"""One ``tidegate.yaml`` as frozen settings: paths absolute, sizes in bytes, durations in seconds.

Invariants: an unknown key, a wrong value or a secret written out is refused with file and line; no error repeats a
value; a secret is only ever a reference, resolved at the moment of use. Protocol names are opaque here.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .document import Document, Location, read, validate
from .errors import ConfigError
from .model.resource import Address, Field, Resource
from .model.secret import parse
from .settings_file import ResourceFile, SettingsFile, TlsFile
from .settings_login import Login, Web, local, read_login, read_web
from .settings_notify import Notify, read_notify
from .settings_vault import Vault, read_vault
from .settings_workloads import Workload, read_workloads

_LARGEST_SECRET = 64 * 1024


@dataclass(frozen=True, slots=True)
class Tls:
    """The gateway's certificate chain and its private key, as files; ``ca`` is what clients are told to trust."""

    certificate: Path
    key: Path
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """The rule files, and who activates them: the mode, and in ``two-person`` mode who approves, and how many."""

    files: tuple[Path, ...]
    activation: str
    approvers: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Recording:
    """The age recipients who alone can open what the upstream really sent."""

    auditors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """``message`` and ``buffer`` in bytes; counts; the others in seconds."""

    message: int
    buffer: int
    operation: int
    idle: int
    handshake: int
    session: int
    token: int
    sessions: int
    handshakes: int


@dataclass(frozen=True, slots=True)
class Audit:
    """``segment`` is the size of a segment of the write-ahead log in bytes."""

    segment: int


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the operator says.

    ``tls`` is ``None`` when the gateway is to make its own certificate, ``web`` when it has no public address.
    """

    path: Path
    content: bytes = field(repr=False)
    organisation: str
    gateway: str
    data: Path
    api: Address
    listen: Mapping[str, Address]
    tls: Tls | None
    policy: Policy
    recording: Recording
    resources: Mapping[str, Resource]
    limits: Limits
    audit: Audit
    workers: int
    login: Login
    web: Web | None
    vault: Vault | None

    workloads: Mapping[str, Workload]
    notify: Notify = field(default_factory=Notify)

    @property
    def public(self) -> str:
        """Where browsers reach the pages, without a slash at the end; a passkey is bound to its host."""
        if self.web is not None:
            return self.web.url
        # A browser makes no passkey for an address in numbers (WebAuthn section 5.1.2), but does for localhost.
        return f"http://localhost:{self.api.port}"

    @property
    def base(self) -> Path:
        """The directory that relative paths and references start from."""
        return self.path.parent


def load(path: Path) -> Settings:
    """Read the settings. Raises ConfigError that names the line and says what to write instead."""
    document = read(path.absolute())
    written = validate(document, SettingsFile)
    base = document.path.parent
    settings = Settings(
        path=document.path,
        content=document.content,
        organisation=written.organisation,
        gateway=written.gateway,
        data=_absolute(base, written.data),
        api=written.api,
        listen=written.listen,
        tls=_tls(document, written.tls) if written.tls else None,
        policy=Policy(
            tuple(_absolute(base, name) for name in written.policy.files),
            written.policy.activation,
            tuple(written.policy.approvers),
            written.policy.count,
        ),
        recording=Recording(tuple(written.recording.auditors)),
        resources={name: _resource(document, name, given) for name, given in written.resources.items()},
        limits=Limits(**written.limits.model_dump()),
        audit=Audit(written.audit.segment),
        workers=written.workers,
        login=read_login(document, written.login, public=written.web is not None),
        web=read_web(document, written.web) if written.web else None,
        vault=read_vault(document, written.vault) if written.vault else None,
        workloads=read_workloads(document, written.workloads, written.organisation),
        notify=read_notify(document, written.notify, vault=written.vault is not None),
    )
    _refuse_secrets_of_nowhere(document, settings)
    _refuse_shared_ports(document, settings)
    _refuse_chosen_ports(document, settings)
    if not loopback(settings.api):
        raise document.complaint(
            ("api",),
            "must be on loopback: it is plain HTTP",
            hint="Write 127.0.0.1 and put a proxy that speaks TLS before it.",
        )
    return settings


def resolve(reference: str, base: Path) -> str:
    """The secret that ``env:NAME`` or ``file:PATH`` (relative to ``base``) stands for.

    Raises ConfigError when it is absent, empty or, for a file, open to others; the error names the reference only.
    """
    kind, _, name = reference.partition(":")
    if kind == "env" and name:
        secret = os.environ.get(name, "")
    elif kind == "file" and name:
        secret = _private_text(_absolute(base, name))
    else:
        raise ConfigError("a secret is written by reference", hint="Write env:NAME or file:PATH.", code="config.secret")
    if not secret:
        raise ConfigError(f"the secret {reference} is empty or not set", code="config.secret", hint="Provide it.")
    return secret


def loopback(address: Address) -> bool:
    """Whether only this machine reaches the address, so that plaintext is bearable."""
    return local(address.host)


def _absolute(base: Path, name: str) -> Path:
    return Path(os.path.normpath(base / name))


def _private_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            _refuse_open_file(path, os.fstat(file.fileno()))
            data = file.read(_LARGEST_SECRET + 1)
        if len(data) > _LARGEST_SECRET:
            raise ConfigError("the secret is over 64 KiB", path=str(path), code="config.secret")
        return data.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        message = f"the secret cannot be read: {error.strerror}"
        raise ConfigError(message, path=str(path), code="config.secret") from None
    except UnicodeDecodeError:
        raise ConfigError("the secret is not text in UTF-8", path=str(path), code="config.secret") from None


def _refuse_open_file(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError("the secret is not a plain file", path=str(path), code="config.secret")
    if status.st_mode & stat.S_IRWXO:
        hint = f"chmod o-rwx {path}"
        raise ConfigError("the secret is open to everybody on this machine", path=str(path), hint=hint)


def _tls(document: Document, written: TlsFile) -> Tls:
    base = document.path.parent
    key = _absolute(base, written.key.removeprefix("file:"))
    if key.exists():
        _refuse_open_file(key, key.stat())
    return Tls(_absolute(base, written.certificate), key, _absolute(base, written.ca) if written.ca else None)


def _refuse_secrets_of_nowhere(document: Document, settings: Settings) -> None:
    """A reference must be one that can be followed, and a user must come from one place."""
    for name, resource in settings.resources.items():
        reference = parse(resource.secret) if resource.secret else None
        here: Location = ("resources", name)
        if reference is not None and reference.kind == "vault" and settings.vault is None:
            raise document.complaint((*here, "secret"), "no `vault:` is configured", hint="Add the section `vault`.")
        if reference is not None and reference.whole and resource.user:
            raise document.complaint((*here, "user"), "comes with this secret: leave `user` out")


def _resource(document: Document, name: str, written: ResourceFile) -> Resource:
    encryption = written.tls or ("disable" if loopback(written.address) else "verify-full")
    here: Location = ("resources", name)
    if written.ca and encryption == "disable":
        raise document.complaint((*here, "ca"), "means nothing with `tls: disable`", hint="Write tls: verify-full.")
    if written.direct_tls and encryption == "disable":
        raise document.complaint((*here, "direct_tls"), "means nothing with `tls: disable`")
    return Resource(
        name=name,
        protocol=written.protocol,
        address=written.address,
        database=written.database,
        user=written.user,
        secret=written.secret or "",
        labels=written.labels,
        tls=encryption,
        ca=str(_absolute(document.path.parent, written.ca)) if written.ca else "",
        direct_tls=written.direct_tls,
        replication=written.replication,
        listen=written.listen,
        tags=_tags(document, here, written.tags),
        detect=tuple(written.detect),
        options=written.options,
        base=str(document.path.parent),
    )


def _tags(document: Document, here: Location, written: Mapping[str, list[str]]) -> dict[Field, str]:
    tags: dict[Field, str] = {}
    for tag, names in written.items():
        for index, name in enumerate(names):
            object, _, column = name.rpartition(" -> " if " -> " in name else ".")
            if Field(object, column) in tags:
                raise document.complaint((*here, "tags", tag, index), "the field has a tag already: keep one of them")
            tags[Field(object, column)] = tag
    return tags


def _refuse_shared_ports(document: Document, settings: Settings) -> None:
    taken = {settings.api: "api"}
    wanted: list[tuple[Location, Address | None]] = [(("listen", name), at) for name, at in settings.listen.items()]
    wanted += [(("resources", name, "listen"), resource.listen) for name, resource in settings.resources.items()]
    for location, address in wanted:
        if address is None or address.port == 0:
            continue
        if address in taken:
            raise document.complaint(location, f"the address is taken by {taken[address]}: choose another port")
        taken[address] = ".".join(map(str, location))


def _refuse_chosen_ports(document: Document, settings: Settings) -> None:
    """Workers share a port, so the system cannot choose one for each."""
    addresses = [*settings.listen.values(), *(each.listen for each in settings.resources.values())]
    if settings.workers > 1 and any(address is not None and address.port == 0 for address in addresses):
        raise document.complaint(("workers",), "port 0 is another one for each worker", hint="Name the ports.")
