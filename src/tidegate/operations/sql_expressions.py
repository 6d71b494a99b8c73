"""Value expressions: which base fields flow into the value, and what the expression calls.

The default is that every part of an expression flows into its value, the conditions of CASE included. The few that are
clear are listed by name with the reason. A kind of node that is not listed gives None, and a doubt.
"""

from __future__ import annotations

from collections.abc import Callable

from tidegate.model.operation import Verb
from tidegate.model.resource import Field

from .sql_calls import known_effect
from .sql_effects import (
    administers,
    attribute_doubt,
    function_doubt,
    keyword_doubt,
    listed,
    operator_doubt,
    runs_text,
    shows_nothing,
    type_doubt,
)
from .sql_findings import Walk
from .sql_names import later_keyword
from .sql_parse import Node, children, single, strings
from .sql_scope import CLEAR, Item, Rowset, Scope, Sources, is_system, union
from .sql_settings import lets_go, set_by_call
from .sql_total import casts_to_text, joins_texts, showing

_QUERIES = frozenset({"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
_CONSTANT = frozenset(
    {
        "A_Const", "ParamRef", "SQLValueFunction", "SetToDefault", "MergeSupportFunc", "String", "Integer", "Float",
        "Boolean", "BitString", "CurrentOfExpr", "RangeVar",
    }
)  # fmt: skip
_FLOWING = frozenset(
    {
        "NullTest", "CoalesceExpr", "MinMaxExpr", "RowExpr", "A_ArrayExpr", "List", "NamedArgExpr", "CollateClause",
        "XmlSerialize", "ResTarget", "SortBy", "WindowDef", "MultiAssignRef", "GroupingSet", "JsonValueExpr",
        "JsonArrayConstructor", "JsonAggConstructor", "JsonArrayAgg", "JsonArrayQueryConstructor", "JsonScalarExpr",
        "JsonOutput", "JsonReturning", "JsonFormat", "ColumnDef", "DefElem",
    }
)  # fmt: skip
_LOOKING = frozenset(
    {
        "BoolExpr", "BooleanTest", "A_Indices", "JsonKeyValue", "JsonObjectConstructor", "JsonObjectAgg",
        "JsonFuncExpr", "JsonParseExpr", "JsonSerializeExpr", "JsonIsPredicate", "JsonArgument", "JsonBehavior",
        "JsonTablePathSpec",
    }
)  # fmt: skip
"""Their parts flow into the value, but may also decide whether there is one or an error (``sql_total``)."""
_BUILDING_XML = frozenset({"IS_XMLCONCAT", "IS_XMLELEMENT", "IS_XMLFOREST"})


def expression(walk: Walk, kind: str, body: Node, scope: Scope) -> Sources:
    """The base fields whose values flow into the value of this node. Raises AgentError if there is too much."""
    walk.budget.step(1)
    keyword = later_keyword(kind, body)
    if keyword and (doubt := keyword_doubt(walk.catalog, keyword)):
        return _trusted(walk, doubt, parts(walk, body, scope))
    if kind in _CONSTANT:
        return CLEAR
    if kind in _FLOWING:
        return parts(walk, body, scope)
    if kind in _LOOKING:
        return peek(walk, parts(walk, body, scope))
    if kind in _QUERIES:
        return _nested(walk, kind, body, scope)
    handler = _HANDLERS.get(kind)
    if handler is not None:
        return handler(walk, body, scope)
    parts(walk, body, scope)
    walk.findings.doubt(f"an expression of an unknown kind ({kind})")
    return None


def parts(walk: Walk, value: object, scope: Scope) -> Sources:
    """The sources of every expression inside ``value`` (a node's fields, a list, or None)."""
    return union([expression(walk, kind, body, scope) for kind, body in children(value)])


def part(walk: Walk, node: object, scope: Scope) -> Sources:
    """The sources of one node; of every node inside, if it is a bare object or a list."""
    found = single(node)
    return expression(walk, *found, scope) if found else parts(walk, node, scope)


def look(walk: Walk, value: object, scope: Scope) -> None:
    """A predicate, ordering or the like looks at ``value``."""
    walk.findings.look(part(walk, value, scope))


def peek(walk: Walk, sources: Sources) -> Sources:
    """``sources``, which a computation looks at: how it fails or how many rows it gives may tell of them.

    What user-defined code gives cannot be followed and is left to the doubt about that code.
    """
    if sources is not None or not walk.findings.doubts:
        walk.findings.look(sources)
    return sources


def _column(walk: Walk, body: Node, scope: Scope) -> Sources:
    fields = body.get("fields", [])
    names = strings(fields)
    walk.budget.step(scope.width)
    if len(names) < len(fields):
        return star(scope, names).everything
    if len(names) == 1:
        found = scope.column(names[0])
        return union(found) if found else None
    item = scope.item(names[-2], names[-3] if len(names) > 2 else "")
    if item is not None:
        return _member(walk, item, names[-1])
    walk.findings.doubt(attribute_doubt(walk.catalog, names[-1]))
    return None


def _member(walk: Walk, item: Item, name: str) -> Sources:
    """``item.name``: a column, or else a call of the function ``name`` on the whole row."""
    exact = item.rows.exact(name)
    if exact:
        return union([*exact, item.rows.rest])
    if is_system(name):
        return item.rows.rest
    if item.rows.open and item.rows.rest is None:
        walk.findings.doubt(attribute_doubt(walk.catalog, name))
        return None
    return _trusted(walk, attribute_doubt(walk.catalog, name), item.rows.everything)


def star(scope: Scope, names: tuple[str, ...]) -> Rowset:
    """What ``*`` or ``alias.*`` stands for; an alias that is not there gives an unknown row."""
    if not names:
        return scope.star()
    item = scope.item(names[-1], names[-2] if len(names) > 1 else "")
    return item.rows if item else Rowset(open=True, rest=None)


def _indirection(walk: Walk, body: Node, scope: Scope) -> Sources:
    steps = strings(body.get("indirection"))
    inner = single(body.get("arg"))
    looked = parts(walk, body.get("indirection"), scope)
    if inner and inner[0] == "ColumnRef" and steps and not scope.column_is_plain(strings(inner[1].get("fields"))):
        names = strings(inner[1].get("fields"))
        item = scope.item(names[-1], names[-2] if len(names) > 1 else "") if names else None
        if item is not None:
            return union([looked, _member(walk, item, steps[0])])
    doubt = next((found for step in steps if (found := attribute_doubt(walk.catalog, step))), "")
    return _trusted(walk, doubt, union([looked, part(walk, body.get("arg"), scope)]))


def _operator(walk: Walk, body: Node, scope: Scope) -> Sources:
    names = strings(body.get("name"))
    flowing = union([part(walk, body.get("lexpr"), scope), part(walk, body.get("rexpr"), scope)])
    if body.get("kind") != "AEXPR_OP" or not joins_texts(names):
        peek(walk, flowing)
    return _trusted(walk, operator_doubt(walk.catalog, names), flowing)


def _case(walk: Walk, body: Node, scope: Scope) -> Sources:
    """The conditions decide which arm runs, and an arm may fail."""
    arms = [arm for _, arm in children(body.get("args"))]
    conditions = [body.get("arg"), *(arm.get("expr") for arm in arms)]
    results = [body.get("defresult"), *(arm.get("result") for arm in arms)]
    looked = peek(walk, union([part(walk, one, scope) for one in conditions]))
    return union([looked, *(part(walk, one, scope) for one in results)])


def _xml(walk: Walk, body: Node, scope: Scope) -> Sources:
    """Elements take any text; parsing and processing instructions may fail."""
    flowing = parts(walk, body, scope)
    return flowing if body.get("op") in _BUILDING_XML else peek(walk, flowing)


def _cast(walk: Walk, body: Node, scope: Scope) -> Sources:
    flowing = part(walk, body.get("arg"), scope)
    if not casts_to_text(strings(body.get("typeName", {}).get("names"))):
        peek(walk, flowing)
    return union([flowing, _type(walk, body.get("typeName", {}), scope)])


def _type(walk: Walk, body: Node, _: Scope) -> Sources:
    return _trusted(walk, type_doubt(walk.catalog, strings(body.get("names"))), CLEAR)


def _call(walk: Walk, body: Node, scope: Scope) -> Sources:
    names = strings(body.get("funcname"))
    if names[-1] == "system_user" and _named_so(walk, names[-1], scope):
        return _trusted(walk, "system_user is a name before PostgreSQL 16", None)
    if names[-1] == "json_object":
        names = names[
            -1:
        ]  # the parser puts pg_catalog before the keyword it is since 16, older servers follow the path
    given = list(children(body.get("args")))
    shown = showing(names[-1], given)
    arguments = union(
        [
            sources if node in shown else peek(walk, sources)
            for node in given
            for sources in [expression(walk, *node, scope)]
        ]
    )
    order = parts(walk, body.get("agg_order"), scope)
    walk.findings.look(order)
    look(walk, body.get("agg_filter"), scope)
    look(walk, body.get("over"), scope)
    walk.findings.calls(".".join(names))
    if shows_nothing(walk.catalog, names) and _keeps_to_session(walk, names[-1], body.get("args"), scope):
        _stores(walk, names[-1], arguments)
        return arguments
    if runs_text(names):
        walk.findings.does(Verb.UNKNOWN, "text run by a function")
    if administers(names):
        walk.findings.verbs.add(Verb.ADMINISTER)
    doubt = function_doubt(walk.catalog, names)
    if doubt:
        _stores(walk, names[-1], arguments)
    if doubt == "" and names[-1] == "count":
        return _count(walk, body, arguments)
    flowing = union([arguments, order]) if body.get("agg_within_group") else arguments
    if doubt and shows_nothing(walk.catalog, names):
        if administers(names):
            walk.findings.doubt(doubt)
        else:
            known_effect(walk, names[-1], body.get("args"))
        return flowing
    return _trusted(walk, doubt, flowing)


def _named_so(walk: Walk, name: str, scope: Scope) -> bool:
    """Whether something in reach has the name of a keyword that older servers do not have."""
    return bool(scope.column(name)) or walk.catalog.resolve(None, name) is not None


def _keeps_to_session(walk: Walk, function: str, arguments: object, scope: Scope) -> bool:
    """Whether a call of a built-in is no more than a SET, or lets go of the session's own locks; it is noted so."""
    if not lets_go(function):
        return set_by_call(walk.findings, function, arguments, scope.setting)
    walk.findings.does(Verb.SESSION, "set")
    return True


def _stores(walk: Walk, function: str, arguments: Sources) -> None:
    """A function with effects may keep what it is given where it can be read: a sequence, a lock, a setting."""
    if arguments is not None:
        walk.findings.flow(arguments, frozenset({Field("function", function)}))


def _count(walk: Walk, body: Node, arguments: Sources) -> Sources:
    """A count shows no value; but counting DISTINCT, or an expression, looks at one."""
    kinds = [kind for kind, _ in children(body.get("args"))]
    if body.get("agg_distinct") or kinds not in ([], ["ColumnRef"]):
        walk.findings.look(arguments)
    return CLEAR


def _sublink(walk: Walk, body: Node, scope: Scope) -> Sources:
    test = part(walk, body.get("testexpr"), scope)
    doubt = operator_doubt(walk.catalog, strings(body.get("operName")) or ("=",))
    with walk.looking() as inner:
        rows = walk.query(walk, *_select(body.get("subselect")), Scope(parent=scope))
    match body.get("subLinkType"):
        case "EXISTS_SUBLINK":
            return inner.filters
        case "EXPR_SUBLINK" | "ARRAY_SUBLINK" | "MULTIEXPR_SUBLINK":
            return rows.everything
        case _:
            return _trusted(walk, doubt, peek(walk, union([test, rows.everything, inner.filters])))


def _nested(walk: Walk, kind: str, body: Node, scope: Scope) -> Sources:
    return walk.query(walk, kind, body, Scope(parent=scope)).everything


def _grouping(walk: Walk, body: Node, scope: Scope) -> Sources:
    """GROUPING() tells which columns are grouped, never their values."""
    look(walk, body.get("args"), scope)
    return CLEAR


def _select(node: object) -> tuple[str, Node]:
    return single(node) or ("", {})


def _trusted(walk: Walk, doubt: str, sources: Sources) -> Sources:
    """``sources``, unless there is a doubt: then the code that runs may read anything."""
    if not walk.findings.doubt(doubt):
        return sources
    walk.findings.unresolved.add(" ".join(doubt.split()[:2]))
    return None


def scalar(names: tuple[str, ...]) -> bool:
    """Whether the function, if built in, gives one column named like itself or its alias."""
    return listed().get(names[-1] if names else "") == ()


_HANDLERS: dict[str, Callable[[Walk, Node, Scope], Sources]] = {
    "ColumnRef": _column,
    "A_Indirection": _indirection,
    "A_Expr": _operator,
    "CaseExpr": _case,
    "XmlExpr": _xml,
    "TypeCast": _cast,
    "TypeName": _type,
    "FuncCall": _call,
    "SubLink": _sublink,
    "GroupingFunc": _grouping,
}
