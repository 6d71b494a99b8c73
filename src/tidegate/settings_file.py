"""The shape of ``tidegate.yaml`` as it is written; ``settings`` turns it into what the gateway works with.

The descriptions here are the reference documentation (docs/reference/settings.md is generated from them).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, JsonValue, StrictBool, StrictInt

from tidegate.document import Duration, Form, Size, Strict, choice, text, wrong
from tidegate.model.resource import Address
from tidegate.model.secret import REFERENCE

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
SecretReference = Annotated[
    str,
    text(
        REFERENCE,
        "a secret is never written here: write env:NAME, file:PATH, store:NAME, vault:MOUNT/PATH#FIELD or "
        "vault:MOUNT/creds/ROLE",
    ),
]
FileReference = Annotated[str, text(r"file:.+", "a private key is never written here: write file:PATH")]
Tag = Annotated[str, text(r"[a-z][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)*", "must be a tag such as pii.email")]
TaggedField = Annotated[
    str,
    text(
        r".+(\.[^.]+| -> .+)",
        "must be a field such as public.customers.email, or public.customers.* for all, or `GET /users/* -> $.email`",
    ),
]
Recipient = Annotated[
    str, text(r"age1[02-9ac-hj-np-z]{58}", "must be an age recipient such as age1...: the public half of the key pair")
]
Protocol = Annotated[str, text(r"[a-z][a-z0-9]*", "must be the name of a protocol")]
Encryption = Annotated[str, choice("disable", "require", "verify-full")]
ProviderKind = Annotated[str, choice("oidc", "saml")]
GroupName = Annotated[
    str, text(r"[a-z0-9][a-z0-9._-]{0,62}", "must be a group: lower-case letters, digits, ., _ and -")
]
Scope = Annotated[str, text(r"[!#-\[\]-~]{1,100}", "must be a scope such as openid")]
VaultMethod = Annotated[str, choice("token", "approle", "jwt")]
VaultPath = Annotated[str, text(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*", "must be a path such as auth or team/auth")]
ChannelKind = Annotated[str, choice("slack", "webhook", "email")]
Buttons = Annotated[str, choice("open", "answer")]
SlackId = Annotated[str, text(r"[A-Z][A-Z0-9]{1,31}", "must be an id of Slack's, such as C0123456789")]
MailEncryption = Annotated[str, choice("starttls", "direct", "disable")]
MailAddress = Annotated[
    str, text(r"[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9.-]{1,190}", "must be an address such as a@example.org")
]
Activation = Annotated[str, choice("single-person", "two-person")]


SIGNED = ("RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519")
"""Algorithms of signatures on tokens of others; there are no further ones."""

Issuer = Annotated[str, text(r"[!-~]{1,512}", "must be an issuer such as https://issuer.example.org")]
Audience = Annotated[
    str, text(r"(?:[!-z|~]|\{resource\}){1,256}", "must be an audience such as tidegate or tidegate/{resource}")
]
Keys = Annotated[
    str, text(r"(?:https://|http://|file:).{1,1000}", "must be an address such as https://issuer.example.org/keys")
]
Algorithm = Annotated[str, choice(*SIGNED)]


class TlsFile(Strict):
    """The gateway's own certificate."""

    certificate: str = Field(description="PEM file with the chain")
    key: FileReference = Field(description="`file:PATH` of its private key, readable by nobody else")
    ca: str | None = Field(
        None,
        description="PEM file of the authority that issued it, for clients; left out: one that every machine knows",
    )


class PolicyFile(Strict):
    """Where the rules are."""

    files: list[str] = Field(min_length=1, description="policy files; together they are one policy")
    activation: Activation = Field(
        "single-person",
        description="`two-person`: changed rules, and a changed configuration, count once somebody else has approved "
        "them; every report prints the mode",
    )
    approvers: list[GroupName] = Field(
        default_factory=lambda: ["admins"], min_length=1, description="groups whose people approve, `two-person`"
    )
    count: StrictInt = Field(1, ge=1, le=10, description="how many of them, besides who proposes")


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
    token: Duration = Field(3600, description="longest life of a token; what it opened lasts as long as its grant")
    sessions: StrictInt = Field(1000, ge=1, le=1_000_000, description="sessions at a time")
    handshakes: StrictInt = Field(100, ge=1, le=1_000_000, description="handshakes at a time")


class VaultAuthFile(Strict):
    """How the gateway logs in to Vault."""

    method: VaultMethod = Field(description="`token`, `approle`, or `jwt` for a workload's own token of any platform")
    mount: VaultPath | None = Field(None, description="where the method is mounted; left out: its name")
    role: str = Field("", description="with `jwt`: the role to log in as")
    jwt: Reference | None = Field(None, description="with `jwt`: the workload's token, `env:NAME` or `file:PATH`")
    role_id: Reference | None = Field(None, description="with `approle`: the role's id, by reference")
    secret_id: Reference | None = Field(None, description="with `approle`: the role's secret id, by reference")
    token: Reference | None = Field(None, description="with `token`: the token, by reference")


class VaultFile(Strict):
    """A server that speaks HashiCorp Vault's API, such as OpenBao."""

    address: str = Field(description="`https://HOST:PORT`; `http://` on loopback only")
    ca: str | None = Field(None, description="PEM file of the authorities to trust; left out: the system's")
    namespace: VaultPath | None = Field(None, description="the namespace, where there are any")
    auth: VaultAuthFile = Field(description="how the gateway logs in there")


class WorkloadFile(Strict):
    """One issuer of workloads' tokens: a cluster, a CI system, the organisation's provider."""

    issuer: Issuer = Field(description="`iss` of its tokens, exactly; an address unless `keys` says where its keys are")
    audience: Audience = Field(
        description="`aud` of tokens for this gateway, their only one; `{resource}` stands for the resource's name"
    )
    keys: Keys | None = Field(
        None, description="its JWK set: an address or `file:PATH`; left out: where its discovery document says"
    )
    ca: str | None = Field(None, description="PEM file of the authorities to trust when its keys are fetched")
    algorithms: list[Algorithm] | None = Field(
        None, min_length=1, description="what it signs with, if fewer than " + ", ".join(f"`{name}`" for name in SIGNED)
    )


class ResourceFile(Strict):
    """One named upstream."""

    protocol: Protocol = Field(description="the protocol it speaks")
    address: HostPort = Field(description="`host:port` of the upstream")
    database: str = Field("", description="name of the database, where the protocol has one")
    user: str = Field("", description="the gateway's login on the upstream")
    secret: SecretReference | None = Field(
        None,
        description="its password by reference: `env:NAME`, `file:PATH`, `store:NAME`, `vault:MOUNT/PATH#FIELD`; or "
        "user and password, `vault:MOUNT/creds/ROLE` and `vault:MOUNT/static-creds/ROLE`",
    )
    tls: Encryption | None = Field(
        None, description="`disable`, `require` or `verify-full`; left out: verify-full, but disable on loopback"
    )
    ca: str | None = Field(None, description="PEM file of the authorities to trust")
    direct_tls: StrictBool = Field(False, description="begin TLS at once, where the upstream's protocol asks first")
    replication: StrictBool = Field(
        False, description="accept replication connections; physical ones carry everything on the server, unmasked"
    )
    labels: dict[str, str] = Field(default_factory=dict, description="labels that rules select by")
    listen: HostPort | None = Field(None, description="a port of its own")
    tags: dict[Tag, list[TaggedField]] = Field(
        default_factory=dict,
        description="sensitive fields by tag: `OBJECT.FIELD`, or `OBJECT -> FIELD` where names hold dots of their own",
    )
    detect: list[Tag] = Field(
        default_factory=list,
        description="what is looked for in text that has no tag, and masked: `pii`, `pii.card`, `secret`, ...",
    )
    options: dict[str, JsonValue] = Field(
        default_factory=dict, description="what else its protocol is told: see the page of the protocol"
    )


class ProviderFile(Strict):
    """An identity provider at which people log in."""

    kind: ProviderKind = Field(description="`oidc` (OpenID Connect) or `saml` (SAML 2.0)")
    title: str = Field("", description="what the login page calls it; left out: its name here")
    join: StrictBool = Field(
        False, description="whether somebody unknown comes in; else only who was linked: `tidegate people link`"
    )
    groups: dict[str, GroupName] = Field(
        default_factory=dict, description="the provider's groups that count, and the group each of them is here"
    )
    groups_claim: str = Field("groups", description="the claim or attribute that has somebody's groups")
    email_claim: str = Field("email", description="the claim or attribute that has the e-mail address")
    name_claim: str = Field(
        "", description="the claim or attribute to name newcomers by; left out: `preferred_username`, or `uid`"
    )
    trusted_email: StrictBool = Field(
        False, description="whether every address it sends is verified, also where it does not say so (OpenID: it does)"
    )
    ca: str | None = Field(None, description="oidc: PEM file of the authorities to trust in place of the system's")
    issuer: str = Field("", description="oidc: the issuer's address, exactly as in its discovery document")
    client_id: str = Field("", description="oidc: what the provider calls this gateway")
    secret: Reference | None = Field(None, description="oidc: the client's secret by reference")
    scopes: list[Scope] = Field(
        ["openid", "profile", "email"], description="oidc: what to ask for; `offline_access` lets logins be watched"
    )
    userinfo: StrictBool = Field(False, description="oidc: ask the userinfo endpoint, too, for claims such as groups")
    metadata: str = Field("", description="saml: file with the provider's metadata, which is trusted as it is")
    entity_id: str = Field("", description="saml: this gateway's entity ID; left out: the address of its metadata")
    subject_claim: str = Field(
        "", description="saml: the attribute that names somebody for ever; left out: the persistent NameID"
    )


class LoginFile(Strict):
    """How people log in."""

    providers: dict[Name, ProviderFile] = Field(default_factory=dict, description="identity providers by name")
    life: Duration = Field(12 * 3600, description="how long a login at a provider holds; a day at most")


class WebFile(Strict):
    """Where people reach the gateway with a browser."""

    url: str = Field(description="the public address of API and pages: `https://HOST`, or `http` on loopback")
    forwarded: StrictBool = Field(
        False,
        description="a proxy on this machine adds the caller's address to `X-Forwarded-For`; without one, leave it out",
    )


class ChannelFile(Strict):
    """A way to tell people outside of the gateway."""

    kind: ChannelKind = Field(description="`slack`, `webhook` (Standard Webhooks) or `email`")
    reasons: StrictBool = Field(False, description="whether the reasons that people and agents state are sent along")
    token: SecretReference | None = Field(None, description="slack: the bot's token (`xoxb-...`) by reference")
    channel: SlackId | None = Field(None, description="slack: id of the conversation to post to, such as `C0123456789`")
    buttons: Buttons = Field(
        "open", description="slack: `open` the approval's page, or also `answer` where no signed yes is demanded"
    )
    signing: SecretReference | None = Field(
        None, description="slack: the app's signing secret by reference, with `buttons: answer`"
    )
    team: SlackId | None = Field(None, description="slack: id of the workspace that answers come from, such as `T01`")
    api: str = Field(
        "https://slack.com/api", description="slack: where its API is, such as `https://slack-gov.com/api`"
    )
    url: str = Field("", description="webhook: the address to post to, written out or by reference")
    secret: SecretReference | None = Field(
        None, description="webhook: what signs (`whsec_...`), by reference; email: the login's password, by reference"
    )
    ca: str | None = Field(None, description="PEM file of the authorities to trust in place of the system's")
    internal: StrictBool = Field(
        False, description="webhook: also addresses of this machine, of the link, and of clouds' metadata"
    )
    server: HostPort | None = Field(None, description="email: `host:port` of the mail server")
    tls: MailEncryption = Field("starttls", description="email: `starttls`, `direct`, or on loopback `disable`")
    user: str = Field("", description="email: name to log in with")
    sender: MailAddress | None = Field(None, description="email: the address that mails come from")
    to: list[MailAddress] = Field(default_factory=list, max_length=50, description="email: the addresses to send to")


class NotifyFile(Strict):
    """Who is told what, outside of the gateway."""

    channels: dict[Name, ChannelFile] = Field(default_factory=dict, description="ways to tell people, by name")
    routes: dict[GroupName, list[Name]] = Field(
        default_factory=dict, description="the channels of a group whose people may answer"
    )
    default: list[Name] = Field(default_factory=list, description="the channels of every other group")


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
    vault: VaultFile | None = Field(None, description="where references that begin with `vault:` are read")

    workloads: dict[Name, WorkloadFile] = Field(
        default_factory=dict, description="issuers whose tokens are credentials of agents and services, by name"
    )
    limits: LimitsFile = Field(default_factory=lambda: LimitsFile.model_validate({}), description="limits")
    workers: StrictInt = Field(
        1, ge=1, le=64, description="processes that serve agents; more than one: a supervisor and a log for each"
    )
    login: LoginFile = Field(default_factory=lambda: LoginFile.model_validate({}), description="how people log in")
    web: WebFile | None = Field(None, description="the public address, for logins at providers and for links")
    audit: AuditFile = Field(default_factory=lambda: AuditFile.model_validate({}), description="the audit log")
    notify: NotifyFile = Field(
        default_factory=lambda: NotifyFile.model_validate({}), description="who is told what, outside of the gateway"
    )
