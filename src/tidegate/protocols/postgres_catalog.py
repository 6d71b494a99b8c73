"""What the gateway asks a PostgreSQL server for itself: its catalog, over a connection of its own (rule 10).

Every look-up is recorded before it is sent. It runs in one read-only snapshot with ``search_path = pg_catalog``, after
the search path that sessions of this role begin with was read, under time-outs and limits on rows and bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from struct import error, unpack_from

from tidegate.enforcement.stream import Stream
from tidegate.errors import ResourceError
from tidegate.model.operation import Facts
from tidegate.model.resource import Field, Resource
from tidegate.operations.catalog import HOLDS_VALUES, QUERIES, VALUE_FIELDS, Catalog
from tidegate.operations.sql import Classifier
from tidegate.wire.postgres_messages import message

from .postgres_login import fault, login, reach, receive

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

Record = Callable[[str], None]


class Schema:
    """One database's catalog and the classifier that reads statements by it; see ``enforcement.names.Schema``."""

    def __init__(self, catalog: Catalog, digest: bytes) -> None:
        self.digest = digest
        self._catalog = catalog
        self._classifier = Classifier(catalog)
        whole = {Field(name, "*"): tag for name, tag in HOLDS_VALUES.items()}
        self.always: Mapping[Field, str] = {**whole, **VALUE_FIELDS}

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


async def load(resource: Resource, database: str, password: str, record: Record) -> Schema:
    """Read the catalog of a database. Raises ResourceError, ConfigError."""
    try:
        async with asyncio.timeout(PATIENCE), session(resource, database, password) as stream:
            rows = await _look_up(stream, record)
    except TimeoutError:
        raise ResourceError(
            "The catalog could not be read in time.", hint="Try again.", code="resource.catalog"
        ) from None
    except EOFError:
        raise ResourceError("The server left while its catalog was read.", code="resource.catalog") from None
    return await asyncio.to_thread(build, rows)


def build(rows: Mapping[str, Sequence[Sequence[str | None]]]) -> Schema:
    """A schema of look-ups' rows; servers give rows in any order, so the digest is over sorted ones."""
    whole = hashlib.sha256()
    for name in sorted(rows):
        for row in sorted(repr(row) for row in rows[name]):
            whole.update(f"{name} {row}\n".encode())
    return Schema(Catalog.build(rows), whole.digest())


@asynccontextmanager
async def session(resource: Resource, database: str, password: str) -> AsyncIterator[Stream]:
    """A connection of the gateway's own, closed at the end."""
    stream = await reach(replace(resource, database=database), PATIENCE)
    try:
        await login(stream, resource, password, {**SETTINGS, "database": database})
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
