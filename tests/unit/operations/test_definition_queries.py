"""The question qualifies whatever it uses, so that a search path cannot change it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tidegate.operations.definition_queries import AFTER, BEFORE, literal, question
from tidegate.operations.sql_parse import Node, children, parse, strings

TEXTS = (BEFORE, AFTER, question([("public", "t")], ["body"], ["app.x"], everything=True))


def nodes(value: object) -> Iterator[tuple[str, Node]]:
    """Every node."""
    for kind, body in children(value):
        yield kind, body
        yield from nodes(body)


@pytest.mark.parametrize("text", TEXTS)
def test_everything_is_qualified(text: str) -> None:
    """Functions, operators, types and relations have their schema written, but for the question's own WITH queries."""
    (statement,) = parse(text)
    found = list(nodes({statement.kind: statement.body}))
    own = {body["ctename"] for kind, body in found if kind == "CommonTableExpr"}
    for kind, body in found:
        if kind == "FuncCall":
            assert strings(body["funcname"])[0] == "pg_catalog", body["funcname"]
        elif kind == "A_Expr":
            assert strings(body["name"])[0] == "pg_catalog", body["name"]
        elif kind == "TypeName":
            assert strings(body["names"])[0] == "pg_catalog", body["names"]
        elif kind == "RangeVar":
            assert body.get("schemaname") == "pg_catalog" or body["relname"] in own, body
        assert not (kind == "CaseExpr" and "arg" in body)
        assert not (kind == "JoinExpr" and "usingClause" in body)
        assert not (kind == "SubLink" and body["subLinkType"] == "ANY_SUBLINK")


@pytest.mark.parametrize("text", ["it's", "\\'; drop table t; --", "%s {0} [pg_class]", "''"])
def test_literal(text: str) -> None:
    """A constant is what it was made of, whatever it holds."""
    (statement,) = parse(f"select {literal(text)}")
    assert statement.body["targetList"][0]["ResTarget"]["val"]["A_Const"]["sval"].get("sval") == text


def test_names_do_not_leave_their_place() -> None:
    """A hostile name stays inside its constant: the question has one statement and the same shape."""
    hostile = question([("'; drop table t; --", "a = b [pg_class] %s")], ["'"], ["x'.y"], everything=False)
    assert len(parse(hostile)) == 1 and "a = b [pg_class] %s" in hostile
