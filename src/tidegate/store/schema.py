"""The store's tables, and opening the database file.

Times are Unix microseconds; lists and objects are JSON text, so that a signature covers exactly what is stored. The
file is the owner's alone, in WAL mode, and carries the version of this schema: a newer one is never touched.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from sqlalchemy import (
    URL,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.exc import DatabaseError

from tidegate.errors import ConfigError

VERSION = 3
"""Version of the tables below."""

metadata = MetaData()

UNSIGNED = {"signed": False}
"""Of a column that repeats what a signed one says, to sort by."""


def _later(default: str | int) -> dict[str, str | int]:
    """Of a column that older rows do not have: while it holds its default, the signature does not cover it."""
    return {"default": default}


schema_version = Table("schema_version", metadata, Column("version", Integer, primary_key=True))

identities = Table(
    "identities",
    metadata,
    Column("subject", String, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("kind", String, nullable=False),
    Column("groups", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("same", String, nullable=False, server_default="", info=_later("")),
    Column("disabled", Boolean, nullable=False),
    Column("leaf", BigInteger, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)

codes = Table(
    "codes",
    metadata,
    Column("digest", String, primary_key=True),
    Column("subject", String, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("purpose", String, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)

grants = Table(
    "grants",
    metadata,
    Column("id", String, primary_key=True),
    Column("subjects", String, nullable=False),
    Column("resource", String, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("rule", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("state", String, nullable=False),
    Column("leaf", BigInteger, nullable=False),
    Column("kind", String, nullable=False, server_default="timed", info=_later("timed")),
    Column("approval", String, nullable=False, server_default="", info=_later("")),
    Column("seconds", BigInteger, nullable=False, server_default="0", info=_later(0)),
    Column("signature", LargeBinary, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("jti", String, primary_key=True),
    Column("grant", String, nullable=False),
    Column("subject", String, nullable=False, index=True),
    Column("audience", String, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("revoked", Boolean, nullable=False),
    Column("leaf", BigInteger, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("sid", String, primary_key=True),
    Column("subjects", String, nullable=False),
    Column("title", String, nullable=False),
    Column("resource", String, nullable=False),
    Column("started", BigInteger, nullable=False, index=True),
    Column("ended", BigInteger, nullable=True),
    Column("reason", String, nullable=False),
    Column("operations", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("masked", BigInteger, nullable=False),
)

approvals = Table(
    "approvals",
    metadata,
    Column("id", String, primary_key=True),
    Column("matter", String, nullable=False),
    Column("digest", String, nullable=False, index=True),
    Column("state", String, nullable=False, index=True),
    Column("asked", BigInteger, nullable=False, info=UNSIGNED),
    Column("body", LargeBinary, nullable=False),
    Column("leaf", BigInteger, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)

Index("ix_approvals_asked", approvals.c.asked)

links = Table(
    "links",
    metadata,
    Column("id", String, primary_key=True),
    Column("provider", String, nullable=False),
    Column("external", String, nullable=False),
    Column("subject", String, nullable=False, index=True),
    Column("conditions", String, nullable=False),
    Column("leaf", BigInteger, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)

credentials = Table(
    "credentials",
    metadata,
    Column("id", String, primary_key=True),
    Column("subject", String, nullable=False, index=True),
    Column("method", String, nullable=False),
    Column("label", String, nullable=False),
    Column("public", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("revoked", Boolean, nullable=False),
    Column("leaf", BigInteger, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", String, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("by", String, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("leaf", BigInteger, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)

notices = Table(
    "notices",
    metadata,
    Column("id", String, primary_key=True),
    Column("channel", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("state", String, nullable=False, index=True),
    Column("attempts", Integer, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("error", String, nullable=False),
    Column("made", BigInteger, nullable=False),
)

UPGRADES = {
    1: (
        "ALTER TABLE approvals ADD COLUMN asked BIGINT NOT NULL DEFAULT 0",
        "UPDATE approvals SET asked = coalesce(json_extract(body, '$.asked'), 0)",
        "CREATE INDEX ix_approvals_asked ON approvals (asked)",
    ),
    2: (
        "ALTER TABLE identities ADD COLUMN same VARCHAR NOT NULL DEFAULT ''",
        "ALTER TABLE grants ADD COLUMN kind VARCHAR NOT NULL DEFAULT 'timed'",
        "ALTER TABLE grants ADD COLUMN approval VARCHAR NOT NULL DEFAULT ''",
        "ALTER TABLE grants ADD COLUMN seconds BIGINT NOT NULL DEFAULT 0",
        "DROP TABLE approvals",
    ),
}
"""From each earlier version to the next; tables that are new are made afterwards."""


def open_database(path: Path) -> Engine:
    """The database at ``path``, made if there is none.

    Raises ConfigError: ``store.newer`` for a later schema, ``store.unreadable`` for a file that is no such database.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    path.chmod(0o600)
    engine = create_engine(URL.create("sqlite", database=str(path)))
    event.listen(engine, "connect", _prepare)
    try:
        _check(engine, path)
    except DatabaseError as error:
        engine.dispose()
        raise _foreign(path) from error
    except ConfigError:
        engine.dispose()
        raise
    return engine


def _prepare(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=5000")


def _check(engine: Engine, path: Path) -> None:
    tables, versions = set(inspect(engine).get_table_names()), list[int]()
    with engine.begin() as connection:
        if "schema_version" in tables:
            versions = list(connection.execute(select(schema_version.c.version)).scalars())
        if not versions and tables <= set(metadata.tables):
            metadata.create_all(connection)  # also completes what a crash left half made
            connection.execute(insert(schema_version).values(version=VERSION))
            return
        versions = _upgraded(connection, versions)
    if not versions:
        raise _foreign(path)
    if versions != [VERSION]:
        raise ConfigError(
            f"the store has schema version {max(versions)}, this Tidegate knows {VERSION}",
            path=str(path),
            hint="Run the version of Tidegate that wrote it, or a later one.",
            code="store.newer",
        )


def _upgraded(connection: Connection, versions: list[int]) -> list[int]:
    """Bring an earlier version up to this one, in the caller's transaction; gives the versions there are then."""
    while len(versions) == 1 and versions[0] in UPGRADES:
        for step in UPGRADES[versions[0]]:
            connection.execute(text(step))
        versions = [versions[0] + 1]
        connection.execute(update(schema_version).values(version=versions[0]))
    if versions == [VERSION]:
        metadata.create_all(connection)
    return versions


def _foreign(path: Path) -> ConfigError:
    return ConfigError(
        "this is not a database of this gateway",
        path=str(path),
        hint="Restore the file from a backup, or move it away to begin with an empty one.",
        code="store.unreadable",
    )
