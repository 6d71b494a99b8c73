"""The question that gives the definitions a statement resolves to, for PostgreSQL 13 to 18.

It is asked in the agent's own session, so every name and operator in it is qualified: ``_qualified`` writes operators
out, and IN, LIKE, CASE x WHEN and USING, which look operators up by the agent's search path, are not used. A version
of a catalog's row is known by its OID, ``xmin`` and ``ctid``: two versions never have all three in common, also when
one transaction made both, and neither VACUUM, ANALYZE, CREATE INDEX nor any change of rows touches them.

From the names that are written, resolved as the server does it (``pg_table_is_visible`` and its like), the question
walks along the server's own dependencies: from a relation to its triggers, rules, policies, defaults, constraints,
children, indexes and what foreign keys tie to it, from these to functions, types and operators, and so on. The text of
a function's body is not resolved by the server before it runs, so it leads to whatever user-defined object it has the
name of, in any schema; a body that builds text of its own leads to everything, for which 0 stands on the way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

BEFORE = """
SELECT pg_catalog.set_config('tidegate.jit', pg_catalog.current_setting('jit'), true) IS NULL,
  pg_catalog.set_config('jit', 'off', true) IS NULL"""
"""Asked first: compiling the question takes a hundred times as long as running it. It holds until the transaction ends,
which is at once if none is open."""

AFTER = """
SELECT pg_catalog.set_config('jit', CASE
  WHEN pg_catalog.current_setting('tidegate.jit', true) OPERATOR(pg_catalog.<>) ''
  THEN pg_catalog.current_setting('tidegate.jit') ELSE pg_catalog.current_setting('jit') END, true) IS NULL"""
"""Asked last."""

NAMED = 500
"""The most objects that have a row each; of more there is one for each kind, named ``*``."""

_SETTINGS = (
    "search_path", "standard_conforming_strings", "backslash_quote", "escape_string_warning", "transform_null_equals",
    "array_nulls", "client_encoding", "DateStyle", "IntervalStyle", "TimeZone", "timezone_abbreviations",
    "bytea_output", "extra_float_digits", "xmlbinary", "xmloption", "lc_collate", "lc_ctype", "lc_messages",
    "lc_monetary", "lc_numeric", "lc_time", "default_text_search_config", "role", "is_superuser",
    "default_transaction_read_only", "transaction_read_only", "default_transaction_isolation",
    "transaction_isolation", "transaction_deferrable", "row_security", "session_replication_role", "event_triggers",
    "check_function_bodies", "default_tablespace", "temp_tablespaces", "default_table_access_method",
    "default_toast_compression", "default_with_oids", "allow_system_table_mods", "ignore_system_indexes",
    "lo_compat_privileges", "operator_precedence_warning", "plpgsql.variable_conflict", "plpgsql.check_asserts",
    "createrole_self_grant", "restrict_nonsystem_relation_kind", "synchronous_commit", "vacuum_truncate",
    "quote_all_identifiers", "exit_on_error",
)  # fmt: skip
"""Settings that change what a statement means or does; limits, costs and names of applications are none."""

_DYNAMIC = r'\mexecute\M|u&"|to_xml|dblink|crosstab|connectby|set_config'
"""In the body of a function: it may run text, or write names, that the body does not hold."""

_DOTTED = r"'([a-zA-Z_][\w$]*(?:\.[\w$]+)+)'"
"""A literal that may name a setting of users' own, as policies and functions read them."""

_NAMED = {
    "pg_class": ("relname", "relnamespace", "pg_table_is_visible"),
    "pg_proc": ("proname", "pronamespace", "pg_function_is_visible"),
    "pg_type": ("typname", "typnamespace", "pg_type_is_visible"),
    "pg_operator": ("oprname", "oprnamespace", "pg_operator_is_visible"),
    "pg_collation": ("collname", "collnamespace", "pg_collation_is_visible"),
    "pg_ts_config": ("cfgname", "cfgnamespace", "pg_ts_config_is_visible"),
}
"""Catalogs whose objects a statement names: the columns of name and schema, and what tells whether a name means it."""

_LED_TO = ("pg_class", "pg_proc", "pg_type", "pg_operator", "pg_collation", "pg_constraint", "pg_foreign_server",
           "pg_foreign_data_wrapper", "pg_ts_config", "pg_ts_dict")  # fmt: skip
_PARTS = ("pg_class", "pg_trigger", "pg_rewrite", "pg_attrdef", "pg_constraint", "pg_policy")

_OF_RELATIONS = {
    "pg_class": ("oid", "relation", ""),
    "pg_attribute": ("attrelid", "relation", ""),
    "pg_attrdef": ("adrelid", "relation", ""),
    "pg_constraint": ("conrelid", "relation", ""),
    "pg_inherits": ("inhrelid", "relation", ""),
    "pg_sequence": ("seqrelid", "relation", ""),
    "pg_partitioned_table": ("partrelid", "relation", ""),
    "pg_foreign_table": ("ftrelid", "relation", ""),
    "pg_trigger": ("tgrelid", "trigger", "tgname"),
    "pg_rewrite": ("ev_class", "rule", "rulename"),
    "pg_policy": ("polrelid", "policy", "polname"),
}
"""Catalogs with rows of a relation: whose it is, the kind it counts as, and the column of its own name."""

_OTHERS = {
    "pg_proc": ("pg_proc", "oid", "function"),
    "pg_aggregate": ("pg_proc", "aggfnoid", "function"),
    "pg_type": ("pg_type", "oid", "type"),
    "pg_enum": ("pg_type", "enumtypid", "type"),
    "pg_range": ("pg_type", "rngtypid", "type"),
    "pg_constraint": ("pg_type", "contypid", "type"),
    "pg_operator": ("pg_operator", "oid", "operator"),
    "pg_collation": ("pg_collation", "oid", "collation"),
    "pg_ts_config": ("pg_ts_config", "oid", "text search"),
    "pg_ts_config_map": ("pg_ts_config", "mapcfg", "text search"),
    "pg_ts_dict": ("pg_ts_dict", "oid", "text search"),
    "pg_cast": ("pg_cast", "oid", "cast"),
    "pg_event_trigger": ("pg_event_trigger", "oid", "event trigger"),
    "pg_foreign_server": ("pg_foreign_server", "oid", "server"),
    "pg_foreign_data_wrapper": ("pg_foreign_data_wrapper", "oid", "server"),
}
"""Catalogs with rows of other objects: the object's own catalog, its column there, and the kind it counts as."""

_SEED = """
  SELECT [{catalog}], o.oid FROM pg_catalog.{catalog} o JOIN asked a ON o.{name} = a.name
  WHERE (a.schema = '' AND pg_catalog.{visible}(o.oid)) OR o.{schema} = a.space"""

_OF_RELATION = """
  SELECT '{kind}', r.name{own}, o.{id}, o.xmin, o.ctid
  FROM relations r JOIN pg_catalog.{catalog} o ON o.{id} = r.id"""

_OTHER = """
  SELECT '{kind}', {title}, o.{id}::pg_catalog.oid, o.xmin, o.ctid
  FROM reach r JOIN pg_catalog.{catalog} o ON o.{id} = r.id{owner} WHERE r.class = [{class_}]"""

_QUESTION = """
WITH RECURSIVE asked (schema, name, space) AS (
  SELECT e.value ->> 0, e.value ->> 1, CASE WHEN (e.value ->> 0) = 'pg_temp' THEN pg_catalog.pg_my_temp_schema()
    ELSE (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = (e.value ->> 0)) END
  FROM pg_catalog.json_array_elements(%s::pg_catalog.json) AS e (value)),
texts (body, wild) AS (
  SELECT pg_catalog.lower(e.value), %s FROM pg_catalog.json_array_elements_text(%s::pg_catalog.json)
    AS e (value)),
known (class, id, name) AS MATERIALIZED (
  SELECT [pg_proc], p.oid, pg_catalog.lower(p.proname::pg_catalog.text) FROM pg_catalog.pg_proc p WHERE p.oid >= 16384
  UNION ALL
  SELECT [pg_class], c.oid, pg_catalog.lower(c.relname::pg_catalog.text) FROM pg_catalog.pg_class c
  WHERE c.oid >= 16384 AND c.relkind <> ALL (ARRAY['i'::pg_catalog."char", 'I', 't', 'c'])
    AND NOT pg_catalog.pg_is_other_temp_schema(c.relnamespace)
  UNION ALL
  SELECT [pg_type], t.oid, pg_catalog.lower(t.typname::pg_catalog.text) FROM pg_catalog.pg_type t
  WHERE t.oid >= 16384 AND t.typrelid = 0 AND t.typcategory <> 'A'
    AND NOT pg_catalog.pg_is_other_temp_schema(t.typnamespace)
  UNION ALL
  SELECT [pg_operator], o.oid, o.oprname::pg_catalog.text FROM pg_catalog.pg_operator o WHERE o.oid >= 16384),
reach (class, id, every) AS (
  SELECT s.class, s.id, s.id = 0 FROM ({seeds}
  UNION ALL
  SELECT k.class, k.id FROM known k JOIN texts t ON NOT t.wild AND pg_catalog.strpos(t.body, k.name) > 0
  UNION ALL
  SELECT 0::pg_catalog.oid, 0::pg_catalog.oid FROM texts t WHERE t.wild
  UNION ALL
  SELECT [pg_cast], c.oid FROM pg_catalog.pg_cast c WHERE c.oid >= 16384
  UNION ALL
  SELECT [pg_event_trigger], t.oid FROM pg_catalog.pg_event_trigger t) AS s (class, id)
  UNION
  SELECT e.class, e.id, r.every OR e.id = 0 FROM reach r CROSS JOIN LATERAL (
    SELECT d.refclassid, d.refobjid FROM pg_catalog.pg_depend d
    WHERE d.classid = r.class AND d.objid = r.id AND d.refclassid = ANY (ARRAY[{led_to}])
      AND d.deptype <> ALL (ARRAY['e'::pg_catalog."char", 'p'])
    UNION ALL
    SELECT d.classid, d.objid FROM pg_catalog.pg_depend d
    WHERE r.class = [pg_class] AND d.refclassid = r.class AND d.refobjid = r.id AND d.classid = ANY (ARRAY[{parts}])
      AND (d.deptype = ANY (ARRAY['a'::pg_catalog."char", 'i']) OR d.classid = [pg_constraint])
    UNION ALL
    SELECT [pg_trigger], t.oid FROM pg_catalog.pg_trigger t WHERE r.class = [pg_class] AND t.tgrelid = r.id
    UNION ALL
    SELECT [pg_constraint], k.oid FROM pg_catalog.pg_constraint k WHERE r.class = [pg_type] AND k.contypid = r.id
    UNION ALL
    SELECT [pg_class], i.inhrelid FROM pg_catalog.pg_inherits i WHERE r.class = [pg_class] AND i.inhparent = r.id
    UNION ALL
    SELECT [pg_class], t.typrelid FROM pg_catalog.pg_type t
    WHERE r.class = [pg_type] AND t.oid = r.id AND t.typrelid <> 0
    UNION ALL
    SELECT [pg_proc], m.amproc::pg_catalog.oid FROM pg_catalog.pg_opclass o
    JOIN pg_catalog.pg_amproc m ON m.amprocfamily = o.opcfamily
    WHERE r.class = [pg_type] AND o.opcintype = r.id AND o.oid >= 16384
    UNION ALL
    SELECT k.class, k.id FROM known k WHERE r.class = 0::pg_catalog.oid
    UNION ALL
    SELECT m.class, m.id FROM (
      SELECT pg_catalog.lower(p.prosrc) AS body FROM pg_catalog.pg_proc p
      JOIN pg_catalog.pg_language l ON l.oid = p.prolang
      WHERE NOT r.every AND r.class = [pg_proc] AND p.oid = r.id AND p.oid >= 16384
        AND l.lanname <> ALL (ARRAY['internal'::pg_catalog.name, 'c'])) AS b
    CROSS JOIN LATERAL (
      SELECT 0::pg_catalog.oid, 0::pg_catalog.oid WHERE b.body ~ {dynamic}
      UNION ALL
      SELECT k.class, k.id FROM known k WHERE NOT (b.body ~ {dynamic}) AND pg_catalog.strpos(b.body, k.name) > 0
    ) AS m (class, id)
  ) AS e (class, id)),
relations (id, name) AS MATERIALIZED (
  SELECT c.oid, CASE WHEN c.relnamespace = pg_catalog.pg_my_temp_schema() THEN 'pg_temp'
      ELSE n.nspname::pg_catalog.text END || '.' || c.relname::pg_catalog.text
  FROM reach r JOIN pg_catalog.pg_class c ON c.oid = r.id
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE r.class = [pg_class] AND c.relkind <> ALL (ARRAY['i'::pg_catalog."char", 'I', 't'])),
versions (kind, name, id, made, place) AS ({versions}),
bodies (body) AS (
  SELECT p.prosrc FROM reach r JOIN pg_catalog.pg_proc p ON p.oid = r.id WHERE r.class = [pg_proc] AND p.oid >= 16384
  UNION ALL
  SELECT COALESCE(pg_catalog.pg_get_expr(p.polqual, p.polrelid), '')
    || COALESCE(pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid), '')
  FROM reach r JOIN pg_catalog.pg_policy p ON p.oid = r.id WHERE r.class = [pg_policy]
  UNION ALL
  SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid)
  FROM reach r JOIN pg_catalog.pg_attrdef d ON d.oid = r.id WHERE r.class = [pg_attrdef]
  UNION ALL
  SELECT pg_catalog.pg_get_ruledef(w.oid)
  FROM reach r JOIN pg_catalog.pg_rewrite w ON w.oid = r.id WHERE r.class = [pg_rewrite]),
marks (kind, name, mark) AS MATERIALIZED (
  SELECT v.kind, v.name, pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.string_agg(
      v.id::pg_catalog.text || ':' || v.made::pg_catalog.text || ':' || v.place::pg_catalog.text, ' '
      ORDER BY v.id, v.place), 'UTF8')), 'hex')
  FROM versions v GROUP BY v.kind, v.name),
answer (kind, name, mark) AS (
  SELECT m.kind, m.name, m.mark FROM marks m WHERE (SELECT pg_catalog.count(*) FROM marks) <= {named}
  UNION ALL
  SELECT m.kind, '*', pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.string_agg(
      m.name || ' ' || m.mark, ' ' ORDER BY m.name COLLATE pg_catalog."C"), 'UTF8')), 'hex')
  FROM marks m WHERE (SELECT pg_catalog.count(*) FROM marks) > {named} GROUP BY m.kind
  UNION ALL
  SELECT 'setting', s.name, pg_catalog.current_setting(s.name, true) FROM (
    SELECT e.value FROM pg_catalog.json_array_elements_text(%s::pg_catalog.json) AS e (value)
    UNION
    SELECT m.found[1] FROM bodies b CROSS JOIN LATERAL pg_catalog.regexp_matches(b.body, {dotted}, 'g') AS m (found)
  ) AS s (name)
  UNION ALL SELECT 'session', 'database', pg_catalog.current_database()::pg_catalog.text
  UNION ALL SELECT 'session', 'user', session_user::pg_catalog.text
  UNION ALL SELECT 'session', 'role', current_user::pg_catalog.text
  UNION ALL SELECT 'session', 'rights', (
    SELECT pg_catalog.string_agg(o.rolname::pg_catalog.text || ' ' || o.rolsuper::pg_catalog.text || ' '
      || o.rolbypassrls::pg_catalog.text, ',' ORDER BY o.rolname)
    FROM pg_catalog.pg_roles o WHERE o.rolname = current_user OR (
      pg_catalog.pg_has_role(current_user, o.oid, 'USAGE')
      AND NOT (SELECT me.rolsuper FROM pg_catalog.pg_roles me WHERE me.rolname = current_user)))
  UNION ALL SELECT 'session', 'path', (
    SELECT pg_catalog.string_agg(CASE WHEN n.oid = pg_catalog.pg_my_temp_schema() THEN 'pg_temp'
        ELSE pg_catalog.quote_ident(s.name::pg_catalog.text) END, ',' ORDER BY s.place)
    FROM pg_catalog.unnest(pg_catalog.current_schemas(true)) WITH ORDINALITY AS s (name, place)
    JOIN pg_catalog.pg_namespace n ON n.nspname = s.name))
SELECT a.kind, a.name, a.mark FROM answer a
ORDER BY a.kind COLLATE pg_catalog."C", a.name COLLATE pg_catalog."C\""""


def _named(catalog: str) -> tuple[str, str]:
    """What titles an object of the catalog, as (expression, join)."""
    if catalog not in _NAMED:
        return "''", ""
    name, schema, _ = _NAMED[catalog]
    join = f" JOIN pg_catalog.{catalog} w ON w.oid = r.id JOIN pg_catalog.pg_namespace n ON n.oid = w.{schema}"
    return f"n.nspname::pg_catalog.text || '.' || w.{name}::pg_catalog.text", join


def _seeds() -> str:
    rows = ((catalog, *columns) for catalog, columns in _NAMED.items())
    return "\n  UNION ALL".join(
        _SEED.format(catalog=catalog, name=name, schema=schema, visible=visible)
        for catalog, name, schema, visible in rows
    )


def _versions() -> str:
    parts = [
        _OF_RELATION.format(
            kind=kind, own=f" || '.' || o.{own}::pg_catalog.text" if own else "", id=id, catalog=catalog
        )
        for catalog, (id, kind, own) in _OF_RELATIONS.items()
    ]
    for catalog, (class_, id, kind) in _OTHERS.items():
        title, owner = _named(class_)
        parts.append(_OTHER.format(kind=kind, title=title, id=id, catalog=catalog, owner=owner, class_=class_))
    return "\n  UNION ALL".join(parts)


def _qualified(text: str) -> str:
    """``text`` with every operator, and every ``[catalog]``, written out."""
    text = re.sub(r" (=|<>|>=|<=|>|~|\|\||->>) ", r" OPERATOR(pg_catalog.\1) ", text)
    return re.sub(r"\[(pg_\w+)\]", r"'pg_catalog.\1'::pg_catalog.regclass::pg_catalog.oid", text)


def literal(text: str) -> str:
    """A string constant, for a session in which standard_conforming_strings is on (rule 9)."""
    return "'" + text.replace("'", "''") + "'"


_TEMPLATE = _qualified(
    _QUESTION.format(
        seeds=_seeds(),
        versions=_versions(),
        led_to=", ".join(f"[{name}]" for name in _LED_TO),
        parts=", ".join(f"[{name}]" for name in _PARTS),
        dynamic=literal(_DYNAMIC),
        dotted=literal(_DOTTED),
        named=NAMED,
    )
)


def question(names: Iterable[tuple[str, str]], texts: Sequence[str], settings: Iterable[str], everything: bool) -> str:
    """The question for (schema, name) pairs, texts that may name more, and settings besides those that always count.

    A schema is empty where none is written. With ``everything`` all that users have defined counts. The rows are (kind,
    name, mark), in the order of kinds and names.
    """
    given = json.dumps(sorted(names)), json.dumps(["", *texts] if everything else texts)
    every = "true" if everything else "false"
    return _TEMPLATE % (
        literal(given[0]),
        every,
        literal(given[1]),
        literal(json.dumps(sorted({*_SETTINGS, *settings}))),
    )
