"""Parsing: positions, nodes and errors."""

from __future__ import annotations

import pgparse
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import AgentError
from tidegate.operations.sql_parse import children, parse, parse_body, single


def test_each_statement_has_its_own_text() -> None:
    """Positions are bytes, so characters of several bytes do not shift them."""
    assert [statement.text for statement in parse("SELECT 'é€'; SELECT 2 ;")] == ["SELECT 'é€'", "SELECT 2"]


@pytest.mark.parametrize("text", ["SELEC", "a\0b", "\ud800", "SELECT " + "(" * 20_000])
def test_garbage_is_the_agents_error(text: str) -> None:
    """Whatever the grammar does not take is AgentError."""
    with pytest.raises(AgentError):
        parse(text)


def test_garbage_in_a_body_is_the_agents_error() -> None:
    """The same for PL/pgSQL."""
    with pytest.raises(AgentError):
        parse_body("DO $$nonsense$$")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30))
def test_any_text_survives_as_a_literal(value: str) -> None:
    """A literal comes back from the tree as it went in, whatever characters it holds."""
    (statement,) = parse("SELECT '" + value.replace("'", "''") + "'")
    ((_, target),) = children(statement.body["targetList"])
    assert target["val"]["A_Const"]["sval"].get("sval", "") == value


@given(st.text(st.characters(exclude_characters="\0"), max_size=40))
def test_an_independent_build_accepts_the_same(text: str) -> None:
    """pgparse accepts a text exactly if this parser does."""
    try:
        mine = len(parse(text))
    except AgentError:
        mine = -1
    try:
        theirs = len(pgparse.parse(text))
    except (pgparse.PGQueryError, ValueError):
        theirs = -1
    assert mine == theirs


def test_nodes_are_told_from_bare_objects() -> None:
    """A node has one capitalised key; anything else is looked through."""
    assert single({"A_Const": {}}) == ("A_Const", {})
    assert single({"alias": {}}) is None
    assert list(children({"x": [{"y": {"Integer": {}}}], "typeName": {"n": 1}})) == [
        ("Integer", {}),
        ("TypeName", {"n": 1}),
    ]


@pytest.mark.parametrize("link", ["+1", "::a", ' collate "C"', "||a"])
def test_a_long_chain_does_not_end_the_process(link: str) -> None:
    """A chain of half a megabyte is read or refused; on the ordinary stack it would be a segmentation fault."""
    try:
        assert len(parse("select 1" + link * (500_000 // len(link)))) == 1
    except AgentError as error:
        assert "nested too deep" in error.message or "too complex" in error.message


def test_statements_in_one_text_are_limited() -> None:
    """A megabyte of empty reads is not a hundred thousand operations."""
    with pytest.raises(AgentError, match="more than 1000 statements"):
        parse("select 1;" * 1001)
