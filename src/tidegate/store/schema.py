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
    Engine,
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
)
from sqlalchemy.exc import DatabaseError

from tidegate.errors import ConfigError

VERSION = 1
"""Version of the tables below."""

metadata = MetaData()

schema_version = Table("schema_version", metadata, Column("version", Integer, primary_key=True))

identities = Table(
    "identities",
    metadata,
    Column("subject", String, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("kind", String, nullable=False),
    Column("groups", String, nullable=False),
    Column("owner", String, nullable=False),
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
    Column("sid", String, nullable=False, index=True),
    Column("state", String, nullable=False),
    Column("body", String, nullable=False),
    Column("leaf", BigInteger, nullable=False, index=True),
    Column("signature", LargeBinary, nullable=False),
)


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
    if not versions:
        raise _foreign(path)
    if versions != [VERSION]:
        raise ConfigError(
            f"the store has schema version {max(versions)}, this Tidegate knows {VERSION}",
            path=str(path),
            hint="Run the version of Tidegate that wrote it, or a later one.",
            code="store.newer",
        )


def _foreign(path: Path) -> ConfigError:
    return ConfigError(
        "this is not a database of this gateway",
        path=str(path),
        hint="Restore the file from a backup, or move it away to begin with an empty one.",
        code="store.unreadable",
    )
