"""The question about what runs beside a change."""

from __future__ import annotations

from tidegate.operations.sql_parse import parse
from tidegate.operations.trial_queries import beside


def test_names_do_not_leave_their_place() -> None:
    """A hostile name stays inside its constant."""
    (statement,) = parse(beside(["public.t'; drop table t; --", 'a.b"c', "%s.%s"]))
    assert statement.kind == "SelectStmt"
