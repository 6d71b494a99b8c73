"""The name PostgreSQL gives a result column that has no alias (FigureColname in parse_target.c), and which of these
names older servers take for those of functions."""

from __future__ import annotations

from .sql_parse import Node, children, single, strings

_FIXED = {
    "CoalesceExpr": "coalesce",
    "A_ArrayExpr": "array",
    "RowExpr": "row",
    "GroupingFunc": "grouping",
    "MergeSupportFunc": "merge_action",
    "XmlSerialize": "xmlserialize",
    "JsonParseExpr": "json",
    "JsonScalarExpr": "json_scalar",
    "JsonSerializeExpr": "json_serialize",
    "JsonObjectConstructor": "json_object",
    "JsonArrayConstructor": "json_array",
    "JsonArrayQueryConstructor": "json_array",
    "JsonObjectAgg": "json_objectagg",
    "JsonArrayAgg": "json_arrayagg",
}
_BY_OPERATION = {
    "IS_GREATEST": "greatest",
    "IS_LEAST": "least",
    "IS_XMLCONCAT": "xmlconcat",
    "IS_XMLELEMENT": "xmlelement",
    "IS_XMLFOREST": "xmlforest",
    "IS_XMLPARSE": "xmlparse",
    "IS_XMLPI": "xmlpi",
    "IS_XMLROOT": "xmlroot",
    "JSON_EXISTS_OP": "json_exists",
    "JSON_QUERY_OP": "json_query",
    "JSON_VALUE_OP": "json_value",
}
_NAMELESS = "?column?"


def later_keyword(kind: str, body: Node) -> str:
    """The keyword of an expression that servers before 17 read as a call of a function of that name; else empty."""
    if not kind.startswith(("Json", "MergeSupport")):
        return ""
    return _FIXED.get(kind) or _BY_OPERATION.get(str(body.get("op", "")), "")


def column_name(target: Node) -> str:
    """The name of a result column: the alias, or what the server derives from the expression."""
    if target.get("name"):
        return str(target["name"])
    return _figure(target.get("val"))[0] or _NAMELESS


def _figure(node: object) -> tuple[str, int]:
    """Name and strength: 2 for a good name, 1 for a type's or a construct's, 0 for none."""
    found = single(node)
    if found is None:
        return "", 0
    kind, body = found
    match kind:
        case "ColumnRef" | "A_Indirection":
            names = strings(body.get("fields") or body.get("indirection"))
            return (names[-1], 2) if names else _figure(body.get("arg"))
        case "FuncCall":
            return strings(body["funcname"])[-1], 2
        case "A_Expr" if body.get("kind") == "AEXPR_NULLIF":
            return "nullif", 2
        case "TypeCast":
            return _cast(body)
        case "CollateClause":
            return _figure(body.get("arg"))
        case "CaseExpr":
            name, strength = _figure(body.get("defresult"))
            return (name, strength) if strength > 1 else ("case", 1)
        case "SubLink":
            return _sublink(body)
        case "SQLValueFunction":
            return str(body.get("op", "")).removeprefix("SVFOP_").removesuffix("_N").lower(), 2
        case _:
            name = _FIXED.get(kind) or _BY_OPERATION.get(str(body.get("op", "")), "")
            return name, 2 if name else 0


def _cast(body: Node) -> tuple[str, int]:
    name, strength = _figure(body.get("arg"))
    types = strings(body.get("typeName", {}).get("names"))
    return (types[-1], 1) if strength <= 1 and types else (name, strength)


def _sublink(body: Node) -> tuple[str, int]:
    match body.get("subLinkType"):
        case "EXISTS_SUBLINK":
            return "exists", 2
        case "ARRAY_SUBLINK":
            return "array", 2
        case "EXPR_SUBLINK":
            select = single(body.get("subselect"))
            first = next(children(select[1].get("targetList")), None) if select else None
            return (column_name(first[1]), 2) if first and column_name(first[1]) != _NAMELESS else ("", 0)
        case _:
            return "", 0
