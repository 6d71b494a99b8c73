"""Whether a WHERE clause bounds what an UPDATE, DELETE or MERGE reaches.

Bounded means: it compares a column of the target with ``=`` or IN to constants or parameters, on every arm of an OR.
``WHERE true``, ``1 = 1``, ``id = id``, ``id > 0`` and ``x IS NOT NULL`` are unbounded, and so is whatever is not
understood: an approval too many is cheaper than a table too few.
"""

from __future__ import annotations

from .sql_parse import Node, children, single, strings
from .sql_scope import Frame, Scope

_COMPARES = frozenset({"AEXPR_OP", "AEXPR_IN", "AEXPR_OP_ANY"})


def bounded(condition: object, target: Frame, scope: Scope) -> bool:
    """Whether the condition ties the rows of ``target`` to given values."""
    found = single(condition)
    if found is None:
        return False
    kind, body = found
    if kind == "CurrentOfExpr":
        return True
    if kind == "BoolExpr":
        arms = [bounded(arm, target, scope) for arm in body.get("args", ())]
        match body.get("boolop"):
            case "AND_EXPR":
                return any(arms)
            case "OR_EXPR":
                return all(arms)
            case _:
                return False
    return kind == "A_Expr" and _compares(body, target, scope)


def _compares(body: Node, target: Frame, scope: Scope) -> bool:
    if body.get("kind") not in _COMPARES or strings(body.get("name"))[-1:] != ("=",):
        return False
    left, right = body.get("lexpr"), body.get("rexpr")
    if _column(left, target, scope) and _given(right):
        return True
    return body.get("kind") == "AEXPR_OP" and _column(right, target, scope) and _given(left)


def _column(node: object, target: Frame, scope: Scope) -> bool:
    """Whether the node is a column of the target, by its alias or by a bare name nobody else has."""
    found = single(node)
    if found is None or found[0] != "ColumnRef":
        return False
    names = strings(found[1].get("fields"))
    if len(names) > 1:
        return names[-2] == target.items[0].alias
    others = (frame for frame in scope.frames if frame is not target)
    return len(names) == 1 and not any(frame.rows.open or frame.rows.exact(names[0]) for frame in others)


def _given(node: object) -> bool:
    """Whether the node consists of constants and parameters only."""
    found = single(node)
    if found is None:
        return False
    kind, body = found
    if kind in ("A_Const", "ParamRef", "SQLValueFunction"):
        return True
    if kind == "TypeCast":
        return _given(body.get("arg"))
    return kind in ("List", "A_ArrayExpr") and all(_given({inner: fields}) for inner, fields in children(body))
