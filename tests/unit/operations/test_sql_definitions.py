"""Definitions that would take tagged values away from under their names, or try them."""

from __future__ import annotations

import pytest

from tidegate.model.resource import Field
from tidegate.operations.sql import Classifier


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE customers RENAME COLUMN email TO other",
        "ALTER TABLE customers RENAME TO other",
        "ALTER TABLE customers SET SCHEMA pg_temp",
        "ALTER SCHEMA public RENAME TO old",
        "ALTER TABLE parted DETACH PARTITION parted_low",
        "CREATE TRIGGER t AFTER UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION react()",
        "CREATE RULE r AS ON INSERT TO copies DO ALSO INSERT INTO copies SELECT 1, email FROM customers",
        "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT email FROM customers'",
    ],
)
def test_what_moves_values_has_unknown_flows(classifier: Classifier, text: str) -> None:
    """Where the values are afterwards is not known, and the statement is about the objects that hold them."""
    (facts,) = classifier.classify(text)
    assert facts.flows is None
    assert {"public.customers", "public.parted"} & {*facts.reads, *facts.writes}


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE customers ADD CHECK (email <> 'x')",
        "ALTER TABLE customers ALTER city TYPE text USING email",
        "CREATE INDEX ON customers ((1 / length(email)))",
        "CREATE UNIQUE INDEX ON customers (id) WHERE email = 'x'",
    ],
)
def test_expressions_over_stored_rows_look_at_them(classifier: Classifier, text: str) -> None:
    """A check, an index or USING tells of stored values by failing."""
    assert classifier.classify(text)[0].filters is None


def test_a_foreign_key_looks_at_what_it_refers_to(classifier: Classifier) -> None:
    """Whether a value exists is told by whether a row that refers to it may."""
    (facts,) = classifier.classify("CREATE TABLE guess (email text REFERENCES customers (email))")
    assert facts.filters is not None and Field("public.customers", "email") in facts.filters


@pytest.mark.parametrize(
    "start",
    [
        "CREATE TEMP TABLE customers (email text)",
        "CREATE TABLE pg_temp.customers (id int)",
        "CREATE TEMP VIEW copies AS SELECT 1",
        "SELECT 1 AS id INTO TEMP customers",
        "ALTER TABLE pg_temp.x RENAME TO customers",
    ],
)
def test_a_temporary_object_may_not_hide_another(classifier: Classifier, start: str) -> None:
    """From then on a name would mean one thing to the gateway and another to the server."""
    (facts,) = classifier.classify(start)
    assert facts.flows is None and facts.details["unresolved"]


@pytest.mark.parametrize("text", ["CREATE TEMP TABLE mine (id int)", "ALTER TABLE customers ADD note text",
                                  "CREATE INDEX ON customers (email)", "DROP TABLE copies"])  # fmt: skip
def test_plain_definitions_are_left_alone(classifier: Classifier, text: str) -> None:
    """What neither moves nor tries values is policy's business only."""
    (facts,) = classifier.classify(text)
    assert facts.flows == frozenset() and facts.filters == frozenset()


@pytest.mark.parametrize(
    "text",
    [
        "CREATE FUNCTION f() RETURNS int",
        "CREATE PROCEDURE p()",
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql",
        "DO LANGUAGE plpgsql",
        "SELECT 1; CREATE FUNCTION f() RETURNS int",
    ],
)
def test_code_without_a_body_is_unknown(classifier: Classifier, text: str) -> None:
    """The grammar accepts it, and the library that reads bodies would end the process over it."""
    assert classifier.classify(text)[-1].details["contains"] == ["unknown"]


@pytest.mark.parametrize(
    ("text", "verb"),
    [
        ("ALTER TABLE copies ADD more text DEFAULT spy(1)", "execute"),
        ("ALTER TABLE copies ALTER what TYPE text USING public.spy(id)", "execute"),
        ("ALTER TABLE copies ADD CHECK (spy(id) <> '')", "execute"),
        ("CREATE INDEX ON copies (spy(id))", "execute"),
        ("CREATE INDEX ON copies (id) WHERE point(1, 1) @#@ point(2, 2) <> ''", "execute"),
        ("ALTER DOMAIN checked ADD CHECK (spy(VALUE) <> '')", "execute"),
        ("ALTER TABLE copies ADD more text DEFAULT set_config('role', 'x', false)", "administer"),
        ("ALTER TABLE copies ADD more text DEFAULT lo_import('/etc/passwd')::text", "administer"),
        ("ALTER TABLE copies ADD more xml DEFAULT query_to_xml('select 1', true, true, '')", "unknown"),
    ],
)
def test_what_runs_inside_counts(classifier: Classifier, text: str, verb: str) -> None:
    """A definition evaluates its expressions over the rows that are there: who may define may not run any function."""
    (facts,) = classifier.classify(text)
    assert verb in facts.details["verbs"] and "define" in facts.details["verbs"]


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE copies ADD more timestamptz DEFAULT now()",
        "ALTER TABLE copies ADD more int DEFAULT nextval('numbers')",
        "CREATE TABLE more (id serial, at date DEFAULT current_date, CHECK (length(id::text) < 9))",
        "CREATE INDEX ON copies (lower(what)) WHERE id > 1",
    ],
)
def test_harmless_expressions_are_part_of_the_definition(classifier: Classifier, text: str) -> None:
    """Built-ins without effects, and the sequence of a column, need no other right."""
    (facts,) = classifier.classify(text)
    assert facts.details["verbs"] == ["define"]
