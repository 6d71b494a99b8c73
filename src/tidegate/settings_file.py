"""The shape of ``tidegate.yaml`` as it is written; ``settings`` turns it into what the gateway works with.

The descriptions here are the reference documentation (docs/reference/settings.md is generated from them).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictInt

from tidegate.document import Duration, Form, Size, Strict, choice, text, wrong
from tidegate.model.resource import Address

_NAME = r"[a-z0-9][a-z0-9-]{0,62}"
_REFERENCE = r"(?:env:[A-Za-z_][A-Za-z0-9_]*|file:.+)"


def _address(value: object) -> Address:
    host, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 65536):
        raise wrong("must be an address such as 127.0.0.1:7443 or [::1]:7443")
    return Address(host, int(port))


HostPort = Annotated[Address, Form(_address, {"type": "string"})]
Name = Annotated[str, text(_NAME, "must be a name: lower-case letters, digits and -, 63 at most")]
ResourceName = Annotated[
    str, text(rf"(?!tidegate$){_NAME}", "must be a name: lower-case letters, digits and -; `tidegate` is the gateway")
]
Domain = Annotated[str, text(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", "must be a domain such as example.org")]
Reference = Annotated[str, text(_REFERENCE, "a secret is never written here: write env:NAME or file:PATH")]
FileReference = Annotated[str, text(r"file:.+", "a private key is never written here: write file:PATH")]
Tag = Annotated[str, text(r"[a-z][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)*", "must be a tag such as pii.email")]
TaggedField = Annotated[
    str, text(r".+\.[^.]+", "must be a field such as public.customers.email, or public.customers.* for all of them")
]
Recipient = Annotated[
    str, text(r"age1[02-9ac-hj-np-z]{58}", "must be an age recipient such as age1...: the public half of the key pair")
]
Protocol = Annotated[str, text(r"[a-z][a-z0-9]*", "must be the name of a protocol")]
Encryption = Annotated[str, choice("disable", "require", "verify-full")]
Activation = Annotated[str, choice("single-person")]


class TlsFile(Strict):
    """The gateway's own certificate."""

    certificate: str = Field(description="PEM file with the chain")
    key: FileReference = Field(description="`file:PATH` of its private key, readable by nobody else")


class PolicyFile(Strict):
    """Where the rules are."""

    files: list[str] = Field(min_length=1, description="policy files; together they are one policy")
    activation: Activation = Field("single-person", description="who may activate a policy; every report prints it")


class RecordingFile(Strict):
    """Who can open recordings."""

    auditors: list[Recipient] = Field(
        min_length=1, description="age recipients; they alone can open what the upstream really sent"
    )


class AuditFile(Strict):
    """The audit log."""

    segment: Size = Field(64 * 2**20, description="size of one segment of the write-ahead log")


class LimitsFile(Strict):
    """What nobody may exceed."""

    message: Size = Field(2**20, description="largest message or statement of an agent")
    buffer: Size = Field(2**20, description="bytes kept for a peer that does not read")
    operation: Duration = Field(300, description="longest operation")
    idle: Duration = Field(600, description="longest silence of a session")
    handshake: Duration = Field(10, description="longest handshake")
    session: Duration = Field(8 * 3600, description="longest session")
    sessions: StrictInt = Field(1000, ge=1, le=1_000_000, description="sessions at a time")
    handshakes: StrictInt = Field(100, ge=1, le=1_000_000, description="handshakes at a time")


class ResourceFile(Strict):
    """One named upstream."""

    protocol: Protocol = Field(description="the protocol it speaks")
    address: HostPort = Field(description="`host:port` of the upstream")
    database: str = Field("", description="name of the database, where the protocol has one")
    user: str = Field("", description="the gateway's login on the upstream")
    secret: Reference | None = Field(None, description="its password by reference: `env:NAME` or `file:PATH`")
    tls: Encryption | None = Field(
        None, description="`disable`, `require` or `verify-full`; left out: verify-full, but disable on loopback"
    )
    ca: str | None = Field(None, description="PEM file of the authorities to trust")
    labels: dict[str, str] = Field(default_factory=dict, description="labels that rules select by")
    listen: HostPort | None = Field(None, description="a port of its own")
    tags: dict[Tag, list[TaggedField]] = Field(default_factory=dict, description="sensitive fields by tag")


class SettingsFile(Strict):
    """The whole file."""

    organisation: Domain = Field(description="your domain; part of the audit log's name for ever")
    gateway: Name = Field(description="name of this gateway")
    data: str = Field("./data", description="data directory")
    api: HostPort = Field(Address("127.0.0.1", 7443), description="address of the HTTP API")
    listen: dict[Protocol, HostPort] = Field(default_factory=dict, description="shared address per protocol")
    tls: TlsFile | None = Field(None, description="left out: a self-made certificate in the data directory")
    policy: PolicyFile = Field(description="the rules")
    recording: RecordingFile = Field(description="recordings")
    resources: dict[ResourceName, ResourceFile] = Field(default_factory=dict, description="upstreams by name")
    limits: LimitsFile = Field(default_factory=lambda: LimitsFile.model_validate({}), description="limits")
    audit: AuditFile = Field(default_factory=lambda: AuditFile.model_validate({}), description="the audit log")
