"""What would run beside a statement that changes rows of some relations: triggers, rules, expressions of the catalog.

Asked on a connection of the gateway's own with search_path = pg_catalog, so that what is printed qualifies whatever is
not built in. The rows are (kind, object, text). Reached are the relations themselves, what views read, partitions and
children, and the relations to which a foreign key passes a change on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from .definition_queries import literal

_BESIDE = """
WITH RECURSIVE given (id) AS (
  SELECT c.oid FROM json_array_elements(%s::json) AS e (value)
  JOIN pg_namespace n ON n.nspname = e.value ->> 0
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = e.value ->> 1),
touched (id) AS (
  SELECT g.id FROM given g
  UNION
  SELECT e.id FROM touched t CROSS JOIN LATERAL (
    SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = t.id
    UNION ALL
    SELECT k.conrelid FROM pg_constraint k WHERE k.confrelid = t.id AND k.contype = 'f'
      AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd'))
    UNION ALL
    SELECT d.refobjid FROM pg_rewrite w JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
    WHERE w.ev_class = t.id AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> t.id) AS e (id)),
relations (id, name, kind) AS (
  SELECT c.oid, n.nspname || '.' || c.relname, c.relkind
  FROM touched t JOIN pg_class c ON c.oid = t.id JOIN pg_namespace n ON n.oid = c.relnamespace),
types (id) AS (
  SELECT a.atttypid FROM relations r JOIN pg_attribute a ON a.attrelid = r.id AND a.attnum > 0 AND NOT a.attisdropped
  UNION
  SELECT e.id FROM types t JOIN pg_type y ON y.oid = t.id CROSS JOIN LATERAL (VALUES (y.typbasetype), (y.typelem))
    AS e (id) WHERE e.id <> 0),
beside (kind, object, text) AS (
  SELECT 'foreign', r.name, '' FROM relations r WHERE r.kind = 'f'
  UNION ALL
  SELECT 'trigger', r.name || '.' || t.tgname, CASE WHEN t.tgqual IS NULL THEN pg_get_functiondef(t.tgfoid) ELSE '' END
  FROM relations r JOIN pg_trigger t ON t.tgrelid = r.id WHERE NOT t.tgisinternal AND t.tgenabled <> 'D'
  UNION ALL
  SELECT 'rule', r.name || '.' || w.rulename, '' FROM relations r JOIN pg_rewrite w ON w.ev_class = r.id
  WHERE w.ev_type <> '1'
  UNION ALL
  SELECT 'expression', r.name || ' (default)', pg_get_expr(d.adbin, d.adrelid)
  FROM relations r JOIN pg_attrdef d ON d.adrelid = r.id
  UNION ALL
  SELECT 'expression', r.name || '.' || k.conname, pg_get_expr(k.conbin, k.conrelid)
  FROM relations r JOIN pg_constraint k ON k.conrelid = r.id WHERE k.contype = 'c'
  UNION ALL
  SELECT 'expression', r.name || ' (index)', e.text
  FROM relations r JOIN pg_index i ON i.indrelid = r.id
  CROSS JOIN LATERAL (VALUES (pg_get_expr(i.indexprs, i.indrelid)), (pg_get_expr(i.indpred, i.indrelid))) AS e (text)
  WHERE e.text IS NOT NULL
  UNION ALL
  SELECT 'expression', r.name || ' (partitions)', pg_get_expr(p.partexprs, p.partrelid)
  FROM relations r JOIN pg_partitioned_table p ON p.partrelid = r.id WHERE p.partexprs IS NOT NULL
  UNION ALL
  SELECT 'expression', r.name || '.' || p.polname, e.text
  FROM relations r JOIN pg_policy p ON p.polrelid = r.id CROSS JOIN LATERAL (
    VALUES (pg_get_expr(p.polqual, p.polrelid)), (pg_get_expr(p.polwithcheck, p.polrelid))) AS e (text)
  WHERE e.text IS NOT NULL
  UNION ALL
  SELECT 'expression', format_type(t.id, NULL), pg_get_expr(k.conbin, 0)
  FROM types t JOIN pg_constraint k ON k.contypid = t.id WHERE k.contype = 'c'
  UNION ALL
  SELECT 'type', format_type(t.id, NULL), ''
  FROM types t JOIN pg_type y ON y.oid = t.id
  WHERE t.id >= 16384 AND y.typtype NOT IN ('d', 'e') AND y.typcategory <> 'A' AND NOT EXISTS (
    SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.id AND d.deptype = 'e')
  UNION ALL
  SELECT 'key', r.name, a.attname
  FROM given g JOIN relations r ON r.id = g.id JOIN pg_index i ON i.indrelid = r.id AND i.indisprimary
  JOIN pg_attribute a ON a.attrelid = r.id AND a.attnum = ANY (i.indkey::int2[]))
SELECT b.kind, b.object, b.text FROM beside b ORDER BY 1, 2, 3"""


def beside(objects: Iterable[str]) -> str:
    """The question for the objects (``schema.name``)."""
    pairs = [list(name.partition(".")[::2]) for name in sorted(objects)]
    return _BESIDE % literal(json.dumps(pairs))
