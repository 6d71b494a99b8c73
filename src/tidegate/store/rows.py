"""Mutable state: identities, one-time codes, grants, tokens, and the indexes of sessions and approvals.

A row authorises nothing by itself: it carries the index of the audit leaf that says the same, and a signature that is
checked at every reading. Methods block; call them outside the event loop. Any thread may call them.
Every time is in Unix microseconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import orjson
from sqlalchemy import Connection, Select, Table, delete, insert, select, update
from sqlalchemy.exc import IntegrityError as Conflict

from tidegate.errors import Refused
from tidegate.model.identity import Hop, Kind
from tidegate.model.notice import WAITING, Letter

from . import schema
from .signed import Signer, signed, verified


@dataclass(frozen=True, slots=True)
class IdentityRow:
    """A person, agent or service; ``owner`` is the subject of an agent's person."""

    subject: str
    name: str
    kind: Kind
    groups: tuple[str, ...]
    owner: str
    disabled: bool
    leaf: int
    same: str = ""

    @property
    def hop(self) -> Hop:
        """The identity as a link of a chain."""
        return Hop(self.subject, self.name, self.kind, self.groups, owner=self.owner, same=self.same or self.subject)


@dataclass(frozen=True, slots=True)
class CodeRow:
    """What a one-time code was for; the code itself is never stored."""

    subject: str
    expires: int
    purpose: str


@dataclass(frozen=True, slots=True)
class GrantRow:
    """A grant; ``kind`` and ``approval`` as in ``Grant``, ``seconds`` how long it was asked for, 0 if nobody asked.

    ``state`` is ``requested``, ``approved`` (not used yet), ``active``, ``denied``, ``expired`` or ``revoked``.
    """

    id: str
    subjects: tuple[str, ...]
    resource: str
    expires: int
    rule: str
    reason: str
    state: str
    leaf: int
    kind: str = "timed"
    approval: str = ""
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token that was issued, never the token itself; ``grant`` is empty for a login."""

    jti: str
    grant: str
    subject: str
    audience: str
    expires: int
    revoked: bool
    leaf: int


@dataclass(frozen=True, slots=True)
class SessionRow:
    """An entry of the session index, for lists only: not signed, no evidence. ``ended`` is None while it is open."""

    sid: str
    subjects: tuple[str, ...]
    title: str
    resource: str
    started: int
    ended: int | None = None
    reason: str = ""
    operations: int = 0
    refused: int = 0
    held: int = 0
    masked: int = 0


@dataclass(frozen=True, slots=True)
class ApprovalRow:
    """A question and what became of it; ``body`` is sealed, ``leaf`` says the same in the gateway's own log."""

    id: str
    matter: str
    digest: str
    state: str
    asked: int
    body: bytes
    leaf: int


@dataclass(frozen=True, slots=True)
class LinkRow:
    """What somebody of the directory is called elsewhere: at a login provider, or in a workload's own token.

    ``provider`` is a name of tidegate.yaml, ``jwt:NAME`` for an issuer of workloads' tokens. ``external`` is the
    provider's name for them, empty where ``conditions`` (canonical JSON) say which tokens are theirs.
    """

    id: str
    provider: str
    external: str
    subject: str
    conditions: str
    leaf: int


@dataclass(frozen=True, slots=True)
class SecretRow:
    """A secret that is kept here: ``sealed`` opens with the gateway's box only; ``by`` is the subject who set it."""

    name: str
    sealed: bytes = field(repr=False)
    by: str
    changed: int
    leaf: int


@dataclass(frozen=True, slots=True)
class CredentialRow:
    """What a person proves themselves with. ``method`` is ``password``, ``totp``, ``passkey`` or ``ssh``.

    ``public`` is what anybody may know (a public key), ``sealed`` what nobody may; ``counter`` only grows.
    """

    id: str
    subject: str
    method: str
    label: str
    public: bytes
    sealed: bytes = field(repr=False)
    counter: int
    revoked: bool
    leaf: int


Row = (
    LinkRow
    | IdentityRow
    | CodeRow
    | GrantRow
    | TokenRow
    | SessionRow
    | ApprovalRow
    | SecretRow
    | CredentialRow
    | Letter
)
R = TypeVar("R", LinkRow, IdentityRow, GrantRow, TokenRow, SessionRow, ApprovalRow, SecretRow, CredentialRow, Letter)


class Store:
    """The database at ``path``. Raises ConfigError when it is newer than this program or no database.

    Reading raises IntegrityError ``store.forged`` for a row that this gateway did not sign.
    """

    def __init__(self, path: Path, signer: Signer) -> None:
        self._signer = signer
        self._engine = schema.open_database(path)

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()

    def put_identity(self, who: Hop, *, owner: str = "", disabled: bool = False, leaf: int) -> None:
        """Write an identity, new or changed. Raises Refused ``identity.taken`` when another has that name."""
        same = "" if who.same == who.subject else who.same
        row = IdentityRow(who.subject, who.name, who.kind, who.groups, owner or who.owner, disabled, leaf, same)
        try:
            self._put(schema.identities, "subject", row)
        except Conflict as error:
            raise Refused(
                f"the name {who.name} is taken", hint="Choose another name.", code="identity.taken"
            ) from error

    def identity(self, subject: str) -> IdentityRow | None:
        """One identity by subject."""
        return self._one(schema.identities, IdentityRow, "subject", subject)

    def identity_named(self, name: str) -> IdentityRow | None:
        """One identity by name."""
        return self._one(schema.identities, IdentityRow, "name", name)

    def identities(self) -> list[IdentityRow]:
        """All of them, by name."""
        return self._many(schema.identities, IdentityRow, select(schema.identities).order_by(schema.identities.c.name))

    def put_code(self, code: str, *, subject: str, expires: int, purpose: str) -> None:
        """Remember a one-time code by its SHA-256."""
        values = {"digest": _digest(code), "subject": subject, "expires": expires, "purpose": purpose}
        with self._engine.begin() as connection:
            connection.execute(insert(schema.codes).values(signed(schema.codes, values, self._signer)))

    def take_code(self, code: str, now: int) -> CodeRow | None:
        """Use up a code: it is given to one caller only, and to none once it has expired."""
        table = schema.codes
        taking = delete(table).where(table.c.digest == _digest(code), table.c.expires > now).returning(table)
        with self._engine.begin() as connection:
            found = connection.execute(taking).mappings().one_or_none()
        if found is None:
            return None
        values = verified(table, dict(found), self._signer)
        return CodeRow(values["subject"], values["expires"], values["purpose"])

    def code(self, code: str, now: int) -> CodeRow | None:
        """What a code is for, unless it has expired; it can still be used."""
        table = schema.codes
        with self._engine.connect() as connection:
            wanted = select(table).where(table.c.digest == _digest(code), table.c.expires > now)
            found = connection.execute(wanted).mappings().one_or_none()
        if found is None:
            return None
        values = verified(table, dict(found), self._signer)
        return CodeRow(values["subject"], values["expires"], values["purpose"])

    def drop_codes(self, purpose: str, subject: str = "") -> None:
        """Forget all codes of a purpose, or only those of ``subject``."""
        table = schema.codes
        dropping = delete(table).where(table.c.purpose == purpose)
        with self._engine.begin() as connection:
            connection.execute(dropping.where(table.c.subject == subject) if subject else dropping)

    def put_grant(self, row: GrantRow) -> None:
        """Write a grant, new or changed."""
        self._put(schema.grants, "id", row)

    def grant(self, id: str) -> GrantRow | None:
        """One grant."""
        return self._one(schema.grants, GrantRow, "id", id)

    def grants(self, subject: str | None = None) -> list[GrantRow]:
        """Grants, or those whose chain has ``subject``, newest first."""
        wanted = select(schema.grants).order_by(schema.grants.c.leaf.desc())
        if subject is not None:
            wanted = wanted.where(schema.grants.c.subjects.contains(f'"{subject}"', autoescape=True))
        return self._many(schema.grants, GrantRow, wanted)

    def live_grants(
        self, subjects: Sequence[str], resource: str, now: int, states: Sequence[str] = ("active",)
    ) -> list[GrantRow]:
        """Grants of exactly this chain on a resource that are not over, the one that lasts longest first."""
        table = schema.grants
        chain = orjson.dumps(list(subjects)).decode()
        wanted = select(table).where(table.c.subjects == chain, table.c.resource == resource)
        wanted = wanted.where(table.c.state.in_(states), table.c.expires > now).order_by(table.c.expires.desc())
        return self._many(table, GrantRow, wanted)

    def grants_in(self, states: Sequence[str], over: int | None = None) -> list[GrantRow]:
        """Grants in any of these states, or those of them that are over at ``over``, oldest first."""
        table = schema.grants
        wanted = select(table).where(table.c.state.in_(states)).order_by(table.c.leaf)
        return self._many(table, GrantRow, wanted if over is None else wanted.where(table.c.expires <= over))

    def put_token(self, row: TokenRow) -> None:
        """Write a token, new or changed."""
        self._put(schema.tokens, "jti", row)

    def revoke_token(self, jti: str, leaf: int) -> bool:
        """Mark a token revoked by the leaf that says so; False when there is none of that id."""
        row = self.token(jti)
        if row is not None:
            self.put_token(replace(row, revoked=True, leaf=leaf))
        return row is not None

    def token(self, jti: str) -> TokenRow | None:
        """One token."""
        return self._one(schema.tokens, TokenRow, "jti", jti)

    def tokens(self, subject: str | None = None) -> list[TokenRow]:
        """Tokens, or those of a person, newest first."""
        wanted = select(schema.tokens).order_by(schema.tokens.c.leaf.desc())
        if subject is not None:
            wanted = wanted.where(schema.tokens.c.subject == subject)
        return self._many(schema.tokens, TokenRow, wanted)

    def put_ended(self, grants: Sequence[GrantRow], tokens: Sequence[TokenRow]) -> None:
        """Write grants and tokens that have ended, all or none."""
        with self._engine.begin() as connection:
            for grant in grants:
                self._write(connection, schema.grants, "id", grant)
            for token in tokens:
                self._write(connection, schema.tokens, "jti", token)

    def put_session(self, row: SessionRow) -> None:
        """Write a session's entry, new or changed."""
        self._put(schema.sessions, "sid", row)

    def session(self, sid: str) -> SessionRow | None:
        """One session."""
        return self._one(schema.sessions, SessionRow, "sid", sid)

    def sessions(self, limit: int = 100, before: int | None = None) -> list[SessionRow]:
        """Sessions that started before ``before``, newest first."""
        wanted = select(schema.sessions).order_by(schema.sessions.c.started.desc()).limit(limit)
        if before is not None:
            wanted = wanted.where(schema.sessions.c.started < before)
        return self._many(schema.sessions, SessionRow, wanted)

    def put_approval(self, row: ApprovalRow) -> None:
        """Write a held request, new or changed."""
        self._put(schema.approvals, "id", row)

    def approval(self, id: str) -> ApprovalRow | None:
        """One held request."""
        return self._one(schema.approvals, ApprovalRow, "id", id)

    def approvals(self, limit: int = 100, before: int | None = None) -> list[ApprovalRow]:
        """Held requests that were asked before ``before``, newest first."""
        wanted = select(schema.approvals).order_by(schema.approvals.c.asked.desc()).limit(limit)
        if before is not None:
            wanted = wanted.where(schema.approvals.c.asked < before)
        return self._many(schema.approvals, ApprovalRow, wanted)

    def put_link(self, row: LinkRow) -> None:
        """Write what somebody is called elsewhere, new or changed."""
        self._put(schema.links, "id", row)

    def put_linked(self, who: IdentityRow, link: LinkRow) -> None:
        """Write somebody and what they are called elsewhere, both or neither."""
        with self._engine.begin() as connection:
            self._write(connection, schema.identities, "subject", who)
            self._write(connection, schema.links, "id", link)

    def link(self, id: str) -> LinkRow | None:
        """One link."""
        return self._one(schema.links, LinkRow, "id", id)

    def links(
        self, *, provider: str | None = None, subject: str | None = None, externals: Sequence[str] | None = None
    ) -> list[LinkRow]:
        """Links, or those of a provider, of somebody, or for any of these names; oldest first."""
        wanted = select(schema.links).order_by(schema.links.c.leaf)
        for column, value in ((schema.links.c.provider, provider), (schema.links.c.subject, subject)):
            wanted = wanted if value is None else wanted.where(column == value)
        wanted = wanted if externals is None else wanted.where(schema.links.c.external.in_(externals))
        return self._many(schema.links, LinkRow, wanted)

    def drop_link(self, id: str) -> None:
        """Forget a link; the leaf that says so has been written."""
        with self._engine.begin() as connection:
            connection.execute(delete(schema.links).where(schema.links.c.id == id))

    def put_secret(self, row: SecretRow) -> None:
        """Write a secret, new or changed."""
        self._put(schema.secrets, "name", row)

    def drop_secret(self, name: str) -> None:
        """Remove a secret."""
        with self._engine.begin() as connection:
            connection.execute(delete(schema.secrets).where(schema.secrets.c.name == name))

    def secret(self, name: str) -> SecretRow | None:
        """One secret."""
        return self._one(schema.secrets, SecretRow, "name", name)

    def secrets(self) -> list[SecretRow]:
        """All of them, by name."""
        return self._many(schema.secrets, SecretRow, select(schema.secrets).order_by(schema.secrets.c.name))

    def put_credential(self, row: CredentialRow) -> None:
        """Write a credential, new or changed."""
        self._put(schema.credentials, "id", row)

    def holders(self, public: bytes) -> list[str]:
        """The subjects that have a credential of this public key which is not revoked."""
        table = schema.credentials
        wanted = select(table).where(table.c.public == public, table.c.revoked.is_(False))
        return [row.subject for row in self._many(table, CredentialRow, wanted)]

    def credentials(self, subject: str) -> list[CredentialRow]:
        """A person's credentials, also revoked ones, oldest first."""
        table = schema.credentials
        return self._many(table, CredentialRow, select(table).where(table.c.subject == subject).order_by(table.c.leaf))

    def move_counter(self, row: CredentialRow, to: int) -> bool:
        """Move a credential's counter on from what ``row`` says; False when somebody else was first."""
        table = schema.credentials
        old, new = (signed(table, _stored(each), self._signer) for each in (row, replace(row, counter=to)))
        moving = update(table).where(table.c.id == row.id, table.c.signature == old["signature"]).values(new)
        with self._engine.begin() as connection:
            return connection.execute(moving).rowcount == 1

    def put_notice(self, row: Letter) -> None:
        """Write a letter, new or changed; it authorises nothing, so it is not signed."""
        self._put(schema.notices, "id", row)

    def notice(self, id: str) -> Letter | None:
        """One letter."""
        return self._one(schema.notices, Letter, "id", id)

    def notices(
        self, limit: int | None = None, before: int | None = None, states: Sequence[str] = (), prefix: str = ""
    ) -> list[Letter]:
        """Letters made before ``before``, in any of these states if some are named, newest first."""
        table = schema.notices
        wanted = select(table).order_by(table.c.made.desc(), table.c.id.desc()).limit(limit)
        wanted = wanted if before is None else wanted.where(table.c.made < before)
        wanted = wanted.where(table.c.state.in_(states)) if states else wanted
        wanted = wanted.where(table.c.id.startswith(prefix, autoescape=True)) if prefix else wanted
        return self._many(table, Letter, wanted)

    def drop_notices(self, before: int) -> None:
        """Forget letters that no longer wait and were made before."""
        table = schema.notices
        with self._engine.begin() as connection:
            connection.execute(delete(table).where(table.c.made < before, table.c.state != WAITING))

    def _put(self, table: Table, key: str, row: Row) -> None:
        with self._engine.begin() as connection:
            self._write(connection, table, key, row)

    def _write(self, connection: Connection, table: Table, key: str, row: Row) -> None:
        values = _stored(row)
        if "signature" in table.c:
            values = signed(table, values, self._signer)
        changed = connection.execute(update(table).where(table.c[key] == values[key]).values(values))
        if changed.rowcount == 0:
            connection.execute(insert(table).values(values))

    def _one(self, table: Table, kind: type[R], column: str, value: str) -> R | None:
        rows = self._many(table, kind, select(table).where(table.c[column] == value))
        return rows[0] if rows else None

    def _many(self, table: Table, kind: type[R], wanted: Select[Any]) -> list[R]:
        with self._engine.connect() as connection:
            found = [dict(row) for row in connection.execute(wanted).mappings()]
        if "signature" in table.c:
            found = [verified(table, row, self._signer) for row in found]
        return [kind(**_read(row)) for row in found]


def _stored(row: Row) -> dict[str, Any]:
    return {
        name: orjson.dumps(value).decode() if isinstance(value, tuple) else str(value) if name == "kind" else value
        for name, value in asdict(row).items()
    }


def _read(values: dict[str, Any]) -> dict[str, Any]:
    lists: Sequence[str] = [name for name in ("subjects", "groups") if name in values]
    read = values | {name: tuple(orjson.loads(values[name])) for name in lists}
    return read | {"kind": Kind(values["kind"])} if "owner" in values else read


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
