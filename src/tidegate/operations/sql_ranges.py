"""FROM items: tables, views through their definitions, subqueries, functions, joins.

A view counts as its definition does; its own columns are never fields. What cannot be resolved gives an open row of
unknown sources. LATERAL is kept exactly: a subquery without it does not see its neighbours.
"""

from __future__ import annotations

from tidegate.errors import AgentError
from tidegate.model.resource import Field

from .catalog import Relation
from .sql_effects import listed
from .sql_expressions import expression, look, part, parts, peek, scalar
from .sql_findings import Walk
from .sql_parse import Node, children, parse, single, strings
from .sql_scope import CLEAR, UNKNOWN, Column, Frame, Item, Rowset, Scope, Sources, union

_DEPTH = 32
_SAMPLING = frozenset({"system", "bernoulli"})


def from_clause(walk: Walk, value: object, scope: Scope) -> None:
    """Add each entry of a FROM or USING clause to ``scope``, in order."""
    for kind, body in children(value):
        walk.budget.step(1)
        scope.frames.append(range_item(walk, kind, body, scope))


def range_item(walk: Walk, kind: str, body: Node, scope: Scope) -> Frame:
    """What one FROM entry makes visible."""
    match kind:
        case "RangeVar":
            return table_frame(walk, body, scope)
        case "JoinExpr":
            return _join(walk, body, scope)
        case "RangeSubselect":
            around = scope if body.get("lateral") else Scope(parent=scope.parent, tables=scope.tables)
            select = single(body.get("subquery")) or ("", {})
            return _aliased(body, walk.query(walk, *select, Scope(parent=around)))
        case "RangeFunction":
            return _function(walk, body, scope)
        case "RangeTableSample":
            return _sample(walk, body, scope)
        case "RangeTableFunc" | "JsonTable":
            return _document(walk, body, scope)
        case _:
            walk.findings.doubt(f"a FROM item of an unknown kind ({kind})")
            return _aliased(body, UNKNOWN)


def table_frame(walk: Walk, body: Node, scope: Scope) -> Frame:
    """A table, view or WITH query by name, under its alias."""
    schema, name = body.get("schemaname"), body.get("relname", "")
    common = scope.table(name) if schema is None else None
    if common is not None:
        return _aliased(body, common, name)
    relation = walk.catalog.resolve(schema, name)
    if relation is None:
        walk.findings.unresolved.add(f"{schema}.{name}" if schema else name)
        return _aliased(body, UNKNOWN, name, schema or "")
    return _aliased(body, relation_rows(walk, relation), name, relation.schema)


def relation_rows(walk: Walk, relation: Relation) -> Rowset:
    """The columns of a relation that is read."""
    walk.findings.reads_object(relation.object)
    if relation.kind == "foreign":
        walk.findings.doubt(f"{relation.object} is a foreign table")
    if walk.catalog.casts and relation.kind != "system":
        walk.findings.doubt("casts between types are user-defined")
    if relation.expanded:
        return _view(walk, relation)
    stored = Rowset(tuple(Column(name, frozenset({Field(relation.object, name)})) for name in relation.columns))
    rows = Frame((Item(relation.name, stored),), stored)
    for guard in relation.guards:
        _inner(walk, relation, guard, rows)
    if not relation.generated:
        return stored
    return Rowset(tuple(_generated(walk, relation, column, rows) for column in stored.columns))


def _view(walk: Walk, relation: Relation) -> Rowset:
    if relation.definition is None or relation.oid in walk.opened or len(walk.opened) >= _DEPTH:
        walk.findings.doubt(f"the view {relation.object} cannot be followed")
        return UNKNOWN
    inner = walk.inside(relation)
    try:
        (statement,) = parse(relation.definition)
    except (AgentError, ValueError):
        walk.findings.doubt(f"the view {relation.object} cannot be read")
        return UNKNOWN
    rows = inner.query(inner, statement.kind, statement.body, Scope())
    walk.findings.adopt(inner.findings)
    if rows.open or len(rows.columns) != len(relation.columns):
        return Rowset(tuple(Column(name, rows.everything) for name in relation.columns), True, rows.everything)
    return rows.renamed(relation.columns)


def _generated(walk: Walk, relation: Relation, column: Column, rows: Frame) -> Column:
    text = relation.generated.get(column.name)
    if text is None:
        return column
    return Column(column.name, union([column.sources, _inner(walk, relation, text, rows)]))


def _inner(walk: Walk, relation: Relation, text: str, rows: Frame) -> Sources:
    """An expression that the catalog keeps for a relation, evaluated over the relation's own columns."""
    inner = walk.inside(relation)
    try:
        (statement,) = parse(f"SELECT {text}")
    except (AgentError, ValueError):
        walk.findings.doubt(f"an expression of {relation.object} cannot be read")
        return None
    sources = parts(inner, statement.body.get("targetList"), Scope(frames=[rows]))
    inner.findings.doubts += [f"{name} is unknown" for name in inner.findings.unresolved]
    walk.findings.adopt(inner.findings)
    return sources


def _aliased(body: Node, rows: Rowset, name: str = "", schema: str = "") -> Frame:
    alias = body.get("alias", {})
    renamed = rows.renamed(strings(alias.get("colnames")))
    title = alias.get("aliasname", "")
    return Frame((Item(title or name, renamed, "" if title else schema),), renamed)


def _sample(walk: Walk, body: Node, scope: Scope) -> Frame:
    look(walk, body.get("args"), scope)
    look(walk, body.get("repeatable"), scope)
    if not _SAMPLING.issuperset(strings(body.get("method"))[-1:]):
        walk.findings.doubt("the sampling method is not a built-in one")
    return range_item(walk, *(single(body.get("relation")) or ("", {})), scope)


def _function(walk: Walk, body: Node, scope: Scope) -> Frame:
    rowsets = [
        _call_rows(walk, node["List"]["items"], body, scope) for node in body.get("functions", ()) if "List" in node
    ]
    columns = tuple(column for rows in rowsets for column in rows.columns)
    opened = any(rows.open for rows in rowsets)
    if body.get("ordinality"):
        columns += (Column("ordinality", CLEAR),)
    everything = union(rows.everything for rows in rowsets)
    return _aliased(body, Rowset(columns, opened, everything if opened else CLEAR), _title(body))


def _title(body: Node) -> str:
    """A function without an alias goes by its own name."""
    for node in body.get("functions", ()):
        for kind, call in children(node):
            return strings(call.get("funcname"))[-1] if kind == "FuncCall" else ""
    return ""


def _call_rows(walk: Walk, items: list[Node], body: Node, scope: Scope) -> Rowset:
    found = single(items[0]) or ("", {})
    sources = peek(walk, expression(walk, *found, scope))
    defined = [*children(items[1:]), *children(body.get("coldeflist"))]
    definitions = [column for kind, column in defined if kind == "ColumnDef"]
    if definitions:
        typed = union([sources, parts(walk, definitions, scope)])
        return Rowset(tuple(Column(column.get("colname", ""), typed) for column in definitions))
    names = strings(found[1].get("funcname"))
    if found[0] != "FuncCall" or sources is None:
        return Rowset(open=True, rest=sources)
    if scalar(names):
        return Rowset((Column(body.get("alias", {}).get("aliasname") or names[-1], sources),))
    columns = listed().get(names[-1] if names[0] != "information_schema" else ".".join(names))
    if columns is None or columns == ("*",):
        return Rowset(open=True, rest=sources)
    return Rowset(tuple(Column(name, sources) for name in columns))


def _document(walk: Walk, body: Node, scope: Scope) -> Frame:
    """XMLTABLE and JSON_TABLE: any part of the document may land in any column."""
    sources = parts(walk, {key: value for key, value in body.items() if key != "columns"}, scope)
    sources = union([sources, _document_types(walk, body.get("columns"), scope)])
    peek(walk, sources)
    names = _document_names(body.get("columns"))
    return _aliased(body, Rowset(tuple(Column(name, sources) for name in names)), "xmltable")


def _document_types(walk: Walk, columns: object, scope: Scope) -> Sources:
    inner = [column for _, column in children(columns)]
    return union([CLEAR, *(parts(walk, _flat(column), scope) for column in inner)] + [
        _document_types(walk, column.get("columns"), scope) for column in inner
    ])  # fmt: skip


def _flat(column: Node) -> Node:
    return {key: value for key, value in column.items() if key != "columns"}


def _document_names(columns: object) -> list[str]:
    names: list[str] = []
    for _, column in children(columns):
        names += _document_names(column["columns"]) if "columns" in column else []
        names += [found] if (found := column.get("colname") or column.get("name")) and "columns" not in column else []
    return names


def _join(walk: Walk, body: Node, scope: Scope) -> Frame:
    left = range_item(walk, *(single(body.get("larg")) or ("", {})), scope)
    scope.frames.append(left)
    right = range_item(walk, *(single(body.get("rarg")) or ("", {})), scope)
    scope.frames.pop()
    shared = strings(body.get("usingClause"))
    if body.get("isNatural"):
        shared = tuple(column.name for column in left.rows.columns if right.rows.exact(column.name))
        if left.rows.open or right.rows.open:
            walk.findings.look(None)
    merged = tuple(Column(name, union(_either(left.rows, name) + _either(right.rows, name))) for name in shared)
    walk.findings.look(union(column.sources for column in merged))
    frame = _joined(left, right, merged)
    part_scope = Scope(parent=scope.parent, frames=[frame], tables=scope.tables)
    walk.findings.look(part(walk, body.get("quals"), part_scope))
    return _join_alias(body, frame, Rowset(merged))


def _either(rows: Rowset, name: str) -> list[Sources]:
    return rows.exact(name) or [rows.rest if rows.open else None]


def _joined(left: Frame, right: Frame, merged: tuple[Column, ...]) -> Frame:
    names = {column.name for column in merged}
    others = tuple(
        column for rows in (left.rows, right.rows) for column in rows.columns if column.name not in names
    )  # fmt: skip
    opened = left.rows.open or right.rows.open
    return Frame(left.items + right.items, Rowset(merged + others, opened, union([left.rows.rest, right.rows.rest])))


def _join_alias(body: Node, frame: Frame, merged: Rowset) -> Frame:
    if "alias" in body:
        return _aliased(body, frame.rows)
    using = body.get("join_using_alias", {}).get("aliasname")
    return Frame((*frame.items, Item(using, merged)), frame.rows) if using else frame
