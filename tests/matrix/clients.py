"""The clients of the matrix, in the order of the page."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from play import Client

PROGRAMS = Path(__file__).parent / "programs"
JDBC = "/usr/share/java/postgresql.jar"
"""pgjdbc as Debian's libpostgresql-jdbc-java installs it."""

GO = {"GOPATH": "/usr/share/gocode", "GO111MODULE": "off", "GOFLAGS": "-p=2"}
"""Debian's Go packages are sources below one folder."""


def python(name: str, program: str, policy: str = "ordinary", *arguments: str) -> Client:
    """A program in Python."""
    return Client(name, (sys.executable, "-P", str(PROGRAMS / program), *arguments), policy)


def foreign(name: str, program: str, *interpreter: str, **environment: str) -> Client:
    """A program that an interpreter runs from its source."""
    return Client(name, (*interpreter, str(PROGRAMS / program)), environment=environment)


NODE = os.environ.get("TIDEGATE_NODE", str(Path(__file__).parents[2] / ".venv" / "node"))
"""Where `npm install` put the packages of programs/package.json."""

CLIENTS = (
    python("psql", "try_psql.py"),
    python("pgbench", "try_pgbench.py", "orm-migrations"),
    python("pg_dump and pg_restore", "try_dump.py", "pg-dump"),
    python("libpq 18", "try_libpq.py"),
    python("psycopg 2", "try_psycopg2.py"),
    python("psycopg 3", "try_psycopg3.py"),
    python("asyncpg", "try_asyncpg.py"),
    python("SQLAlchemy over psycopg", "try_sqlalchemy.py", "ordinary", "psycopg"),
    python("SQLAlchemy over psycopg2", "try_sqlalchemy.py", "ordinary", "psycopg2"),
    python("SQLAlchemy over asyncpg", "try_sqlalchemy.py", "ordinary", "asyncpg"),
    python("Django", "try_django.py", "orm-migrations"),
    python("Alembic, SQLModel, peewee", "try_alembic.py", "orm-migrations"),
    python("pgAdmin, pgcli", "try_captured.py"),
    foreign("node-postgres", "try_node_postgres.mjs", "node", TIDEGATE_NODE=NODE),
    foreign("postgres.js", "try_postgres_js.mjs", "node", TIDEGATE_NODE=NODE),
    foreign("pgjdbc", "TryPgjdbc.java", "java", "-cp", JDBC),
    foreign("lib/pq", "try_lib_pq.go", "go", "run", **GO),
    foreign("DBD::Pg", "try_dbd_pg.pl", "perl"),
    foreign("PHP", "try_php.php", "php"),
    foreign("ruby-pg", "try_ruby_pg.rb", "ruby"),
    python("psqlODBC", "try_odbc.py"),
)
