"""Lineage checked against a real server: whatever a tagged value reaches must be tagged or unknown."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate.model.operation import Facts
from tidegate.model.resource import Field
from tidegate.operations.sql import Classifier

TAGGED = {Field(f"public.{name}", "email") for name in ("customers", "made", "parted")}
MARKS = ("zqx", "xqz", b"zqx".hex())

# t: tagged, c: proven clear, u: unknown; one letter per column. "-" when the columns cannot be enumerated.
CASES = [
    ("SELECT email, id FROM customers", "tc"),
    ("SELECT * FROM customers", "ctccc"),
    ("SELECT c.* FROM customers c", "ctccc"),
    ("SELECT c FROM customers c", "t"),
    ("SELECT (c).email, (c).id FROM customers c", "tc"),
    ("SELECT (c).* FROM customers c", "ctccc"),
    ("SELECT public.customers.email FROM public.customers", "t"),
    ("SELECT e FROM customers AS c(i, e)", "t"),
    ("SELECT i, city FROM customers AS c(i, e)", "cc"),
    ("SELECT email AS id FROM customers", "t"),
    ("SELECT upper(email) FROM customers", "u"),
    ("SELECT pg_catalog.upper(email), pg_catalog.reverse(email) FROM customers", "tt"),
    ("SELECT email || 'x', 'x' || city FROM customers", "tc"),
    ("SELECT email::varchar(3), CAST(id AS text) FROM customers", "tc"),
    ("SELECT substr(email, 1, 4), length(city) FROM customers", "tc"),
    ("SELECT CASE WHEN id = 1 THEN email ELSE city END FROM customers", "t"),
    ("SELECT CASE WHEN email LIKE 'zqxa%' THEN 1 ELSE 0 END FROM customers", "t"),
    ("SELECT coalesce(NULL, email), nullif(city, 'Lyon'), greatest(city, email) FROM customers", "tct"),
    ("SELECT row_to_json(c) FROM customers c", "t"),
    ("SELECT to_jsonb(c) -> 'email' FROM customers c", "t"),
    ("SELECT c.row_to_json FROM customers c", "t"),
    ("SELECT ROW(id, email), ROW(id, city) FROM customers", "tc"),
    ("SELECT ARRAY[email], ARRAY[city] FROM customers", "tc"),
    ("SELECT (ARRAY[city, email])[2] FROM customers", "t"),
    ("SELECT count(*), count(email), count(DISTINCT email) FROM customers", "ccc"),
    ("SELECT max(email), min(city), sum(age) FROM customers", "tcc"),
    ("SELECT string_agg(email, ','), array_agg(city), json_agg(c) FROM customers c", "tct"),
    ("SELECT string_agg(city, email) FROM customers", "t"),
    ("SELECT mode() WITHIN GROUP (ORDER BY email) FROM customers", "t"),
    ("SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY email) FROM customers", "t"),
    ("SELECT row_number() OVER (ORDER BY id), lag(email) OVER (ORDER BY id) FROM customers", "ct"),
    ("SELECT first_value(email) OVER w, rank() OVER w FROM customers WINDOW w AS (ORDER BY id)", "tc"),
    ("SELECT (SELECT email FROM customers LIMIT 1)", "t"),
    ("SELECT ARRAY(SELECT email FROM customers)", "t"),
    ("SELECT EXISTS (SELECT 1 FROM customers WHERE email LIKE 'z%')", "t"),
    ("SELECT 'zqxa@example.org' IN (SELECT email FROM customers)", "t"),
    ("SELECT o.id, (SELECT c.email FROM customers c WHERE c.id = o.customer) FROM orders o", "ct"),
    ("SELECT x.email FROM (SELECT * FROM customers) x", "t"),
    ("SELECT x.a, x.b FROM (SELECT email, id FROM customers) x(a, b)", "tc"),
    ("SELECT x FROM (SELECT email FROM customers) x", "t"),
    ("WITH c AS (SELECT email AS e, id FROM customers) SELECT e, id FROM c", "tc"),
    ("WITH c(x) AS (SELECT email FROM customers), d AS (SELECT x AS y FROM c) SELECT y FROM d", "t"),
    ("WITH customers AS (SELECT 1 AS email) SELECT email FROM customers", "c"),
    ("WITH RECURSIVE r(n, e) AS (SELECT 1, ''::text UNION ALL SELECT n + 1, email FROM r JOIN customers ON id = n)"
     " SELECT n, e FROM r", "ct"),
    ("WITH RECURSIVE r(a, b, c) AS (SELECT 1, '', email FROM customers UNION ALL SELECT a + 1, c, b FROM r WHERE a < 3)"
     " SELECT a, b, c FROM r", "ctt"),
    ("WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3)"
     " SEARCH DEPTH FIRST BY n SET o SELECT n, o FROM r", "cc"),
    ("WITH RECURSIVE a AS (SELECT * FROM copies), copies AS (SELECT id, email AS what FROM customers) SELECT * FROM a",
     "-"),
    ("WITH copies AS (SELECT id FROM copies) SELECT * FROM copies", "c"),
    ("SELECT city FROM customers UNION SELECT email FROM customers", "t"),
    ("SELECT id, email FROM customers UNION ALL SELECT 1, 'x'", "ct"),
    ("SELECT city FROM customers INTERSECT SELECT email FROM customers", "t"),
    ("SELECT v.column2 FROM (VALUES (1, 'a'), (2, (SELECT max(email) FROM customers))) v", "t"),
    ("VALUES (1, 'a')", "cc"),
    ("SELECT l.e FROM customers c, LATERAL (SELECT c.email AS e) l", "t"),
    ("SELECT l FROM customers c CROSS JOIN LATERAL pg_catalog.lower(c.email) l", "t"),
    ("SELECT w FROM customers c, regexp_split_to_table(c.email, '@') w", "t"),
    ("SELECT e.key, e.value FROM customers c, json_each_text(row_to_json(c)) e", "tt"),
    ("SELECT g FROM generate_series(1, 3) g", "c"),
    ("SELECT g, o FROM generate_series(1, 3) WITH ORDINALITY AS t(g, o)", "cc"),
    ("SELECT a, n FROM customers c, ROWS FROM (pg_catalog.lower(c.email), generate_series(1, 2)) AS t(a, n)", "tt"),
    ("SELECT u FROM customers c, unnest(ARRAY[c.email]) u", "t"),
    ("SELECT * FROM customers c, unnest(ARRAY[c.id]) u", "-"),
    ("SELECT * FROM customers c JOIN orders o ON o.customer = c.id", "ctccccccc"),
    ("SELECT id, email FROM customers JOIN orders USING (id)", "ct"),
    ("SELECT * FROM (SELECT id, email AS x FROM customers) a JOIN (SELECT id, city AS y FROM customers) b USING (id)",
     "ctc"),
    ("SELECT * FROM (SELECT email AS k FROM customers) a NATURAL JOIN (SELECT email AS k, id FROM customers) b", "tc"),
    ("SELECT j.email FROM (customers c JOIN orders o ON o.customer = c.id) AS j(i, email)", "t"),
    ("SELECT j.id FROM customers c JOIN orders o USING (id) AS j", "c"),
    ("SELECT c.email FROM customers c LEFT JOIN orders o ON o.customer = c.id", "t"),
    ("SELECT mail, who FROM contacts", "tc"),
    ("SELECT * FROM nested", "tc"),
    ("SELECT kept, city FROM stored", "tc"),
    ("SELECT * FROM spying", "u"),
    ("SELECT shout FROM made", "u"),
    ("SELECT email FROM parted", "t"),
    ("SELECT spy(1)", "u"),
    ("SELECT n + 0 FROM (SELECT 1 AS n) x", "c"),
    ("SELECT s FROM spy(1) s", "u"),
    ("SELECT '(1,1)'::point @#@ '(1,1)'::point", "u"),
    ("SELECT ctid, tableoid FROM customers", "cc"),
    ("SELECT json_object('k': email), json_array(email, city), json_object('k': city) FROM customers", "ttc"),
    ("SELECT json_objectagg(city: email), json_arrayagg(email) FROM customers", "tt"),
    ("SELECT json_array(SELECT email FROM customers)", "t"),
    ("SELECT x.e FROM customers c, JSON_TABLE(to_jsonb(c), '$' COLUMNS (e text PATH '$.email')) x", "t"),
    ("SELECT format('%s', email), concat_ws('-', city, id) FROM customers", "tc"),
    ("SELECT md5(email), encode(convert_to(email, 'UTF8'), 'hex') FROM customers", "tt"),
    ("SELECT (SELECT c FROM (SELECT email) c) FROM customers", "t"),
    ("SELECT (x).f1 FROM (SELECT ROW(email, id) AS x FROM customers) y", "t"),
    ("SELECT grouping(city), city FROM customers GROUP BY CUBE (city)", "cc"),
    ("SELECT email IS NULL, email = 'x', NOT active FROM customers", "ttc"),
    ("SELECT email COLLATE \"C\" FROM customers", "t"),
    ("UPDATE customers SET age = 1 WHERE id = 1 RETURNING email, id, old.email, new.age", "tctc"),
    ("UPDATE customers SET age = 1 WHERE id = 1 RETURNING WITH (OLD AS before) before.email", "t"),
    ("DELETE FROM copies USING customers c WHERE copies.id = c.id RETURNING c.email", "t"),
    ("INSERT INTO copies SELECT id, email FROM customers RETURNING what, id", "cc"),
    ("MERGE INTO copies t USING customers c ON t.id = c.id WHEN NOT MATCHED THEN INSERT VALUES (c.id, c.email)"
     " RETURNING merge_action(), c.email", "ct"),
    ("WITH d AS (UPDATE customers SET age = 2 RETURNING email) SELECT * FROM d", "t"),
    ("TABLE customers", "ctccc"),
    ("SELECT x FROM customers, LATERAL (VALUES (email)) v(x)", "t"),
    ("SELECT c FROM (SELECT 1 AS c) q, customers c", "c"),
    ("SELECT q.* FROM customers c JOIN LATERAL (SELECT c.*) q ON true", "ctccc"),
    ("SELECT t FROM unnest(ARRAY(SELECT c FROM customers c)) t", "t"),
    ("SELECT (jsonb_each(to_jsonb(c))).* FROM customers c", "-"),
    ("SELECT jsonb_each(to_jsonb(c)) FROM customers c", "t"),
    ("SELECT nth_value(email, 1) OVER (ORDER BY id) FROM customers", "t"),
    ("SELECT * FROM (TABLE customers) x", "ctccc"),
    ("SELECT concat(VARIADIC ARRAY[email]) FROM customers", "t"),
    ("SELECT (string_to_array(email, '@'))[1:2] FROM customers", "t"),
    ("SELECT email FROM json_to_recordset((SELECT json_agg(c) FROM customers c)) AS x(email text)", "t"),
    ("SELECT x.* FROM customers c, json_to_record(row_to_json(c)) AS x(id int, email text)", "tt"),
    ("SELECT email FROM ONLY customers ORDER BY id FETCH FIRST 1 ROW WITH TIES", "t"),
    ("SELECT (SELECT email FROM (SELECT 1) x) FROM customers", "t"),
    ("SELECT id FROM customers WHERE (SELECT id) = 1 OFFSET 0", "c"),
    ("SELECT most_common_vals, tablename FROM pg_stats", "cc"),
    ("SELECT email FROM orders o, customers c WHERE o.customer = c.id GROUP BY email", "t"),
    ("SELECT s.city FROM stored s JOIN contacts t ON t.mail = s.kept", "c"),
    ("SHOW server_version", "c"),
]  # fmt: skip


XML_CASES = [
    ("SELECT query_to_xml('select email from customers', true, true, '')", "u"),
    ("SELECT table_to_xml('customers', true, true, '')", "u"),
    ("SELECT xmlelement(name a, email), xmlforest(city) FROM customers", "tc"),
    ("SELECT x.e FROM customers c, XMLTABLE('/r' PASSING xmlelement(name r, c.email) COLUMNS e text PATH '.') x", "t"),
]  # fmt: skip


def shape(facts: Facts) -> str:
    """One letter per column, as in CASES."""
    if facts.outputs is None:
        return "-"
    return "".join("u" if o.sources is None else "t" if o.sources & TAGGED else "c" for o in facts.outputs)


def leaks(database: psycopg.Connection, text: str, facts: Facts) -> list[str]:
    """Columns that show a tagged value although they are said to be clear; runs the statement and rolls it back."""
    with database.transaction(force_rollback=True):
        cursor = database.execute(text)
        rows = cursor.fetchall()
        names = [column.name for column in cursor.description or ()]
    if facts.outputs is None:
        return []
    assert [output.name for output in facts.outputs] == names
    shown = {names[k]: str([row[k] for row in rows]).lower() for k in range(len(names)) if shape(facts)[k] == "c"}
    return [name for name, values in shown.items() if any(mark in values for mark in MARKS)]


WRITES_COPY = ("INSERT INTO copies", "MERGE")


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_lineage_is_as_expected_and_sound_on_a_real_server(
    classifier: Classifier, database: psycopg.Connection, text: str, expected: str
) -> None:
    """Each column is tagged, clear or unknown as listed, is named as the server names it, and leaks nothing."""
    (facts,) = classifier.classify(text)
    assert shape(facts) == expected, facts
    found = leaks(database, text, facts)
    assert found == ([] if not text.startswith(WRITES_COPY) else found)
    assert not facts.flows or found == [] or any(source in TAGGED for source, _ in facts.flows)


@pytest.mark.parametrize(("text", "expected"), XML_CASES)
def test_lineage_of_xml_is_sound(
    debian_classifier: Classifier, debian: psycopg.Connection, text: str, expected: str
) -> None:
    """The same holds for XML, on a server that is built with it."""
    (facts,) = debian_classifier.classify(text)
    assert shape(facts) == expected, facts
    assert leaks(debian, text, facts) == []


EXPRESSION = st.recursive(
    st.sampled_from(["c.email", "c.city", "c.id::text", "'k'", "c::text", "o.note::text", "v.mail"]),
    lambda inner: st.one_of(
        st.builds("lower({}::text)".format, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("coalesce({}, {})".format, inner, inner),
        st.builds("CASE WHEN {} > 'a' THEN {} ELSE 'n' END".format, inner, inner),
        st.builds("(SELECT {})".format, inner),
        st.builds("(SELECT q FROM (SELECT {} AS q UNION ALL SELECT {}) z LIMIT 1)".format, inner, inner),
        st.builds("to_json({}::text)::text".format, inner),
        st.builds("(ARRAY[{}, {}])[1]".format, inner, inner),
        st.builds("(SELECT max(w) FROM unnest(ARRAY[{}::text]) w)".format, inner),
        st.builds("(WITH q AS (SELECT {} AS r) SELECT r FROM q)".format, inner),
    ),
    max_leaves=5,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(EXPRESSION, min_size=1, max_size=3))
def test_generated_selects_leak_nothing(
    classifier: Classifier, database: psycopg.Connection, expressions: list[str]
) -> None:
    """For arbitrary expressions no column that shows a tagged value is said to be clear."""
    inner = ", ".join(f"{text} AS x{place}" for place, text in enumerate(expressions))
    text = (
        f"SELECT s.* FROM (SELECT {inner} FROM customers c JOIN orders o ON o.customer = c.id"
        " LEFT JOIN contacts v ON v.who = c.id) s"
    )
    (facts,) = classifier.classify(text)
    assert leaks(database, text, facts) == []


FILTERS = [
    "SELECT id FROM customers WHERE email = $1",
    "SELECT id FROM customers ORDER BY email",
    "SELECT 1 FROM customers GROUP BY email",
    "SELECT email FROM customers ORDER BY 1",
    "SELECT DISTINCT email FROM customers",
    "SELECT DISTINCT ON (email) id FROM customers",
    "SELECT id FROM customers HAVING max(email) > 'a'",
    "SELECT 1 FROM customers c JOIN copies x ON x.what = c.email",
    "SELECT 1 FROM customers JOIN made USING (email)",
    "SELECT 1 FROM customers NATURAL JOIN made",
    "SELECT count(*) FILTER (WHERE email > 'a') FROM customers",
    "SELECT row_number() OVER (ORDER BY email) FROM customers",
    "SELECT row_number() OVER w FROM customers WINDOW w AS (PARTITION BY email)",
    "SELECT array_agg(id ORDER BY email) FROM customers",
    "SELECT 1 LIMIT (SELECT length(email) FROM customers LIMIT 1)",
    "SELECT id FROM orders WHERE customer IN (SELECT id FROM customers WHERE email > 'a')",
    "SELECT who FROM contacts WHERE mail > 'a'",
    "SELECT id FROM customers c WHERE c::text > 'a'",
    "UPDATE customers SET age = 1 WHERE email = 'x'",
    "DELETE FROM customers WHERE email = 'x'",
    "SELECT city FROM customers UNION SELECT email FROM customers",
    "WITH c AS (SELECT email AS e FROM customers) SELECT 1 FROM c WHERE e > 'a'",
    "INSERT INTO made (email) VALUES ('x') ON CONFLICT (email) DO NOTHING",
    "MERGE INTO copies t USING customers c ON t.what = c.email WHEN MATCHED THEN DELETE",
    "SELECT count(nullif(email, 'x')) FROM customers",
    "COPY (SELECT id FROM customers WHERE email > 'a') TO STDOUT",
]


@pytest.mark.parametrize("text", FILTERS)
def test_whatever_is_looked_at_is_a_filter(classifier: Classifier, text: str) -> None:
    """A tagged column in any predicate, ordering, grouping or join is among the filters."""
    (facts,) = classifier.classify(text)
    assert facts.filters is None or facts.filters & TAGGED


@pytest.mark.parametrize(
    "text", ["SELECT email FROM customers WHERE id = 1 ORDER BY city", "SELECT mail FROM contacts", "SELECT 1"]
)
def test_only_what_is_looked_at_is_a_filter(classifier: Classifier, text: str) -> None:
    """A tagged column that is only shown is no filter, nor is what a view's own body looks at."""
    (facts,) = classifier.classify(text)
    assert facts.filters is not None
    assert not facts.filters & TAGGED


FLOWS = [
    ("INSERT INTO copies SELECT id, email FROM customers", "public.copies.what"),
    ("INSERT INTO copies (what) SELECT email FROM customers", "public.copies.what"),
    ("UPDATE copies SET what = c.email FROM customers c WHERE c.id = copies.id", "public.copies.what"),
    ("UPDATE copies SET (id, what) = (SELECT id, email FROM customers LIMIT 1)", "public.copies.what"),
    ("UPDATE customers SET city = email", "public.customers.city"),
    ("CREATE TABLE t AS SELECT email AS e FROM customers", "public.t.e"),
    ("SELECT email AS e INTO t FROM customers", "public.t.e"),
    ("CREATE MATERIALIZED VIEW t (e) AS SELECT email FROM customers", "public.t.e"),
    ("MERGE INTO copies t USING customers c ON t.id = c.id WHEN MATCHED THEN UPDATE SET what = c.email",
     "public.copies.what"),
    ("MERGE INTO copies t USING customers c ON t.id = c.id WHEN NOT MATCHED THEN INSERT VALUES (c.id, c.email)",
     "public.copies.what"),
    ("INSERT INTO copies SELECT id, email FROM customers ON CONFLICT (id) DO UPDATE SET what = excluded.what",
     "public.copies.what"),
    ("WITH i AS (INSERT INTO copies SELECT 1, email FROM customers) SELECT 1", "public.copies.what"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "target"), FLOWS)
def test_a_copy_of_a_tagged_value_is_a_flow(classifier: Classifier, text: str, target: str) -> None:
    """Writing a tagged column into another is reported as that pair."""
    (facts,) = classifier.classify(text)
    assert facts.flows is not None
    assert any(source in TAGGED and str(into) == target for source, into in facts.flows)
