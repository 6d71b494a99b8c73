"""May a statement be estimated, or tried and taken back, and what is sent to do so. Pure.

EXPLAIN evaluates functions while it plans, and a dry run runs everything, so both are only for statements in which
every piece of code is proven free of effects: in the statement, in what the catalog evaluates beside it, and for a dry
run in triggers too. What cannot be proven is refused with a sentence that holds names and no values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.errors import AgentError
from tidegate.model.operation import Facts, Verb

from .catalog import Catalog, Relation
from .sql import Classifier
from .sql_analysis import analyse
from .sql_bodies import body_findings
from .sql_findings import Findings
from .sql_parse import Node, Statement, children, parse, single

Rows = Sequence[tuple[str, str, str]]

ROWS = 20
"""The most rows of a sample."""

_COMMANDS = frozenset({"select", "insert", "update", "delete", "merge"})
_CHANGES = {"InsertStmt": "insert", "UpdateStmt": "update", "DeleteStmt": "delete"}
_RETURNING = re.compile(rb"\breturning\s*\Z", re.IGNORECASE)
_NEW, _SOME = "tidegate_changed", "tidegate_sample"
_COUNT = "(SELECT pg_catalog.count(*) FROM tidegate_changed)"
_SAMPLE = f"{_NEW} LIMIT {ROWS}"


def objection(facts: Facts) -> str:
    """Why the statement itself can neither be estimated nor tried; empty if it can."""
    commands = facts.details.get("commands")
    if not isinstance(commands, list) or not commands or not _COMMANDS.issuperset(commands) or not _plain(facts.text):
        return "only queries and changes of rows can be looked at beforehand"
    if facts.verb not in (Verb.READ, Verb.WRITE) or facts.reason:
        return f"it may run code that is not proven free of effects ({facts.reason or facts.verb.value})"
    if facts.details.get("unresolved"):
        return "it names what the gateway does not know"
    return "it reads secrets" if facts.details.get("secrets") else ""


def _plain(text: str) -> bool:
    """Whether it is one query or change of rows itself, and not another statement that holds such, or SELECT INTO."""
    (statement,) = parse(text)
    known = statement.kind in _CHANGES or statement.kind in ("SelectStmt", "MergeStmt")
    return known and "intoClause" not in statement.body


def beside_objection(catalog: Catalog, rows: Rows, *, run: bool) -> tuple[str, tuple[str, ...]]:
    """Why what runs beside a change (``trial_queries``) forbids it, empty if nothing does; and what people should know.

    ``run``: it is to be tried, so that triggers run too; ``catalog`` has pg_catalog alone on its path.
    """
    classifier, notes = Classifier(catalog), set()
    for kind, name, text in rows:
        if kind == "expression":
            doubt, note = _expression(classifier, text)
            if doubt:
                return f"{name} evaluates what is not proven free of effects", ()
            notes |= {note} if note and run else set()
        elif kind in _WORDS:
            return f"{name} is a {_WORDS[kind]}", ()
        elif kind == "trigger" and run and (words := _trigger(catalog, text)):
            return f"the trigger {name} {words}", ()
    return "", tuple(sorted(notes))


def read_objection(catalog: Catalog, rows: Rows) -> str:
    """The same for what runs beside a read, which fires neither triggers nor rules."""
    fires = ("trigger", "rule")
    return beside_objection(catalog, [row for row in rows if row[0] not in fires], run=False)[0]


_WORDS = {
    "foreign": "foreign table",
    "rule": "rule that rewrites the statement",
    "type": "type with functions of its own",
}


def _expression(classifier: Classifier, text: str) -> tuple[bool, str]:
    found = classifier.classify(f"SELECT {text}")
    if len(found) == 1 and found[0].command == "nextval" and found[0].reason == "nextval has an effect":
        return False, "Sequences have advanced for good: a number that was drawn is not given back."
    return len(found) != 1 or found[0].effect or bool(found[0].reason), ""


def looking(catalog: Catalog, rows: Rows) -> bool:
    """Whether a trigger may put what it has read elsewhere into the row at hand."""
    bodies = (_body(catalog, text) for kind, _, text in rows if kind == "trigger" and text)
    return any(found is None or found.reads for found in bodies)


def _trigger(catalog: Catalog, definition: str) -> str:
    """Why the trigger's function is not proven to change nothing but the row at hand."""
    inner = _body(catalog, definition)
    if inner is None:
        return "runs code that cannot be read"
    if inner.verbs - {Verb.READ} or inner.doubts or inner.effects:
        return "may have effects that cannot be taken back"
    return ""


def _body(catalog: Catalog, definition: str) -> Findings | None:
    try:
        (statement,) = parse(definition)
        return body_findings(
            statement.text,
            statement.body.get("options"),
            statement.body.get("sql_body"),
            lambda kind, fields: analyse(catalog, Statement(kind, fields, "")).findings,
        )
    except (AgentError, RecursionError, LookupError, TypeError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Trial:
    """What is sent to try a statement. ``kind`` is select, insert, update, delete, or merge, which has no sample.

    The first column of its rows is the number of all rows; then come ``columns`` of ``relation`` as they would be, and
    again as they are if ``paired``. A select's own columns follow instead; a merge gives nothing but its tag.
    """

    text: str
    kind: str
    relation: Relation | None = None
    columns: tuple[str, ...] = ()
    paired: bool = False


def trial(text: str, catalog: Catalog, key: Sequence[str] = ()) -> Trial | str:
    """How to try the statement, or why it cannot be tried. ``key`` is the primary key of what it changes."""
    (statement,) = parse(text)
    kind, body = statement.kind, statement.body
    if _changes_inside(body):
        return "changes inside WITH cannot be counted"
    if kind == "SelectStmt":
        head = ("WITH", _NEW, "AS MATERIALIZED (", text, "\n) SELECT", _COUNT)
        return _checked(Trial(" ".join((*head, ",", f"{_NEW}.*", "FROM", _SAMPLE)), "select"), kind)
    if kind == "MergeStmt" and not body.get("returningList") and not body.get("returningClause"):
        return Trial(text, "merge")
    bare = _without_returning(statement, text)
    if kind not in _CHANGES or bare is None:
        return "what it returns cannot be told from what it does"
    target = body["relation"]
    relation = catalog.resolve(target.get("schemaname"), target.get("relname", ""))
    if relation is None or not relation.columns:
        return "it changes what the gateway does not know"
    alias = target.get("alias", {}).get("aliasname") or target["relname"]
    pair = bool(key) and (kind == "UpdateStmt" or "onConflictClause" in body)
    return _checked(_changing(bare, kind, relation, alias, key if pair else ()), kind)


def _changing(text: str, kind: str, relation: Relation, alias: str, key: Sequence[str]) -> Trial:
    """The change with all its rows returned, of which some are shown, with the rows they come from if there is a key.

    A query beside a change inside WITH has the snapshot from before it: it still sees the rows as they were.
    """
    columns, numbered = relation.columns, [f"c{number}" for number in range(len(relation.columns))]
    returned = ", ".join(
        f"{quoted(alias)}.{quoted(name)} AS {new}" for name, new in zip(columns, numbered, strict=True)
    )
    shown = [f"{_SOME}.{new}" for new in numbered]
    join = ""
    if key:
        shown += [f"o.{quoted(name)}" for name in columns]
        pairs = (f"o.{quoted(name)} OPERATOR(pg_catalog.=) {_SOME}.{numbered[columns.index(name)]}" for name in key)
        join = f" LEFT JOIN {quoted(relation.schema)}.{quoted(relation.name)} AS o ON {' AND '.join(pairs)}"
    head = ("WITH", _NEW, "AS (", text, "\nRETURNING", returned, ") SELECT", ", ".join((_COUNT, *shown)))
    whole = " ".join((*head, "FROM ( TABLE", _SAMPLE, ") AS", _SOME, join))
    return Trial(whole, _CHANGES[kind], relation, columns, bool(key))


def _checked(made: Trial, kind: str) -> Trial | str:
    """What was put together must be read as it was meant."""
    try:
        (statement,) = parse(made.text)
        (common,) = children(statement.body["withClause"]["ctes"])
        inner = single(common[1]["ctequery"])
    except (AgentError, ValueError, LookupError):
        return "it cannot be put into another statement"
    meant = statement.kind == "SelectStmt" and inner is not None and inner[0] == kind
    return made if meant else "it cannot be put into another statement"


def _changes_inside(body: Node) -> bool:
    common = (single(fields.get("ctequery")) for _, fields in children(body.get("withClause")))
    return any(found is None or found[0] != "SelectStmt" for found in common)


def _without_returning(statement: Statement, text: str) -> str | None:
    """The text without its RETURNING clause; None where that cannot be found for certain."""
    clause = statement.body.get("returningClause") or {}
    if clause.get("options"):
        return None
    returned = clause.get("exprs") or statement.body.get("returningList")
    if not returned:
        return text
    first = single(returned[0])
    data = text.encode()
    at = _RETURNING.search(data[: first[1].get("location", 0)]) if first else None
    return data[: at.start()].decode() if at else None


def quoted(name: str) -> str:
    """A name as an identifier."""
    return '"' + name.replace('"', '""') + '"'
