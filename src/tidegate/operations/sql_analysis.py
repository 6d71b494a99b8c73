"""One statement to its findings: the statements that hold other statements, and the dispatch over all kinds.

A kind of statement is either handled here, or has its verdict in ``sql_statements.TABLE``, or is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tidegate.model.operation import Verb
from tidegate.model.resource import Field

from . import sql_changes, sql_definitions, sql_settings
from .catalog import OWN, Catalog
from .sql_bodies import body_findings
from .sql_expressions import look, parts
from .sql_findings import Findings, Walk
from .sql_parse import Node, Statement, children, single, strings
from .sql_queries import select
from .sql_ranges import table_frame
from .sql_scope import CLEAR, UNKNOWN, Column, Rowset, Scope
from .sql_statements import TABLE, names, verdict

_ANYTHING = "*"
_ACCESS_SHARE = 1
"""The weakest lock, which every SELECT takes (lockdefs.h)."""

_NOTHING = Rowset()
_QUERIES: dict[str, Callable[[Walk, Node, Scope], Rowset]] = {
    "SelectStmt": select,
    "InsertStmt": sql_changes.insert,
    "UpdateStmt": sql_changes.update,
    "DeleteStmt": sql_changes.delete,
    "MergeStmt": sql_changes.merge,
}


@dataclass(slots=True)
class Analysis:
    """What a statement does: findings, its own command, result columns, and facts for policy."""

    findings: Findings
    command: str = ""
    rows: Rowset = _NOTHING
    details: dict[str, object] = field(default_factory=dict)
    bulk: bool = False


def analyse(catalog: Catalog, statement: Statement) -> Analysis:
    """The analysis of one statement. Raises AgentError, RecursionError or LookupError when it is not understood."""
    walk = Walk(catalog, query)
    kind, body = statement.kind, statement.body
    done = Analysis(walk.findings)
    if kind in _QUERIES:
        done.rows = query(walk, kind, body, Scope())
        _into(walk, body, done.rows)
    elif kind in ("DoStmt", "CreateFunctionStmt"):
        _code(walk, kind, statement, done)
    elif kind in _HANDLERS:
        _HANDLERS[kind](walk, body, done)
    else:
        _listed(walk, kind, body)
    if sql_definitions.own_names(kind, body):
        done.details["own_names"] = True
    done.command = done.command or next(iter(walk.findings.commands), "unknown")
    return done


def query(walk: Walk, kind: str, body: Node, scope: Scope) -> Rowset:
    """The rows of a query or of a change with RETURNING; anything else in its place is unknown."""
    walk.budget.spend()
    handler = _QUERIES.get(kind)
    if handler is not None:
        return handler(walk, body, scope)
    walk.findings.does(Verb.UNKNOWN, "unknown")
    return UNKNOWN


def _listed(walk: Walk, kind: str, body: Node) -> None:
    """A statement of the table: what it is about, and what is mentioned anywhere in it."""
    if kind not in TABLE:
        walk.findings.does(Verb.UNKNOWN, "unknown")
        return
    verb, command = verdict(kind, body)
    walk.findings.does(verb, command)
    if sql_definitions.own_names(kind, body):
        walk.findings.writes.add(f"{OWN}.{body['relation']['relname']}")
    else:
        walk.findings.writes |= {_object(walk.catalog, schema, name) for schema, name in names(body)}
    sql_definitions.follow(walk, kind, body)
    for inner, fields in _everywhere(body):
        sql_definitions.mention(walk, inner, fields)
        if inner in _QUERIES:
            query(walk, inner, fields, Scope())
        elif inner in TABLE:
            _listed(walk, inner, fields)
        else:
            sql_definitions.evaluate(walk, inner, fields)


def _everywhere(value: object) -> Iterator[tuple[str, Node]]:
    """Every node inside, but not what is inside a statement: that is analysed as such."""
    for kind, body in children(value):
        yield kind, body
        if kind not in _QUERIES and kind not in TABLE:
            yield from _everywhere(body)


def _object(catalog: Catalog, schema: str | None, name: str) -> str:
    """``schema.name`` as it is, or as it will be once created."""
    relation = catalog.resolve(schema, name)
    first = next((entry for entry in catalog.path if not entry.startswith("pg_")), "public")
    return relation.object if relation else f"{schema or first}.{name}"


def _into(walk: Walk, body: Node, rows: Rowset) -> None:
    """SELECT INTO, and the same clause of CREATE TABLE AS: a new table with these columns."""
    target: Node = body.get("intoClause") or body.get("into") or {}
    relation = target.get("rel")
    if relation is None:
        return
    own = sql_definitions.temporary(relation)
    name = _object(walk.catalog, OWN if own else relation.get("schemaname"), relation["relname"])
    walk.findings.writes.add(name)
    sql_definitions.shadow(walk, relation)
    renamed = rows.renamed(strings(target.get("colNames")))
    if renamed.open:
        walk.findings.flow(None, None)
    for column in renamed.columns:
        walk.findings.flow(column.sources, frozenset({Field(name, column.name)}))


def _code(walk: Walk, kind: str, statement: Statement, done: Analysis) -> None:
    """DO runs its body now; a function's body runs later, and is reported all the same."""
    body = statement.body
    runs = kind == "DoStmt"
    noun = "procedure" if body.get("is_procedure") else "function"
    walk.findings.does(*((Verb.EXECUTE, "do") if runs else (Verb.DEFINE, f"create {noun}")))
    inner = body_findings(
        statement.text,
        body.get("args" if runs else "options"),
        body.get("sql_body"),
        lambda kind, fields: analyse(walk.catalog, Statement(kind, fields, "")).findings,
    )
    done.details["contains"] = sorted(inner.commands)
    walk.findings.secrets |= inner.secrets
    walk.findings.functions |= inner.functions
    if not runs:
        sql_definitions.runs_later(walk, inner)
        return
    walk.findings.adopt(inner)
    walk.findings.writes |= inner.writes
    walk.findings.commands |= inner.commands
    walk.findings.unbounded |= inner.unbounded
    _opaque(walk, done)


def _opaque(walk: Walk, done: Analysis, rows: Rowset = _NOTHING) -> None:
    """What happens is not in this text: nothing is known of objects, filters and flows."""
    walk.findings.unresolved.add(_ANYTHING)
    walk.findings.filters = None
    walk.findings.flows = None
    done.rows = rows


def _explain(walk: Walk, body: Node, done: Analysis) -> None:
    """EXPLAIN shows estimates of what the predicates look at; only with ANALYZE does it run the statement."""
    kind, fields = single(body.get("query")) or ("", {})
    inner = analyse(walk.catalog, Statement(kind, fields, ""))
    found = inner.findings
    options = {element.get("defname"): element.get("arg") for _, element in children(body.get("options"))}
    runs = "analyze" in options and not _off(options["analyze"])
    done.details |= inner.details | {"explain": True}
    done.findings = found
    if runs:
        done.command = inner.command
    else:
        done.command = "explain"
        found.verbs, found.writes, found.unbounded, found.reactive = {Verb.READ}, set(), False, False
        found.effects, found.flows = [], frozenset()
        found.commands = {"explain": Verb.READ, **found.commands}
    done.rows = Rowset((Column("QUERY PLAN", found.filters),))


def _off(node: object) -> bool:
    kind, body = single(node) or ("", {})
    value = body.get("sval", body.get("ival", body.get("boolval", 0 if kind == "Integer" else "true")))
    return str(value).lower() in ("false", "off", "0", "no", "f", "n")


def _copy(walk: Walk, body: Node, done: Analysis) -> None:
    """COPY: a table or query to the agent, a table from the agent, or the server's own files and programs."""
    outward = not body.get("is_from")
    if body.get("is_program"):
        walk.findings.does(Verb.ADMINISTER, "copy program")
    elif body.get("filename"):
        walk.findings.does(Verb.ADMINISTER, "copy to" if outward else "copy from")
        walk.findings.secrets = True
    else:
        walk.findings.does(Verb.READ if outward else Verb.WRITE, "copy to" if outward else "copy from")
    if "query" in body:
        done.rows = query(walk, *(single(body["query"]) or ("", {})), Scope())
    elif outward:
        done.rows = _chosen(table_frame(walk, body["relation"], Scope()).rows, strings(body.get("attlist")))
    else:
        scope = Scope(frames=[sql_changes.target_frame(walk, body["relation"])])
        look(walk, body.get("whereClause"), scope)
    done.bulk = outward


def _chosen(rows: Rowset, wanted: tuple[str, ...]) -> Rowset:
    if not wanted or rows.open:
        return rows
    return Rowset(tuple(column for name in wanted for column in rows.columns if column.name == name))


def _prepare(walk: Walk, body: Node, done: Analysis) -> None:
    """PREPARE counts as what it prepares; so does DECLARE CURSOR. By the name a session ties EXECUTE or FETCH to it."""
    cursor = "portalname" in body
    walk.findings.commands["declare cursor" if cursor else "prepare"] = Verb.READ
    done.rows = query(walk, *(single(body.get("query")) or ("", {})), Scope())
    done.details["cursor" if cursor else "prepared"] = body.get("portalname" if cursor else "name", "")
    if cursor and body.get("options", 0) & 32:
        done.details["holds"] = True


def _execute(walk: Walk, body: Node, done: Analysis) -> None:
    walk.findings.does(Verb.EXECUTE, "execute")
    parts(walk, body.get("params"), Scope())
    done.details["prepared"] = body.get("name", "")
    _opaque(walk, done, UNKNOWN)


def _deallocate(walk: Walk, body: Node, done: Analysis) -> None:
    walk.findings.does(Verb.SESSION, "deallocate")
    done.details["prepared"] = body.get("name", _ANYTHING)


def _fetch(walk: Walk, body: Node, done: Analysis) -> None:
    walk.findings.does(Verb.EXECUTE, "move" if body.get("ismove") else "fetch")
    done.details["cursor"] = body.get("portalname", "")
    _opaque(walk, done, UNKNOWN)


def _close(walk: Walk, body: Node, done: Analysis) -> None:
    walk.findings.does(Verb.SESSION, "close")
    done.details["cursor"] = body.get("portalname", _ANYTHING)


def _create_as(walk: Walk, body: Node, done: Analysis) -> None:
    kind, fields = single(body.get("query")) or ("", {})
    stored = "materialized view" if body.get("objtype") == "OBJECT_MATVIEW" else "table as"
    walk.findings.does(Verb.DEFINE, f"create {stored}")
    if kind == "ExecuteStmt":
        _execute(walk, fields, done)
        rows = UNKNOWN
    else:
        rows = query(walk, kind, fields, Scope())
    _into(walk, body, rows)
    done.rows = _NOTHING


def _create_view(walk: Walk, body: Node, _: Analysis) -> None:
    """A view stores no value: what it shows is followed each time it is read."""
    walk.findings.does(Verb.DEFINE, "create view")
    view = body["view"]
    walk.findings.writes.add(_object(walk.catalog, view.get("schemaname"), view["relname"]))
    sql_definitions.shadow(walk, view)
    query(walk, *(single(body.get("query")) or ("", {})), Scope())


def _call(walk: Walk, body: Node, done: Analysis) -> None:
    walk.findings.does(Verb.EXECUTE, "call")
    parts(walk, [{"FuncCall": body["funccall"]}], Scope())
    _opaque(walk, done, UNKNOWN)


def _lock(walk: Walk, body: Node, _: Analysis) -> None:
    """LOCK TABLE; in ACCESS SHARE MODE it takes what reading the table takes, and so is a read (pg_dump begins so)."""
    if body.get("mode") != _ACCESS_SHARE:
        walk.findings.does(Verb.WRITE, "lock")
        walk.findings.writes |= {_object(walk.catalog, schema, name) for schema, name in names(body)}
        return
    walk.findings.does(Verb.READ, "lock")
    for schema, name in names(body):
        if walk.catalog.resolve(schema, name) is None:
            walk.findings.unresolved.add(f"{schema}.{name}" if schema else name)
        walk.findings.reads_object(_object(walk.catalog, schema, name))


def _truncate(walk: Walk, body: Node, _: Analysis) -> None:
    """TRUNCATE removes every row, and takes no WHERE; with CASCADE also those of tables that refer to it."""
    walk.findings.does(Verb.DEFINE, "truncate")
    walk.findings.verbs.add(Verb.WRITE)
    walk.findings.unbounded = True
    for schema, name in names(body):
        walk.findings.writes.add(_object(walk.catalog, schema, name))


def _vacuum(walk: Walk, body: Node, _: Analysis) -> None:
    walk.findings.does(Verb.ADMINISTER, "vacuum" if body.get("is_vacuumcmd") else "analyze")
    for _kind, relation in children(body.get("rels")):
        named = relation.get("relation", {})
        walk.findings.writes.add(_object(walk.catalog, named.get("schemaname"), named.get("relname", "")))


def _grant(walk: Walk, body: Node, _: Analysis) -> None:
    walk.findings.does(Verb.ADMINISTER, "grant" if body.get("is_grant") else "revoke")
    if body.get("objtype") == "OBJECT_TABLE":
        walk.findings.writes |= {_object(walk.catalog, schema, name) for schema, name in names(body)}


def _rule(walk: Walk, body: Node, done: Analysis) -> None:
    """A rule's actions run later, with every matching statement."""
    walk.findings.does(Verb.DEFINE, "create rule")
    walk.findings.writes |= {_object(walk.catalog, schema, name) for schema, name in names(body)}
    inner = [analyse(walk.catalog, Statement(kind, fields, "")) for kind, fields in children(body.get("actions"))]
    done.details["contains"] = sorted({command for action in inner for command in action.findings.commands})
    for action in inner:
        sql_definitions.runs_later(walk, action.findings)


def _setting(handler: Callable[[Findings, Node], dict[str, object]]) -> Callable[[Walk, Node, Analysis], None]:
    def handle(walk: Walk, body: Node, done: Analysis) -> None:
        done.details |= handler(walk.findings, body)

    return handle


def _show(walk: Walk, body: Node, done: Analysis) -> None:
    done.details |= sql_settings.show(walk.findings, body)
    name = str(body.get("name", ""))
    titles = ("name", "setting", "description") if name == "all" else (name,)
    done.rows = Rowset(tuple(Column(title, CLEAR) for title in titles))


_HANDLERS: dict[str, Callable[[Walk, Node, Analysis], None]] = {
    "ExplainStmt": _explain,
    "CopyStmt": _copy,
    "PrepareStmt": _prepare,
    "DeclareCursorStmt": _prepare,
    "ExecuteStmt": _execute,
    "DeallocateStmt": _deallocate,
    "FetchStmt": _fetch,
    "ClosePortalStmt": _close,
    "CreateTableAsStmt": _create_as,
    "ViewStmt": _create_view,
    "RuleStmt": _rule,
    "CallStmt": _call,
    "LockStmt": _lock,
    "TruncateStmt": _truncate,
    "VacuumStmt": _vacuum,
    "GrantStmt": _grant,
    "TransactionStmt": _setting(sql_settings.transaction),
    "VariableSetStmt": _setting(sql_settings.variable),
    "DiscardStmt": _setting(sql_settings.discard),
    "VariableShowStmt": _show,
}

KINDS = frozenset(_QUERIES) | frozenset(_HANDLERS) | frozenset(TABLE) | {"DoStmt", "CreateFunctionStmt"}
"""Every kind of statement that has a verdict."""
