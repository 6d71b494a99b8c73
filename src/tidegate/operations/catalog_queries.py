"""The look-ups from which a Catalog is built, for PostgreSQL 13 to 18.

Every name in them is qualified. They are meant for a connection of the gateway's own with search_path=pg_catalog
(rule 10 of the design), so that printed definitions qualify whatever is not a built-in; only ``path`` must be asked in
the agent's own session, because it is that session's search path. Objects of an extension that overload a built-in name
with a function declared immutable or stable are trusted like that built-in and left out.
"""

from __future__ import annotations

from collections.abc import Mapping

QUERIES: Mapping[str, str] = {
    # oid, schema, name, kind, reactive (triggers, rules, users' functions in defaults, checks, indexes), system
    "relations": """
SELECT c.oid, n.nspname, c.relname, c.relkind,
  EXISTS (SELECT 1 FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)
  OR EXISTS (SELECT 1 FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type <> '1')
  OR EXISTS (
    SELECT 1 FROM pg_catalog.pg_depend d
    LEFT JOIN pg_catalog.pg_attrdef f
      ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND f.oid = d.objid
    LEFT JOIN pg_catalog.pg_constraint k
      ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND k.oid = d.objid
    LEFT JOIN pg_catalog.pg_index i
      ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND i.indexrelid = d.objid
    WHERE d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.refobjid >= 16384
      AND (c.oid IN (f.adrelid, k.conrelid, i.indrelid) OR (k.contypid <> 0 AND EXISTS (
        SELECT 1 FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = c.oid AND t.oid >= 16384 AND (t.typtype IN ('d', 'c') OR t.typelem <> 0))))),
  c.oid < 16384
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') ORDER BY c.oid""",
    # relation, number, name
    "attributes": """
SELECT a.attrelid, a.attnum, a.attname
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
ORDER BY a.attrelid, a.attnum""",
    # relation, definition
    "views": """
SELECT c.oid, pg_catalog.pg_get_viewdef(c.oid) FROM pg_catalog.pg_class c
WHERE c.relkind IN ('v', 'm') AND c.oid >= 16384""",
    # relation, expression that row security evaluates when the relation is read
    "guards": """
SELECT p.polrelid, pg_catalog.pg_get_expr(p.polqual, p.polrelid) FROM pg_catalog.pg_policy p
WHERE p.polqual IS NOT NULL""",
    # relation, column, expression that generates it
    "generated": """
SELECT a.attrelid, a.attname, pg_catalog.pg_get_expr(d.adbin, d.adrelid)
FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
WHERE a.attgenerated <> ''""",
    # child, parent
    "inheritance": "SELECT i.inhrelid, i.inhparent FROM pg_catalog.pg_inherits i",
    # referencing relation, referenced relation
    "foreign_keys": """
SELECT c.conrelid, c.confrelid FROM pg_catalog.pg_constraint c WHERE c.contype = 'f'""",
    # schema, name
    "functions": """
SELECT DISTINCT n.nspname, p.proname
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE p.oid >= 16384 AND NOT (p.provolatile IN ('i', 's')
  AND EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
              WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e')
  AND EXISTS (SELECT 1 FROM pg_catalog.pg_proc b WHERE b.proname = p.proname AND b.oid < 16384))""",
    # schema, name
    "operators": """
SELECT DISTINCT n.nspname, o.oprname
FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
LEFT JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode
WHERE o.oid >= 16384 AND (p.oid IS NULL OR NOT (p.provolatile IN ('i', 's')
  AND EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
              WHERE d.classid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND d.objid = o.oid AND d.deptype = 'e')
  AND EXISTS (SELECT 1 FROM pg_catalog.pg_operator b WHERE b.oprname = o.oprname AND b.oid < 16384)))""",
    # source type, target type
    "casts": """
SELECT c.castsource::pg_catalog.regtype, c.casttarget::pg_catalog.regtype
FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_proc p ON p.oid = c.castfunc
WHERE c.oid >= 16384 AND c.castfunc >= 16384
  AND NOT (p.provolatile IN ('i', 's')
  AND EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
              WHERE d.classid = 'pg_catalog.pg_cast'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'))""",
    # schema, name, kind
    "types": """
SELECT n.nspname, t.typname, t.typtype
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE t.oid >= 16384 AND NOT (t.typelem <> 0 AND t.typcategory = 'A')""",
    # schema, in order
    "path": """
SELECT s.name FROM pg_catalog.unnest(pg_catalog.current_schemas(true)) WITH ORDINALITY AS s (name, place)
ORDER BY s.place""",
}
"""Name of a look-up -> its text; Catalog.build takes the rows under the same names."""

SESSION = """
SELECT pg_catalog.json_build_object(
  'path', pg_catalog.current_schemas(true), 'role', current_user,
  'own', (SELECT n.nspname FROM pg_catalog.pg_namespace n
          WHERE n.oid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()),
  'relations', (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(c.oid, c.relname, c.relkind,
      EXISTS (SELECT 1 FROM pg_catalog.pg_trigger t
              WHERE t.tgrelid OPERATOR(pg_catalog.=) c.oid AND NOT t.tgisinternal)
      OR EXISTS (SELECT 1 FROM pg_catalog.pg_rewrite r WHERE r.ev_class OPERATOR(pg_catalog.=) c.oid),
      (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(a.attnum, a.attname))
       FROM pg_catalog.pg_attribute a WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid
       AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped)))
    FROM pg_catalog.pg_class c WHERE c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()
    AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_inherits i WHERE i.inhrelid OPERATOR(pg_catalog.=) c.oid)
    AND (c.relkind OPERATOR(pg_catalog.=) 'r' OR c.relkind OPERATOR(pg_catalog.=) 'S')))
  ::pg_catalog.text"""
"""What names mean in one session, as one text of JSON; asked there, so that every name and operator is qualified."""
