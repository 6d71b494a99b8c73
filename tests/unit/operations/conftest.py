"""A real database with values that can be recognised wherever they flow, and a classifier that knows its catalog."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from servers import Postgres
from tidegate.operations.catalog import QUERIES, Catalog
from tidegate.operations.sql import Classifier

SEED = """
CREATE TABLE customers (id int PRIMARY KEY, email text, city text, active bool, age int);
INSERT INTO customers VALUES (1, 'zqxa@example.org', 'Lyon', true, 40), (2, 'zqxb@example.org', 'Oslo', false, 50);
CREATE SEQUENCE numbers;
CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, total numeric, note jsonb);
INSERT INTO orders VALUES (10, 1, 5, '{"a": 1}'), (11, 2, 7, '{"a": 2}');
CREATE TABLE copies (id int, what text);
CREATE TABLE parted (id int, email text) PARTITION BY RANGE (id);
CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE made (email text, shout text GENERATED ALWAYS AS (upper(email)) STORED);
INSERT INTO made VALUES ('zqxc@example.org');
CREATE TABLE guarded (id int);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE VIEW contacts AS SELECT id AS who, lower(email) AS mail FROM customers WHERE active;
CREATE VIEW nested AS SELECT c.mail, o.total FROM contacts c JOIN orders o ON o.customer = c.who;
CREATE MATERIALIZED VIEW stored AS SELECT email AS kept, city FROM customers;
CREATE FUNCTION spy(n int) RETURNS text LANGUAGE sql AS 'SELECT email FROM customers WHERE id = n';
CREATE POLICY mine ON guarded USING (spy(id) IS NOT NULL);
CREATE VIEW spying AS SELECT spy(1) AS s;
CREATE FUNCTION upper(int) RETURNS text LANGUAGE sql AS 'SELECT email FROM customers';
CREATE FUNCTION plus(a point, b point) RETURNS text LANGUAGE sql AS 'SELECT email FROM customers';
CREATE OPERATOR @#@ (LEFTARG = point, RIGHTARG = point, FUNCTION = plus);
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN checked AS int CHECK (spy(VALUE) IS NOT NULL);
CREATE FUNCTION react() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER react AFTER INSERT ON copies FOR EACH ROW EXECUTE FUNCTION react();
"""


def look_up(connection: psycopg.Connection) -> Catalog:
    """A Catalog from a live server, in the text form of the simple protocol."""
    rows = {}
    for name, text in QUERIES.items():
        result = connection.pgconn.exec_(text.encode())
        assert result.status == psycopg.pq.ExecStatus.TUPLES_OK, (name, result.error_message)
        values = [[result.get_value(row, place) for place in range(result.nfields)] for row in range(result.ntuples)]
        rows[name] = [[None if value is None else value.decode() for value in row] for row in values]
    return Catalog.build(rows)


def seeded(server: Postgres) -> Iterator[psycopg.Connection]:
    """A connection to a fresh database of its own."""
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS lineage")
        admin.execute("CREATE DATABASE lineage")
        with psycopg.connect(server.dsn("lineage"), autocommit=True) as connection:
            connection.execute(SEED)
            yield connection
        admin.execute("DROP DATABASE lineage")


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> Iterator[psycopg.Connection]:
    """PostgreSQL 18 with the seed."""
    yield from seeded(postgres)


@pytest.fixture(scope="module")
def catalog(database: psycopg.Connection) -> Catalog:
    """What the gateway knows of the seeded database."""
    return look_up(database)


@pytest.fixture(scope="module")
def classifier(catalog: Catalog) -> Classifier:
    """A classifier over the seeded database."""
    return Classifier(catalog)


@pytest.fixture(scope="module")
def debian(postgres_debian: Postgres) -> Iterator[psycopg.Connection]:
    """An older PostgreSQL, built with XML, with the seed."""
    yield from seeded(postgres_debian)


@pytest.fixture(scope="module")
def debian_classifier(debian: psycopg.Connection) -> Classifier:
    """A classifier over the older database."""
    return Classifier(look_up(debian))
