"""SET, RESET, SHOW, DISCARD and transaction control.

A setting on the list changes only how one session is spoken to or how long it may take. Any other may change what the
gateway's parser and the server understand, who acts, or what the role may do, and so is administration (rule 9 of the
design). A reset gives the start-up values back, which are the gateway's own.
"""

from __future__ import annotations

import re

from tidegate.model.operation import Verb

from .sql_findings import Findings
from .sql_parse import Node, children, single, strings

HARMLESS = frozenset(
    {
        "application_name", "bytea_output", "client_min_messages", "datestyle", "enable_bitmapscan",
        "enable_hashagg", "enable_hashjoin", "enable_indexscan", "enable_indexonlyscan", "enable_material",
        "enable_mergejoin", "enable_nestloop", "enable_seqscan", "enable_sort", "extra_float_digits", "geqo",
        "idle_in_transaction_session_timeout", "intervalstyle", "jit", "lc_monetary", "lc_numeric", "lc_time",
        "lock_timeout", "random_page_cost", "statement_timeout", "timezone", "xmlbinary",
    }
)  # fmt: skip
"""Settings of a session that agents may change; statement and lock time-outs are bounded by the session's own."""

SETTINGS = "pg_catalog.pg_settings"
_BOUNDED = re.compile(r"[1-9][0-9]{0,6} ?(ms)?|[1-9][0-9]{0,3} ?s|[1-9][0-9]? ?min")
"""A time-out that is one: ``0ms`` and ``1us`` (which rounds to 0) would switch it off. At most a few hours."""

_FIXED = {
    "client_encoding": frozenset({"utf8", "utf-8", "unicode"}),
    "standard_conforming_strings": frozenset({"on", "true", "yes", "1"}),
}
"""Settings that the gateway has made, and their very values: setting those again changes nothing (every dump does)."""

_TIMEOUTS = frozenset({"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"})
OWN_NAMES = frozenset({"search_path", "role", "session_authorization", "all"})
"""Settings that decide what names mean in this session and whose rights hold: no other session is concerned."""

_TRANSACTIONS = {
    "TRANS_STMT_BEGIN": ("begin", Verb.SESSION),
    "TRANS_STMT_START": ("begin", Verb.SESSION),
    "TRANS_STMT_COMMIT": ("commit", Verb.SESSION),
    "TRANS_STMT_ROLLBACK": ("rollback", Verb.SESSION),
    "TRANS_STMT_SAVEPOINT": ("savepoint", Verb.SESSION),
    "TRANS_STMT_RELEASE": ("release", Verb.SESSION),
    "TRANS_STMT_ROLLBACK_TO": ("rollback to", Verb.SESSION),
    "TRANS_STMT_PREPARE": ("prepare transaction", Verb.ADMINISTER),
    "TRANS_STMT_COMMIT_PREPARED": ("commit prepared", Verb.ADMINISTER),
    "TRANS_STMT_ROLLBACK_PREPARED": ("rollback prepared", Verb.ADMINISTER),
}
_EFFECTS = frozenset({"commit", "prepare transaction", "commit prepared", "rollback prepared"})


def transaction(found: Findings, body: Node) -> dict[str, object]:
    """BEGIN to ROLLBACK; committing counts as an effect, since it lets deferred triggers run."""
    command, verb = _TRANSACTIONS.get(body.get("kind", ""), ("unknown", Verb.UNKNOWN))
    found.does(verb, command)
    if command in _EFFECTS or body.get("chain"):
        found.effects.append(f"{command} makes changes take effect")
    return {"transaction": command, "read_write": _read_write(body.get("options"))}


def variable(found: Findings, body: Node) -> dict[str, object]:
    """SET and RESET."""
    kind, name = body.get("kind", ""), str(body.get("name", "")).lower()
    command = "reset" if kind.startswith("VAR_RESET") else "set"
    if kind == "VAR_SET_MULTI":
        return _characteristics(found, body, name)
    value = _value(body)
    if kind.startswith("VAR_RESET"):
        # The gateway's own settings came with the start-up packet, so they are what a reset gives back.
        name = name or "all"
        found.does(Verb.SESSION if name in HARMLESS or kind == "VAR_RESET_ALL" else Verb.ADMINISTER, command)
        return {"setting": name, **_own(name)}
    found.does(Verb.SESSION if _harmless(name, value) else Verb.ADMINISTER, command)
    details: dict[str, object] = {"setting": name, **_own(name)}
    return details | ({"value": value} if kind == "VAR_SET_VALUE" else {})


def lets_go(function: str) -> bool:
    """Whether a built-in of this name only lets go of the session's own locks."""
    return function == "pg_advisory_unlock_all"


def set_by_call(found: Findings, function: str, arguments: object, row: str) -> bool:
    """Note a call of the built-in ``set_config`` with a constant name as the SET that it is; whether it was one.

    ``row`` is the setting that ``name`` stands for where the query leaves one row of pg_settings.
    """
    given = list(children(arguments))
    if function != "set_config" or len(given) != 3:
        return False
    (first, named), (kind, second), _ = given
    name = row if first == "ColumnRef" and strings(named.get("fields")) == ("name",) else ""
    name = (_constant({first: named}) if first == "A_Const" else name).lower()
    if not name:
        return False
    value = _constant({kind: second})
    known = kind in ("A_Const", "TypeCast") or name not in _TIMEOUTS | _FIXED.keys()
    found.does(Verb.SESSION if known and _harmless(name, value) else Verb.ADMINISTER, "set")
    found.settings.add(name)
    return True


def named_row(condition: object) -> str:
    """The constant in ``name = 'constant'``; empty for any other condition."""
    kind, body = single(condition) or ("", {})
    if kind != "A_Expr" or body.get("kind") != "AEXPR_OP" or strings(body.get("name")) != ("=",):
        return ""
    left, right = (single(body.get(side)) or ("", {}) for side in ("lexpr", "rexpr"))
    mine = left[0] == "ColumnRef" and strings(left[1].get("fields")) == ("name",)
    return _constant(body.get("rexpr")) if mine and right[0] == "A_Const" else ""


def _harmless(name: str, value: str) -> bool:
    if name in _FIXED:
        return value.lower() in _FIXED[name]
    return name in HARMLESS and not (name in _TIMEOUTS and not _BOUNDED.fullmatch(value))


def show(found: Findings, body: Node) -> dict[str, object]:
    """SHOW: a read of a setting."""
    found.does(Verb.READ, "show")
    return {"setting": str(body.get("name", "")).lower()}


def discard(found: Findings, body: Node) -> dict[str, object]:
    """DISCARD: touches nothing but the session; the gateway's own settings are what a reset gives back."""
    target = str(body.get("target", "")).removeprefix("DISCARD_").lower()
    harmless = target in ("all", "plans", "sequences", "temp")
    found.does(Verb.SESSION if harmless else Verb.ADMINISTER, f"discard {target}")
    return {"own_names": True} if target in ("all", "temp") else {}


def _own(name: str) -> dict[str, object]:
    return {"own_names": name in OWN_NAMES}


def _characteristics(found: Findings, body: Node, name: str) -> dict[str, object]:
    """SET TRANSACTION and SET SESSION CHARACTERISTICS; a snapshot of another session is administration."""
    harmless = name in ("transaction", "session characteristics")
    found.does(Verb.SESSION if harmless else Verb.ADMINISTER, "set")
    return {"setting": name, "transaction": "set", "read_write": _read_write(body.get("args")), **_own(name)}


def _read_write(options: object) -> bool:
    """Whether READ WRITE is asked for in so many words."""
    return any(
        element.get("defname") == "transaction_read_only" and _constant(element.get("arg")) == "0"
        for _, element in children(options)
    )


def _value(body: Node) -> str:
    return ", ".join(_constant({kind: fields}) for kind, fields in children(body.get("args")))


def _constant(node: object) -> str:
    kind, body = single(node) or ("", {})
    if kind == "TypeCast":
        return _constant(body.get("arg"))
    for key in ("ival", "fval", "sval", "boolval", "bsval"):
        if key in body:
            return str(body[key].get(key, 0 if key == "ival" else ""))
    return ""
