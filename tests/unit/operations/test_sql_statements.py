"""The table of verdicts is complete and documented."""

from __future__ import annotations

from pathlib import Path

import pytest
from postgast import pg_query_pb2

from tidegate.operations.sql_analysis import KINDS
from tidegate.operations.sql_statements import TABLE

INNER = {"RawStmt", "SetOperationStmt", "ReturnStmt", "PLAssignStmt"}
GRAMMAR = {
    field.message_type.name
    for field in pg_query_pb2.DESCRIPTOR.message_types_by_name["Node"].fields
    if field.message_type.name.endswith("Stmt")
}
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "postgresql-statements.md"


def test_every_statement_of_the_grammar_has_a_verdict() -> None:
    """No kind of statement is forgotten, and none is invented; what only occurs inside others is left out."""
    assert GRAMMAR - INNER == KINDS


@pytest.mark.parametrize("kind", sorted(TABLE))
def test_every_verdict_is_documented(kind: str) -> None:
    """The reference page has verb, command and reason of each kind."""
    verb, command, reason = TABLE[kind]
    assert f"| `{command.replace('{}', 'KIND')}` | {verb} | {reason} |" in PAGE.read_text()
