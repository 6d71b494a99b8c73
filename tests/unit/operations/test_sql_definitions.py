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
