"""What a definition does to stored values: where it moves them, tries them, or takes their name from under them.

Fields are known by name, so a definition that gives a name to other values, or other names to the same values, would
lead masks astray: renaming, moving to another schema, detaching a partition, shadowing a table by a temporary one, and
code that runs later. Expressions over stored rows (a check, an index, USING) tell of the values by failing. Such a
definition has unknown flows or filters, which is refused on objects with masked fields and matters nowhere else.
"""

from __future__ import annotations

from tidegate.model.operation import Verb
from tidegate.model.resource import Field

from .sql_effects import administers, function_doubt, operator_doubt, runs_text, shows_nothing
from .sql_findings import Findings, Walk
from .sql_parse import Node, children, strings

_MOVES = frozenset({"RenameStmt", "AlterObjectSchemaStmt", "CreateTrigStmt"})
_LEAVES = frozenset({"AT_DetachPartition", "AT_DetachPartitionFinalize", "AT_DropInherit"})
_TABLES = frozenset({"OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE", "OBJECT_COLUMN"})


def follow(walk: Walk, kind: str, body: Node) -> None:
    """Note what a statement of the table does to stored values as a whole."""
    leaves = [fields for _, fields in children(body.get("cmds")) if fields.get("subtype") in _LEAVES]
    if kind in _MOVES or leaves:
        walk.findings.flows = None
    if body.get("renameType") == "OBJECT_SCHEMA":
        walk.findings.writes |= walk.catalog.within(str(body.get("subname", "")))
    relation = body.get("relation")
    if not isinstance(relation, dict):
        return
    if kind == "CreateStmt":
        shadow(walk, relation)
    elif body.get("renameType", body.get("objectType")) in _TABLES and kind in _MOVES:
        _known(walk, relation)


def mention(walk: Walk, kind: str, body: Node) -> None:
    """Note what an expression or constraint inside a definition tries stored values against."""
    if kind == "ColumnRef":
        walk.findings.look(None)
    elif kind == "Constraint" and "pktable" in body:
        table = body["pktable"]
        referenced = walk.catalog.resolve(table.get("schemaname"), table.get("relname", ""))
        if referenced is not None:
            walk.findings.look(frozenset(Field(referenced.object, name) for name in strings(body.get("pk_attrs"))))


def evaluate(walk: Walk, kind: str, body: Node) -> None:
    """Note what an expression inside a definition runs, at once and for every row that is there: as a call would.

    A default of a new column, a check, USING, the expression of an index: all may run any function.
    """
    if kind == "A_Expr" and operator_doubt(walk.catalog, strings(body.get("name"))):
        walk.findings.verbs.add(Verb.EXECUTE)
    if kind != "FuncCall":
        return
    names = strings(body.get("funcname"))
    walk.findings.calls(".".join(names))
    if runs_text(names):
        walk.findings.does(Verb.UNKNOWN, "text run by a function")
    if administers(names):
        walk.findings.verbs.add(Verb.ADMINISTER)
    elif function_doubt(walk.catalog, names) and not shows_nothing(walk.catalog, names):
        walk.findings.verbs.add(Verb.EXECUTE)


def shadow(walk: Walk, relation: Node) -> None:
    """A temporary relation comes before every other of its name, and no other session sees it."""
    if temporary(relation) and walk.catalog.resolve(None, relation.get("relname", "")) is not None:
        _unknowable(walk, f"{relation['relname']} would be hidden by a temporary object")


def own_names(kind: str, body: Node) -> bool:
    """Whether it only makes a temporary table, which no other session sees and no other table has a part in."""
    relation = (
        body.get("relation") if kind == "CreateStmt" else (body.get("into") or body.get("intoClause") or {}).get("rel")
    )
    tied = any(key in body for key in ("inhRelations", "partbound", "ofTypename"))
    return isinstance(relation, dict) and temporary(relation) and not tied


def temporary(relation: Node) -> bool:
    """Whether a relation that is made is temporary."""
    return relation.get("relpersistence") == "t" or str(relation.get("schemaname", "")).startswith("pg_temp")


def runs_later(walk: Walk, body: Findings) -> None:
    """What a function or rule reads it may copy to anywhere each time it runs."""
    walk.findings.reads |= body.reads
    walk.findings.flows = None
    if Verb.UNKNOWN in body.verbs:
        walk.findings.unresolved.add("*")


def _known(walk: Walk, relation: Node) -> None:
    if walk.catalog.resolve(relation.get("schemaname"), relation.get("relname", "")) is None:
        _unknowable(walk, "what is not known cannot be given another name")


def _unknowable(walk: Walk, reason: str) -> None:
    walk.findings.unresolved.add("*")
    walk.findings.flows = None
    walk.findings.effects.append(reason)
