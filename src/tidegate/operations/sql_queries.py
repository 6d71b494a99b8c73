"""SELECT, VALUES, set operations and WITH: result columns with their sources, and what is looked at on the way."""

from __future__ import annotations

from itertools import zip_longest

from tidegate.errors import AgentError
from tidegate.model.operation import Verb

from .sql_expressions import expression, look, part, parts, star
from .sql_findings import COLUMNS, Walk
from .sql_names import column_name
from .sql_parse import Node, children, single, strings
from .sql_ranges import from_clause
from .sql_scope import CLEAR, UNKNOWN, Column, Rowset, Scope, Sources, union
from .sql_settings import SETTINGS, named_row

_ROUNDS = 64


def select(walk: Walk, body: Node, scope: Scope) -> Rowset:
    """The rows of a SELECT, VALUES or set operation; ``scope`` is fresh, with the surrounding level as its parent."""
    walk.findings.does(Verb.READ, "select")
    with_clause(walk, body, scope)
    if "intoClause" in body:
        walk.findings.does(Verb.DEFINE, "select into")
    if "lockingClause" in body:
        walk.findings.verbs.add(Verb.WRITE)
        walk.findings.effects.append("rows are locked")
    if body.get("op", "SETOP_NONE") != "SETOP_NONE":
        return _set_operation(walk, body, scope)
    if "valuesLists" in body:
        rows = _values(walk, body["valuesLists"], scope)
    else:
        from_clause(walk, body.get("fromClause"), scope)
        scope.setting = _setting(walk, body, scope)
        rows = targets(walk, body.get("targetList"), scope)
    _clauses(walk, body, scope, rows)
    return rows


def _setting(walk: Walk, body: Node, scope: Scope) -> str:
    """The one that ``FROM pg_settings WHERE name = 'it'`` names: so dumps and GUIs set what old servers may lack."""
    entries = list(children(body.get("fromClause")))
    if [kind for kind, _ in entries] != ["RangeVar"] or scope.table(entries[0][1].get("relname", "")) is not None:
        return ""
    relation = walk.catalog.resolve(entries[0][1].get("schemaname"), entries[0][1].get("relname", ""))
    return named_row(body.get("whereClause")) if relation and relation.object == SETTINGS else ""


def targets(walk: Walk, value: object, scope: Scope) -> Rowset:
    """The result columns of a target or RETURNING list."""
    columns: list[Column] = []
    opened, rest = False, CLEAR  # type: tuple[bool, Sources]
    for _, target in children(value):
        expanded = _expanded(walk, target.get("val"), scope)
        if expanded is None:
            columns.append(Column(column_name(target), part(walk, target.get("val"), scope)))
        else:
            columns += expanded.columns
            opened, rest = opened or expanded.open, union([rest, expanded.rest])
        if len(columns) > COLUMNS:
            raise AgentError(f"the result has more than {COLUMNS} columns", hint="Select fewer.")
    return Rowset(tuple(columns), opened, rest)


def with_clause(walk: Walk, body: Node, scope: Scope) -> None:
    """Make the WITH queries of a statement visible in ``scope``; RECURSIVE ones may name those that come later."""
    clause = body.get("withClause", {})
    if clause.get("recursive"):
        scope.tables = {common.get("ctename", ""): UNKNOWN for _, common in children(clause.get("ctes"))}
    for _, common in children(clause.get("ctes")):
        name = common.get("ctename", "")
        kind, query = single(common.get("ctequery")) or ("", {})
        if clause.get("recursive"):
            rows = _recursive(walk, common, kind, query, scope)
        else:
            rows = _common(common, walk.query(walk, kind, query, Scope(parent=scope)))
        scope.tables = {**scope.tables, name: rows}


def _common(common: Node, rows: Rowset) -> Rowset:
    """A WITH query's columns under their names, with those that SEARCH and CYCLE add."""
    renamed = rows.renamed(strings(common.get("aliascolnames")))
    search, cycle = common.get("search_clause", {}), common.get("cycle_clause", {})
    added = [search.get("search_seq_column"), cycle.get("cycle_mark_column"), cycle.get("cycle_path_column")]
    extra = tuple(Column(name, renamed.everything) for name in added if name)
    return Rowset(renamed.columns + extra, renamed.open, renamed.rest)


def _recursive(walk: Walk, common: Node, kind: str, query: Node, scope: Scope) -> Rowset:
    """Begin with the part that does not recurse and go round until nothing new flows in."""
    name = common.get("ctename", "")
    seed = query.get("larg") if kind == "SelectStmt" else None
    rows = UNKNOWN
    if seed is not None:
        first = Scope(parent=scope, tables={name: UNKNOWN})
        with_clause(walk, query, first)
        rows = _common(common, walk.query(walk, "SelectStmt", seed, Scope(parent=first)))
    for _ in range(_ROUNDS):
        around = Scope(parent=scope, tables={name: rows})
        following = _common(common, walk.query(walk, kind, query, Scope(parent=around)))
        if following == rows:
            return rows
        rows = following
    return UNKNOWN


def _set_operation(walk: Walk, body: Node, scope: Scope) -> Rowset:
    left, right = (walk.query(walk, "SelectStmt", body[side], Scope(parent=scope)) for side in ("larg", "rarg"))
    rows = _aligned(left, right)
    if not body.get("all"):
        walk.findings.look(rows.everything)
    _clauses(walk, body, scope, rows)
    return rows


def _aligned(left: Rowset, right: Rowset) -> Rowset:
    if left.open or right.open or len(left.columns) != len(right.columns):
        everything = union([left.everything, right.everything])
        return Rowset(tuple(Column(column.name, everything) for column in left.columns), True, everything)
    pairs = zip(left.columns, right.columns, strict=True)
    return Rowset(tuple(Column(one.name, union([one.sources, other.sources])) for one, other in pairs))


def _values(walk: Walk, lists: object, scope: Scope) -> Rowset:
    rows = [[expression(walk, *item, scope) for item in children(row.get("items"))] for _, row in children(lists)]
    columns = zip_longest(*rows, fillvalue=None)
    return Rowset(tuple(Column(f"column{place}", union(column)) for place, column in enumerate(columns, 1)))


def _expanded(walk: Walk, value: object, scope: Scope) -> Rowset | None:
    """The columns that a target with a star stands for; None if it has no star."""
    found = single(value)
    if found is None or found[0] not in ("ColumnRef", "A_Indirection"):
        return None
    kind, body = found
    steps = body.get("fields" if kind == "ColumnRef" else "indirection", [])
    if not steps or "A_Star" not in steps[-1]:
        return None
    if kind == "ColumnRef":
        return star(scope, strings(steps))
    inner = single(body.get("arg"))
    if inner and inner[0] == "ColumnRef" and len(steps) == 1:
        names = strings(inner[1].get("fields"))
        item = scope.item(names[-1], names[-2] if len(names) > 1 else "") if names else None
        if item is not None and not scope.column_is_plain(names):
            return item.rows
    return Rowset(open=True, rest=part(walk, body.get("arg"), scope))


def _clauses(walk: Walk, body: Node, scope: Scope, rows: Rowset) -> None:
    """What WHERE, GROUP BY, HAVING, ORDER BY, DISTINCT, LIMIT and WINDOW look at."""
    for clause in ("whereClause", "havingClause", "limitCount", "limitOffset", "windowClause"):
        look(walk, body.get(clause), scope)
    for clause in ("groupClause", "sortClause", "distinctClause"):
        for item in body.get(clause, ()):
            walk.findings.look(_key(walk, item, scope, rows))


def _key(walk: Walk, node: Node, scope: Scope, rows: Rowset) -> Sources:
    """A sort or group key: a result column by number or name, or an expression; all that fit count."""
    found = single(node)
    if found is None:
        return rows.everything if not node else parts(walk, node, scope)
    kind, body = found
    if kind == "SortBy":
        return _key(walk, body.get("node", {}), scope, rows)
    if kind == "GroupingSet":
        return union([CLEAR, *(_key(walk, inner, scope, rows) for inner in body.get("content", ()))])
    if kind == "A_Const":
        place = body.get("ival", {}).get("ival", 0)
        return rows.columns[place - 1].sources if 0 < place <= len(rows.columns) and not rows.open else rows.everything
    names = strings(body.get("fields")) if kind == "ColumnRef" else ()
    outputs = rows.exact(names[0]) if len(names) == 1 else []
    inputs = [] if outputs and not scope.column(names[0]) else [expression(walk, kind, body, scope)]
    return union(outputs + inputs)
