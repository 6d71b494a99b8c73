"""Code inside statements: bodies of DO blocks and of functions, in SQL and PL/pgSQL.

Names in a body may be variables, so only commands, functions, objects and verbs are taken from it; no lineage is. Text
that is built at run time is unknown, and so is a language that cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tidegate.errors import AgentError
from tidegate.model.operation import Verb

from .sql_findings import Findings
from .sql_parse import Node, children, parse, parse_body, single, strings

_EXPRESSION, _ASSIGNMENTS = 2, (3, 4, 5)
Analyse = Callable[[str, Node], Findings]


def body_findings(statement: str, options: object, inline: object, analyse: Analyse) -> Findings:
    """What the body of a CREATE FUNCTION or DO statement holds; ``analyse`` gives the findings of one statement."""
    language, text = _option(options, "language") or ("plpgsql",), _option(options, "as")
    found = Findings()
    if inline is not None:
        _adopt_all(found, [(kind, body) for kind, body in _statements(inline)], analyse)
    elif language[0].lower() == "plpgsql" and text:  # without a body the library that parses it ends the process
        _procedural(found, statement, analyse)
    elif language[0].lower() == "sql" and len(text) == 1:
        _adopt_text(found, text[0], analyse)
    else:
        _unknown(found)
    return found


def _procedural(found: Findings, statement: str, analyse: Analyse) -> None:
    try:
        functions = parse_body(statement)
    except AgentError:
        _unknown(found)
        return
    for kind, body in _everywhere(functions):
        if kind in ("PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors") or "dynquery" in body:
            _unknown(found)
        elif kind == "PLpgSQL_expr":
            _adopt_text(found, _as_statement(body), analyse)
        elif kind in ("PLpgSQL_stmt_commit", "PLpgSQL_stmt_rollback"):
            found.does(Verb.SESSION, kind.rpartition("_")[2])


def _as_statement(body: Node) -> str:
    query, mode = str(body.get("query", "")), body.get("parseMode", 0)
    if mode in _ASSIGNMENTS:
        target, _, value = query.partition(":=" if ":=" in query else "=")
        return f"SELECT {value}, {target}"
    return f"SELECT {query}" if mode == _EXPRESSION else query


def _adopt_text(found: Findings, text: str, analyse: Analyse) -> None:
    try:
        statements = parse(text)
    except AgentError:
        _unknown(found)
        return
    _adopt_all(found, [(statement.kind, statement.body) for statement in statements], analyse)


def _adopt_all(found: Findings, statements: list[tuple[str, Node]], analyse: Analyse) -> None:
    for kind, body in statements:
        inner = analyse(kind, body)
        found.adopt(inner)
        found.writes |= inner.writes
        found.unbounded |= inner.unbounded
        found.commands |= inner.commands


def _unknown(found: Findings) -> None:
    found.does(Verb.UNKNOWN, "unknown")


def _statements(value: object) -> Iterator[tuple[str, Node]]:
    for kind, body in children([value]):
        if kind == "List":
            yield from _statements(body.get("items"))
        elif kind == "ReturnStmt":
            yield "SelectStmt", {"targetList": [{"ResTarget": {"val": body.get("returnval")}}]}
        else:
            yield kind, body


def _everywhere(value: object) -> Iterator[tuple[str, Node]]:
    for kind, body in children(value):
        yield kind, body
        yield from _everywhere(body)


def _option(options: object, name: str) -> tuple[str, ...]:
    for _, element in children(options):
        if element.get("defname") == name:
            kind, body = single(element.get("arg")) or ("", {})
            return strings(body.get("items")) if kind == "List" else (str(body.get("sval", "")),)
    return ()
