"""Computations over a field that could tell of it by failing, by being null or by how many rows there are."""

from __future__ import annotations

import pytest

from tidegate.model.resource import Field
from tidegate.operations.sql import Classifier

EMAIL = Field("public.customers", "email")

LOOKS = [
    "CASE WHEN email LIKE 'p%' THEN 1 / 0 END",
    "CASE email WHEN 'p' THEN 1 END",
    "nullif(email, 'p')",
    "1 / (ascii(email) - 112)",
    "email::int",
    "email > 'p'",
    "email ~ 'p' AND true",
    "email IN ('p')",
    "email = ANY (SELECT city FROM copies, customers)",
    "('{}'::jsonb) -> email",
    "(ARRAY[1, 2])[ascii(email)]",
    "substr('x', 1, ascii(email))",
    "substring(email FROM '^p')",
    "generate_series(1, ascii(email))",
    "regexp_split_to_table(email, '')",
    "lag(city, length(email)) OVER ()",
    "XMLPARSE(CONTENT email)",
    "JSON(email)",
    "JSON_OBJECT(email: 1 WITH UNIQUE KEYS)",
]

TOTAL = [
    "upper(email)",
    "email || '@' || city",
    "substr(email, 1, 4)",
    "email::text::varchar(3)",
    "coalesce(email, 'x')",
    "greatest(email, city)",
    "to_jsonb(customers)",
    "max(email) OVER ()",
    "string_agg(email, ',') OVER ()",
    "array[email]",
    "CASE WHEN id = 1 THEN email ELSE city END",
    "(SELECT c.email FROM customers c WHERE c.id = 1)",
    "XMLELEMENT(NAME a, email)",
]


@pytest.mark.parametrize("expression", LOOKS)
def test_a_computation_that_may_fail_looks_at_the_field(classifier: Classifier, expression: str) -> None:
    """What can fail, be null or multiply rows by a value counts as a predicate on it."""
    (facts,) = classifier.classify(f"SELECT {expression} FROM customers")
    assert facts.filters is None or EMAIL in facts.filters


@pytest.mark.parametrize("expression", TOTAL)
def test_a_total_computation_does_not(classifier: Classifier, expression: str) -> None:
    """What succeeds for every value is left to masks."""
    (facts,) = classifier.classify(f"SELECT {expression} FROM customers")
    assert facts.filters is not None and EMAIL not in facts.filters


@pytest.mark.parametrize("source", ["generate_series(1, ascii(c.email))", "unnest(array[c.email])"])
def test_rows_that_a_field_makes(classifier: Classifier, source: str) -> None:
    """A function in FROM tells of its arguments by how many rows it gives."""
    (facts,) = classifier.classify(f"SELECT 1 FROM customers c, {source} g")
    assert facts.filters is not None and EMAIL in facts.filters


@pytest.mark.parametrize(
    "call",
    ["setval('s', ascii(email))", "pg_advisory_lock(ascii(email))", "pg_notify('c', email)",
     "set_config('application_name', email, false)", "spy(length(email))"],
)  # fmt: skip
def test_a_function_with_effects_keeps_what_it_is_given(classifier: Classifier, call: str) -> None:
    """What goes into a sequence, a lock, a message, a setting or unknown code is copied to there."""
    (facts,) = classifier.classify(f"SELECT {call} FROM customers")
    assert facts.flows is not None and EMAIL in {source for source, _ in facts.flows}
