"""Mutable state: identities, one-time codes, grants, tokens, and the indexes of sessions and approvals.

A row authorises nothing by itself: it carries the index of the audit leaf that says the same, and a signature that is
checked at every reading. Methods block; call them outside the event loop. Any thread may call them.
Every time is in Unix microseconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import orjson
from sqlalchemy import Select, Table, delete, insert, select, update
from sqlalchemy.exc import IntegrityError as Conflict

from tidegate.errors import Refused
from tidegate.model.identity import Hop, Kind

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

    @property
    def hop(self) -> Hop:
        """The identity as a link of a chain."""
        return Hop(self.subject, self.name, self.kind, self.groups)


@dataclass(frozen=True, slots=True)
class CodeRow:
    """What a one-time code was for; the code itself is never stored."""

    subject: str
    expires: int
    purpose: str


@dataclass(frozen=True, slots=True)
class GrantRow:
    """A grant; ``state`` is ``active`` or ``revoked``."""

    id: str
    subjects: tuple[str, ...]
    resource: str
    expires: int
    rule: str
    reason: str
    state: str
    leaf: int


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
    """A held request and what became of it; ``body`` is JSON text."""

    id: str
    sid: str
    state: str
    body: str
    leaf: int


Row = IdentityRow | CodeRow | GrantRow | TokenRow | SessionRow | ApprovalRow
R = TypeVar("R", IdentityRow, GrantRow, TokenRow, SessionRow, ApprovalRow)


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
        row = IdentityRow(who.subject, who.name, who.kind, who.groups, owner, disabled, leaf)
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

    def drop_codes(self, purpose: str) -> None:
        """Forget all codes of a purpose."""
        with self._engine.begin() as connection:
            connection.execute(delete(schema.codes).where(schema.codes.c.purpose == purpose))

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
        """Held requests whose last leaf is before ``before``, newest first."""
        wanted = select(schema.approvals).order_by(schema.approvals.c.leaf.desc()).limit(limit)
        if before is not None:
            wanted = wanted.where(schema.approvals.c.leaf < before)
        return self._many(schema.approvals, ApprovalRow, wanted)

    def _put(self, table: Table, key: str, row: Row) -> None:
        values = _stored(row)
        if "signature" in table.c:
            values = signed(table, values, self._signer)
        with self._engine.begin() as connection:
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
    return read | {"kind": Kind(values["kind"])} if "kind" in values else read


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
