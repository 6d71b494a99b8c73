"""INSERT, UPDATE, DELETE and MERGE: what is written, from where, and what RETURNING shows."""

from __future__ import annotations

from tidegate.model.operation import Verb

from .catalog import Relation
from .sql_bounds import bounded
from .sql_expressions import look, part
from .sql_findings import Walk
from .sql_parse import Node, children, single
from .sql_queries import targets, with_clause
from .sql_ranges import from_clause, range_item, relation_rows
from .sql_scope import CLEAR, UNKNOWN, Column, Frame, Item, Rowset, Scope, Sources, union


def insert(walk: Walk, body: Node, scope: Scope) -> Rowset:
    """INSERT, with ON CONFLICT and RETURNING."""
    walk.findings.does(Verb.WRITE, "insert")
    with_clause(walk, body, scope)
    target = target_frame(walk, body["relation"])
    source = single(body.get("selectStmt"))
    rows = walk.query(walk, *source, Scope(parent=scope)) if source else Rowset()
    named = [column.get("name", "") for _, column in children(body.get("cols"))]
    names = named or [column.name for column in target.rows.columns]
    if rows.open or target.rows.open or len(rows.columns) > len(names):
        walk.findings.flow(rows.everything, None if target.rows.open else target.rows.everything)
    for name, column in zip(names, rows.columns, strict=False):
        walk.findings.flow(column.sources, _column(target.rows, name))
    given = dict(zip(names, (column.sources for column in rows.columns), strict=False))
    excluded = Rowset(tuple(Column(column.name, given.get(column.name, CLEAR)) for column in target.rows.columns))
    if rows.open:
        excluded = UNKNOWN
    _conflict(walk, body.get("onConflictClause", {}), Scope(parent=scope), target, excluded)
    return _returning(walk, body, Scope(parent=scope, frames=[target]), target)


def update(walk: Walk, body: Node, scope: Scope) -> Rowset:
    """UPDATE, with FROM and RETURNING."""
    walk.findings.does(Verb.WRITE, "update")
    with_clause(walk, body, scope)
    target = target_frame(walk, body["relation"])
    scope.frames.append(target)
    from_clause(walk, body.get("fromClause"), scope)
    _assign(walk, body.get("targetList"), scope, target)
    _where(walk, body, scope, target)
    return _returning(walk, body, scope, target)


def delete(walk: Walk, body: Node, scope: Scope) -> Rowset:
    """DELETE, with USING and RETURNING."""
    walk.findings.does(Verb.WRITE, "delete")
    with_clause(walk, body, scope)
    target = target_frame(walk, body["relation"])
    scope.frames.append(target)
    from_clause(walk, body.get("usingClause"), scope)
    _where(walk, body, scope, target)
    return _returning(walk, body, scope, target)


def merge(walk: Walk, body: Node, scope: Scope) -> Rowset:
    """MERGE; it is bounded only if its join condition is, since it reaches every row that joins."""
    walk.findings.does(Verb.WRITE, "merge")
    with_clause(walk, body, scope)
    target = target_frame(walk, body["relation"])
    source = range_item(walk, *(single(body.get("sourceRelation")) or ("", {})), scope)
    scope.frames += [target, source]
    condition = body.get("joinCondition")
    look(walk, condition, scope)
    walk.findings.unbounded |= not bounded(condition, target, scope)
    for _, clause in children(body.get("mergeWhenClauses")):
        look(walk, clause.get("condition"), scope)
        _merge_action(walk, clause, scope, target)
    return _returning(walk, body, scope, target)


def write(walk: Walk, relation: Relation) -> None:
    """Note a write to the relation; through a view also to what the view reads."""
    walk.findings.writes.add(relation.object)
    if relation.kind == "system":
        # A catalog's rows are settings, roles and definitions: changing pg_settings is SET by another name.
        walk.findings.verbs.add(Verb.ADMINISTER)
    if relation.expanded:
        inner = Walk(walk.catalog, walk.query, opened=walk.opened, budget=walk.budget)
        relation_rows(inner, relation)
        walk.findings.writes |= inner.findings.reads
    walk.findings.reactive |= relation.reactive


def target_frame(walk: Walk, body: Node) -> Frame:
    """The relation written to. A WITH query of that name is no target, so names are looked up in the catalog only."""
    relation = walk.catalog.resolve(body.get("schemaname"), body.get("relname", ""))
    alias = body.get("alias", {}).get("aliasname")
    if relation is None:
        name = ".".join(filter(None, (body.get("schemaname"), body.get("relname"))))
        walk.findings.unresolved.add(name)
        walk.findings.writes.add(name)
        return Frame((Item(alias or body.get("relname", ""), UNKNOWN),), UNKNOWN)
    write(walk, relation)
    seen = set(walk.findings.reads)
    rows = relation_rows(walk, relation)
    walk.findings.reads = seen
    return Frame((Item(alias or relation.name, rows, "" if alias else relation.schema),), rows)


def _column(rows: Rowset, name: str) -> Sources:
    exact = rows.exact(name)
    return union(exact) if exact else None


def _where(walk: Walk, body: Node, scope: Scope, target: Frame) -> None:
    condition = body.get("whereClause")
    look(walk, condition, scope)
    walk.findings.unbounded |= not bounded(condition, target, scope)


def _assign(walk: Walk, value: object, scope: Scope, target: Frame) -> None:
    for _, assignment in children(value):
        found = single(assignment.get("val"))
        node = found[1].get("source") if found and found[0] == "MultiAssignRef" else assignment.get("val")
        look(walk, assignment.get("indirection"), scope)
        walk.findings.flow(part(walk, node, scope), _column(target.rows, assignment.get("name", "")))


def _merge_action(walk: Walk, clause: Node, scope: Scope, target: Frame) -> None:
    if clause.get("commandType") != "CMD_INSERT":
        _assign(walk, clause.get("targetList"), scope, target)
        return
    named = [column.get("name", "") for _, column in children(clause.get("targetList"))]
    values = targets(walk, [{"ResTarget": {"val": value}} for value in clause.get("values", ())], scope)
    names = named or [column.name for column in target.rows.columns]
    if values.open:
        walk.findings.flow(None, None)
    for name, column in zip(names, values.columns, strict=False):
        walk.findings.flow(column.sources, _column(target.rows, name))


def _conflict(walk: Walk, clause: Node, scope: Scope, target: Frame, excluded: Rowset) -> None:
    if not clause:
        return
    scope.frames += [target, Frame((Item("excluded", excluded),), Rowset())]
    infer = clause.get("infer", {})
    for _, element in children(infer.get("indexElems")):
        look(walk, element.get("expr"), scope)
        walk.findings.look(_column(target.rows, element["name"]) if "name" in element else CLEAR)
    look(walk, infer.get("whereClause"), scope)
    if clause.get("action") == "ONCONFLICT_UPDATE":
        walk.findings.does(Verb.WRITE, "update")
        look(walk, clause.get("whereClause"), scope)
        _assign(walk, clause.get("targetList"), scope, target)


def _returning(walk: Walk, body: Node, scope: Scope, target: Frame) -> Rowset:
    clause = body.get("returningClause") or {"exprs": body.get("returningList", [])}
    versions = {"old": "old", "new": "new"}
    for _, option in children(clause.get("options")):
        versions["old" if option.get("option") == "RETURNING_OPTION_OLD" else "new"] = option.get("value", "")
    taken = {item.alias for frame in scope.frames for item in frame.items}
    items = tuple(Item(name, target.rows) for name in versions.values() if name not in taken)
    inner = Scope(parent=scope.parent, frames=[*scope.frames, Frame(items, Rowset())], tables=scope.tables)
    return targets(walk, clause.get("exprs"), inner)
