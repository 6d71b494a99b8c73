"""What the gateway asks a PostgreSQL server for itself: its catalog, over a connection of its own (rule 10).

Every look-up is recorded before it is sent. It runs in one read-only snapshot with ``search_path = pg_catalog``, after
the search path that sessions of this role begin with was read, under time-outs and limits on rows and bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from struct import error, unpack_from

from tidegate.enforcement.stream import Stream
from tidegate.errors import ResourceError
from tidegate.model.operation import Facts, Rows
from tidegate.model.resource import Field, Resource
from tidegate.model.secret import Credential
from tidegate.operations.catalog import HOLDS_VALUES, QUERIES, VALUE_FIELDS, Catalog, Relation
from tidegate.operations.catalog_queries import SESSION
from tidegate.operations.definitions import definition_questions, definitions
from tidegate.operations.sql import Classifier
from tidegate.wire.postgres_messages import message

from .postgres_login import enter, fault, receive

LEVEL = (b"setting", b"transaction_isolation", b"read committed", b"read uncommitted")
"""Kind and name of a row of definitions, and its values at which every statement has a snapshot of its own."""

SESSIONS = 32
"""Views of sessions that are remembered; many sessions of one application see the same."""

BEFORE = ("SAVEPOINT tidegate", "SET LOCAL search_path = pg_catalog")
AFTER = ("ROLLBACK TO SAVEPOINT tidegate", "RELEASE SAVEPOINT tidegate")
ASKED = tuple(name for name in QUERIES if name != "path")
LOOK_UPS = (*BEFORE, *(QUERIES[name] for name in ASKED), *AFTER)
"""The look-ups as a session in an open transaction is asked them, which leaves it as it was."""

ROWS, BYTES = 1_000_000, 256 * 1024 * 1024
"""The most a look-up may give."""

PATIENCE = 30.0
"""Seconds that all look-ups of one loading may take."""

SETTINGS = {
    "application_name": "tidegate:catalog",
    "default_transaction_read_only": "on",
    "statement_timeout": str(int(PATIENCE * 1000)),
    "lock_timeout": "5000",
}

NOBODY = Credential("")

Record = Callable[[str], None]


class Schema:
    """One database's catalog and the classifier that reads statements by it; see ``enforcement.names.Schema``."""

    question = SESSION
    steady = patterns = False
    look_ups = LOOK_UPS

    def __init__(self, catalog: Catalog, digest: bytes, login: Credential = NOBODY, role: str = "") -> None:
        self.digest = digest
        self._catalog = catalog
        self._login = login
        self._classifier = Classifier(catalog, role=role)
        self._sessions: OrderedDict[bytes, Schema] = OrderedDict()
        whole = {Field(name, "*"): tag for name, tag in HOLDS_VALUES.items()}
        self.always: Mapping[Field, str] = {**whole, **VALUE_FIELDS}

    def begins_with(self, path: Sequence[str], user: str) -> bool:
        """Whether sessions of ``user`` have this search path from the start: the same schemas in the same order."""
        named = [user if name == "$user" else name for name in path]
        implied = [] if "pg_catalog" in named else ["pg_catalog"]
        known = [name for name in named if name != user or name in self._catalog.path]
        return [*implied, *known] == list(self._catalog.path)

    def definitions(self, operations: Sequence[Facts]) -> Sequence[str]:
        """What a session is asked, to know by what these would run in it now."""
        return definition_questions(operations)

    def firm(self, answers: Sequence[Rows], *, inside: bool) -> bool:
        """Whether these answers to ``definitions`` tell of what would run.

        A server resolves names by what holds now, whatever the snapshot of a transaction shows; so a transaction that
        keeps its snapshot cannot see what others have redefined since.
        """
        return not inside or any(tuple(row[:2]) == LEVEL[:2] and row[2] in LEVEL[2:] for row in definitions(answers))

    def within_transaction(self, answers: Sequence[Rows]) -> Schema:
        """What the answers to ``look_ups`` say, in a search path that a session's own is still to replace."""
        told = answers[len(BEFORE) : len(answers) - len(AFTER)]
        try:
            rows = {
                name: [[_text(cell) for cell in row] for row in found] for name, found in zip(ASKED, told, strict=True)
            }
            return Schema(Catalog.build({**rows, "path": [["pg_catalog"]]}), self.digest, self._login)
        except (ValueError, KeyError, IndexError):
            raise ResourceError("The server's catalog cannot be read.", code="resource.catalog") from None

    def along(self, path: Sequence[str], role: str) -> Schema:
        """The same along another search path, for another role if one is named."""
        said = {"path": list(path), "role": role or self._login.user, "own": "", "relations": None}
        return self.within_session(json.dumps(said).encode())

    @property
    def catalog(self) -> Catalog:
        """The relations behind it."""
        return self._catalog

    def within_session(self, answer: bytes) -> Schema:
        """What a session sees that gave this answer to the question. Raises ResourceError."""
        found = self._sessions.pop(answer, None)
        self._sessions[answer] = found = found or self._seen(answer)
        if len(self._sessions) > SESSIONS:
            self._sessions.popitem(last=False)
        return found

    def _seen(self, answer: bytes) -> Schema:
        try:
            said = json.loads(answer)
            role = "" if self._login.own(str(said["role"])) else str(said["role"])
            temporary = [_temporary(*relation) for relation in said["relations"] or ()]
            catalog = self._catalog.within_session(said["path"], str(said["own"]), temporary)
        except (ValueError, KeyError, TypeError):
            raise ResourceError(
                "The server's answer about the session cannot be read.", code="resource.catalog"
            ) from None
        return Schema(catalog, self.digest, self._login, role)

    def family(self, object: str) -> frozenset[str]:
        """Objects that share tags with this one."""
        return self._catalog.family(object)

    def reach(self, object: str) -> frozenset[str]:
        """Objects that an error of a write to this one may name."""
        return self._catalog.reach(object)

    def has(self, field: Field) -> bool:
        """Whether the field exists."""
        schema, _, name = field.object.partition(".")
        relation = self._catalog.resolve(schema, name)
        return relation is not None and field.name in relation.columns

    def classify(self, text: str) -> tuple[Facts, ...]:
        """What a statement does, one entry each."""
        return self._classifier.classify(text)

    def column(self, oid: int, attribute: int) -> tuple[Field | None, bool]:
        """The base field of a result column, and whether the catalog does not know these numbers."""
        relation = self._catalog.relation(oid)
        found = self._catalog.field(oid, attribute)
        return found, found is None and (relation is None or not relation.expanded)


async def load(resource: Resource, database: str, credential: Credential, record: Record) -> Schema:
    """Read the catalog of a database. Raises ResourceError, ConfigError."""
    try:
        async with asyncio.timeout(PATIENCE), session(resource, database, credential) as stream:
            rows = await _look_up(stream, record)
    except TimeoutError:
        raise ResourceError(
            "The catalog could not be read in time.", hint="Try again.", code="resource.catalog"
        ) from None
    except EOFError:
        raise ResourceError("The server left while its catalog was read.", code="resource.catalog") from None
    return await asyncio.to_thread(build, rows, credential)


def build(rows: Mapping[str, Sequence[Sequence[str | None]]], login: Credential = NOBODY) -> Schema:
    """A schema of look-ups' rows; servers give rows in any order, so the digest is over sorted ones."""
    whole = hashlib.sha256()
    for name in sorted(rows):
        for row in sorted(repr(row) for row in rows[name]):
            whole.update(f"{name} {row}\n".encode())
    return Schema(Catalog.build(rows), whole.digest(), login)


def _text(cell: bytes | None) -> str | None:
    return None if cell is None else cell.decode()


def _temporary(oid: str, name: str, kind: str, reactive: bool, columns: Sequence[tuple[int, str]] | None) -> Relation:
    """A temporary relation of a session."""
    numbered = dict(columns or ())
    return Relation(
        oid=int(oid),
        schema="",
        name=name,
        kind="sequence" if kind == "S" else "table",
        columns=tuple(numbered.values()),
        attributes=numbered,
        reactive=reactive,
    )


@asynccontextmanager
async def session(resource: Resource, database: str, credential: Credential) -> AsyncIterator[Stream]:
    """A connection of the gateway's own, closed at the end."""
    stream, _ = await enter(resource, credential, {**SETTINGS, "database": database}, PATIENCE)
    try:
        yield stream
        stream.write(message(b"X", b""))
    finally:
        await stream.close()


async def gateway_query(stream: Stream, text: str, record: Record) -> list[list[str | None]]:
    """Run one statement by the simple protocol and give its rows as text. Recorded first. Raises ResourceError."""
    record(text)
    stream.write(message(b"Q", text.encode() + b"\0"))
    rows: list[list[str | None]] = []
    size = 0
    failure: ResourceError | None = None
    while True:
        tag, body = await receive(stream, BYTES)
        if tag == b"D":
            size += len(body)
            if len(rows) >= ROWS or size > BYTES:
                raise ResourceError("The server's catalog is too large.", code="resource.catalog")
            rows.append(list(_cells(body)))
        elif tag == b"E":
            failure = fault(body)
        elif tag == b"Z":
            if failure is not None:
                raise failure
            return rows
        elif tag not in (b"T", b"C", b"N", b"S", b"I"):
            raise ResourceError("The server answered a look-up with something else.", code="resource.catalog")


async def _look_up(stream: Stream, record: Record) -> dict[str, list[list[str | None]]]:
    rows = {"path": await gateway_query(stream, QUERIES["path"], record)}
    await gateway_query(stream, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", record)
    await gateway_query(stream, "SET LOCAL search_path = pg_catalog", record)
    for name, text in QUERIES.items():
        if name not in rows:
            rows[name] = await gateway_query(stream, text, record)
    return rows


def _cells(body: bytes) -> Iterator[str | None]:
    try:
        (count,) = unpack_from(">H", body)
        at = 2
        for _ in range(count):
            (length,) = unpack_from(">i", body, at)
            at += 4
            yield None if length < 0 else body[at : at + length].decode()
            at += max(length, 0)
    except (error, UnicodeDecodeError):
        raise ResourceError("The server's catalog cannot be read.", code="resource.catalog") from None
