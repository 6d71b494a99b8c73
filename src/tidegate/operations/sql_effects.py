"""Which functions, operators and types are proven to change nothing.

The proof is by name: a built-in of that name is effect-free in every overload (data/effect_free.txt, made by
tools/effect_free.py), and no user has defined anything of that name that could be meant instead. What is not proven has
a sentence saying why; the sentence holds names only, never values.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from .catalog import Catalog

_BUILTIN = "pg_catalog"
_SHOWS_NOTHING = re.compile(
    r"nextval|setval|set_config|pg_(try_)?advisory_\w+|pg_notify|txid_current|pg_current_xact_id"
    r"|pg_(cancel|terminate)_backend|pg_reload_conf|pg_export_snapshot"
)
_ADMINISTERS = re.compile(
    r"set_config|pg_(cancel|terminate)_backend|pg_reload_conf|pg_rotate_logfile\w*|pg_switch_wal|pg_promote|lo_(im|ex)port"
    r"|pg_(create|drop|copy)_\w+|pg_logical_\w+|pg_replication_\w+|pg_wal_replay_\w+|pg_backup_\w+|pg_file_\w+"
    r"|pg_stat_reset\w*|pg_import_system_collations|pg_extension_config_dump|dblink\w*"
)
_RUNS_TEXT = re.compile(r"ts_stat|ts_rewrite|(query|cursor|table)_to_xml\w*|crosstab\w*|connectby|xpath_table")
_BETWEEN = frozenset({"BETWEEN", "NOT BETWEEN", "BETWEEN SYMMETRIC", "NOT BETWEEN SYMMETRIC"})


@cache
def listed() -> dict[str, tuple[str, ...]]:
    """Effect-free built-ins: name -> the columns of its rows; ``("*",)`` when they depend on its arguments."""
    return {name: tuple(columns) for name, *columns in _lines() if not name.startswith("!")}


@cache
def refused() -> frozenset[str]:
    """Built-ins that are not effect-free."""
    return frozenset(name[1:] for name, *_ in _lines() if name.startswith("!"))


def function_doubt(catalog: Catalog, names: tuple[str, ...]) -> str:
    """Why a call of the function is not proven harmless; empty if it is."""
    schema, name = _split(names)
    if schema in ("", _BUILTIN):
        known, key = any(_shadows(schema, owner, name, other) for owner, other in catalog.functions), name
    else:
        known, key = (schema, name) in catalog.functions, f"{schema}.{name}"
    if known:
        return f"function {key} is user-defined"
    return "" if key in listed() else f"function {key} is not known to be free of effects"


def keyword_doubt(catalog: Catalog, keyword: str) -> str:
    """Why an expression that begins with a keyword may be a call of a user's function on an older server, which does
    not know the keyword; empty if there is no such function."""
    return f"function {keyword} is user-defined" if any(keyword == name for _, name in catalog.functions) else ""


def administers(names: tuple[str, ...]) -> bool:
    """Whether the function, by its bare name, changes settings or acts on the server, other sessions or files."""
    return _ADMINISTERS.fullmatch(_split(names)[1]) is not None


def runs_text(names: tuple[str, ...]) -> bool:
    """Whether the function, by its bare name, runs SQL that it is given as a value, which nobody has read."""
    return _RUNS_TEXT.fullmatch(_split(names)[1]) is not None


def shows_nothing(catalog: Catalog, names: tuple[str, ...]) -> bool:
    """Whether the function, though it has effects, is a built-in whose result shows no stored value."""
    schema, name = _split(names)
    mine = any(_shadows(schema, owner, name, other) for owner, other in catalog.functions)
    return schema in ("", _BUILTIN) and not mine and _SHOWS_NOTHING.fullmatch(name) is not None


def attribute_doubt(catalog: Catalog, name: str) -> str:
    """Why ``(value).name``, which may be a call of a function ``name``, is not proven harmless; empty if it is."""
    if name in refused() or any(name == other for _, other in catalog.functions):
        return f"({name}) may be a function call"
    return ""


def operator_doubt(catalog: Catalog, names: tuple[str, ...]) -> str:
    """Why use of the operator is not proven harmless; empty if it is."""
    schema, name = _split(names)
    if schema not in ("", _BUILTIN):
        return f"operator {schema}.{name} is user-defined"
    meant = {">=", "<="} if name in _BETWEEN else {name}
    if any(_shadows(schema, owner, one, other) for owner, other in catalog.operators for one in meant):
        return f"operator {name} is user-defined"
    return ""


def type_doubt(catalog: Catalog, names: tuple[str, ...]) -> str:
    """Why a cast to the type is not proven harmless (a domain's check may call anything); empty if it is."""
    schema, name = _split(names)
    if schema == _BUILTIN:
        return ""
    bare = name.removeprefix("_")
    kinds = [kind for (owner, other), kind in catalog.types.items() if other in (name, bare) and schema in ("", owner)]
    if all(kind == "e" for kind in kinds) and (kinds or (not schema and catalog.resolve(None, name) is None)):
        return ""
    return f"type {name} is user-defined"


def _shadows(schema: str, owner: str, name: str, other: str) -> bool:
    return name == other and (schema == "" or owner == schema)


def _split(names: tuple[str, ...]) -> tuple[str, str]:
    return (names[-2] if len(names) > 1 else "", names[-1] if names else "")


@cache
def _lines() -> tuple[list[str], ...]:
    text = resources.files(__package__).joinpath("data", "effect_free.txt").read_text(encoding="utf-8")
    return tuple(line.split() for line in text.splitlines() if line and not line.startswith("#"))
